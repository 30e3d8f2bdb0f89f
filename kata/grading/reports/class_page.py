"""The page of the class: which mistakes it made, how each exercise went, and who should be seen."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from kata.course import Exercise
from kata.grading.marks import Mark, Marks
from kata.grading.model import Graded
from kata.grading.points import Points
from kata.grading.reports import gradebook, markup, student_page, words
from kata.grading.reports.markup import text
from kata.show import page
from kata.text import plural
from kata.verdict import Verdict

FILE = "class.html"
BINS = 10
AT_ONCE = 10  # mistakes; the rest are a click away
STYLE = """
.grid td { text-align: center; padding: .3rem .35rem; }
.grid th[scope=row] { position: sticky; left: 0; background: var(--paper); white-space: nowrap; }
.grid td.number { text-align: right; padding: .3rem .6rem; }
.known li { margin: .6rem 0; max-width: 52rem; }
.known li div { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; }
.known details { margin: 0; min-width: 7rem; }
.each td:nth-child(2) { white-space: nowrap; width: 24%; } .each .bar { margin: .2rem 0 .3rem; }
.spread table { max-width: 36rem; } .spread th, .spread td { white-space: nowrap; }
.spread td:nth-child(2) { width: 70%; }
ul { margin: .25rem 0; padding-left: 1.2rem; }
"""
Results = Sequence[tuple[Graded, Marks]]


def render(results: Results, points: Points) -> str:
    """The whole page."""
    results = sorted(results, key=lambda result: result[0].submission)
    body = [
        markup.facts(_facts(results)),
        *_section("The points file", markup.items(map(words.line, points.problems))),
        *_section("A person has to look", _attention(results)),
        *_section("The mistakes of the class", _mistakes(results, points)),
        *_section("Exercise by exercise", _exercises(results, points)),
        *_section("Hidden tests", _hidden(results)),
        *_section("How the points are spread", _spread(results)),
        *_section("Students", _students(results, points)),
        *_section("What protected the grading", _protections(results)),
    ]
    title = f"{words.line(points.title)} · the class"
    return page.document(title, "\n".join(body), markup.STYLE + STYLE)


def _section(heading: str, body: str) -> list[str]:
    return [f"<section><h2>{heading}</h2>\n{body}</section>"] if body else []


def _facts(results: Results) -> list[tuple[str, str]]:
    totals = [marks.total for _, marks in results] or [0.0]
    possible = max((marks.possible for _, marks in results), default=0.0)
    return [
        ("students", str(len(results))),
        ("mean", f"{words.number(statistics.mean(totals))} of {words.number(possible)}"),
        ("median", words.number(statistics.median(totals))),
        ("lowest to highest", f"{words.number(min(totals))} to {words.number(max(totals))}"),
    ]


def _link(graded: Graded) -> str:
    target = f"{quote(graded.submission, safe='')}/{student_page.FILE}"
    return f'<a href="{text(target)}">{text(words.line(graded.submission))}</a>'


# ----------------------------------------------------------------------------------- who and why


def _attention(results: Results) -> str:
    found = [
        f"<li>{_link(graded)}{markup.items(words.line(said, 1000) for said in why)}</li>"
        for graded, _ in results
        if (why := _reasons(graded))
    ]
    return f"<ul>{''.join(found)}</ul>" if found else ""


def _reasons(graded: Graded) -> list[str]:
    unfinished = [] if graded.complete else [words.UNFINISHED]
    return [*graded.tampered, *unfinished, *graded.problems]


def _mistakes(results: Results, points: Points) -> str:
    """The sentences of the diagnosis, by how many students they were said to."""
    who: dict[tuple[Exercise, str], list[Graded]] = {}
    for graded, _ in results:
        rows = graded.document.get("exercises", {})
        for exercise in points.selected:
            for sentence in rows.get(exercise.slug, {}).get("diagnosis", []):
                who.setdefault((exercise, words.line(sentence, 400)), []).append(graded)
    order = sorted(who.items(), key=lambda item: (-len(item[1]), item[0][0].path))
    found = [
        f"<li>{markup.prose(sentence)}<div><details><summary>{plural(len(students), 'student')}"
        f"</summary>{', '.join(map(_link, students))}</details>"
        f'<span class="soft">{text(str(exercise))}</span></div></li>'
        for (exercise, sentence), students in order
    ]
    if not found:
        return "<p>No known mistake explains a failure of this class.</p>"
    first = f'<ol class="known">{"".join(found[:AT_ONCE])}</ol>'
    if len(found) <= AT_ONCE:
        return first
    rest = f'<ol class="known" start="{AT_ONCE + 1}">{"".join(found[AT_ONCE:])}</ol>'
    return f"{first}<details><summary>{len(found) - AT_ONCE} more</summary>{rest}</details>"


# ------------------------------------------------------------------------------------- exercises


def _exercises(results: Results, points: Points) -> str:
    columns = zip(*(marks.exercises for _, marks in results), strict=True)
    rows = [_exercise(list(column)) for column in columns]
    head = ["exercise", "passed", "the others", "mean"]
    table = markup.table("How the class did in each exercise", head, rows, [3])
    return f'<div class="each">{table}</div>'


def _exercise(column: list[Mark]) -> list[str]:
    passed = sum(mark.verdict is Verdict.PASS and not mark.withheld for mark in column)
    others = Counter(words.verdict(mark) for mark in column)
    others.pop(str(Verdict.PASS), None)
    mean = statistics.mean(mark.earned for mark in column)
    possible = max(mark.possible for mark in column)
    todo = sum(mark.verdict in (Verdict.TODO, Verdict.NOT_RUN) for mark in column)
    count = len(column)
    bar = markup.bar(("done", passed / count), ("not", (count - passed - todo) / count))
    return [
        text(str(column[0].exercise)),
        f"{passed} of {count}{bar}",
        ", ".join(markup.unbroken(f"{n} {word}") for word, n in others.most_common()),
        f"{words.number(mean)} of {words.number(possible)}",
    ]


def _hidden(results: Results) -> str:
    """How many passed each test that students do not have: only this page names them."""
    passed: Counter[tuple[Exercise, str]] = Counter()
    met: Counter[tuple[Exercise, str]] = Counter()
    for _, marks in results:
        for mark in marks.exercises:
            for part in mark.parts(hidden=True):
                met[mark.exercise, words.name(part)] += 1
                passed[mark.exercise, words.name(part)] += part.verdict is Verdict.PASS
    rows = [
        [text(str(exercise)), text(name), f"{passed[exercise, name]} of {count}"]
        for (exercise, name), count in met.items()
    ]
    return (
        markup.table("Not shown to students", ["exercise", "test", "passed"], rows, [2])
        if rows
        else ""
    )


def _spread(results: Results) -> str:
    """A histogram of the totals as shares of what was possible."""
    shares = [words.share(marks.total, marks.possible) for _, marks in results]
    bins = Counter(min(int(share * BINS), BINS - 1) for share in shares)
    most = max(bins.values(), default=1)
    rows = [
        [
            f"{100 * i // BINS} to {100 * (i + 1) // BINS} %",
            markup.bar(("done", bins[i] / most)),
            str(bins[i]),
        ]
        for i in reversed(range(BINS))
    ]
    table = markup.table("Students by their share", ["share", "", "students"], rows, [2])
    return f'<div class="spread">{table}</div>'


# -------------------------------------------------------------------------------------- students


def _students(results: Results, points: Points) -> str:
    head = ["student", "points", "late", *(e.number for e in points.selected)]
    rows = [_student(graded, marks) for graded, marks in results]
    grid = markup.table("Every student and exercise; a name leads to the page", head, rows, [1])
    every = [mark for _, marks in results for mark in marks.exercises]
    csv = f'<p>The same for a spreadsheet: <a href="{gradebook.FILE}">{gradebook.FILE}</a></p>'
    return f'<div class="grid">{grid}</div>{markup.legend(every)}{csv}'


def _student(graded: Graded, marks: Marks) -> list[str]:
    late = (
        f"-{words.number(marks.penalty)}" if marks.penalty else "yes" if marks.late.fraction else ""
    )
    return [
        _link(graded),
        words.number(marks.total),
        f'<abbr title="{text(marks.late.reason)}">{late}</abbr>' if late else "",
        *(
            f'<span class="{markup.kind(mark)}"><span aria-hidden="true">{markup.sign(mark)}</span>'
            f'<span class="hear">{words.verdict(mark)}</span></span>'
            for mark in marks.exercises
        ),
    ]


def _protections(results: Results) -> str:
    """Each set of protections once, with how many hand-ins were graded under it."""
    kinds = Counter(tuple(graded.protections) for graded, _ in results)
    tables = []
    for protections, count in kinds.most_common():
        who = "All hand-ins" if len(kinds) == 1 else plural(count, "hand-in")
        if not protections:
            tables.append(f"<p>{who}: none.</p>")
            continue
        rows = [
            [
                text(words.line(p.name)),
                "active" if p.active else "<strong>not active</strong>",
                text(words.line(p.detail, 400)),
            ]
            for p in protections
        ]
        tables.append(markup.table(who, ["protection", "here", "how, or why not"], rows))
    return "\n".join(tables)
