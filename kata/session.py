"""One pytest session: runs each graded test, judges it, explains it, and reports the verdicts.

The hooks that need the state of a session are methods of `Run`, which kata.plugin registers.
"""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pytest_timeout import is_debugging  # type: ignore[import-untyped]

from kata import grade, naming, progress, verdict
from kata.answer import Answer, Todo, Unusable, transcript
from kata.course import Course, Exercise
from kata.files import write_json
from kata.limit import Limit
from kata.load import Source, fresh
from kata.verdict import Finding, Likeness, TimeLimit, Verdict
from kata.wrong import Bank, WrongVersion

DIAGNOSIS_SECONDS = 4.0
PROOF_SECONDS = 20.0
AFTER_A_TIMEOUT_SECONDS = 2.0  # a learner need not wait for ten tests of one endless loop
FINDING = pytest.StashKey[Finding]()
CANDIDATES = pytest.StashKey[list[tuple[WrongVersion, Likeness]]]()
LIMIT = pytest.StashKey[Limit]()
PARAMETERS = pytest.StashKey[dict[str, Any]]()


def load_profile(name: str) -> None:
    """Choose the settings of property tests: `kata` or `kata-prove`."""
    from kata.properties import settings

    settings.load_profile(name)


def is_strict(config: pytest.Config) -> bool:
    """Whether an undone exercise is a failure."""
    return bool(config.getoption("--grade") or os.environ.get("CI"))


class Run:
    """One pytest session: where the answers come from, and what is found out about them."""

    def __init__(self, config: pytest.Config, course: Course, tree: Path) -> None:
        self.config = config
        self.course = course
        self.tree = tree
        self.own: bool = config.getoption("--own")
        self.strict = is_strict(config)
        # What --prove finds: by exercise, wrong version and test with its parameters.
        self.findings: dict[Exercise, dict[str, dict[str, tuple[str, Finding]]]] = {}
        self.thread_id = threading.get_ident()
        self.judging = False
        self.warm: set[Exercise] = set()
        self.endless: set[Exercise | None] = set()
        self.exit_status: int = 0
        # After one timeout the other tests of an exercise get less.
        self.short_of_time = not self.strict
        self.patience = 1.0  # what time limits are multiplied by: calls across a wire take longer
        self.answered: Callable[..., AbstractContextManager[Answer]] = self._in_process
        self.ledger = grade.Ledger(course, tree, self._file("--grade-json"))
        self.stderr: int | None = None
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self.stderr = os.dup(sys.__stderr__.fileno())  # type: ignore[union-attr]

    def _file(self, option: str) -> Path | None:
        """Where an option asks to write: an answer may change the working directory."""
        name = self.config.getoption(option)
        if not name or hasattr(self.config, "workerinput"):  # xdist's controller knows it all
            return None
        return Path(self.config.invocation_params.dir, name)

    # ------------------------------------------------------------------------------ loading

    def source(self, exercise: Exercise) -> Source:
        """The learner's file; its imports come from the references, or with `--own` from them."""
        trees = (self.tree,) if self.own else (self.course.solutions_dir,)
        return Source(exercise, self.tree, trees)

    def reference(self, exercise: Exercise) -> Source:
        """The solution, and its imports too; but one that this copy lacks is the learner's own."""
        solutions = self.course.solutions_dir
        return Source(exercise, solutions, (solutions, self.tree))

    def solution(self, exercise: Exercise) -> Source:
        """The same without any code of the learner's."""
        return Source(exercise, self.course.solutions_dir, (self.course.solutions_dir,))

    @contextlib.contextmanager
    def _in_process(self, exercise: Exercise, request: object) -> Iterator[Answer]:
        """The learner's exercise, executed in this process; the judge of a class replaces this."""
        with fresh(self.source(exercise)) as module:
            yield Answer(module)

    # ----------------------------------------------------------------------------- one test

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Judge what the test raised, while its fixtures are still alive."""
        exercise = self.course.of_test_file(item.path)
        if exercise is None or not isinstance(item, pytest.Function):
            return (yield)
        answer = item.funcargs.get("answer")
        item.stash[PARAMETERS] = _parameters(item)
        try:
            self.judging = True
            result = yield
            if self.config.getoption("--prove"):
                self._prove(item, exercise)
            return result
        except BaseException as error:
            _cancel_limit(item)  # once more, should it have struck while it was being cancelled
            if not isinstance(answer, Answer) or self._is_interrupt(error):
                raise
            cause = _expired(item, error)
            lacking = verdict.lacking(cause, self.course, self.tree, exercise)
            finding = lacking or verdict.judge(cause, self.course, [self.tree], answer)
            item.stash[FINDING] = finding
            answer._kata_end()  # a wrong version must not meet what learner code goes on doing
            if finding.verdict is Verdict.TIMEOUT:
                self.endless.add(exercise)
            if finding.verdict in (Verdict.WRONG, Verdict.CRASH):
                noted = dict(vars(item))  # PyCharm's plugin: what the answer gave to compare
                item.stash[CANDIDATES] = self._diagnose(item, exercise, finding)
                vars(item).clear()
                vars(item).update(noted)
            if finding.verdict is Verdict.TODO:
                if self.strict:
                    raise _failure(f"{exercise}: {TODO}") from None
                raise Todo("todo") from None
            if finding.verdict is Verdict.NOT_RUN and lacking:
                raise pytest.skip.Exception(lacking.message) from None
            if finding.verdict is Verdict.NOT_RUN:
                raise
            __tracebackhide__ = True
            raised = error.error if isinstance(error, Unusable) else error
            # A learner's SystemExit, pytest.skip() or pytest.exit() means nothing here.
            if not isinstance(raised, Exception) or isinstance(raised, pytest.exit.Exception):
                raise _failure(f"{finding.message}\n{finding.where}") from None
            if raised is not error:
                raise raised from None
            raise
        finally:
            self.judging = False

    def _is_interrupt(self, error: BaseException) -> bool:
        """Whether a person pressed Ctrl-C or left the debugger; a class is graded without one."""
        if isinstance(error, pytest.exit.Exception):
            return bool(is_debugging()) and not self.strict
        return isinstance(error, KeyboardInterrupt) and not self.strict

    def _call_with(
        self, item: pytest.Function, exercise: Exercise, version: WrongVersion, seconds: float
    ) -> Finding:
        """Run a test once more, with a wrong version as its answer."""
        bank = Bank(self.course, exercise)
        with fresh(bank.source(version)) as module, open(os.devnull, "w", encoding="utf-8") as sink:
            answer = Answer(module)  # what comes back is part of what is said
            limit = self._limit(item, seconds)
            try:
                with contextlib.redirect_stdout(sink), limit:
                    item.obj(**arguments_for(item, answer))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                limit.cancel()  # once more, should it have struck while it was being cancelled
                trees = [self.course.solutions_dir, bank.file]
                return verdict.judge(error, self.course, trees, answer)
        return Finding(Verdict.PASS)

    def _diagnose(
        self, item: pytest.Function, exercise: Exercise, finding: Finding
    ) -> list[tuple[WrongVersion, Likeness]]:
        """The known mistakes that this test answers in the same way."""
        start = time.monotonic()
        found: list[tuple[WrongVersion, Likeness]] = []
        try:
            versions = Bank(self.course, exercise).versions()
        except Exception:  # an author's mistake, which --prove shows, is not the learner's business
            return found
        for version in versions:
            if test_name(item) not in version.fails or not version.sentence:
                continue
            left = start + DIAGNOSIS_SECONDS - time.monotonic()
            if left <= 0:
                break
            likeness = self._call_with(item, exercise, version, left).likeness(finding)
            if likeness:
                found.append((version, likeness))
        return found

    def _prove(self, item: pytest.Function, exercise: Exercise) -> None:
        """Note what this test says about each wrong version."""
        for version in Bank(self.course, exercise).versions():
            found = self._call_with(item, exercise, version, PROOF_SECONDS)
            row = self.findings.setdefault(exercise, {}).setdefault(version.name, {})
            row[item.nodeid] = test_name(item), found

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the verdict on the report, and the learner's text in place of the traceback."""
        report = yield
        exercise = self.course.of_test_file(item.path)
        if exercise is None or report.when == "teardown":
            return report
        finding = item.stash.get(FINDING, None) or _setup_finding(report)
        if finding is None:
            return report
        if finding.verdict.failed:
            report.outcome = "failed"  # pytest takes a learner's unittest.SkipTest for a skip
        record = self._put_record(report, item, exercise, finding)
        if finding.verdict is Verdict.TODO and isinstance(report.longrepr, tuple):
            report.longrepr = (*report.longrepr[:2], str(Verdict.TODO))  # without the class's name
        if report.failed and self.config.option.verbose < 2 and item.stash.get(FINDING, None):
            report.longrepr = grade.LearnerText(self.ledger.text(record))
        return report

    def _put_record(
        self, report: pytest.TestReport, item: pytest.Item, exercise: Exercise, finding: Finding
    ) -> grade.Record:
        candidates = item.stash.get(CANDIDATES, [])
        where, line, _ = item.location
        record = {
            "exercise": exercise.slug,
            "test": test_name(item),
            "id": item.name,
            "verdict": str(finding.verdict),
            "message": finding.message,
            "where": finding.where,
            "calls": finding.calls,
            "test_at": f"{where}:{(line or 0) + 1}",
            "candidates": {
                v.name: [v.sentence, sorted(v.fails), int(how)] for v, how in candidates
            },
        }
        vars(report)["kata"] = record
        item.user_properties.append(("verdict", str(finding.verdict)))
        return record

    # ---------------------------------------------------------------------------- the session

    def pytest_sessionstart(self) -> None:
        """Undo what PyCharm's plugin has set: `-vv`, where nobody typed it.

        No word of ours would be read, and pytest would compare long lists until the time is up.
        """
        self.config.option.verbose = self.config.known_args_namespace.verbose

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Every exercise that is to be graded is missing until a verdict is in."""
        self.ledger.expect([item.nodeid for item in session.items], self._required())
        named = [
            self.course.of_test_file(arg.split("::")[0]) for arg in self.config.args if "::" in arg
        ]
        self.ledger.partial |= {exercise.slug for exercise in named if exercise}

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        """The same on the controller of pytest-xdist, which collects nothing itself."""
        self.ledger.expect(ids, self._required())
        if self.config.option.keyword or self.config.option.markexpr:  # it cannot know the rest
            self.ledger.partial |= self.ledger.rows.keys()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note the exercises that are tested in part."""
        exercises = [self.course.of_test_file(item.path) for item in items]
        self.ledger.partial |= {exercise.slug for exercise in exercises if exercise}

    def _required(self) -> list[Exercise]:
        """The exercises that need a verdict, whether or not their tests could be collected."""
        option = self.config.option
        if not self.strict or option.keyword or option.markexpr:
            return []
        args = grade.selected_paths(self.config)
        return [
            e
            for e in self.course.exercises
            for file in [self.course.tests_dir / e.chapter / f"test_{e.name}.py"]
            if any(file.resolve().is_relative_to(arg) for arg in args)
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the verdicts; on the xdist controller they come from the workers."""
        self.ledger.add(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Say the last word on every exercise, and write it down."""
        if hasattr(self.config, "workerinput"):
            return
        if proof := self._file("--prove"):
            write_json(proof, naming.proof(self.course, self.findings))
        if self.config.option.collectonly:
            return
        self.ledger.finish()
        undone = set(self.ledger.verdicts().values()) - {Verdict.PASS, Verdict.NOT_RUN}
        if self.strict and undone and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self.exit_status = session.exitstatus
        if self.tree == self.course.exercises_dir.resolve():
            progress.save(self.course, self.ledger.known(), self.ledger.counts())

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """A bar per chapter, and what to do next."""
        if not self.config.option.collectonly:
            for line in self.ledger.summary(self.strict):
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """Tell the guard that the session came to its end."""
        if not hasattr(self.config, "workerinput"):
            grade.report_end(self.exit_status)
        if self.config.getoption("--prove"):
            load_profile("kata")
        if self.stderr is not None:
            os.close(self.stderr)
            self.stderr = None

    # ------------------------------------------------------------------------------- limits

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool:
        """Take over from pytest-timeout: see kata.limit."""
        seconds = settings.timeout
        if self.course.of_test_file(item.path) in self.endless and self.short_of_time:
            seconds = min(seconds, AFTER_A_TIMEOUT_SECONDS)
        limit = item.stash[LIMIT] = self._limit(item, seconds, settings.method)
        vars(item)["cancel_timeout"] = limit.cancel
        limit.start()
        return True

    def _limit(self, item: pytest.Item, seconds: float, method: str = "") -> Limit:
        use_signal = hasattr(signal, "SIGALRM") and method != "thread"
        return Limit(
            seconds * self.patience,
            use_signal,
            lambda: self._stuck(item),
            is_debugging,
            self.stderr,
        )

    def _stuck(self, item: pytest.Item) -> None:
        """End the session from another thread: the code cannot be interrupted."""
        status = pytest.ExitCode.TESTS_FAILED
        try:
            capture = self.config.pluginmanager.get_plugin("capturemanager")
            if capture is not None:
                capture.suspend_global_capture(in_=True)
            self._report_stuck(item)
            if hasattr(self.config, "workerinput"):
                time.sleep(0.5)  # for the report to reach the controller
            else:
                item.session.exitstatus = status
                item.config.hook.pytest_sessionfinish(session=item.session, exitstatus=status)
                grade.report_end(status)
            sys.stdout.flush()
        finally:
            os._exit(int(status))

    def _report_stuck(self, item: pytest.Item) -> None:
        exercise = self.course.of_test_file(item.path)
        report = pytest.TestReport(item.nodeid, item.location, {}, "failed", STUCK, "call")
        if exercise is not None and isinstance(item, pytest.Function):
            answer = item.funcargs.get("answer")
            calls = transcript(answer) if isinstance(answer, Answer) else []
            where = verdict.running_line(self.thread_id, [self.tree], self.course.root)
            message = STUCK if hasattr(self.config, "workerinput") else f"{STUCK}: {STUCK_LAST}"
            finding = Finding(Verdict.TIMEOUT, message, where, calls)
            record = self._put_record(report, item, exercise, finding)
            report.longrepr = grade.LearnerText(self.ledger.text(record))
        item.ihook.pytest_runtest_logreport(report=report)


TODO = "still to do"
STUCK = "did not end and could not be interrupted"
STUCK_LAST = "the tests after it were not run"


def test_name(item: pytest.Item) -> str:
    """The name that a wrong version uses: without `test_` and without parameters."""
    return str(getattr(item, "originalname", item.name)).removeprefix("test_")


test_name.__test__ = False  # type: ignore[attr-defined]


def _failure(message: str) -> BaseException:
    return pytest.fail.Exception(message, pytrace=False)


def _parameters(item: pytest.Function) -> dict[str, Any]:
    """Copies of what a test is parametrized with: an answer may change its arguments."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return _copied({k: v for k, v in parameters.items() if item.funcargs.get(k) is v})


def arguments_for(item: pytest.Function, answer: Answer) -> dict[str, Any]:
    """What a test is called with once more: another answer, and its parameters as they were."""
    names = [n for n in item._fixtureinfo.argnames if n in item.funcargs]
    arguments = {name: item.funcargs[name] for name in names}
    return arguments | _copied(item.stash[PARAMETERS]) | {"answer": answer}


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    copies = dict(values)
    for name, value in values.items():
        with contextlib.suppress(Exception):  # a generator, a module
            copies[name] = copy.deepcopy(value)
    return copies


def _cancel_limit(item: pytest.Item) -> None:
    if LIMIT in item.stash:
        item.stash[LIMIT].cancel()


def _expired(item: pytest.Item, error: BaseException) -> BaseException:
    """The time limit, where another exception came of it: hypothesis calls it inconsistent data."""
    limit = item.stash.get(LIMIT, None)
    if limit is None or not limit.struck or isinstance(error, TimeLimit):
        return error
    return TimeLimit(limit.message).with_traceback(error.__traceback__)


def _setup_finding(report: pytest.TestReport) -> Finding | None:
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        return Finding(Verdict.NOT_RUN, reason.removeprefix("Skipped: "))
    if report.failed:
        return Finding(Verdict.CRASH, report.longreprtext)
    return Finding(Verdict.PASS) if report.when == "call" else None
