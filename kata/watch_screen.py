"""What `kata watch` shows: a verdict, where to look, and the keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from kata import progress
from kata.course import Course, Exercise
from kata.hints import Hint
from kata.terminal import paragraph, say, screen
from kata.text import cut, indent, plural
from kata.verdict import HEADINGS, Verdict, relative
from kata.warm import Outcome
from kata.warm_worker import NOT_ENDED, NOT_STARTED

KEYS = ("h hint", "n next", "l list", "s solution", "x start over", "q quit")
NO_KEYS = "There is no keyboard here: the keys are off, and Ctrl-C ends."
STYLES = {Verdict.PASS: "bold green", Verdict.TODO: "bold", Verdict.NOT_RUN: "bold"}
PRINTED_LINES = 12
# As faulthandler and as pytest write it.
PLACE = re.compile(
    r'File "(?P<traced>[^"]+)", line (?P<traced_line>\d+)|^(?P<file>.+?):(?P<line>\d+): ',
    re.MULTILINE,
)


def clear() -> None:
    """Start at the top of an empty screen, where there is one; what was before can be scrolled."""
    console = screen()
    if console.is_terminal and not console.is_dumb_terminal:
        console.clear()
    else:
        say()


def checking(exercise: Exercise) -> None:
    """Say that a check has begun, to somebody who looks."""
    if screen().is_terminal:
        say(f"checking {exercise} ...", "dim")


def result(
    course: Course, exercise: Exercise, outcome: Outcome, verdicts: Mapping[str, Verdict]
) -> None:
    """Show what came out, how far the chapter is, and after a pass what comes next.

    Args:
        course: the course.
        exercise: what was checked.
        outcome: what came out.
        verdicts: on every exercise, this one included.
    """
    if outcome.text and not outcome.problem:
        _failure(outcome)
    else:
        headline, lines = _calm(course, exercise, outcome)
        say(headline, STYLES.get(outcome.verdict or Verdict.CRASH, "bold red"))
        for line in lines:
            say(f"  {line}" if line else "")
        say()
        say(f"  your code: {progress.place(course, exercise, course.exercises_dir)}")
    say()
    say(progress.bars(course, verdicts, [exercise.chapter])[0])
    if outcome.verdict is Verdict.PASS:
        following = progress.next_exercise(course.exercises, verdicts, course.exercises_dir)
        if following is None:
            say(progress.next_lines(course, None, course.exercises_dir)[0])
        else:
            say(f"next: {following}")


def _failure(outcome: Outcome) -> None:
    headline, *lines = outcome.text.splitlines()
    say(headline, "bold red")
    for line in lines:
        say(line, "bold" if line.startswith("  looks like:") else "")
    says = outcome.test.replace("_", " ")
    say(f"  it says:   {says} (test {outcome.position} of {outcome.tests})")
    if outcome.printed.strip():
        lines = outcome.printed.rstrip().splitlines()[-PRINTED_LINES:]
        say()
        say("  your code printed:")
        say(indent("\n".join(map(cut, lines)), "    "))


def _calm(course: Course, exercise: Exercise, outcome: Outcome) -> tuple[str, list[str]]:
    """The headline and the lines about what is no failure of a test."""
    ran = outcome.tests - outcome.not_run
    if outcome.problem:
        return f"{exercise}: {outcome.problem}", _output(course, outcome)
    if outcome.verdict is Verdict.PASS:
        rest = f"; {outcome.not_run} cannot run here" if outcome.not_run else ""
        every = "its test passes" if ran == 1 else f"all {ran} tests pass"
        return f"{exercise}: pass", ["", f"{every}{rest}"]
    if outcome.verdict is Verdict.NOT_RUN:
        return f"{exercise}: not run", ["", outcome.reason]
    count = [f"{outcome.passed} of {plural(ran, 'test')} pass already"] if outcome.passed else []
    return f"{exercise}: {HEADINGS[Verdict.TODO]}", ["", *count] if count else []


def _output(course: Course, outcome: Outcome) -> list[str]:
    """The learner's line in what pytest wrote, or the end of it."""
    for match in PLACE.finditer(outcome.output):
        file, line = match["file"] or match["traced"], match["line"] or match["traced_line"]
        if Path(file).is_relative_to(course.exercises_dir):
            return ["", f"at {relative(file, course.root)}:{line}"]
    if outcome.problem in (NOT_STARTED, NOT_ENDED):
        return ["", *outcome.output.splitlines()[-PRINTED_LINES:]]
    return []


def hint(given: Hint) -> None:
    """Show a hint."""
    say()
    say(f"hint {given.level}/{given.of}", "bold")
    paragraph(given.text)


def keys() -> None:
    """Name the keys, wrapped between them."""
    lines = [""]
    for key in KEYS:
        longer = f"{lines[-1]}   {key}" if lines[-1] else key
        if len(longer) > screen().width:
            lines.append(key)
        else:
            lines[-1] = longer
    say()
    for line in lines:
        say(line, "dim")
