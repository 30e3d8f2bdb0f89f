"""Chapter 4: the learner's own Llama gets real weights and tells a story, token by token."""

from __future__ import annotations

import html
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.text import Text
from torch import Tensor

from kata.course import Course
from kata.data import RealData
from kata.files import write_text
from kata.show import NotReady, OwnFiles, page
from kata.show.story import (
    Watched,
    added_text,
    described_model,
    load_model,
    tiny_model,
    visible,
)
from kata.show.weights import NEW_TOKENS, PROMPT, Checkpoint, find_checkpoint
from kata.text import brief, first_difference, plural

NEEDS = "This show runs your 2.1, 2.7, 2.9, 3.1 to 3.3, 3.8, 3.12, 4.4 and 4.9."

SAME = "Your Llama tells the published story"
DIFFERENT = "Your Llama tells another story than the published one"


@dataclass(frozen=True)
class Token:
    """One token of the story, and what the model thought of it and of others."""

    text: str
    probability: float
    best: list[tuple[str, float]]


@dataclass
class Story:
    """What the learner's model wrote."""

    text: str
    tokens: list[Token] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def speed(self) -> str:
        """How fast it was."""
        rate = len(self.tokens) / max(self.seconds, 1e-9)
        return f"{plural(len(self.tokens), 'token')} in {self.seconds:.1f} s, {rate:.0f} per second"


def show(course: Course, tree: Path, out: Path, console: Console) -> list[Path]:
    """Load the learner's Llama, let it tell a story, and draw how sure it was of each token.

    Raises:
        NotReady: an exercise that this needs is not done or failed, or there are no weights.
    """
    with OwnFiles(course, tree, NEEDS) as files:
        _rehearse(files)
        checkpoint = find_checkpoint(RealData())
        model = load_model(files, checkpoint)
        what = f"Your own Llama, every layer of it yours, {described_model(model, checkpoint)}"
        console.print(Text(f"{what}\n"))
        try:
            story = _tell(files, model, checkpoint, console)
        except NotReady:
            console.print()  # the story stops in the middle of a line
            raise
    good, head, rest = _verdict(checkpoint, story)
    style = "" if good is None else "green" if good else "red"
    console.print(Text(f"\n\n{head}{rest}", style))
    console.print(Text(f"{story.speed} (every step reads the whole text: there is no cache)."))
    path = out / "ch04.html"
    kind = {None: "", True: "good", False: "bad"}[good]
    mark = {None: "", True: "✓ ", False: "✗ "}[good]
    verdict = (
        f'<p class="verdict {kind}"><strong>{mark}{html.escape(head)}</strong>'
        f"{html.escape(rest)}</p>"
    )
    write_text(path, _page(what, verdict, checkpoint, story))
    return [path]


# ------------------------------------------------------------------------------------ story


def _rehearse(files: OwnFiles) -> None:
    """Find out what is still to do before any weights are looked for."""
    model = tiny_model(files)
    with files.blame("4.9"):
        files["4.9"].greedy_story(model, torch.tensor([0]), 1)


def _tell(files: OwnFiles, model: Watched, checkpoint: Checkpoint, console: Console) -> Story:
    """Let the learner's function add one token at a time, and print each one as it comes."""
    config, ids = checkpoint.config, list(checkpoint.prompt)
    story = Story(checkpoint.decode(ids))
    console.print(Text(story.text, "bold"), end="", soft_wrap=True)
    room = config.get("max_position_embeddings", NEW_TOKENS) - len(ids)
    for _ in range(min(NEW_TOKENS, room)):
        start = time.perf_counter()
        with files.blame("4.9"):
            new = files["4.9"].greedy_story(model, torch.tensor(ids), 1)
        story.seconds += time.perf_counter() - start
        probs = model.probs
        ids.append(_one_id(new, len(probs)))
        if ids[-1] in checkpoint.ends:
            break
        text = checkpoint.decode(ids)
        if text.endswith("\ufffd"):  # the rest of this character comes with the next token
            text = story.text
        piece = text[len(story.text) :]
        top = probs.topk(min(4, len(probs)))
        others = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        best = [(added_text(checkpoint, ids[:-1], i), p) for i, p in others]
        story.tokens.append(Token(piece, float(probs[ids[-1]]), best))
        story.text = text
        console.print(Text(piece), end="", soft_wrap=True)
    return story


def _one_id(new: Any, vocab: int) -> int:
    if not isinstance(new, Tensor) or new.shape != (1,) or not 0 <= int(new) < vocab:
        raise NotReady(f"4.9: `greedy_story` returned {brief(new)}, not one new id")
    return int(new)


def _verdict(checkpoint: Checkpoint, story: Story) -> tuple[bool | None, str, str]:
    """Whether it is the published story, in a few words, and the rest of the sentence."""
    if checkpoint.published is None:
        return None, "There is no published text of this model to compare with.", ""
    expected = PROMPT + checkpoint.published
    if story.text == expected:
        return True, SAME, f", to the last of its {len(expected)} characters."
    at = first_difference(story.text, expected)
    yours, theirs = (repr(text[at : at + 24]) for text in (story.text, expected))
    return (
        False,
        DIFFERENT,
        f". After {expected[max(0, at - 24) : at]!r} yours goes on with {yours}, the "
        f"published one with {theirs}. Do the tests pass? pytest tests/ch04_models",
    )


# ------------------------------------------------------------------------------------- page

_STYLE = """
.story { font-size: 1.15rem; line-height: 1.4; overflow-x: auto; }
.word { white-space: nowrap; }
.token, .given { display: inline-block; padding-bottom: 1.1em; margin: 0 1px .5em 0; }
.token { white-space: pre; border-bottom: 2px solid var(--line); background:
  linear-gradient(var(--bar), var(--bar)) left bottom / 100% calc(var(--p) * 1.1em) no-repeat; }
.given { font-weight: 700; }
.scroll td { white-space: nowrap; }
@media print { .token { print-color-adjust: exact; } }
"""
LEGEND = (
    "Under each token stands a bar: the probability that the model gave it. A high bar was "
    "certain, a low one a close call. The bold words were given."
)
DOUBTS = 8


def _page(what: str, verdict: str, checkpoint: Checkpoint, story: Story) -> str:
    doubts = sorted(range(len(story.tokens)), key=lambda i: story.tokens[i].probability)[:DOUBTS]
    parts = [
        f"<p>{html.escape(what)}</p>",
        verdict,
        f'<p class="soft">{LEGEND}</p>',
        f'<div class="panel story">{_story(checkpoint, story)}</div>',
        f'<p class="soft">{html.escape(story.speed)}. Every step reads the whole text again: there '
        "is no cache yet.</p>",
        "<h2>Where it hesitated</h2>",
        page.table([*_HEAD, "after"], [_line(story, i) for i in doubts], numbers=0),
        "<h2>Every token</h2>\n<details><summary>Probabilities</summary>",
        page.table(_HEAD, [_cells(token) for token in story.tokens], numbers=0),
        "</details>",
    ]
    return page.document("A story, told by your own Llama", "\n".join(parts), _STYLE)


_HEAD = ["it wrote", "probability", "what else it thought of"]


def _story(checkpoint: Checkpoint, story: Story) -> str:
    given = checkpoint.decode(checkpoint.prompt)
    words = [f'<span class="given">{html.escape(given)}</span>']
    for token in story.tokens:
        title = html.escape(f"{visible(token.text)} {token.probability:.0%}")
        shown = html.escape(token.text.replace("\n", "⏎")) or "·"
        box = f'<span class="token" style="--p:{token.probability:.3f}" title="{title}">'
        if token.text[:1].isspace():  # lines break before words only
            words.append("")
        words[-1] += f"{box}{shown}</span>" + ("<br>" if "\n" in token.text else "")
    return "".join(f'<span class="word">{word}</span>' for word in words)


def _line(story: Story, index: int) -> list[str]:
    before = PROMPT + "".join(token.text for token in story.tokens[:index])
    return [*_cells(story.tokens[index]), f"…{before[-28:]}".replace("\n", "⏎")]


def _cells(token: Token) -> list[str]:
    others = [f"{visible(text)} {p:.0%}" for text, p in token.best if text != token.text]
    return [visible(token.text), f"{token.probability:.0%}", "  ·  ".join(others[:3])]
