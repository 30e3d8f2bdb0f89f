"""Notices that a learner has saved an exercise: by file events, and by a look twice a second.

What counts is the content: an editor may write a file in several steps, rename another over it, or
save it unchanged.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from kata.course import Course, Exercise

# Milliseconds: events are gathered until none comes for a STEP, but for no longer than MOST.
STEP, MOST = 10, 100
POLL_MS = 300


class Saves:
    """Knows the content of every exercise file, and tells when something has happened to one.

    Args:
        course: the course.
        noticed: called in a thread of its own with the exercises whose files have had an event.
        poll: look at every file again and again, where no events arrive.
    """

    def __init__(
        self, course: Course, noticed: Callable[[list[Exercise]], None], poll: bool = False
    ) -> None:
        self._course = course
        self._noticed = noticed
        self._poll = poll
        self._stop = threading.Event()
        self._known = {e.slug: self.digest(e) for e in course.exercises}
        self._seen = {e: self._signature(e) for e in course.exercises}

    def start(self) -> None:
        """Listen in the background; where that fails, the look every second is left."""
        threading.Thread(target=self._listen, daemon=True, name="kata-saves").start()

    def close(self) -> None:
        """Listen no more."""
        self._stop.set()

    def _listen(self) -> None:
        from watchfiles import watch

        by_path = {e.path.parts: e for e in self._course.exercises}
        try:
            for changes in watch(
                self._course.exercises_dir,
                watch_filter=None,
                step=STEP,
                debounce=MOST,
                rust_timeout=500,
                stop_event=self._stop,
                raise_interrupt=False,
                yield_on_timeout=True,
                force_polling=True if self._poll else None,
                poll_delay_ms=POLL_MS,
                ignore_permission_denied=True,
            ):
                parts = {Path(name).parts[-2:] for _, name in changes}
                found = {by_path[p] for p in parts if p in by_path} | self._touched()
                if found:
                    self._noticed(list(found))
        except Exception:  # too many watches, say
            self._stop.wait()

    def _touched(self) -> set[Exercise]:
        """The exercises whose files differ from the last look, should an event have been lost.

        Polling, for one, loses what happens before its own first look.
        """
        now = {e: self._signature(e) for e in self._course.exercises}
        touched = {e for e in now if now[e] != self._seen[e]}
        self._seen = now
        return touched

    def _signature(self, exercise: Exercise) -> tuple[int, int]:
        try:
            about = (self._course.exercises_dir / exercise.path).stat()
        except OSError:  # not there, or on its way
            return 0, 0
        return about.st_mtime_ns, about.st_size

    def changed(self, exercise: Exercise) -> bool:
        """Whether the content is another one than at the last call of `note`."""
        return self.digest(exercise) != self._known.get(exercise.slug)

    def note(self, exercise: Exercise) -> None:
        """Remember the content as it is now."""
        self._known[exercise.slug] = self.digest(exercise)

    def digest(self, exercise: Exercise) -> str:
        """A fingerprint of an exercise's file, and of the learner's other files beside it."""
        path = self._course.exercises_dir / exercise.path
        helpers = [p for p in path.parent.glob("*.py") if not p.name.startswith("ex")]
        found = hashlib.sha256()
        for file in (path, *sorted(helpers)):
            try:
                found.update(hashlib.sha256(file.read_bytes()).digest())
            except OSError:  # not there, or on its way
                found.update(b"-")
        return found.hexdigest()

    def is_partial(self, exercise: Exercise) -> bool:
        """Whether the file is not there or empty, as between two steps of saving it."""
        try:
            return (self._course.exercises_dir / exercise.path).stat().st_size == 0
        except OSError:
            return True
