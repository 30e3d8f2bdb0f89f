"""What a chapter has to show: one module per chapter, run on a learner's own files by `kata show`.

A module `chNN` has `show(course, tree, out, console)`, which writes to the console, may write pages
below `out`, and returns their paths.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from kata.answer import is_stub
from kata.course import Course, Exercise
from kata.load import Source, fresh
from kata.text import ascii_safe, brief, is_tensor
from kata.verdict import NOT_HERE, relative

if TYPE_CHECKING:
    from torch import Tensor  # chapter 1 does without


class NotReady(Exception):
    """The show cannot go on; the message names the exercise and says why."""

    @property
    def is_to_do(self) -> bool:
        """Whether an exercise is not done, rather than done wrong."""
        cause = self.__cause__
        return isinstance(cause, FileNotFoundError) or (cause is not None and is_stub(cause))


class OwnFiles:
    """A learner's exercises by number, each with all its imports from the learner's own tree.

    Args:
        course: the catalogue.
        tree: the learner's folder of exercises.
        needs: a sentence that names the exercises of the show, for a learner who lacks one.
    """

    def __init__(self, course: Course, tree: Path, needs: str = "") -> None:
        self._course = course
        self._needs = needs
        self._tree = tree
        self._open = ExitStack()
        self._modules: dict[str, ModuleType] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def __getitem__(self, number: str) -> ModuleType:
        """The module of an exercise.

        Raises:
            NotReady: its file is missing or cannot be executed.
        """
        if number not in self._modules:
            source = Source(self._course.find(number), self._tree, (self._tree,))
            with self.blame(number):
                self._modules[number] = self._open.enter_context(fresh(source)).get()
        return self._modules[number]

    @contextmanager
    def blame(self, number: str) -> Iterator[None]:
        """Turn an error in the block into NotReady.

        It names the exercise whose file raised the error, and if none did, the given one.
        """
        try:
            yield
        except NotReady:
            raise
        except Exception as error:
            place = self._place(error)
            exercise = self._exercise_at(place) or self._course.find(number)
            raise NotReady(self._message(exercise, error, place)) from error

    def _message(self, exercise: Exercise, error: Exception, place: tuple[Path, int] | None) -> str:
        name = f"{exercise.number} ({exercise.title})"
        at = f"{relative(place[0], self._course.root)}:{place[1]}" if place else ""
        if is_stub(error) and self._tree == self._course.solutions_dir:
            return f"{name} is still to do: its solution {NOT_HERE}"
        if is_stub(error):
            return f"{name} is still to do: {at}. {self._needs}".strip()
        if isinstance(error, FileNotFoundError) and not place:
            return f"{name} is missing: {error}. {self._needs}".strip()
        if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
            return f"{name} defines no `{error.name}`"
        words = ascii_safe(str(error)).partition("\n")[0]
        what = type(error).__name__ + (f": {words}" if words else "")
        test = f"pytest {self._course.tests_dir.name}/{exercise.chapter}/test_{exercise.name}.py"
        if not at:
            return f"{name} gave what the show cannot use ({what}). Try `{test}`"
        return f"{name} raised {what} at {at}. Try `{test}`"

    def _place(self, error: Exception) -> tuple[Path, int] | None:
        """The innermost line of the learner's that the error came through."""
        if isinstance(error, SyntaxError) and error.filename:
            return Path(error.filename), error.lineno or 1
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if Path(frame.filename).is_relative_to(self._tree):
                return Path(frame.filename), frame.lineno or 1
        return None

    def _exercise_at(self, place: tuple[Path, int] | None) -> Exercise | None:
        if place is None:
            return None
        return next((e for e in self._course.exercises if self._tree / e.path == place[0]), None)


def expect(number: str, name: str, value: Any, shape: tuple[int, ...]) -> Tensor:
    """What a function of the learner's returned, if it is a tensor of this shape.

    Raises:
        NotReady: it is not.
    """
    if not is_tensor(value) or value.shape != shape:
        raise NotReady(f"{number}: `{name}` returned {brief(value)}, not a tensor of shape {shape}")
    return cast("Tensor", value)


@contextmanager
def alone_with_seed(seed: int) -> Iterator[None]:
    """The same random numbers at every run, on one thread: for small matrices it is the fastest."""
    import torch  # chapter 1 does without

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
