"""Chapter 6: which expert takes which word, with and without the learner's balancing loss."""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

from kata.course import Course
from kata.files import write_text
from kata.show import NotReady, OwnFiles, alone_with_seed, expect, page
from kata.text import brief

NEEDS = "This show runs your 2.1, 2.9 and 6.1 to 6.4."
NAMES = "ABCDEF"
EXPERTS, K, WIDTH, D_FF, WORDS_SEEN = len(NAMES), 2, 32, 32, 3
STEPS, LEARNING_RATE, SPREAD, COEFFICIENT = 200, 5e-3, 0.3, 0.05
FACTOR = 1.25
EVEN, MOST = 1 / EXPERTS, 1 / K  # shares of the choices; nobody is chosen twice by one word
GOOD = 1.5 * EVEN
BEFORE, WITHOUT, WITH = "before training", "without the loss", "with the loss"

TEXT = """
The old miller had three cats, and each cat had a work of its own. The grey cat caught the mice in
the barn. The black cat slept on the warm flour sacks, and the white cat sat by the door and watched
the road. In the morning the miller gave them milk, and in the evening he gave them bread. "You are
good cats," he said, "and this is a good mill."

One day in winter the river froze, and the wheel of the mill stood still. The miller had no flour,
and the cats had no milk. "What can we do?" said the grey cat. "There are no mice in the barn." "We
can wait," said the black cat. "The river will run in the spring." But the white cat looked down the
road and saw a cart in the snow. One wheel of the cart was broken, and the old woman on the cart was
cold.

The white cat ran to the miller and pulled at his coat. The miller took his lamp and went down the
road in the snow. He saw the cart, and he mended the wheel. Then he gave the old woman a warm bed by
the fire, and the black cat slept at her feet. In the morning the woman said, "You have a good house
and good cats. I have seven sacks of corn on my cart. Take two sacks, and grind one of them for me
when the river runs."

So the miller had bread in the winter, and the cats had milk. In the spring the ice broke, and the
river ran, and the wheel of the mill went round and round. The miller made flour of the corn, and he
gave the old woman her sack. The grey cat caught the mice, the black cat slept on the flour, and the
white cat sat by the door and watched the road.
"""
SENTENCE = "In the evening the old woman gave the black cat warm milk by the door of the mill."


@dataclass(frozen=True)
class Routing:
    """Where some words went: their experts and weights (words, K), and who found room."""

    words: list[str]
    idx: Tensor
    weights: Tensor
    keep: Tensor
    capacity: int
    balance: float  # the learner's loss: 1 when the load is even

    @property
    def counts(self) -> Tensor:
        """How many choices each expert got."""
        return torch.bincount(self.idx.flatten(), minlength=EXPERTS)

    @property
    def load(self) -> list[float]:
        """The share of all choices that went to each expert."""
        return [count / self.idx.numel() for count in self.counts.tolist()]

    @property
    def dropped(self) -> list[int]:
        """How many of the choices of each expert found it full."""
        return torch.bincount(self.idx[~self.keep], minlength=EXPERTS).tolist()

    def favourites(self, expert: int, most: int = 6) -> str:
        """The words that went to an expert first, those that did so most often in front."""
        chosen = Counter(
            word.lower()
            for word, first in zip(self.words, self.idx[:, 0].tolist(), strict=True)
            if first == expert
        )
        return " · ".join(word for word, _ in chosen.most_common(most)) or "(none)"


@dataclass(frozen=True)
class Run:
    """A model and what its router does with the text and with a sentence that is not in it."""

    name: str
    loss: float
    text: Routing
    sentence: Routing


class TinyLM(nn.Module):
    """It guesses the next word from the last three: embeddings, the learner's layer, a head.

    Embeddings start small beside a vector that all words share, so that all look much alike to the
    router, as they do in a large model.
    """

    def __init__(self, files: OwnFiles, vocab: int) -> None:
        super().__init__()
        tables = [nn.Embedding(vocab, WIDTH) for _ in range(WORDS_SEEN)]
        for table in tables:
            nn.init.normal_(table.weight, std=SPREAD)
        self.tables = nn.ModuleList(tables)
        self.shared = nn.Parameter(torch.randn(WIDTH))
        self.norm = nn.RMSNorm(WIDTH)
        self.moe = files["6.2"].MoELayer(WIDTH, D_FF, EXPERTS, K)
        self.last_norm = nn.RMSNorm(WIDTH)
        self.head = nn.Linear(WIDTH, vocab)

    def stream(self, ids: Tensor) -> Tensor:
        """What each position (words, features) knows before it is sent to its experts."""
        x = self.shared.expand(len(ids), -1)
        for back, table in enumerate(self.tables):
            x = x + F.pad(table(ids), (0, 0, back, 0))[: len(ids)] / (1 if back == 0 else 2)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """The stream to logits of the next word."""
        made = expect("6.2", "MoELayer", self.moe(self.norm(x)), tuple(x.shape))
        logits: Tensor = self.head(self.last_norm(x + made))
        return logits


def show(course: Course, tree: Path, out: Path, console: Console) -> list[Path]:
    """Train a tiny model with and without the balancing loss, and draw who takes which word.

    Raises:
        NotReady: an exercise that this needs is not done, or failed.
    """
    with OwnFiles(course, tree, NEEDS) as files:
        before, without = _train(files, 0.0, WITHOUT)
        _, balanced = _train(files, COEFFICIENT, WITH)
    runs = [before, without, balanced]
    good, head, rest = _verdict(without, balanced)
    _print(console, runs)
    console.print(Text(head, "green" if good else "red").append(rest, "default"))
    path = out / "ch06.html"
    write_text(path, _page(runs, good, head, rest))
    return [path]


# ----------------------------------------------------------------------------------- training


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


VOCAB = sorted({word.lower() for word in _words(TEXT)})


def _ids(text: str) -> Tensor:
    return torch.tensor([VOCAB.index(word.lower()) for word in _words(text)])


def _train(files: OwnFiles, coefficient: float, name: str) -> tuple[Run, Run]:
    """The model before and after; it starts with the same numbers whatever the coefficient is."""
    ids = _ids(TEXT)
    with alone_with_seed(0):
        with files.blame("6.2"):
            model = TinyLM(files, len(VOCAB))
        optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
        before = _look(files, model, BEFORE)
        for _ in range(STEPS):
            loss = _loss(files, model, ids)
            if coefficient:
                _, idx, probs = _route(files, model, ids)
                loss = loss + coefficient * _balance(files, probs, idx)
            optimizer.zero_grad()
            with files.blame("6.2"):
                loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return before, _look(files, model, name)


def _loss(files: OwnFiles, model: TinyLM, ids: Tensor) -> Tensor:
    with files.blame("6.2"):
        return F.cross_entropy(model(model.stream(ids))[:-1], ids[1:])


def _route(files: OwnFiles, model: TinyLM, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The learner's router with the weight of the learner's layer, on what the layer is given."""
    with files.blame("6.2"):
        x, weight = model.norm(model.stream(ids)), model.moe.gate.weight
    with files.blame("6.1"):
        weights, idx, probs = files["6.1"].topk_router(x, weight, K)
    expect("6.1", "topk_router", weights, (len(ids), K))
    expect("6.1", "topk_router", probs, (len(ids), EXPERTS))
    expect("6.1", "topk_router", idx, (len(ids), K))
    if idx.is_floating_point() or not ((idx >= 0) & (idx < EXPERTS)).all():
        raise NotReady(f"6.1: `topk_router` returned numbers that are no experts: {brief(idx)}")
    return weights, idx, probs


def _balance(files: OwnFiles, probs: Tensor, idx: Tensor) -> Tensor:
    with files.blame("6.3"):
        own = files["6.3"].load_balancing_loss(probs, idx, EXPERTS)
    return expect("6.3", "load_balancing_loss", own, ())


@torch.no_grad()
def _look(files: OwnFiles, model: TinyLM, name: str) -> Run:
    ids = _ids(TEXT)
    text, sentence = (_routing(files, model, words) for words in (TEXT, SENTENCE))
    return Run(name, _loss(files, model, ids).item(), text, sentence)


def _routing(files: OwnFiles, model: TinyLM, text: str) -> Routing:
    weights, idx, probs = _route(files, model, _ids(text))
    with files.blame("6.4"):
        capacity = files["6.4"].expert_capacity(len(idx), EXPERTS, K, FACTOR)
        keep, _ = files["6.4"].capacity_dispatch(idx, EXPERTS, capacity)
    expect("6.4", "capacity_dispatch", keep, (len(idx), K))
    if keep.dtype != torch.bool:
        raise NotReady(f"6.4: `capacity_dispatch` returned {brief(keep)}, not booleans")
    balance = _balance(files, probs, idx).item()
    return Routing(_words(text), idx, weights, keep, capacity, balance)


def _verdict(without: Run, balanced: Run) -> tuple[bool, str, str]:
    """Whether the loss did its work, in a few words, and the rest of the sentence."""
    free, held = max(without.text.load), max(balanced.text.load)
    idle = sum(share < EVEN / 10 for share in without.text.load)
    rest = (
        f" With it the busiest expert gets {held:.0%} of the choices (an even share is "
        f"{EVEN:.0%}). Without it, {free:.0%}, and {idle} of {EXPERTS} experts have next to "
        "nothing to do."
    )
    if held < min(GOOD, free):
        return True, "Your balancing loss spreads the work.", rest
    again = " Do the tests of this chapter pass? pytest tests/ch06_moe"
    return False, "The balancing loss did not spread the work.", rest + again


# ----------------------------------------------------------------------------------- terminal


WHAT = (
    f"A tiny language model was trained just now, twice, on {len(_words(TEXT))} words until it "
    f"knew them by heart: small tables, your own MoELayer with {EXPERTS} experts of which each "
    f"word takes {K}, and a head. Both began with the same numbers; one was also given your "
    "load_balancing_loss."
)


def _print(console: Console, runs: list[Run]) -> None:
    console.print(WHAT)
    console.print()
    table = Table("share of the choices", title_justify="left")
    for run in runs:
        table.add_column(run.name, justify="right")
    for expert, name in enumerate(NAMES):
        table.add_row(f"expert {name}", *(f"{run.text.load[expert]:.0%}" for run in runs))
    table.add_section()
    for what, numbers in _numbers(runs).items():
        table.add_row(what, *numbers)
    console.print(table)
    console.print("\nEach word with its first and second expert; in brackets those without room.")
    for run in runs[1:]:
        console.print(Text(f"\n{run.name}: ", "bold").append(_in_letters(run.sentence), "default"))
    console.print()


def _numbers(runs: list[Run]) -> dict[str, list[str]]:
    """What is worth knowing about each run, by its name."""
    return {
        "balancing loss (even: 1)": [f"{run.text.balance:.2f}" for run in runs],
        f"no room (capacity factor {FACTOR})": [
            f"{sum(run.text.dropped) / run.text.idx.numel():.0%}" for run in runs
        ],
        f"cross-entropy (guessing: {math.log(len(VOCAB)):.2f})": [
            f"{run.loss:.2f}" for run in runs
        ],
    }


def _in_letters(routing: Routing) -> str:
    """Each word with its first and second expert; in brackets one that has no room for it."""
    pairs = zip(routing.words, routing.idx.tolist(), routing.keep.tolist(), strict=True)
    return " ".join(
        f"{word}/" + "".join(
            NAMES[i] if kept else f"({NAMES[i]})" for i, kept in zip(chosen, keep, strict=True)
        )
        for word, chosen, keep in pairs
    )  # fmt: skip


# --------------------------------------------------------------------------------------- page

# Blue, orange, green, vermilion, purple and sky blue of Okabe and Ito can be told apart with every
# kind of colour vision; each expert has a letter and a pattern besides.
_STYLE = """
.e { background: var(--panel); border: 1.5px solid var(--c); print-color-adjust: exact; }
.e0 { --c: #0072b2; background: var(--c); }
.e1 { --c: #e69f00; background: repeating-linear-gradient(45deg,
  var(--c) 0 3px, transparent 3px 8px); }
.e2 { --c: #009e73; background: repeating-linear-gradient(0deg,
  var(--c) 0 2px, transparent 2px 6px); }
.e3 { --c: #d55e00; background: radial-gradient(var(--c) 40%, transparent 45%) 0 0 / 7px 7px; }
.e4 { --c: #cc79a7; background: repeating-linear-gradient(90deg,
  var(--c) 0 3px, transparent 3px 7px); }
.e5 { --c: #56b4e9; background:
  repeating-linear-gradient(45deg, var(--c) 0 2px, transparent 2px 8px),
  repeating-linear-gradient(-45deg, var(--c) 0 2px, transparent 2px 8px); }
.full { background: none; border-style: dashed; opacity: .85; }
.full b { text-decoration: line-through; }
.sentence { line-height: 1; margin-bottom: -.5rem; }
.below, .three { display: grid; gap: 1rem; }
.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); }
.token { display: inline-flex; flex-direction: column; margin: 0 .7rem .8rem 0;
  vertical-align: top; min-width: 4.2rem; text-align: center; }
.token .word { padding: .2rem .3rem; font-size: 1.05rem; }
.token .experts { display: flex; height: 1.6rem; gap: 2px; }
.token .e { display: flex; align-items: center; justify-content: center; min-width: 1.3rem;
  border-radius: .2rem; }
.e b, .key b { background: var(--panel); color: var(--ink); border-radius: .2rem;
  padding: 0 .22rem; font-size: .85rem; line-height: 1.15; }
.key { display: flex; flex-wrap: wrap; gap: .4rem 1rem; padding: 0; list-style: none; }
.key li { display: flex; align-items: center; gap: .4rem; }
.key .e { width: 3rem; height: 1.4rem; display: inline-flex; align-items: center;
  justify-content: center; border-radius: .2rem; }
.load { display: grid; grid-template-columns: 1rem 1fr 7rem; gap: .35rem .5rem;
  align-items: center; align-content: start; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.load .bar { display: flex; height: 1.3rem; position: relative; background:
  linear-gradient(var(--soft), var(--soft)) calc(100% * var(--even)) 0 / 1px 100% no-repeat; }
.load .bar .e { min-width: 0; height: 100%; }
"""
HOW_TO_READ = (
    "Under each word stand its first and its second expert, as wide as their weights. An expert "
    "that is struck out and dashed has no room left for the word: only the residual connection "
    f"carries it past. There is room for {FACTOR} times an even share."
)


def _page(runs: list[Run], good: bool, head: str, rest: str) -> str:
    kind, mark = ("good", "✓") if good else ("bad", "✗")
    trained = runs[1:]
    numbers = [[what, *values] for what, values in _numbers(runs).items()]
    favourites = [
        [f"expert {name}", *(run.text.favourites(expert) for run in trained)]
        for expert, name in enumerate(NAMES)
    ]
    parts = [
        f"<p>{html.escape(WHAT)}</p>",
        f'<p class="verdict {kind}"><strong>{mark} {html.escape(head)}</strong>'
        f"{html.escape(rest)}</p>",
        "<h2>Who takes which word</h2>",
        f'<p class="soft">{HOW_TO_READ} The sentence is new to the model, its words are not.</p>',
        f'<ul class="key">{"".join(_key(expert) for expert in range(EXPERTS))}</ul>',
        _panels("below", {run.name: _sentence(run.sentence) for run in trained}),
        "<h2>How the work is shared</h2>",
        '<p class="soft">The share of all choices in the text that went to each expert, at most '
        f"{MOST:.0%}. The thin line is an even share, {EVEN:.0%}; the dashed part is "
        "left out, since it finds no room.</p>",
        _panels("three", {run.name: _load(run.text) for run in runs}),
        "<h2>In numbers</h2>",
        page.table(["", *(run.name for run in runs)], numbers, numbers=3),
        '<p class="soft">So short a text needs few experts. Look at what finds no room, not at the '
        "cross-entropy.</p>",
        "<h2>What each one likes best</h2>",
        '<p class="soft">Words of the text that went to an expert first, the most frequent in '
        "front.</p>",
        page.table(["", *(run.name for run in trained)], favourites, numbers=0),
    ]
    return page.document("Which expert takes which word", "\n".join(parts), _STYLE)


def _panels(layout: str, contents: dict[str, str]) -> str:
    panels = "\n".join(
        f'<section class="panel"><h3>{html.escape(name.capitalize())}</h3>{content}</section>'
        for name, content in contents.items()
    )
    return f'<div class="{layout}">{panels}</div>'


def _key(expert: int) -> str:
    return (
        f'<li><span class="e e{expert}"><b>{NAMES[expert]}</b></span> expert {NAMES[expert]}</li>'
    )


def _sentence(routing: Routing) -> str:
    rows = zip(
        routing.words,
        routing.idx.tolist(),
        routing.weights.tolist(),
        routing.keep.tolist(),
        strict=True,
    )
    return f'<div class="sentence">{"".join(_token(*row) for row in rows)}</div>'


def _token(word: str, chosen: list[int], weights: list[float], keep: list[bool]) -> str:
    experts, said = "", []
    for i, weight, kept in zip(chosen, weights, keep, strict=True):
        full = "" if kept else " full"
        experts += f'<span class="e e{i}{full}" style="flex:{weight:.3f}"><b>{NAMES[i]}</b></span>'
        said.append(f"{NAMES[i]} {weight:.0%}" + ("" if kept else " (no room)"))
    title = html.escape(f"{word}: {', '.join(said)}")
    return (
        f'<span class="token" title="{title}"><span class="word">{html.escape(word)}</span>'
        f'<span class="experts">{experts}</span></span>'
    )


def _load(routing: Routing) -> str:
    lines = []
    total = routing.idx.numel()
    for expert, (count, dropped) in enumerate(
        zip(routing.counts.tolist(), routing.dropped, strict=True)
    ):
        kept = count - dropped
        parts = [(kept, f"e{expert}"), (dropped, f"e{expert} full")]
        bars = "".join(
            f'<span class="e {look}" style="width:{part / total / MOST:.1%}"></span>'
            for part, look in parts
            if part
        )
        words = f"{count / total:.0%}" + (f", {dropped} out" if dropped else "")
        lines.append(
            f'<b>{NAMES[expert]}</b><span class="bar" style="--even:{EVEN / MOST:.3f}">{bars}'
            f"</span><span>{words}</span>"
        )
    return f'<div class="load">{"".join(lines)}</div>'
