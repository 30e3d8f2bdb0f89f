"""From an exception to a verdict, and to the few lines that a learner reads."""

from __future__ import annotations

import linecache
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from types import TracebackType

import pytest

from kata import scene, stubs, text
from kata.answer import Answer, Todo, Unusable, is_stub, last_frame, transcript
from kata.check import not_a_tensor
from kata.course import Course, Exercise


class Verdict(StrEnum):
    """What became of one graded test, or of an exercise as a whole."""

    PASS = "pass"
    WRONG = "wrong"
    CRASH = "crash"
    TIMEOUT = "timeout"
    TODO = "todo"
    NOT_RUN = "not run"
    MISSING = "missing"

    @property
    def failed(self) -> bool:
        """Whether the learner's code was run and found wanting."""
        return self in (Verdict.WRONG, Verdict.CRASH, Verdict.TIMEOUT)


OWN_WORDS = re.compile(r"^raised (\w+): .*(\nexpected \1)\b")  # see check.raises
SAME_NUMBER = 1e-3
SIMILAR_NUMBER = 2e-2


class Likeness(IntEnum):
    """Whether two findings may come from the same mistake."""

    NONE = 0
    SIMILAR = 1  # counts only beside another test where they are the same
    SAME = 2


class TimeLimit(BaseException):
    """Raised in the learner's code when the time of a test is up.

    A BaseException, so that an `except Exception` in an endless loop does not swallow it.
    """


class Judged(BaseException):
    """A test that was judged elsewhere; `finding` is what came out."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


@dataclass(frozen=True)
class Finding:
    """The verdict of one test, with what is said about it."""

    verdict: Verdict
    message: str = ""
    where: str = ""
    calls: list[str] = field(default_factory=list)

    def likeness(self, other: Finding) -> Likeness:
        """How much two findings look like the same mistake, however the code is written."""
        if self.verdict is not other.verdict:
            return Likeness.NONE
        # How a learner words the error that is asked for says nothing about the mistake.
        said, too = (OWN_WORDS.sub(r"raised \1\2", m) for m in (self.message, other.message))
        if text.alike(said, too, SAME_NUMBER):
            return Likeness.SAME
        # In another order of operations a sum is rounded in another way, in bfloat16 visibly.
        mine, others = (message.partition("\n")[0] for message in (self.message, other.message))
        if self.verdict is Verdict.WRONG and text.alike(mine, others, SIMILAR_NUMBER):
            return Likeness.SIMILAR
        # The text of an exception depends on how the code is written, its type less so.
        crashed_inside = self.verdict is Verdict.CRASH and bool(self.where and other.where)
        if crashed_inside and self.message.split(":")[0] == other.message.split(":")[0]:
            return Likeness.SIMILAR
        return Likeness.NONE


def judge(error: BaseException, course: Course, trees: Iterable[Path], answer: Answer) -> Finding:
    """The verdict on a graded test that ended with `error`.

    Args:
        error: what the test raised.
        course: for paths relative to its root.
        trees: the folders of learner code.
        answer: what the test called.
    """
    if isinstance(error, Judged):
        return error.finding
    calls = transcript(answer)
    if isinstance(error, Unusable):
        error, calls = error.error, []
    if isinstance(error, Todo) or is_stub(error):
        return Finding(Verdict.TODO)
    trees = list(trees)
    frame, is_last = _innermost(error.__traceback__, trees, course)
    if isinstance(error, pytest.skip.Exception) and frame is None:
        return Finding(Verdict.NOT_RUN, _not_run(str(error)))
    where = _syntax_line(error, trees, course.root)
    where = where or (
        _source_line(frame, course.root, whole=isinstance(error, TimeLimit))
        if frame
        else _elsewhere(error, course.root)
    )
    if isinstance(error, TimeLimit):
        line = answer._kata_running_line()
        return Finding(
            Verdict.TIMEOUT, str(error), where or (_line(*line, course.root) if line else ""), calls
        )
    is_check = isinstance(error, (AssertionError, pytest.fail.Exception))
    if is_check and not is_last and not hasattr(error, ELSEWHERE):
        if error.__cause__ is None:
            return Finding(Verdict.WRONG, _assertion(str(error)), "", calls)
        frame, _ = _innermost(error.__cause__.__traceback__, trees, course)  # see check.raises
        where = _elsewhere(error.__cause__, course.root)
        where = _source_line(frame, course.root) if frame else where
        return Finding(Verdict.WRONG, _assertion(str(error)), where, calls)
    message = _crash(error, course.root)
    if not where and (note := wrong_kind(error, answer)):
        message = f"{message}\n{note}"
    return Finding(Verdict.CRASH, message, where, calls)


def wrong_kind(error: BaseException, answer: Answer) -> str:
    """What to say when a test could do nothing with what came back, such as None."""
    kind = answer._kata_transcript.returned
    return not_a_tensor(kind) if kind and kind.__name__ in str(error) else ""


# On an exception from another process: file and number of the line, and the names on it.
ELSEWHERE = "__kata_where__"


def _elsewhere(error: BaseException, root: Path) -> str:
    place = getattr(error, ELSEWHERE, None)
    return _line(place[0], place[1], root, place[2]) if place else ""


def lacking(error: BaseException, course: Course, tree: Path, exercise: Exercise) -> Finding | None:
    """The verdict on a test that reached a solution which this copy of the course lacks, or None.

    Args:
        error: what the test raised.
        course: this copy; see kata.grading.release.
        tree: the folder of answers.
        exercise: what the test grades.
    """
    cause: BaseException | None = error.error if isinstance(error, Unusable) else error
    cause = cause.__context__ if isinstance(cause, Todo) else cause
    frame = last_frame(cause.__traceback__) if isinstance(cause, NotImplementedError) else None
    if frame is None:
        return None
    file = Path(frame.tb_frame.f_code.co_filename)
    trees = (course.solutions_dir, tree)
    reached = next((e for e in course.exercises for t in trees if t / e.path == file), None)
    if reached is None or file == tree / exercise.path or stubs.has_solution(course, reached):
        return None
    if stubs.is_to_do(tree / exercise.path):
        return Finding(Verdict.TODO)
    if reached != exercise and stubs.is_to_do(tree / reached.path):
        needs = f"{exercise.number} builds on {reached.number}, which is still to do"
    else:
        needs = f"only the instructor can judge {exercise.number}"
    its = "its solution" if reached == exercise else f"the solution of {reached.number}"
    return Finding(Verdict.NOT_RUN, f"not run: {needs}: {its} {NOT_HERE}")


NOT_HERE = "is not part of this copy"


def _not_run(reason: str) -> str:
    return reason if reason.startswith("not run") else f"not run: {reason}"


def _assertion(message: str) -> str:
    """The message of a failed assert without pytest's `assert` and `where` lines."""
    before, explained, after = message.rpartition(EXPLAINED)
    if explained:
        said, _, unfinished = before.rpartition("assert ")
        message = f"{said}{after.removesuffix(')' * unfinished.count('('))}"
    lines = [line for line in message.splitlines() if line.strip() and not NOISE.match(line)]
    return "\n".join(re.sub(r"^assert ", "not true: ", line.strip()) for line in lines)


# The lines that pytest adds to the message of an assert.
NOISE = re.compile(r"\s*(\+\s+(where|and) |Use -v|Full diff|\.\.\.Full output truncated)")
# The first line of an explained comparison, put there by the plugin and taken away here.
EXPLAINED = "actual == expected"


def _crash(error: BaseException, root: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    if type(error) in ENDS_A_TEST:
        return f"the answer itself called {ENDS_A_TEST[type(error)]}: {error}"
    return text.described(error, LONGEST_CRASH).replace(f"{root}{os.sep}", "")


LONGEST_CRASH = 600
ENDS_A_TEST = {
    pytest.skip.Exception: "pytest.skip",
    pytest.fail.Exception: "pytest.fail",
    pytest.xfail.Exception: "pytest.xfail",
    pytest.exit.Exception: "pytest.exit",
}


def _innermost(
    traceback: TracebackType | None, trees: list[Path], course: Course
) -> tuple[TracebackType | None, bool]:
    """The learner's innermost line, and whether no line of a test or of this tool is inside it."""
    found, is_last = None, False
    mine = [str(tree) for tree in trees]
    ours = [str(course.tests_dir), str(Path(__file__).parent)]
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if _inside(file, mine):
            found, is_last = traceback, True
        elif _inside(file, ours):
            is_last = False
        traceback = traceback.tb_next
    return found, is_last


def _inside(file: str, folders: list[str]) -> bool:
    file = os.path.normcase(file)
    places = [os.path.normcase(folder) for folder in folders]
    return any(file == place or file.startswith(place + os.sep) for place in places)


def running_line(thread_id: int, trees: list[Path], root: Path) -> str:
    """The learner's innermost line that a thread is executing now, or an empty string."""
    frame = sys._current_frames().get(thread_id)
    while frame is not None:
        file = frame.f_code.co_filename
        if _inside(file, [str(tree) for tree in trees]):
            return _line(file, frame.f_lineno, root)
        frame = frame.f_back
    return ""


def _source_line(place: TracebackType, root: Path, whole: bool = False) -> str:
    file, number = place.tb_frame.f_code.co_filename, place.tb_lineno
    at = None if whole else place.tb_lasti
    return _line(file, number, root, scene.names(place.tb_frame, number, at))


def _line(file: str, number: int, root: Path, names: Iterable[str] = ()) -> str:
    lines = [linecache.getline(file, number).strip(), *names]
    return "\n    ".join([f"{relative(file, root)}:{number}", *lines])


def _syntax_line(error: BaseException, trees: list[Path], root: Path) -> str:
    if not isinstance(error, SyntaxError) or not error.filename:
        return ""
    if not _inside(error.filename, [str(tree) for tree in trees]):
        return ""
    at = f"{relative(error.filename, root)}:{error.lineno or 1}"
    line = (error.text or "").rstrip()
    if not line:
        return at
    stripped = line.lstrip()
    caret = " " * max(0, (error.offset or 1) - 1 - (len(line) - len(stripped))) + "^"
    return f"{at}\n    {stripped}\n    {caret}"


def relative(path: str | Path, root: Path) -> str:
    """A path as a learner can click on it: from the root of the course where it lies inside."""
    try:
        return str(Path(path).relative_to(root))
    except ValueError:
        return str(path)


HEADINGS = {
    Verdict.WRONG: "wrong answer",
    Verdict.CRASH: "it crashed",
    Verdict.TIMEOUT: "it did not end",
    Verdict.TODO: "still to do",
}


def render(
    finding: Finding, exercise: Exercise, answer_at: str, test_at: str, looks_like: list[str]
) -> str:
    """The failure as a learner reads it, about ten lines."""
    shown = finding.calls[-1:]  # not a second time what the last call returned or raised
    said = [
        line
        for line in finding.message.splitlines()
        if re.sub(r"^(got  |raised) +", "", line) not in shown
    ]
    if finding.where:
        said += f"at {finding.where}".splitlines()
    words = ("looks like:", "or like:")  # two when two mistakes give the same answer
    known = [f"{word} {sentence}" for word, sentence in zip(words, looks_like, strict=False)]
    places = [f"your code: {answer_at}", f"the test:  {test_at}"]
    blocks = [lines for lines in (finding.calls, said, known, places) if lines]
    body = "\n\n".join("\n".join(f"  {line}" for line in lines) for lines in blocks)
    return f"{exercise}: {HEADINGS[finding.verdict]}\n\n{body}"
