"""The page of one student: what passed, what did not, and where to look."""

from __future__ import annotations

from collections.abc import Iterator

from kata.grading.marks import Mark, Marks
from kata.grading.model import Graded
from kata.grading.points import Points
from kata.grading.reports import markup, words
from kata.grading.reports.markup import text
from kata.show import page
from kata.text import plural
from kata.verdict import Verdict

FILE = "report.html"
DONE = (Verdict.PASS, Verdict.NOT_RUN)
SHOWN_AT_ONCE = 1  # ways in which an exercise failed; more are a click away
STYLE = """
table { max-width: 48rem; }
section { border-top: 1px solid var(--line); margin-top: 1.5rem; }
section h2 { margin-top: 1rem; }
.like { border-left: .3rem solid var(--bar); background: var(--panel); padding: .5rem .8rem;
  max-width: 44rem; }
.test { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem;
  padding: .5rem .75rem; margin: .5rem 0; }
.test p { max-width: none; } .test h3 { font-size: 1rem; margin: 0; font-weight: 600; }
"""


def render(graded: Graded, marks: Marks, points: Points) -> str:
    """The whole page."""
    failed = [mark for mark in marks.exercises if mark.verdict not in DONE or mark.withheld]
    body = [
        markup.facts(_facts(marks)),
        markup.bar(("done", words.share(marks.total, marks.possible))),
        *(f"<p>{markup.prose(said)}</p>" for said in words.overview(graded, marks)),
        markup.table(
            "Your exercises",
            ["exercise", "verdict", "tests", "points"],
            [_row(mark, mark in failed) for mark in marks.exercises],
            numbers=[3],
        ),
        *(_section(graded, mark) for mark in failed),
        f"<footer>{markup.legend(marks.exercises)}",
        f'<p class="soft">{text(words.protected(graded))}</p></footer>',
    ]
    title = f"{words.line(points.title)} · {words.line(graded.submission)}"
    return page.document(title, "\n".join(body), markup.STYLE + STYLE)


def _facts(marks: Marks) -> list[tuple[str, str]]:
    facts = [("points", f"{words.number(marks.total)} of {words.number(marks.possible)}")]
    if marks.penalty:
        facts.append(("before lateness", words.number(marks.earned)))
    return facts


def _row(mark: Mark, has_section: bool) -> list[str]:
    title = text(str(mark.exercise))
    return [
        f'<a href="#{_anchor(mark)}">{title}</a>' if has_section else title,
        markup.word(mark),
        markup.unbroken(words.counted(mark)),
        f"{words.number(mark.earned)} of {words.number(mark.possible)}",
    ]


def _anchor(mark: Mark) -> str:
    return f"e{mark.exercise.number}"


def _section(graded: Graded, mark: Mark) -> str:
    tests = list(words.shown(graded, mark))
    failed = [test for test in tests if test.verdict not in DONE]
    ways = words.distinct(failed)
    heading = f"{text(str(mark.exercise))} {markup.word(mark)}"
    parts = [
        f'<section id="{_anchor(mark)}" aria-label="{text(str(mark.exercise))}">',
        f'<h2>{heading}<span class="soft">{words.score(mark.earned, mark.possible)}</span></h2>',
        *_explained(mark, failed),
        *(_test(*test) for test in ways[:SHOWN_AT_ONCE]),
    ]
    if more := ways[SHOWN_AT_ONCE:]:
        inner = "\n".join(_test(*test) for test in more)
        said = f"{plural(sum(1 + len(same) for _, same in more), 'more test')} did not pass"
        parts.append(f"<details><summary>{said}</summary>\n{inner}</details>")
    if passed := [test.name for test in tests if test.verdict is Verdict.PASS]:
        items = "".join(f"<li>{text(name)}</li>" for name in passed)
        said = f"{plural(len(passed), 'test')} passed"
        parts.append(f"<details><summary>{said}</summary><ul>{items}</ul></details>")
    path = mark.exercise.path.as_posix()
    parts.append(
        f'<p class="soft">Your code: <code>exercises/{path}</code><br>'
        f"The tests: <code>tests/{mark.exercise.chapter}/test_{mark.exercise.name}.py</code><br>"
        f"Stuck? <code>kata hint {mark.exercise.number}</code></p></section>"
    )
    return "\n".join(parts)


def _explained(mark: Mark, failed: list[words.Shown]) -> Iterator[str]:
    if mark.withheld:
        yield f"<p>{text(words.WITHHELD.capitalize())}.</p>"
    elif not mark.partial:
        yield f"<p>{text(words.WHOLE)}</p>"
    for said in dict.fromkeys(said for test in failed for said in test.looks_like):
        yield f'<p class="like"><strong>Looks like:</strong> {markup.prose(said)}</p>'


def _test(test: words.Shown, same: list[str]) -> str:
    said = [test.calls, test.said, test.where and f"at {test.where}"]
    inner = "".join(f"<pre>{text(block)}</pre>" for block in said if block)
    if same:
        names = "".join(f"<li>{text(name)}</li>" for name in same)
        others = plural(len(same), "other test")
        inner += f"<details><summary>the same in {others}</summary><ul>{names}</ul></details>"
    return f'<div class="test"><h3>{text(test.name)}</h3>{inner}</div>'
