"""Chapter 5: one prompt under every strategy, and what each of them does to the next token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.text import Text
from torch import Tensor

from kata import stubs
from kata.course import Course
from kata.data import RealData
from kata.files import write_text
from kata.show import NotReady, OwnFiles, alone_with_seed, expect
from kata.show.ch05_page import Bar, Chart, Check, Story, document, shown, verdict
from kata.show.story import Watched, added_text, described_model, load_model, tiny_model, visible
from kata.show.weights import OPENING, PROMPT, Checkpoint, find_checkpoint
from kata.text import brief, first_difference, plural

NEEDS = "This show runs your 5.1 to 5.11, 5.13 and 5.15."
NEW_TOKENS = 90
SEED = 5  # of every text that is drawn: they part only where a setting makes them
BEAMS = 4
TEMPERATURES = (0.5, 1.0, 1.5)
ROWS = 14  # bars of a chart
TOLERANCE = 1e-3  # of a mean log-probability

# How a text is chosen: the fields of SamplingConfig (5.9).
STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "low temperature": {"temperature": 0.5},
    "high temperature": {"temperature": 1.5},
    "top-k": {"top_k": 5},
    "top-p": {"top_p": 0.8},
    "min-p": {"min_p": 0.1},
    "typical": {"typical_p": 0.5},
    "repetition penalty": {"temperature": 0.0, "repetition_penalty": 1.3},
    "no repeated 3-gram": {"temperature": 0.0, "no_repeat_ngram_size": 3},
}


@dataclass(frozen=True)
class Filter:
    """A function of the learner's, and the class of transformers that it should equal."""

    number: str
    function: str
    theirs: str
    field: str  # of SamplingConfig
    value: float
    chart: str = ""
    looks_back: bool = False


FILTERS = (  # in the order of transformers
    Filter("5.7", "repetition_penalty", "RepetitionPenaltyLogitsProcessor",
           "repetition_penalty", 1.3, looks_back=True),
    Filter("5.8", "no_repeat_ngram_filter", "NoRepeatNGramLogitsProcessor",
           "no_repeat_ngram_size", 2, looks_back=True),
    Filter("5.2", "apply_temperature", "TemperatureLogitsWarper", "temperature", 1.5),
    Filter("5.3", "top_k_filter", "TopKLogitsWarper", "top_k", 5, "top-k"),
    Filter("5.4", "top_p_filter", "TopPLogitsWarper", "top_p", 0.8, "top-p"),
    Filter("5.5", "min_p_filter", "MinPLogitsWarper", "min_p", 0.1, "min-p"),
    Filter("5.6", "typical_filter", "TypicalLogitsWarper", "typical_p", 0.5, "typical"),
)  # fmt: skip


@dataclass
class Run:
    """A model with the learner's functions around it, and what came out so far."""

    files: OwnFiles
    model: Watched
    checkpoint: Checkpoint
    console: Console
    new_tokens: int
    checks: list[Check] = field(default_factory=list)

    @property
    def prompt(self) -> list[int]:
        """The ids of the prompt, in a list that the learner's code may change."""
        return list(self.checkpoint.prompt)

    def check(self, good: bool, words: str) -> None:
        """Keep and print how a comparison came out."""
        self.checks.append(Check(good, words))
        self.console.print(Text(str(self.checks[-1]), "green" if good else "red"))

    def added(self, token: int) -> str:
        """What a token adds to the prompt, in a form that can be seen."""
        return visible(added_text(self.checkpoint, self.prompt, token))

    def decode(self, ids: list[int]) -> str:
        """The text of a continuation, without the prompt."""
        start = self.checkpoint.decode(self.prompt)
        return self.checkpoint.decode([*self.prompt, *ids])[len(start) :]


def show(course: Course, tree: Path, out: Path, console: Console) -> list[Path]:
    """Continue a prompt under every strategy, and draw what the next token could be.

    Raises:
        NotReady: an exercise that this needs is not done or failed, or there are no weights.
    """
    with (
        OwnFiles(course, tree, NEEDS) as files,
        OwnFiles(course, course.solutions_dir) as references,
        alone_with_seed(0),
        torch.no_grad(),
    ):
        makers, whose = files, "your own Llama"
        try:
            tiny = tiny_model(files)
        except NotReady as error:
            if not error.is_to_do or not stubs.has_solution(course, course.find("4.4")):
                raise
            makers, whose = references, "the Llama of solutions/ (yours of chapter 4 is to do)"
            tiny = tiny_model(references)
        _rehearse(files, tiny)
        checkpoint = find_checkpoint(RealData(), OPENING)
        model = load_model(makers, checkpoint)
        what = f"Your own decoding, on {whose} {described_model(model, checkpoint)}"
        console.print(Text(f"{what}\n"))
        room = checkpoint.config.get("max_position_embeddings", 2048) - len(checkpoint.prompt)
        run = Run(files, model, checkpoint, console, min(NEW_TOKENS, room))
        charts = _next_token(run)
        stories = _stories(run)
    good = all(check.good for check in run.checks)
    advice = "" if good else " Do the tests pass? pytest tests/ch05_decoding"
    console.print(Text(f"\n{verdict(run.checks)}{advice}", "green" if good else "red"))
    path = out / "ch05.html"
    prompt = checkpoint.decode(checkpoint.prompt)
    write_text(path, document(what, prompt, charts, stories, run.checks))
    return [path]


def _rehearse(files: OwnFiles, tiny: Watched) -> None:
    """Find out what is still to do before any weights are looked for."""
    nothing = Checkpoint("", {}, {}, False, [0, 1, 0], lambda ids: "".join("abcde"[i] for i in ids))
    run = Run(files, tiny, nothing, Console(file=StringIO()), new_tokens=1)
    try:
        _next_token(run)
        _stories(run)
    except NotReady as error:
        if error.is_to_do:  # anything else is seen, and explained better, with the real model
            raise


# ------------------------------------------------------------------------------ the next token


def _next_token(run: Run) -> dict[str, list[Chart]]:
    """What could follow the prompt, for the settings of the charts; every filter is compared."""
    ids = torch.tensor([run.prompt])
    with run.files.blame("4.4"):
        logits = run.model(ids)[0, -1]
    plain = _probs(run, logits)
    best = ", ".join(f"{run.added(i)} {plain[i]:.0%}" for i in _likeliest(plain)[:5])
    run.console.print(Text(f"The next token: {best} ..."))
    good = plain.allclose(logits.softmax(-1), atol=1e-5)
    run.check(good, "5.1 next_token_topk: the probabilities of torch's softmax")
    hot, filtered = [], []
    for value in TEMPERATURES:
        own = _filtered(run, "5.2", "apply_temperature", logits, value)
        hot.append(_chart(run, f"temperature {value:g}", "", plain, own))
    for filter_ in sorted(FILTERS, key=lambda filter_: filter_.number):
        own = _apply(run, filter_, logits, ids[0])
        _compare(run, filter_, own, logits, ids)
        if filter_.chart:
            kept = own > -torch.inf
            note = f"keeps {plural(int(kept.sum()), 'token')} of {len(kept)}"
            note += f", which had {plain[kept].sum():.0%} of the probability"
            filtered.append(_chart(run, f"{filter_.chart} {filter_.value:g}", note, plain, own))
    _compare_order(run, logits, ids)
    return {"The next token by temperature": hot, "The next token by filter": filtered}


def _chart(run: Run, title: str, note: str, plain: Tensor, own: Tensor) -> Chart:
    probs, kept, top = _probs(run, own), own > -torch.inf, _likeliest(plain)
    bars = [Bar(run.added(i), float(plain[i]), float(probs[i]) if kept[i] else None) for i in top]
    others = torch.ones_like(kept).index_fill(0, torch.tensor(top), False)
    rest = float(probs[others].sum()) if (kept & others).any() else None
    return Chart(
        title, note, bars, Bar(f"{int(others.sum())} others", float(plain[others].sum()), rest)
    )


def _likeliest(probs: Tensor) -> list[int]:
    return probs.argsort(descending=True)[:ROWS].tolist()


def _probs(run: Run, logits: Tensor) -> Tensor:
    """The probability of every token, by the learner's 5.1."""
    vocab = len(logits)
    with run.files.blame("5.1"):
        probs, ids = run.files["5.1"].next_token_topk(logits[None, None].clone(), vocab)
        for value in (probs, ids):
            expect("5.1", "next_token_topk", value, (1, vocab))
        return torch.zeros(vocab).scatter(0, ids[0], probs[0].float())


def _filtered(run: Run, number: str, name: str, logits: Tensor, *args: Any) -> Tensor:
    with run.files.blame(number):
        own = getattr(run.files[number], name)(logits.clone(), *args)
    return expect(number, name, own, tuple(logits.shape))


def _apply(run: Run, filter_: Filter, logits: Tensor, ids: Tensor) -> Tensor:
    args = (ids, filter_.value) if filter_.looks_back else (filter_.value,)
    return _filtered(run, filter_.number, filter_.function, logits, *args)


def _compare(run: Run, filter_: Filter, own: Tensor, logits: Tensor, ids: Tensor) -> None:
    """Compare all logits with those of transformers."""
    from transformers.generation import logits_process

    theirs = getattr(logits_process, filter_.theirs)(filter_.value)(ids, logits[None].clone())[0]
    words = f"{filter_.number} {filter_.function}({filter_.value:g})"
    wrong = ~own.isclose(theirs, rtol=1e-4, atol=1e-5)
    if not wrong.any():
        run.check(True, f"{words}: all {len(own)} logits are those of transformers")
        return
    token = int(logits.masked_fill(~wrong, -torch.inf).argmax())
    keep, want = (int((values > -torch.inf).sum()) for values in (own, theirs))
    words += f": keeps {keep} of {len(own)} tokens, transformers {want}; the likeliest token with "
    words += f"another logit is {run.added(token)!r}, {own[token]:.4g} and not {theirs[token]:.4g}"
    run.check(False, words)


def _compare_order(run: Run, logits: Tensor, ids: Tensor) -> None:
    """Compare 5.9, every filter switched on, with the learner's filters one after the other."""
    expected = logits
    for filter_ in FILTERS:
        expected = _apply(run, filter_, expected, ids[0])
    with run.files.blame("5.9"):
        config = _config(run, {filter_.field: filter_.value for filter_ in FILTERS})
        own = run.files["5.9"].process_logits(logits[None].clone(), ids, config)
    good = expect("5.9", "process_logits", own, (1, len(logits)))[0].allclose(expected)
    order = ", ".join(filter_.number for filter_ in FILTERS)
    run.check(good, f"5.9 process_logits: your filters one after the other, in the order {order}")


def _config(run: Run, fields: dict[str, Any]) -> Any:
    with run.files.blame("5.9"):
        return run.files["5.9"].SamplingConfig(**fields)


# ----------------------------------------------------------------------------------- the texts


def _stories(run: Run) -> list[Story]:
    """The prompt, continued under every strategy and by beam search."""
    run.console.print(Text(f"\n{run.checkpoint.decode(run.prompt)} ...", "bold"))
    stories, other = [], []
    for name, fields in STRATEGIES.items():
        settings = ", ".join(f"{key}={value}" for key, value in fields.items())
        settings += "" if fields.get("temperature") == 0 else f", seed {SEED}"
        stories.append(_told(run, name, settings, _one_by_one(run, fields)))
        own, cached = stories[-1].ids, _cached(run, fields)
        if own != cached:
            other.append(f"{name} parts at token {first_difference(own, cached)}")
    greedy = stories[0]
    ids, score = _beam_search(run, BEAMS, run.new_tokens, min(run.checkpoint.ends, default=None))
    settings = f"beams={BEAMS}, length_penalty=1.0, score {score:.4f}"
    beams = _told(run, "beam search", settings, ids)
    stories.append(beams)
    run.console.print()
    _compare_with_published(run, greedy)
    words = f"5.11 generate_cached: the ids of your generate, in {len(STRATEGIES)} strategies"
    run.check(not other, f"{words}{': but ' * bool(other)}{', '.join(other)}")
    good = not greedy.ids or _beam_search(run, 1, len(greedy.ids), None)[0] == greedy.ids
    run.check(good, "5.13 beam_search: with one beam it finds the greedy text")
    words = f"5.13 beam_search: its score is the mean log-probability of its text, {beams.mean:.4f}"
    run.check(abs(score - beams.mean) < TOLERANCE, words)
    other = [story.name for story in stories if story.text != run.decode(story.ids)]
    words = f"5.15 stream_text: its pieces make up the text, in {len(stories)} strategies"
    run.check(not other, f"{words}{': but not in ' * bool(other)}{', '.join(other)}")
    return stories


def _told(run: Run, name: str, settings: str, ids: Iterator[int] | list[int]) -> Story:
    """Print a text as it comes, through the learner's 5.15."""
    told: list[int] = []

    def tokens() -> Iterator[int]:
        for token in ids:
            told.append(token)
            yield token

    run.console.print(Text(f"\n{name}: {settings}", "cyan"))
    source, text = tokens(), ""
    try:
        with run.files.blame("5.15"):
            for piece in run.files["5.15"].stream_text(source, run.decode):
                text += piece
                run.console.print(Text(shown(piece)), end="", soft_wrap=True)
    finally:
        run.console.print()  # the text may stop in the middle of a line
    list(source)  # what 5.15 did not ask for
    return Story(name, settings, told, text, _mean_log_prob(run, told))


def _mean_log_prob(run: Run, new: list[int]) -> float:
    """What the model thinks of a text: no temperature, no filter."""
    if not new:
        return 0.0
    ids = torch.tensor([[*run.prompt, *new]])
    with run.files.blame("4.4"):
        log_probs = run.model(ids)[0, -len(new) - 1 : -1].double().log_softmax(-1)
    return float(log_probs.gather(-1, ids[0, -len(new) :, None]).mean())


def _one_by_one(run: Run, fields: dict[str, Any]) -> Iterator[int]:
    """One call of 5.10 for each token, so that it can be shown at once."""
    text, generator = run.prompt, torch.Generator().manual_seed(SEED)
    config = _config(run, fields)
    for _ in range(run.new_tokens):
        with run.files.blame("5.10"):
            generate = run.files["5.10"].generate
            new = generate(run.model, torch.tensor([text]), 1, config, generator=generator)
        token = _ids(run, "5.10", "generate", new, 1)[0]
        if token in run.checkpoint.ends:
            return
        text.append(token)
        yield token


def _cached(run: Run, fields: dict[str, Any]) -> list[int]:
    """The same in one call of 5.11."""
    n, prompt, generator = run.new_tokens, run.prompt, torch.Generator().manual_seed(SEED)
    config = _config(run, fields)
    with run.files.blame("5.11"):
        generate = run.files["5.11"].generate_cached
        new = generate(run.model, torch.tensor([prompt]), n, config, generator=generator)
    ids = _ids(run, "5.11", "generate_cached", new, n)
    return ids[: next((i for i, token in enumerate(ids) if token in run.checkpoint.ends), None)]


def _ids(run: Run, number: str, name: str, new: Any, count: int) -> list[int]:
    ids: list[int] = expect(number, name, new, (1, count))[0].tolist()
    if not all(isinstance(i, int) and 0 <= i < run.model.vocab for i in ids):
        raise NotReady(f"{number}: `{name}` returned {brief(new)}, which are no ids of the model")
    return ids


def _beam_search(run: Run, beams: int, n: int, eos_id: int | None) -> tuple[list[int], float]:
    """The best text that beam search finds, and its score."""

    def log_probs(ids: Tensor) -> Tensor:
        logits: Tensor = run.model(ids)
        return logits[:, -1].log_softmax(-1)

    with run.files.blame("5.13"):
        ids, score = run.files["5.13"].beam_search(log_probs, run.prompt, beams, n, eos_id)[0]
        return [int(i) for i in ids], float(score)


def _compare_with_published(run: Run, greedy: Story) -> None:
    if run.checkpoint.published is None:
        return
    text = run.checkpoint.decode([*run.prompt, *greedy.ids])
    expected = (PROMPT + run.checkpoint.published)[: len(text)]
    at = first_difference(text, expected)
    words = f"5.10 generate: greedy, it is the published story, {len(text)} characters of it"
    if text != expected:
        yours, theirs = (repr(story[at : at + 24]) for story in (text, expected))
        words = f"5.10 generate: greedy, it writes {yours}, the published story goes on {theirs}"
    run.check(text == expected, words)
