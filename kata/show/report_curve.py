"""How the number of exercises that pass grew, as a curve that fits any width, and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import accumulate

from kata import history
from kata.grading.reports import markup
from kata.history import Event
from kata.text import plural

STYLE = """
.chart { max-width: 48rem; margin: .6rem 0; }
.plot { display: grid; grid-template-columns: auto 1fr; gap: .25rem .5rem; }
.plot svg { width: 100%; height: 11rem; display: block; border-left: 1px solid var(--soft);
  border-bottom: 1px solid var(--soft); }
.plot .y, .plot .x { display: flex; justify-content: space-between; color: var(--soft);
  font-size: .9rem; font-variant-numeric: tabular-nums; }
.plot .y { flex-direction: column; text-align: right; line-height: 1; } .plot .x { grid-column: 2; }
.plot .area { fill: var(--bar); opacity: .45; }
.plot .line { fill: none; stroke: var(--ink); stroke-width: 2; vector-effect: non-scaling-stroke; }
.plot .grid { stroke: var(--line); vector-effect: non-scaling-stroke; }
@media print { .chart { break-inside: avoid; } .chart details { display: none; }
  .plot .area { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def day(time: datetime) -> str:
    """A day by the learner's clock, in words that mean the same everywhere; HTML."""
    local = time.astimezone()
    return f'<time datetime="{local:%Y-%m-%d}">{local.day} {local:%b %Y}</time>'


def render(events: list[Event], slugs: Iterable[str]) -> str:
    """How many exercises had passed by when: a curve, and the same as a table."""
    passes = history.passes(events, slugs)
    if len(passes) < 2 or passes[0] == passes[-1]:
        return ""
    first = min(passes[0], *(event.time for event in history.attempts(events)))
    ends = (day(first), day(passes[-1]))
    if ends[0] == ends[1]:
        ends = (f"{first.astimezone():%H:%M}", f"{passes[-1].astimezone():%H:%M}, {ends[1]}")
    total = len(passes)
    by_day = Counter(day(time) for time in passes)
    sums = accumulate(by_day.values())
    rows = [
        [when, str(new), str(sum_)] for (when, new), sum_ in zip(by_day.items(), sums, strict=True)
    ]
    table = markup.table(
        "Exercises that passed for the first time", ["day", "new", "together"], rows, [1, 2]
    )
    return (
        f'<div class="chart"><div class="plot"><div class="y" aria-hidden="true"><span>{total}'
        f"</span><span>0</span></div>{_curve(passes, first)}"
        f'<div class="x" aria-hidden="true"><span>{ends[0]}</span><span>{ends[1]}</span></div>'
        f'</div><p class="soft">Exercises that have passed, counted when each did so first.</p>'
        f"<details><summary>day by day</summary>{table}</details></div>"
    )


def _curve(passes: list[datetime], first: datetime) -> str:
    """Steps in a square of 100 by 100 that is stretched to the width of the page."""
    span, count = passes[-1] - first, len(passes)
    steps = "".join(
        f"H{100 * ((time - first) / span):.2f}V{100 - 100 * i / count:.2f}"
        for i, time in enumerate(passes, 1)
    )
    label = f"A curve that climbs from 0 to {plural(count, 'exercise')}; day by day below."
    return (
        f'<svg viewBox="0 -3 100 103" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'<path class="grid" d="M0 50H100M0 0H100"/><path class="area" d="M0 100{steps}V100Z"/>'
        f'<path class="line" d="M0 100{steps}"/></svg>'
    )
