"""Chapter 3: where the heads of a language model look, computed and drawn by the learner's code."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

from kata.course import Course
from kata.data import RealData
from kata.show import NotReady, OwnFiles, alone_with_seed, expect
from kata.text import brief

NEEDS = "This show runs your 3.1 to 3.3, 3.13, and 3.8 (with the real model) or 3.4 (without)."
LEGEND = (
    "Each row is a token that looks, each column one that is looked at. Percent: the part of the\n"
    "weight that goes there, and what it would be if the head looked at everything equally."
)
INK, GREY, PAPER = "#1c1e21", "#6b6e76", "#ffffff"

# With the real model: every word of the text is one of its 512 tokens.
MODEL = "stories260K"
TEXT = "Once upon a time, Lily had a friend named Tim. Lily was happy, and Tim was happy."
NAMES = ("Lily", "Tim")
TOLERANCE = 1e-4
AGREE = "Yours and transformers' agree"
DIFFER = "Yours differ from transformers'"

# Without it: a text that repeats, and a model that learns to repeat.
SENTENCE = "Lily and Tim saw a big red ball ."
REPEATS = 2
VOCAB, CONTEXT, WIDTH, HEADS, LAYERS = 24, 24, 64, 2, 2
STEPS, BATCH, LEARNING_RATE = 250, 32, 3e-3
AFTER = "what followed this word last time"
GOOD = 0.8

Target = Callable[[list[str]], Tensor]


@dataclass(frozen=True)
class Panel:
    """A head to look at, and how much of its weight goes to the keys of a pattern."""

    layer: int
    head: int
    pattern: str
    share: float
    if_even: float  # the share of a head that spreads its weight over all it may see

    @property
    def title(self) -> str:
        """Two lines above the picture of the head."""
        numbers = f"{self.share:.0%} ({self.if_even:.0%} if even)"
        return f"{self.pattern}\nlayer {self.layer}, head {self.head}: {numbers}"


@dataclass(frozen=True)
class Maps:
    """The weights of every head on one text, (layers, heads, tokens, tokens)."""

    what: str
    title: str
    tokens: list[str]
    weights: Tensor
    panels: list[Panel] = field(default_factory=list)
    good: bool = False
    verdict: str = ""


def show(course: Course, tree: Path, out: Path, console: Console) -> list[Path]:
    """Compute the attention weights of a model with the learner's functions, and draw some heads.

    Raises:
        NotReady: an exercise that this needs is not done, or failed.
    """
    folder = RealData().find(MODEL)
    with OwnFiles(course, tree, NEEDS) as files, alone_with_seed(0):
        own_map = files["3.13"]
        maps = _real_model(files, folder) if folder else _trained_now(files)
        with files.blame("3.13"):
            heads = [maps.weights[panel.layer, panel.head] for panel in maps.panels]
            figure = own_map.attention_map(torch.stack(heads), maps.tokens)
            _decorate(figure, maps)
            path = out / "ch03.png"
            out.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=150, facecolor=PAPER)
    _print(console, maps)
    return [path]


# ------------------------------------------------------------------------------------ weights


def _weights(files: OwnFiles, q: Tensor, k: Tensor, n_heads: int) -> Tensor:
    """The attention weights (heads, tokens, tokens) of queries and keys that have their heads.

    `scaled_dot_product_attention` returns weights @ values. With the identity matrix for the values
    that is the weights.
    """
    t = q.shape[-2]
    with files.blame("3.1"):
        mask = files["3.1"].causal_mask(t)
    with files.blame("3.2"):
        own = files["3.2"].scaled_dot_product_attention(q, k, torch.eye(t), mask)
    return expect("3.2", "scaled_dot_product_attention", own, (n_heads, t, t))


def _split(files: OwnFiles, x: Tensor, n_heads: int) -> Tensor:
    with files.blame("3.3"):
        own = files["3.3"].split_heads(x, n_heads)
    return expect("3.3", "split_heads", own, (n_heads, x.shape[-2], x.shape[-1] // n_heads))


def _share(weights: Tensor, target: Tensor) -> tuple[float, float]:
    """How much of the weight goes to the keys that `target` marks, and how much if it were even.

    Only queries that have such a key, and another one besides, count.
    """
    visible = torch.ones_like(target).tril()
    target = target & visible
    rows = target.any(-1) & (visible & ~target).any(-1)
    even = target.sum(-1) / visible.sum(-1)
    return (weights * target).sum(-1)[rows].mean().item(), even[rows].mean().item()


# -------------------------------------------------------------------------- the real model


@torch.no_grad()
def _real_model(files: OwnFiles, folder: Path) -> Maps:
    """The TinyStories model: transformers runs its layers, the learner's code its attention."""
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    encoded = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT)
    model = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager")
    model.train(False)
    theirs = model(torch.tensor([encoded.ids]), output_attentions=True, output_hidden_states=True)
    layers = zip(model.model.layers, theirs.hidden_states, strict=False)
    own = [
        _llama_weights(files, model.config, layer.self_attn, layer.input_layernorm(x)[0])
        for layer, x in layers
    ]
    weights = torch.stack(own)  # (layers, heads, tokens, tokens)
    tokens = [token.replace("▁", " ") for token in encoded.tokens]
    good, verdict = _compare(weights, torch.cat(list(theirs.attentions)), tokens)
    n_layers, n_heads = weights.shape[:2]
    return Maps(
        what=f"The {n_layers * n_heads} heads of a real language model ({MODEL}, "
        f"{sum(p.numel() for p in model.parameters()):,} parameters, trained on children's "
        "stories). Its layers run in transformers; the weights of every head are those of your "
        "own split_heads, RoPE, causal mask and attention.",
        title=f"Where the heads of a real model look ({MODEL}), by your own attention",
        tokens=tokens,
        weights=weights,
        panels=_best_heads(weights, tokens),
        good=good,
        verdict=verdict,
    )


def _llama_weights(files: OwnFiles, config: Any, attention: Any, x: Tensor) -> Tensor:
    """The weights of one layer for tokens (tokens, d_model)."""
    n_heads, n_kv_heads = config.num_attention_heads, config.num_key_value_heads
    q = _split(files, attention.q_proj(x), n_heads)
    k = _split(files, attention.k_proj(x), n_kv_heads)
    with files.blame("3.8"):
        rope, base = files["3.8"], config.rope_parameters["rope_theta"]
        cos, sin = rope.rope_cos_sin(torch.arange(len(x)), q.shape[-1], base)
        q, k = (
            expect("3.8", "apply_rope", rope.apply_rope(part, cos, sin), tuple(part.shape))
            for part in (q, k)
        )
    k = k.repeat_interleave(n_heads // n_kv_heads, dim=0)  # two heads of queries share one of keys
    return _weights(files, q, k, n_heads)


def _compare(own: Tensor, theirs: Tensor, tokens: list[str]) -> tuple[bool, str]:
    gap = (own - theirs).abs().nan_to_num(torch.inf)
    if gap.max() < TOLERANCE:
        heads = own.shape[0] * own.shape[1]
        return True, f"{AGREE} in all {heads} heads, {own.numel():,} weights"
    place = tuple((gap >= TOLERANCE).nonzero()[0].tolist())
    layer, head, query, key = place
    return False, (
        f"{DIFFER}, first in layer {layer}, head {head}, where token {query} "
        f"({tokens[query].strip()!r}) looks at token {key} ({tokens[key].strip()!r}): "
        f"yours {own[place]:.3g}, transformers' {theirs[place]:.3g}"
    )


def _before(tokens: list[str]) -> Tensor:
    return torch.eye(len(tokens), dtype=torch.bool).roll(1, 0).tril(-1)


def _same(tokens: list[str]) -> Tensor:
    return torch.tensor([[a == b for b in tokens] for a in tokens]).tril(-1)


def _after_same(tokens: list[str]) -> Tensor:
    """The keys that came right after an earlier occurrence of the query's token."""
    return F.pad(_same(tokens), (1, 0))[:, :-1].tril()


def _one_of(*words: str) -> Target:
    return lambda tokens: torch.tensor([t.strip() in words for t in tokens]).expand(len(tokens), -1)


PATTERNS: dict[str, Target] = {
    "the token itself": lambda tokens: torch.eye(len(tokens), dtype=torch.bool),
    "the token before": _before,
    "the same token, earlier": _same,
    "the names": _one_of(*NAMES),
    "commas and full stops": _one_of(",", "."),
    "the start of the text": _one_of("<s>"),
}


def _best_heads(weights: Tensor, tokens: list[str]) -> list[Panel]:
    """For each pattern the head that follows it most, none of them twice."""
    panels: list[Panel] = []
    for pattern, target in PATTERNS.items():
        taken = {(panel.layer, panel.head) for panel in panels}
        n_layers, n_heads = weights.shape[:2]
        free = [(i, j) for i in range(n_layers) for j in range(n_heads) if (i, j) not in taken]
        shares = {place: _share(weights[place], target(tokens)) for place in free}
        best = max(free, key=lambda place: shares[place][0])
        panels.append(Panel(*best, pattern, *shares[best]))
    return panels


# ------------------------------------------------------------------------- a model made now


class Copier(nn.Module):
    """Two layers of the learner's attention and nothing but attention."""

    def __init__(self, files: OwnFiles) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH) for _ in range(LAYERS)])
        layer = files["3.4"].MultiHeadAttention
        self.attention = nn.ModuleList([layer(WIDTH, HEADS) for _ in range(LAYERS)])
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB))
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.5)

    def inputs(self, ids: Tensor) -> list[Tensor]:
        """What each layer of attention reads, and last what they have made of it."""
        x = self.tokens(ids) + self.positions.weight[: ids.shape[-1]]
        seen = []
        for norm, attention in zip(self.norms, self.attention, strict=True):
            seen.append(norm(x))
            x = x + attention(seen[-1])
        return [*seen, x]

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (batch, seq) to logits (batch, seq, vocab)."""
        logits: Tensor = self.head(self.inputs(ids)[-1])
        return logits


def _trained_now(files: OwnFiles) -> Maps:
    """A tiny model that learns to go on with a text that repeats, whatever the words are."""
    with files.blame("3.4"):
        model = Copier(files)
        loss = _train(model)
        words = SENTENCE.split() * REPEATS
        ids = torch.arange(len(words) // REPEATS).repeat(REPEATS)[None]
        with torch.no_grad():
            seen = model.inputs(ids)[:-1]
    weights = torch.stack(
        [_fused_weights(files, a, x[0]) for a, x in zip(model.attention, seen, strict=True)]
    ).detach()
    panels = [
        _best_pattern(weights, layer, head, words)
        for layer in range(LAYERS)
        for head in range(HEADS)
    ]
    copying = [panel for panel in panels if panel.pattern == AFTER]
    best = max(copying, key=lambda panel: panel.share, default=None)
    good = best is not None and best.share > GOOD
    return Maps(
        what=f"No trained model was found, so a tiny one was trained just now: {LAYERS} layers of "
        "your own MultiHeadAttention and nothing else between embedding and output. In "
        f"{STEPS} steps, on random words, it saw sequences that repeat. Set KATA_DATA to a folder "
        f"with {MODEL}/, and this shows the heads of a real language model.",
        title="Two layers of your own attention have learned to repeat",
        tokens=words,
        weights=weights,
        panels=panels,
        good=good,
        verdict=f"Layer {best.layer}, head {best.head} found out how: it gives {best.share:.0%} of "
        f"its weight to {AFTER}. This is called an induction head. The loss is {loss:.3f}"
        if best and good
        else f"No head has learned to look at {AFTER} (loss {loss:.3f}, guessing gives "
        f"{math.log(VOCAB):.3f}). Do the tests of this chapter pass? pytest tests/ch03_attention",
    )


def _best_pattern(weights: Tensor, layer: int, head: int, words: list[str]) -> Panel:
    """Which of the two steps of copying the head does, if any."""
    panels = [
        Panel(layer, head, pattern, *_share(weights[layer, head], target(words)))
        for pattern, target in {"the word before": _before, AFTER: _after_same}.items()
    ]
    return max(panels, key=lambda panel: panel.share)


def _train(model: Copier) -> float:
    """Random words that repeat after 4 to 12 of them; the loss counts where that can be known."""
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    place = torch.arange(CONTEXT)
    for _ in range(STEPS):
        words = torch.rand(BATCH, VOCAB, generator=rng).argsort(-1)
        period = torch.randint(4, CONTEXT // 2 + 1, (BATCH, 1), generator=rng)
        ids = words.gather(1, place % period)
        known = (place >= period)[:, 1:]
        loss = F.cross_entropy(model(ids)[:, :-1][known], ids[:, 1:][known])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return loss.item()


def _fused_weights(files: OwnFiles, attention: nn.Module, x: Tensor) -> Tensor:
    """The weights of one layer of 3.4, from the parameters that its docstring names."""
    state = attention.state_dict()
    with files.blame("3.4"):
        fused = F.linear(x, state["c_attn.weight"], state["c_attn.bias"])
        q, k, _ = fused.chunk(3, dim=-1)
    return _weights(files, _split(files, q, HEADS), _split(files, k, HEADS), HEADS)


# ------------------------------------------------------------------------------------- output


def _decorate(figure: Figure, maps: Maps) -> None:
    """Say above the learner's pictures what they show."""
    if not isinstance(figure, Figure):
        raise NotReady(f"3.13: `attention_map` returned {brief(figure)}, not a Figure")
    pictures: list[Axes] = [axes for axes in figure.axes if axes.images]
    if len(pictures) != len(maps.panels):
        found = f"a figure with {len(pictures)} pictures for {len(maps.panels)} heads"
        raise NotReady(f"3.13: `attention_map` returned {found}")
    FigureCanvasAgg(figure)
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    for axes, panel in zip(pictures, maps.panels, strict=True):
        axes.set_title("")
        axes.set_title(panel.title, fontsize=10.5, color=INK, loc="left")
        axes.spines[:].set_color(GREY)
    figure.suptitle(maps.title, fontsize=16, color=INK)
    figure.supxlabel(LEGEND, fontsize=9.5, color=GREY)


def _print(console: Console, maps: Maps) -> None:
    console.print(maps.what)
    console.print()
    table = Table()
    table.add_column("looks at", no_wrap=True)
    for name in ("layer", "head", "weight", "if even"):
        table.add_column(name, justify="right")
    for panel in maps.panels:
        place = (str(panel.layer), str(panel.head))
        table.add_row(panel.pattern, *place, f"{panel.share:.0%}", f"{panel.if_even:.0%}")
    console.print(table)
    console.print(Text(f"{maps.verdict}.", "green" if maps.good else "red"))
