"""What chapter 5 has to show, as data, and the page that shows it."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from kata.show import page


@dataclass(frozen=True)
class Check:
    """Something that was compared, and how it came out."""

    good: bool
    words: str

    def __str__(self) -> str:
        return f"{'✓' if self.good else '✗'} {self.words}"


@dataclass(frozen=True)
class Bar:
    """A token, its probability by the model, and the one under a setting; None: it is dropped."""

    token: str
    was: float
    now: float | None

    @property
    def numbers(self) -> str:
        """What stands at the end of the bar."""
        return f"{self.was:.0%} → {'out' if self.now is None else f'{self.now:.0%}'}"


@dataclass(frozen=True)
class Chart:
    """The next token under one setting."""

    title: str
    note: str
    bars: list[Bar]
    rest: Bar  # all other tokens together


@dataclass(frozen=True)
class Story:
    """One continuation."""

    name: str
    settings: str
    ids: list[int]
    text: str
    mean: float  # log-probability of a token, by the model alone

    @property
    def cells(self) -> list[str]:
        """The line of a table: name, text, and a few numbers."""
        words = re.findall(r"[\w']+", self.text.lower())
        trigrams = list(zip(words, words[1:], words[2:], strict=False))
        distinct, again = f"{len(set(words))} of {len(words)}", len(trigrams) - len(set(trigrams))
        name = f"{self.name} ({self.settings})"
        return [name, shown(self.text), distinct, str(again), f"{self.mean:.2f}"]


def shown(text: str) -> str:
    """A text in one line."""
    return text.replace("\n", " ⏎ ")


def verdict(checks: list[Check]) -> str:
    """How many comparisons failed."""
    bad = sum(not check.good for check in checks)
    if bad:
        return f"{bad} of {len(checks)} comparisons failed."
    return f"All {len(checks)} comparisons came out right."


_STYLE = """
.side { grid-template-columns: repeat(auto-fit, minmax(min(100%, var(--least)), 1fr)); }
.bars th, .bars td { padding: .08rem .25rem; border: 0; font-weight: 400; white-space: nowrap; }
.bars td.bar { width: 60%; padding: 0; }
.lane { position: relative; height: 1.05em; }
.lane i { position: absolute; inset: 0 auto 0 0; width: calc(var(--p) * 100%); }
.lane .is { background: var(--bar); } .lane .was { border: 1.5px dashed var(--soft); }
.out { color: var(--soft); } .out th { text-decoration: line-through; }
.stories table { max-width: none; } .stories td { vertical-align: top; }
.stories td:first-child { min-width: 11rem; overflow-wrap: anywhere; }
.stories .number { white-space: nowrap; }
ul.checks { list-style: none; padding: 0; margin: .5rem 0; overflow-wrap: anywhere; }
@media (max-width: 44rem) {
  .stories thead { display: none; }
  .stories td { display: block; border: 0; text-align: left; padding: .1rem .2rem; }
  .stories tr { display: block; border-bottom: 1px solid var(--line); padding: .6rem 0; }
  .stories td:first-child { font-weight: 700; }
  .stories td:nth-child(3)::before { content: "distinct words: "; }
  .stories td:nth-child(4)::before { content: "repeated 3-grams: "; }
  .stories td:nth-child(5)::before { content: "mean log-probability: "; } }
@media print { .lane i { print-color-adjust: exact; } }
"""
_LEGEND = (
    "Full bars: the probability under the setting. Dashed frames: what the model gave, at "
    "temperature 1 and without a filter. What a filter drops has an empty frame, a name that is "
    "struck through, and the word “out”. All charts have one scale and the same tokens; ␣ is a "
    "space."
)
_NUMBERS = (
    "Distinct words and repeated 3-grams (three words in a row that came before) are counted in "
    "the continuation alone; the strategy forbids three tokens, which can be parts of words. The "
    "mean log-probability of the tokens is what the model itself gives them, at temperature 1 and "
    "without a filter. More is not better: people do not write what is likeliest."
)
_HEAD = ["strategy", "continuation", "distinct words", "repeated 3‑grams", "mean log‑prob."]


def document(
    what: str,
    prompt: str,
    charts: dict[str, list[Chart]],
    stories: list[Story],
    checks: list[Check],
) -> str:
    """The page; the charts are in groups with headings."""
    bad = [check.words for check in checks if not check.good]
    kind, mark = ("bad", "✗") if bad else ("good", "✓")
    most = max(
        max(bar.was, bar.now or 0)
        for group in charts.values()
        for chart in group
        for bar in chart.bars
    )
    parts = [
        f"<p>{html.escape(what)}</p>",
        f'<p class="verdict {kind}"><strong>{mark} {verdict(checks)}</strong> '
        f"{html.escape('; '.join(bad))}</p>",
        f"<p>The prompt: <strong>{html.escape(prompt)}</strong> …</p>",
        f'<p class="soft">{_LEGEND}</p>',
        *(_group(heading, group, most) for heading, group in charts.items()),
        f'<h2>The continuations</h2><p class="soft">{_NUMBERS}</p><div class="stories">',
        page.table(_HEAD, [story.cells for story in stories], numbers=3),
        '</div><h2>What was compared</h2><ul class="checks">',
        *(f"<li>{html.escape(str(check))}</li>" for check in checks),
        "</ul>",
    ]
    return page.document("One prompt, every strategy", "\n".join(parts), _STYLE)


def _group(heading: str, charts: list[Chart], most: float) -> str:
    panels = "\n".join(_chart(chart, most) for chart in charts)
    return (
        f"<h2>{html.escape(heading)}</h2>\n"
        f'<div class="side" style="--least:{18 if len(charts) == 3 else 26}rem">{panels}</div>'
    )


def _chart(chart: Chart, most: float) -> str:
    lines = "\n".join(_line(bar, most) for bar in chart.bars)
    return (
        f'<div class="panel"><h3>{html.escape(chart.title)}</h3>'
        f'<p class="soft">{html.escape(chart.note)}</p><table class="bars">\n{lines}\n'
        f'<tr><th scope="row" colspan="2">{html.escape(chart.rest.token)}</th>'
        f'<td class="number">{chart.rest.numbers}</td></tr></table></div>'
    )


def _line(bar: Bar, most: float) -> str:
    kind = ' class="out"' if bar.now is None else ""
    return (
        f'<tr{kind}><th class="mono" scope="row">{html.escape(bar.token)}</th>'
        f'<td class="bar"><div class="lane"><i class="is" style="--p:{(bar.now or 0) / most:.3f}">'
        f'</i><i class="was" style="--p:{bar.was / most:.3f}"></i></div></td>'
        f'<td class="number">{bar.numbers}</td></tr>'
    )
