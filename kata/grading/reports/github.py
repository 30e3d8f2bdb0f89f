"""GitHub Actions: the page of a job (`$GITHUB_STEP_SUMMARY`) and annotations at lines of code."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from kata.grading.marks import Mark, Marks
from kata.grading.model import Graded
from kata.grading.points import Points
from kata.grading.reports import words
from kata.text import plural
from kata.verdict import Verdict

SUMMARY = "summary.md"
ANNOTATIONS = "annotations.txt"
MOST_BYTES = 1_000_000  # GitHub drops a summary of more than 1 MiB
MOST_ANNOTATIONS = 10  # it shows no more of a step
DONE = (Verdict.PASS, Verdict.NOT_RUN)
TREE = "exercises"  # in the repository of a student


def summary(graded: Graded, marks: Marks, points: Points) -> str:
    """Markdown: a table of the exercises, then what failed, as much as GitHub takes."""
    head = [
        f"## {_escaped(points.title)}: {words.score(marks.total, marks.possible)}",
        "",
        *(f"{_escaped(said)}  " for said in words.overview(graded, marks)),
        "",
        "| | exercise | verdict | tests | points |",
        "| --- | --- | --- | --- | ---: |",
        *(_row(mark) for mark in marks.exercises),
        "",
    ]
    text = "\n".join(head)
    for mark in marks.exercises:
        section = "\n".join(_section(graded, mark)) if mark.verdict not in DONE else ""
        if len((text + section).encode()) > MOST_BYTES:
            text += "\nThe rest is too long for this page.\n"
            break
        text += section
    return f"{text}\n{_escaped(words.protected(graded))}\n"


def _row(mark: Mark) -> str:
    points = f"{words.number(mark.earned)} / {words.number(mark.possible)}"
    cells = (
        words.MARKS[mark.verdict],
        _escaped(str(mark.exercise)),
        words.verdict(mark),
        words.counted(mark),
        points,
    )
    return f"| {' | '.join(cells)} |"


def _section(graded: Graded, mark: Mark) -> Iterator[str]:
    tests = list(words.shown(graded, mark))
    failed = [test for test in tests if test.verdict not in DONE]
    yield f"\n### {_escaped(str(mark.exercise))}\n"
    for said in dict.fromkeys(said for test in failed for said in test.looks_like):
        yield f"> looks like: {_escaped(said)}\n"
    for i, (test, same) in enumerate(words.distinct(failed)):
        opened = "" if i else " open"
        more = f" and {plural(len(same), 'test')} more" if same else ""
        name = f"{words.MARKS[test.verdict]} {html.escape(test.name)}{more}"
        yield f"<details{opened}><summary>{name}</summary>"
        yield f"\n{_fenced(test.text)}\n\n</details>"
    path = f"{TREE}/{mark.exercise.path.as_posix()}"
    yield f"\nYour code: `{path}`. Stuck? `kata hint {mark.exercise.number}`\n"


def _escaped(text: str) -> str:
    """Text that Markdown takes for nothing else."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~$@:.-])", r"\\\1", words.line(text, 1000))
    return html.escape(escaped, quote=False)


def _fenced(text: str) -> str:
    """A block of code, whatever rows of backticks are in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


# -------------------------------------------------------------------------------- annotations


def annotate(graded: Graded, marks: Marks, points: Points) -> str:
    """Workflow commands, one for each exercise that did not pass, for the log of a step."""
    failed = [mark for mark in marks.exercises if mark.verdict not in DONE]
    most = MOST_ANNOTATIONS if len(failed) <= MOST_ANNOTATIONS else MOST_ANNOTATIONS - 1
    lines = [_annotation(graded, mark) for mark in failed[:most]]
    if rest := failed[most:]:
        numbers = ", ".join(mark.exercise.number for mark in rest)
        said = f"{plural(len(rest), 'exercise')} more did not pass: {numbers}"
        lines.append(_command({"title": "and more"}, said))
    return "".join(f"{line}\n" for line in lines)


def _annotation(graded: Graded, mark: Mark) -> str:
    first = next((t for t in words.shown(graded, mark) if t.verdict not in DONE), None)
    place = re.search(rf"{re.escape(mark.exercise.name)}\.py:(\d+)", first.where if first else "")
    properties = {
        "file": f"{TREE}/{mark.exercise.path.as_posix()}",
        "line": place[1] if place else "1",
        "title": f"{mark.exercise}: {words.verdict(mark)}",
    }
    return _command(properties, f"{first.name}\n\n{first.text}" if first else "no verdict")


def _command(properties: dict[str, str], message: str) -> str:
    """`::error title=a%3A b::message`, each part escaped as the runner unescapes it."""
    values = [
        f"{key}={_data(value).replace(':', '%3A').replace(',', '%2C')}"
        for key, value in properties.items()
    ]
    return f"::error {','.join(values)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
