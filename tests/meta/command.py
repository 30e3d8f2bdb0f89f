"""Calls `kata` as a learner does, in a miniature course."""

import sys
from dataclasses import dataclass

import pytest

from kata import cli, progress
from kata.course import Course
from kata.verdict import Verdict


@dataclass
class Result:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stdout, without the padding of tables."""
        return [line.rstrip() for line in self.out.splitlines()]


class Kata:
    """The command, run inside `course`."""

    def __init__(
        self, course: Course, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.course = course
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(course.root)
        monkeypatch.setenv("COLUMNS", "100")
        for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "KATA_DATA", "TIKTOKEN_CACHE_DIR", "HF_HOME"):
            monkeypatch.delenv(name, raising=False)

    def __call__(self, *args: str) -> Result:
        self._monkeypatch.setattr(sys, "argv", ["kata", *args])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = self._capsys.readouterr()
        return Result(int(end.value.code or 0), out, err)

    def verdict(self, **verdicts: Verdict) -> None:
        """Remember verdicts, as a run of pytest does: `double=Verdict.PASS`."""
        progress.save(self.course, {f"demo/{name}": v for name, v in verdicts.items()})
