"""What the show of chapter 8 says, and its page."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from kata.show import page

MOST = 0.9  # of the prompts are to be answered exactly
TESTS = "Do the tests of this chapter pass? pytest tests/ch08_tuning"


@dataclass(frozen=True)
class Answer:
    """What one prompt leads to."""

    prompt: str
    before: str
    after: str
    expected: str

    @property
    def before_in_a_line(self) -> str:
        """The completion on one line."""
        return " ".join(self.before.split())

    @property
    def is_exact(self) -> bool:
        """Whether it is answered word for word."""
        return self.after == self.expected

    @property
    def mark(self) -> str:
        """The same as a sign."""
        return "✓" if self.is_exact else "✗"


@dataclass
class Result:
    """All that one wants to know; pairs of numbers are those before and after tuning."""

    what: str
    trained: list[Answer]
    held_out: list[Answer]
    losses: list[list[float]]  # on the responses of the pairs, and of the held-out prompts
    exact: list[list[int]]  # so many of both are answered word for word
    counts: list[int]
    prose: list[float]
    example: list[tuple[str, bool]]  # the tokens of a pair, and whether each has a label
    problem: str = ""
    hub: tuple[str, list[dict[str, str]]] = field(default_factory=lambda: ("", []))

    @property
    def numbers(self) -> list[list[str]]:
        """The rows of a table: what it is, before, after."""
        names = [f"{self.counts[0]} pairs", f"{self.counts[1]} held-out prompts"]
        rows = [
            [f"loss on the responses of the {name}", *(f"{loss:.3f}" for loss in losses)]
            for name, losses in zip(names, self.losses, strict=True)
        ]
        rows += [
            [f"{name} answered exactly", *map(str, exact)]
            for name, exact in zip(names, self.exact, strict=True)
        ]
        return [*rows, ["loss on the end of the play of Sella", *(f"{x:.3f}" for x in self.prose)]]

    @property
    def verdict(self) -> tuple[bool, str, str]:
        """Whether tuning did its work, in a few words, and the rest of the sentence."""
        (_, known), (_, new) = self.exact
        words = (
            f" After tuning it answers {known} of {self.counts[0]} prompts word for word. Of "
            f"{self.counts[1]} that say the same in other words, and that it was not tuned on, it "
            f"answers {new}."
        )
        if self.problem:
            return False, "The loss is not that of the responses.", f" {self.problem} {TESTS}"
        if known < MOST * self.counts[0]:
            return False, "It has not learned to answer.", f"{words} {TESTS}"
        words += " It has learned the form, and these answers by heart; a model so small, which has"
        words += " read so little, does not understand."
        return True, "It has learned to answer.", words


_STYLE = """
.turn { margin: .8rem 0; }
.turn > div { display: grid; gap: .9rem 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); }
.turn h3 { overflow-wrap: anywhere; }
.turn h4 { margin: 0; font-size: .85rem; font-weight: normal; color: var(--soft); }
.said { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0 0; }
.right { color: var(--good); } .wrong { color: var(--bad); }
.learned { border-bottom: 2px solid var(--good); color: var(--ink); }
.example { white-space: pre-wrap; overflow-wrap: anywhere; color: var(--soft); max-width: 48rem;
  line-height: 1.9; }
"""
EACH = 3  # of the nearest and of the farthest held-out prompts are shown with what came before


def document(result: Result) -> str:
    """The whole page."""
    good, head, rest = result.verdict
    kind, mark = ("good", "✓") if good else ("bad", "✗")
    held_out, (names, rows) = result.held_out, result.hub
    new = [[a.prompt, a.after, "" if a.is_exact else a.expected, a.mark] for a in held_out]
    parts = [
        f"<p>{html.escape(result.what)}</p>",
        f'<p class="verdict {kind}"><strong>{mark} {html.escape(head)}</strong>'
        f"{html.escape(rest)}</p>",
        "<h2>The same prompts, before and after</h2>",
        '<p class="soft">By your completion_vs_chat, always with the likeliest character. Before '
        "tuning the model is given the prompt alone and goes on with it; after tuning it is given "
        "the prompt in the chat template.</p>",
        *map(_turn, result.trained),
        "<h2>Prompts that it was not tuned on</h2>",
        '<p class="soft">Each says a prompt of the pairs in other words.</p>',
        *map(_turn, [*held_out[:EACH], *held_out[EACH:][-EACH:]]),
        '<p class="soft">All of them: the first half changes a word or two, the second half more.'
        "</p>",
        page.table(["prompt", "after: it answers", "expected", ""], new, numbers=0),
        "<h2>In numbers</h2>",
        page.table(["", "before", "after"], result.numbers, numbers=2),
        '<p class="soft">Prompts are in the template in both columns; losses are per character, '
        "end tokens included. The play, or something like it, is what it could write before: tuned "
        "on answers alone, it forgets how to.</p>",
        "<h2>What it is tuned on</h2>",
        '<p class="soft">One pair in the template of 8.1. Only what is underlined has a label '
        "(8.2): the answer, and the end token.</p>",
        f'<div class="panel mono example">{_example(result.example)}</div>',
    ]
    if rows:
        parts += [
            f"<h2>{html.escape(names)}</h2>",
            '<p class="soft">By your load_text_model and completion_vs_chat: the first one goes on '
            "with the prompt, the second one answers in its own template.</p>",
            *(_said(r["prompt"], "goes on", r["completion"], "answers", r["chat"]) for r in rows),
        ]
    return page.document("Before and after tuning", "\n".join(parts), _STYLE)


def _turn(answer: Answer) -> str:
    kind = "right" if answer.is_exact else "wrong"
    mark = f'<b class="{kind}">{answer.mark}</b> '
    texts = ("before: it goes on", answer.before, "after: it answers", answer.after)
    note = "" if answer.is_exact else f"expected: {answer.expected}"
    return _said(answer.prompt, *texts, mark=mark, note=note)


def _said(
    prompt: str, left: str, before: str, right: str, after: str, mark: str = "", note: str = ""
) -> str:
    asked, before, after, note = map(html.escape, (prompt, before, after, note))
    return (
        f'<section class="panel turn"><h3>{asked}</h3><div>'
        f'<div><h4>{left}</h4><p class="said"><span class="soft">{asked}</span>{before}</p></div>'
        f'<div><h4>{right}</h4><p class="said">{mark}{after}</p>'
        f'<p class="said soft">{note}</p></div></div></section>'
    )


def _example(tokens: list[tuple[str, bool]]) -> str:
    """The text of a pair, in which what is to be learned is underlined."""
    parts = ""
    for text, is_learned in tokens:
        shown = html.escape(text)
        parts += f'<span class="learned">{shown}</span>' if is_learned else shown
    return parts
