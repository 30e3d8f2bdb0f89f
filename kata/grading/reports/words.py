"""What every report says in the same words, made harmless: no control characters, no megabytes.

Whatever comes from a hand-in (messages, calls, lines of code, its name) goes through `plain` or
`line` before a writer escapes it for its own format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kata.grading.marks import Mark, Marks, Part
from kata.grading.model import Graded
from kata.text import ascii_safe, plural
from kata.verdict import Verdict

LONGEST = 2000  # characters of one message
LONGEST_LINE = 200
MOST_CALLS = 6
MARKS = {
    Verdict.PASS: "✓",
    Verdict.WRONG: "✗",
    Verdict.CRASH: "!",
    Verdict.TIMEOUT: "∞",
    Verdict.TODO: "–",
    Verdict.MISSING: "?",
    Verdict.NOT_RUN: "○",
}
CHECK = "⚑"
MEANINGS = {
    Verdict.PASS: "it passes",
    Verdict.WRONG: "it ran, and its answer is not the right one",
    Verdict.CRASH: "it raised an error",
    Verdict.TIMEOUT: "it did not end within its time",
    Verdict.TODO: "nothing is written yet",
    Verdict.MISSING: "it was not graded to the end",
    Verdict.NOT_RUN: "it could not be run here and does not count",
}
WHOLE = "It has points only when all of its tests pass."
WITHHELD = "a person will look at this before it gets points"
UNFINISHED = "The grading did not come to its end: what has no verdict counts as failed."

# What colours a terminal or moves its cursor, as a whole: CSI, OSC (up to its end), and the rest.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)


def plain(text: object, most: int = LONGEST) -> str:
    """A text that no terminal, browser or parser obeys, cut in the middle when it is long.

    Escape sequences go. Control characters, those that turn the direction of writing, lone
    surrogates and others that cannot be printed become their escapes, such as `\\x00`.
    """
    whole = str(text)
    ends = whole if len(whole) <= 4 * most else whole[: 2 * most] + whole[-2 * most :]
    shown = ends.replace("\r\n", "\n").expandtabs(4)
    if not shown.replace("\n", "").isprintable():
        shown = ascii_safe(_ESCAPES.sub("", shown))
    shown = shown.strip("\n")
    if len(shown) <= most:
        return shown
    half = most // 2
    gone = max(len(whole), len(shown)) - 2 * half
    return f"{shown[:half]}\n[{gone:,} characters left out]\n{shown[-half:]}"


def line(text: object, most: int = LONGEST_LINE) -> str:
    """The same in one line: names, headings, cells of a table."""
    shown = " ".join(plain(text, 2 * most).split())
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def number(points: float) -> str:
    """`1`, `0.5`, `0.67`."""
    return f"{points:.2f}".rstrip("0").rstrip(".")


def score(earned: float, possible: float) -> str:
    """`1.5 of 2 points`."""
    return f"{number(earned)} of {number(possible)} point{'' if number(possible) == '1' else 's'}"


def share(earned: float, possible: float) -> float:
    """The part of the points that was earned, from 0 to 1; none where there are none."""
    return earned / possible if possible else 0.0


def name(part: Part) -> str:
    """`keeps the token that crosses p [0.4-kept0]`."""
    function, bracket, case = part.name.partition("[")
    sentence = function.removeprefix("test_").replace("_", " ")
    return line(f"{sentence} [{case}" if bracket else sentence)


@dataclass(frozen=True)
class Shown:
    """One test, or several that are shown as one, as a student may see it.

    Attributes:
        name: a sentence.
        verdict: the same for all of them, or the worst.
        earned: points.
        possible: points.
        calls: what the test called and got, as a learner would type it.
        said: the difference, or the error.
        where: the line of the learner's code, where there is one.
        looks_like: the sentences of the known mistakes that explain it.
    """

    name: str
    verdict: Verdict
    earned: float
    possible: float
    calls: str = ""
    said: str = ""
    where: str = ""
    looks_like: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """One line of it: the difference, else what the last call raised."""
        return line((self.said or self.calls.rpartition("\n")[2]).partition("\n")[0])

    @property
    def text(self) -> str:
        """All that there is to read about it."""
        likes = [f"{word} {s}" for word, s in zip(_LIKES, self.looks_like, strict=False)]
        blocks = [self.calls, self.said, self.where and f"at {self.where}", "\n".join(likes)]
        return "\n\n".join(block for block in blocks if block)


_LIKES = ("looks like:", "or like:")
_HERE = re.compile(r"^.*?(?=ch\d\d_\w+[/\\])")  # a learner knows no folder of the grader


def shown(graded: Graded, mark: Mark) -> Iterator[Shown]:
    """The tests of an exercise for its student: hidden ones, and those without verdict, as one."""
    for part in mark.parts(hidden=False):
        if part.name:
            yield detail(graded, mark, part)
    if missing := [part for part in mark.tests if not part.name]:
        said = f"{plural(len(missing), 'test')} without a verdict"
        yield _together(said, missing, "The grading did not get there.")
    if hidden := mark.parts(hidden=True):
        passed = sum(part.verdict is Verdict.PASS for part in hidden)
        said = f"{passed} of {len(hidden)} passed. They are not shown."
        yield _together("hidden tests", hidden, said)


def detail(graded: Graded, mark: Mark, part: Part) -> Shown:
    """Everything about one test; for its student only when it is not hidden."""
    if part.verdict is Verdict.PASS:
        return Shown(name(part), part.verdict, part.earned, part.possible)
    test = graded.document["exercises"][mark.exercise.slug]["tests"][part.name]
    calls = [plain(call, LONGEST // 2) for call in test.get("calls", [])[-MOST_CALLS:]]
    message = plain(test.get("message", ""))
    # Not a second time what the last call returned or raised.
    said = [x for x in message.split("\n") if re.sub(r"^(got  |raised) +", "", x) not in calls[-1:]]
    return Shown(
        name(part),
        part.verdict,
        part.earned,
        part.possible,
        "\n".join(calls),
        "\n".join(said) or ("" if calls else MEANINGS[part.verdict]),
        _HERE.sub("exercises/", plain(test.get("where", ""), LONGEST // 4), count=1),
        tuple(line(s, 400) for s in test.get("looks_like", [])),
    )


def distinct(tests: Iterable[Shown]) -> list[tuple[Shown, list[str]]]:
    """Tests that say the same, once, each with the names of the others."""
    by_text: dict[tuple[Verdict, str], list[Shown]] = {}
    for test in tests:
        by_text.setdefault((test.verdict, test.text), []).append(test)
    return [(first, [test.name for test in rest]) for first, *rest in by_text.values()]


def _together(called: str, parts: list[Part], said: str) -> Shown:
    verdict = next((p.verdict for p in parts if p.verdict is not Verdict.PASS), Verdict.PASS)
    earned, possible = sum(p.earned for p in parts), sum(p.possible for p in parts)
    return Shown(called, verdict, earned, possible, said=said)


# ---------------------------------------------------------------------------------- sentences


def verdict(mark: Mark) -> str:
    """One word on an exercise, or that a human has to look at it."""
    return "to check" if mark.withheld else str(mark.verdict)


def counted(mark: Mark) -> str:
    """`5 of 8`: the tests that passed of those that could be run, hidden ones too."""
    tests = [part for part in mark.tests if part.verdict is not Verdict.NOT_RUN]
    if not tests:
        return "not run here" if mark.tests else "none"
    passed = sum(part.verdict is Verdict.PASS for part in tests)
    return f"{passed} of {len(tests)}"


def overview(graded: Graded, result: Marks) -> list[str]:
    """What comes before the exercises: the hand-in's problems and all that changes the points."""
    done = sum(mark.verdict is Verdict.PASS and not mark.withheld for mark in result.exercises)
    count = plural(len(result.exercises), "exercise")
    said = [
        f"{done} of {count} passed." if done < len(result.exercises) else f"All {count} passed."
    ]
    if result.late.reason:
        said.append(f"{result.late.reason[:1].upper()}{result.late.reason[1:]}.")
    if withheld := [mark.exercise.number for mark in result.exercises if mark.withheld]:
        which = "This hand-in" if len(withheld) == len(result.exercises) else ", ".join(withheld)
        said.append(f"{which}: {WITHHELD}.")
    if not graded.complete:
        said.append(UNFINISHED)
    return said + [line(problem, 400) for problem in graded.problems]


def protected(graded: Graded) -> str:
    """In a sentence, by what the grading was protected; `active` and not, by name."""
    active = [line(p.name) for p in graded.protections if p.active]
    absent = [line(p.name) for p in graded.protections if not p.active]
    if not graded.protections:
        return "Graded without protections."
    said = f"Graded with these protections: {', '.join(active) or 'none'}."
    return f"{said} Not active here: {', '.join(absent)}." if absent else said
