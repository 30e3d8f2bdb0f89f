"""The loop behind `kata watch`: saves, keys and verdicts, one after another."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable

from kata import backup, catalogue, hints, progress, stubs
from kata import watch_screen as show
from kata.course import Course, CourseError, Exercise
from kata.keys import END, RESUMED, Keys
from kata.saves import Saves
from kata.terminal import say
from kata.verdict import Verdict, relative
from kata.warm import Job, Outcome, Worker, worker

LOOK_SECONDS = 1.0  # how often the file is looked at, should an event have been lost
PARTIAL_SECONDS = 0.3  # how long a file may be empty or gone while it is being saved
NOT_YET = "It is shown when yours passes. To look all the same: kata solution {} --peek"
LAST = "This is the last one that is not done."

Event = tuple[str, object]


class Watcher:
    """One exercise at a time, until the learner wants another one.

    Args:
        course: the course.
        exercise: the first one.
        own: serve the imports of an exercise from the learner's own files.
        poll: look for changes again and again.
    """

    def __init__(self, course: Course, exercise: Exercise, own: bool, poll: bool) -> None:
        self._course = course
        self._exercise = exercise
        self._own = own
        # A SimpleQueue can be written to while it is read: a signal's handler does.
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._saves = Saves(course, lambda found: self._events.put(("files", found)), poll)
        self._runner = Runner(worker(course.root), lambda *done: self._events.put(("done", done)))
        self._keys = Keys(lambda key: self._events.put(("key", key)))
        self._verdicts: dict[str, Verdict] = {}  # of this session; .kata may be read-only
        self._run = 0
        self._running = False
        self._asking = False
        self._outcome = Outcome(None)
        self._hint: hints.Hint | None = None
        self._notice = ""
        self._due: float | None = None
        self._looked = time.monotonic()

    def run(self) -> None:
        """Watch until the learner presses `q`."""
        with contextlib.closing(self._runner), contextlib.closing(self._saves), self._keys:
            self._saves.start()
            if not self._keys.available:
                say(show.NO_KEYS)
            self._check()
            while self._step():
                pass

    def _step(self) -> bool:
        """Wait for something, and see to it; False at the end."""
        until = min(self._looked + LOOK_SECONDS, self._due or float("inf"))
        try:
            kind, value = self._events.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            self._look()
            return True
        if kind == "key":
            return value != END and self._pressed(str(value))
        if kind == "files":
            self._saved(value)  # type: ignore[arg-type]
        else:
            self._done(*value)  # type: ignore[misc]
        return True

    # --------------------------------------------------------------------------------- checks

    def _saved(self, exercises: list[Exercise]) -> None:
        """Look at the file, or move to another exercise, when that is what was saved."""
        others = [e for e in exercises if e != self._exercise and self._saves.changed(e)]
        if len(others) == 1 and not self._saves.changed(self._exercise):
            self._move(others[0])
        else:
            for other in others:  # `kata update`, say: no reason to go anywhere
                self._saves.note(other)
            self._look()

    def _look(self) -> None:
        """Check the file when it has changed, but not in the middle of being saved."""
        now = self._looked = time.monotonic()
        if not self._saves.changed(self._exercise):
            self._due = None
        elif not self._saves.is_partial(self._exercise):
            self._check()
        elif self._due is None:
            self._due = now + PARTIAL_SECONDS
        elif now >= self._due:
            self._check()

    def _check(self) -> None:
        """Run the tests; a run that is under way is about what is no longer there, and ends."""
        if self._running:
            self._runner.cancel()
        self._due = None
        self._asking = False
        self._running = True
        self._run += 1
        self._saves.note(self._exercise)
        show.checking(self._exercise)
        self._runner.check(self._run, Job.of(self._course, self._exercise, self._own))

    def _done(self, run: int, outcome: Outcome) -> None:
        if run != self._run:
            return
        self._running = False
        if self._saves.changed(self._exercise):
            self._look()
            return
        self._outcome = outcome
        self._verdicts[self._exercise.slug] = outcome.verdict or Verdict.CRASH
        if outcome.verdict is Verdict.PASS:
            self._hint = None
        self._draw()

    def _move(self, exercise: Exercise) -> None:
        self._exercise = exercise
        self._hint = None
        self._check()

    def _draw(self) -> None:
        show.clear()
        show.result(self._course, self._exercise, self._outcome, self._all_verdicts())
        if self._hint:
            show.hint(self._hint)
        if self._notice:
            say()
            say(self._notice)
        self._notice = ""
        self._offer()

    def _offer(self) -> None:
        if self._keys.available:
            show.keys()

    def _all_verdicts(self) -> dict[str, Verdict]:
        return progress.read(self._course) | self._verdicts

    # ----------------------------------------------------------------------------------- keys

    def _pressed(self, key: str) -> bool:
        """Do what a key stands for; False to end."""
        if self._running:  # typed at something that is no longer on the screen
            return True
        if self._asking:
            self._asking = False
            self._start_over(key == "y")
            return True
        actions: dict[str, Callable[[], None]] = {
            "h": self._give_hint,
            "n": self._go_on,
            "l": self._list,
            "s": self._show_solution,
            "x": self._ask,
            RESUMED: self._draw,
        }
        if key in actions:
            try:
                actions[key]()
            except CourseError as error:
                self._tell(str(error))
        return key != "q"

    def _tell(self, text: str) -> None:
        self._notice = text
        self._draw()

    def _give_hint(self) -> None:
        self._hint = hints.give(self._course, self._exercise)
        self._draw()

    def _go_on(self) -> None:
        """After a pass what every "next" means; else what comes after this one."""
        verdicts = self._all_verdicts()
        exercises, tree = self._course.exercises, self._course.exercises_dir
        following: Exercise | None
        if self._outcome.verdict in catalogue.DONE:
            following = progress.next_exercise(exercises, verdicts, tree)
        else:
            here = exercises.index(self._exercise)
            around = (*exercises[here + 1 :], *exercises[:here])
            following = next(
                (e for e in around if verdicts.get(e.slug) not in catalogue.DONE), None
            )
        if following:
            self._move(following)
        elif self._outcome.verdict in catalogue.DONE:
            self._tell(progress.next_lines(self._course, None, tree)[0])
        else:
            self._tell(LAST)

    def _list(self) -> None:
        from kata import cli

        say()
        cli.list_(self._exercise.chapter)
        self._offer()

    def _show_solution(self) -> None:
        from kata import cli

        if self._outcome.verdict is not Verdict.PASS:
            self._tell(NOT_YET.format(self._exercise.number))
            return
        say()
        cli.solution(self._exercise.number, peek=True)
        self._offer()

    def _ask(self) -> None:
        path = self._course.exercises_dir / self._exercise.path
        if stubs.is_stub(path, stubs.stub_of(self._course, self._exercise)):
            name = relative(path, self._course.root)
            self._tell(backup.UNTOUCHED.format(name))
            return
        self._asking = True
        say()
        say(f"{backup.START_OVER.format(self._exercise)} (y/n)")

    def _start_over(self, agreed: bool) -> None:
        path = self._course.exercises_dir / self._exercise.path
        if not agreed:
            self._tell("Nothing was changed.")
            return
        try:
            stub = stubs.stub_of(self._course, self._exercise)
            kept = backup.replace(self._course, path, stub)
        except OSError as error:
            name = relative(path, self._course.root)
            self._tell(backup.NOT_CHANGED.format(name, error.strerror or error))
            return
        self._notice = f"Your file is kept: {relative(kept, self._course.root)}" if kept else ""
        self._look()


class Runner:
    """Runs the tests in a thread of its own, so that keys and saves are seen meanwhile.

    Args:
        warm: what runs them.
        done: called with the number of the run and what came out.
    """

    def __init__(self, warm: Worker, done: Callable[[int, Outcome], None]) -> None:
        self._warm = warm
        self._done = done
        self._tasks: queue.SimpleQueue[tuple[int, Job]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="kata-runner").start()

    def check(self, run: int, job: Job) -> None:
        """Run the tests as soon as it is their turn."""
        self._tasks.put((run, job))

    def cancel(self) -> None:
        """End the run that is under way."""
        self._warm.cancel()

    def close(self) -> None:
        """End every process."""
        self._warm.close()

    def _work(self) -> None:
        while True:
            run, job = self._tasks.get()
            try:
                self._done(run, self._warm.run(job))
                if self._tasks.empty():
                    self._warm.prepare(job)
            except Exception as error:  # it is the one who waits for it that has to know
                self._done(run, Outcome(None, problem=f"the check broke down: {error}"))
