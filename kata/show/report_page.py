"""The page of `kata report --html`: a learner's work, to look at and to show."""

from __future__ import annotations

from collections import Counter

from kata import catalogue, history
from kata.course import Exercise
from kata.grading.reports import markup, words
from kata.grading.reports.markup import text
from kata.history import Work
from kata.report import MARK, Standing, duration, heading, minutes_of
from kata.show import page, report_curve, report_pictures
from kata.show.report_curve import day
from kata.text import plural
from kata.verdict import Verdict, relative

TITLE = "LLM Katas: progress"
SIGNS = words.MARKS | {catalogue.UNTESTED: "~", catalogue.NO_FILE: "?"}
MEANINGS = words.MEANINGS | {
    catalogue.UNTESTED: "changed since its tests were last run",
    catalogue.NO_FILE: "its file is not there",
}
STYLE = """
.headline { font-size: 1.3rem; margin: 1.2rem 0 .6rem; }
.headline strong { font-size: 4rem; line-height: 1; letter-spacing: -.03em; }
.headline + .bar { height: 1.1rem; max-width: none; border-radius: .55rem; }
.sum { margin: 1.2rem 0 0; }
main > section { margin-top: 2.4rem; } main > section > h2 { font-size: 1.3rem; }
.map { list-style: none; margin: .6rem 0; padding: 0; }
.map li { display: grid; grid-template-columns: 12rem 33rem 1fr; gap: .15rem 1rem;
  padding: .3rem 0; align-items: center; grid-template-areas: "name cells said"; }
.map a { grid-area: name; } .map .said { grid-area: said; font-size: .9rem; }
.cells { grid-area: cells; display: flex; gap: .2rem; }
.cells i { flex: 0 1 1.9rem; min-width: 0; height: 1.5rem; border: 1px solid var(--line);
  border-radius: .25rem; font: 700 .8rem/1.4rem system-ui, sans-serif; text-align: center;
  color: var(--soft); overflow: hidden; }
.cells .pass { background: var(--bar); border-color: var(--bar); color: var(--ink); }
.cells .wrong, .cells .crash, .cells .timeout, .cells .missing { border-color: var(--bad);
  color: var(--bad); border-width: 2px; line-height: 1.25rem; }
.cells .untested { border: 1px dashed var(--soft); }
.word.untested, .word.no-file { color: var(--soft); }
.chapter { border-top: 1px solid var(--line); margin: 0; padding: .5rem 0; }
.chapter > summary { display: flex; flex-wrap: wrap; gap: 0 .75rem; align-items: baseline;
  white-space: normal; }
.chapter > summary::before { content: "+"; width: 1ch; color: var(--soft); }
.chapter[open] > summary::before { content: "\\2212"; }
.chapter > summary::-webkit-details-marker { display: none; }
.chapter h3 { font-size: 1.05rem; margin: 0; }
.each td, .each th { padding: .35rem .5rem; } .each th[scope=row] { width: 55%; }
.each td:last-child { white-space: nowrap; } .each .none { color: var(--soft); }
.each caption { position: absolute; clip-path: inset(50%); width: 1px; height: 1px;
  overflow: hidden; white-space: nowrap; }
@media (max-width: 62rem) {
  .map li { grid-template-columns: 1fr auto; grid-template-areas: "name said" "cells cells"; } }
@media (max-width: 44rem) {
  .each thead { position: absolute; clip-path: inset(50%); }
  .each table, .each tbody { display: block; }
  .each tr { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .35rem 0;
    border-bottom: 1px solid var(--line); }
  .each td, .each th { border: 0; padding: 0; color: var(--soft); font-size: .9rem; }
  .each th[scope=row] { width: calc(100% - 7rem); font-size: 1rem; color: var(--ink); }
  .each td:nth-child(2) { width: 6rem; font-size: 1rem; } .each td:has(> .none) { display: none; }
  .each td:nth-child(3)::before { content: "attempts: "; }
  .each td:nth-child(4)::after { content: " min"; } }
@media print { body { background: none; } main { max-width: none; padding: 0; }
  .cells i, .bar i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .map li, .each tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .chapter > summary::before, .chapter[open] > summary::before { content: none; }
  .scroll { overflow: visible; } }
"""
NONE = '<span class="none">–</span>'
_COUNTED = (
    "An attempt is a run of the tests on a file that had changed since the run before. Checks in a "
    "notebook are not counted. The minutes are an estimate: the time from one attempt to the next, "
    "whatever exercise it was at, belongs to the exercise that was tried next. More than 15 "
    "minutes without an attempt are a pause and count as nothing, so the time is rather too short "
    "than too long. After the slash: what the course expects."
)


def render(standing: Standing) -> str:
    """The whole page."""
    pictures = report_pictures.find(standing.course)
    body = [
        MARK,
        _headline(standing),
        _section("Next" if standing.following else "All done", _next(standing)),
        _section("Chapter by chapter", _map(standing)),
        _section("Over time", report_curve.render(standing.events, standing.states)),
        _section("What this code can do", report_pictures.render(pictures)),
        _section("Exercise by exercise", _exercises(standing)),
        f'<footer class="soft"><p>{text(_COUNTED)}</p>',
        f"<p>Made by <code>kata report --html</code> on {day(history.now())}.</p></footer>",
    ]
    style = markup.STYLE + STYLE + report_curve.STYLE + report_pictures.STYLE
    return page.document(TITLE, "\n".join(body), style, pictures=True)


def _section(name: str, body: str) -> str:
    return f"<section>\n<h2>{name}</h2>\n{body}\n</section>" if body else ""


# ---------------------------------------------------------------------------------- the overview


def _headline(standing: Standing) -> str:
    count, total = standing.passing, len(standing.course.exercises)
    failing = sum(verdict.failed for verdict in standing.verdicts.values())
    chapters = standing.course.chapters.values()
    whole = sum(all(_passes(standing, e) for e in exercises) for exercises in chapters)
    facts = [
        ("chapters complete", f"{whole} of {len(chapters)}"),
        ("attempts", str(standing.attempts)),
        ("days", str(len(history.days(standing.events)))),
        ("time worked, about", duration(standing.time) if standing.time else "–"),
    ]
    return (
        f'<p class="headline"><strong>{count}</strong> of {plural(total, "exercise")} done</p>'
        f"{markup.bar(('done', count / total), ('not', failing / total))}\n{markup.facts(facts)}"
    )


def _passes(standing: Standing, exercise: Exercise) -> bool:
    return standing.states[exercise.slug] == Verdict.PASS


def _next(standing: Standing) -> str:
    exercise = standing.following
    if exercise is None:
        return (
            '<p class="verdict good"><strong>✓ Nothing is left to do.</strong> '
            "<code>kata show</code> runs what you have built.</p>"
        )
    file = standing.course.exercises_dir / exercise.path
    return (
        f'<p class="verdict"><strong>{text(words.line(str(exercise)))}</strong> '
        f"({exercise.difficulty}, about {plural(exercise.minutes, 'minute')})<br>"
        f"<code>{text(words.line(relative(file, standing.course.root)))}</code><br>"
        f"Stuck? <code>kata hint {exercise.number}</code></p>"
    )


def _map(standing: Standing) -> str:
    """A bar for each chapter, with a cell for each exercise."""
    lines = []
    for chapter, exercises in standing.course.chapters.items():
        states = [standing.states[e.slug] for e in exercises]
        cells = "".join(f'<i class="{_class(state)}">{SIGNS[state]}</i>' for state in states)
        name = text(words.line(heading(standing.course, chapter)))
        lines.append(
            f'<li><a href="#{chapter[:4]}">{name}</a>'
            f'<span class="cells" aria-hidden="true">{cells}</span>'
            f'<span class="said soft">{_said(states)}</span></li>'
        )
    met = set(standing.states.values())
    legend = [f"{SIGNS[state]} {state}: {MEANINGS[state]}" for state in SIGNS if state in met]
    return (
        f'<ul class="map">{"".join(lines)}</ul>\n'
        f'<p class="soft">{"<br>".join(map(text, legend))}</p>'
    )


def _class(state: str) -> str:
    return state.replace(" ", "-")


def _said(states: list[str]) -> str:
    """`3 of 15 done, 1 wrong`."""
    counts = Counter(states)
    others = [f"{counts[s]} {s}" for s in SIGNS if counts[s] and s not in (Verdict.PASS, "todo")]
    return ", ".join([f"{counts[Verdict.PASS]} of {len(states)} done", *others])


# ------------------------------------------------------------------------------------- exercises


def _exercises(standing: Standing) -> str:
    return "\n".join(
        _chapter(standing, chapter, exercises)
        for chapter, exercises in standing.course.chapters.items()
    )


def _chapter(standing: Standing, chapter: str, exercises: list[Exercise]) -> str:
    """A table; it is folded while nothing has been done in the chapter."""
    states = [standing.states[e.slug] for e in exercises]
    touched = any(e.slug in standing.work or standing.states[e.slug] != "todo" for e in exercises)
    name = words.line(heading(standing.course, chapter))
    head = ["exercise", "state", "attempts", "minutes", "passed on"]
    rows = [_row(e, standing.states[e.slug], standing.work.get(e.slug, Work())) for e in exercises]
    return (
        f'<details class="chapter" id="{chapter[:4]}"{" open" * touched}>'
        f'<summary><h3>{text(name)}</h3><span class="soft">{_said(states)}</span></summary>'
        f'<div class="each">'
        f"{markup.table(f'The exercises of chapter {name}', head, rows, [2, 3])}</div></details>"
    )


def _row(exercise: Exercise, state: str, work: Work) -> list[str]:
    worked = str(minutes_of(work.time)) if work.time else "–"
    sign = f'<b aria-hidden="true">{SIGNS[state]}</b>'
    return [
        text(words.line(str(exercise))),
        f'<span class="word {_class(state)}">{sign}{state}</span>',
        str(work.attempts) if work.attempts else NONE,
        f'{worked} <span class="soft">/ {exercise.minutes}</span>',
        day(work.passed) if work.passed else NONE,
    ]
