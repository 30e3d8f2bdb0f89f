"""The parts of which both pages are made: tables, bars, verdicts; HTML that needs no script."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from kata.grading.marks import Mark
from kata.grading.reports import words
from kata.verdict import Verdict

# A verdict is a word with a sign of its own; colour only repeats it.
STYLE = """
.sum { display: flex; flex-wrap: wrap; gap: .25rem 2.5rem; margin: 1rem 0; padding: 0; }
.sum div { min-width: 6rem; }
.sum dt { color: var(--soft); } .sum dd { margin: 0; font-size: 1.5rem; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.bar { display: flex; height: .7rem; min-width: 6rem; max-width: 44rem; overflow: hidden;
  border: 1px solid var(--soft); border-radius: .35rem; }
.bar i { display: block; } .bar .done { background: var(--bar); }
.bar .not { background: repeating-linear-gradient(-45deg, var(--soft) 0 1px, transparent 1px 4px); }
table { max-width: none; margin: .5rem 0; } caption { text-align: left; color: var(--soft);
  padding-bottom: .25rem; }
th[scope=row] { font-weight: inherit; } td, th { vertical-align: top; }
td .bar { margin-top: .45rem; } summary { white-space: nowrap; }
.number, .narrow { white-space: nowrap; } .number { text-align: right; }
.pass { color: var(--good); } .wrong, .crash, .timeout, .missing, .check { color: var(--bad); }
.todo, .not-run { color: var(--soft); }
.word { white-space: nowrap; } .word b { display: inline-block; width: 1.1em; }
pre { font: .9rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: .5rem 0;
  white-space: pre-wrap; overflow-wrap: anywhere; direction: ltr; unicode-bidi: isolate;
  overflow: hidden; }
.hear { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
h2 .word, h2 .soft { font-size: 1rem; font-weight: normal; }
section h2 { display: flex; flex-wrap: wrap; gap: 0 .75rem; align-items: baseline; }
code, li { overflow-wrap: anywhere; }
@media (max-width: 36rem) { table { font-size: .92rem; } th, td { padding: .3rem .15rem; }
  .bar { min-width: 4rem; } }
a { color: inherit; } details { margin: .4rem 0; } footer { margin-top: 2.5rem; }
@media print { details > * { display: block; } }
"""


def text(said: str) -> str:
    """Text as HTML; what comes from a hand-in has been through `words` before."""
    return html.escape(said)


def prose(said: str) -> str:
    """The same for a sentence in which `names` are marked as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(said))


def unbroken(said: str) -> str:
    """Text that stays in one line."""
    return f'<span class="narrow">{text(said)}</span>'


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()
) -> str:
    """A table of HTML cells, the first of each row its heading.

    Args:
        caption: says what it shows; plain text.
        head: the names of the columns; plain text.
        rows: cells.
        numbers: the columns that are aligned to the right.
    """

    def classed(i: int) -> str:
        return " class=number" if i in numbers else ""

    names = "".join(f"<th scope=col{classed(i)}>{text(h)}</th>" for i, h in enumerate(head))
    lines = "\n".join(
        f"<tr><th scope=row{classed(0)}>{row[0]}</th>"
        + "".join(f"<td{classed(i)}>{cell}</td>" for i, cell in enumerate(row) if i)
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" aria-label="{text(caption)}" tabindex="0">'
        f"<table>\n<caption>{text(caption)}</caption>\n"
        f"<thead><tr>{names}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>"
    )


def bar(*parts: tuple[str, float]) -> str:
    """A bar of parts: a class (`done`, `not`) and a share of the width each. Its text is beside."""
    inner = "".join(f'<i class="{c}" style="width:{100 * w:.1f}%"></i>' for c, w in parts if w)
    return f'<div class="bar" aria-hidden="true">{inner}</div>'


def facts(facts: Sequence[tuple[str, str]]) -> str:
    """A few numbers that come first, with their names."""
    items = "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in facts)
    return f'<dl class="sum">{items}</dl>'


def kind(mark: Mark) -> str:
    """The CSS class of an exercise."""
    return "check" if mark.withheld else str(mark.verdict).replace(" ", "-")


def word(mark: Mark) -> str:
    """The verdict on an exercise: sign and word."""
    shown = f'<b aria-hidden="true">{sign(mark)}</b>{words.verdict(mark)}'
    return f'<span class="word {kind(mark)}">{shown}</span>'


def sign(mark: Mark) -> str:
    """The verdict in one character."""
    return words.CHECK if mark.withheld else words.MARKS[mark.verdict]


def legend(marks: Sequence[Mark]) -> str:
    """What the signs of these exercises mean."""
    met = {mark.verdict for mark in marks if not mark.withheld}
    said = [f"{words.MARKS[v]} {v}: {words.MEANINGS[v]}" for v in Verdict if v in met]
    if any(mark.withheld for mark in marks):
        said.append(f"{words.CHECK} to check: {words.WITHHELD}")
    return f'<p class="soft">{"<br>".join(map(text, said))}</p>'


def items(sentences: Iterable[str]) -> str:
    """A list of sentences, or nothing where there are none."""
    shown = "".join(f"<li>{prose(said)}</li>" for said in sentences)
    return f"<ul>{shown}</ul>" if shown else ""
