"""The pytest plugin: options, the fixtures `answer`, `reference`, `device` and `real`, verdicts.

Only files like `tests/ch01_tokenizers/test_ex05_merge_pair.py` are graded; every other test is left
to pytest. The verdict travels on the report (`report.kata`), so that it is right under xdist too.
"""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_timeout import is_debugging  # type: ignore[import-untyped]

from kata import grade, progress, verdict
from kata.answer import Answer, Todo, Unusable, transcript
from kata.check import explain
from kata.course import Course, Exercise, find_root
from kata.data import RealData
from kata.files import write_json
from kata.limit import Limit
from kata.load import Source, fresh
from kata.verdict import Finding, Likeness, Verdict
from kata.wrong import Bank, WrongVersion

HELP = {
    "--answers": "grade the files of DIR instead of exercises/",
    "--own": "an exercise's imports come from the same tree, not from the reference solutions",
    "--grade": "strict: an exercise that is todo or missing is a failure (also when CI is set)",
    "--grade-json": "write the verdicts to FILE, kept up to date while the tests run",
    "--require": "a missing device (cuda or mps) is a failure, not a test that is not run",
    "--prove": "run every wrong version on every test, and write who catches what to FILE",
}
# Plugins of installed libraries that no test uses. They import hypothesis, numpy and asyncio in
# every session, and the first tells a learner how to patch the tests.
SLOW_PLUGINS = ("hypothesispytest", "jaxtyping", "anyio")
DIAGNOSIS_SECONDS = 4.0
PROOF_SECONDS = 20.0
COURSE = pytest.StashKey[Course]()
RUN = pytest.StashKey["Run"]()
FINDING = pytest.StashKey[Finding]()
CANDIDATES = pytest.StashKey[list[tuple[WrongVersion, Likeness]]]()
PARAMETERS = pytest.StashKey[dict[str, Any]]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the options of the course."""
    for name in SLOW_PLUGINS:
        pluginmanager.set_blocked(name)
    group = parser.getgroup("kata", "LLM Katas")
    group.addoption("--answers", metavar="DIR", help=HELP["--answers"])
    group.addoption("--own", action="store_true", help=HELP["--own"])
    group.addoption("--grade", action="store_true", help=HELP["--grade"])
    group.addoption("--grade-json", metavar="FILE", help=HELP["--grade-json"])
    group.addoption(
        "--require",
        metavar="DEVICE",
        action="append",
        default=[],
        choices=["cuda", "mps"],
        help=HELP["--require"],
    )
    group.addoption("--prove", metavar="FILE", help=HELP["--prove"])


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """In strict mode run the tests in a child process, whose early end is then noticed."""
    course = Course(find_root(config.rootpath))
    if is_strict(config) and grade.needs_guard(config, course):
        return grade.guarded(config.invocation_params.args)
    return None


def pytest_configure(config: pytest.Config) -> None:
    """Find the course around pytest's root folder."""
    course = Course(find_root(config.rootpath))
    config.stash[COURSE] = course
    answers = config.getoption("--answers")
    tree = Path(config.invocation_params.dir, answers) if answers else course.exercises_dir
    if not tree.is_dir():
        raise pytest.UsageError(f"--answers: there is no folder {tree}")
    in_parallel = hasattr(config, "workerinput") or config.getoption("numprocesses", None)
    if config.getoption("--prove") and in_parallel:
        raise pytest.UsageError("--prove runs in one process: leave out -n")
    if config.getoption("--prove"):  # before a test has settings of its own
        _load_profile("kata-prove")
    config.stash[RUN] = Run(config, course, tree.resolve())
    config.pluginmanager.register(config.stash[RUN], "kata-run")


def _load_profile(name: str) -> None:
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
        self.matrix: dict[str, dict[str, dict[str, str]]] = {}
        self.thread_id = threading.get_ident()
        self.judging = False
        self.warm: set[Exercise] = set()
        self.exit_status: int = 0
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
        """The solution, and its imports too."""
        return Source(exercise, self.course.solutions_dir, (self.course.solutions_dir,))

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
            finding = verdict.judge(error, self.course, [self.tree], answer)
            item.stash[FINDING] = finding
            if finding.verdict in (Verdict.WRONG, Verdict.CRASH):
                item.stash[CANDIDATES] = self._diagnose(item, exercise, finding)
            if finding.verdict is Verdict.TODO:
                if self.strict:
                    raise _failure(f"{exercise}: {TODO}") from None
                raise Todo("todo") from None
            if finding.verdict is Verdict.NOT_RUN:
                raise
            raised = error.error if isinstance(error, Unusable) else error
            # A learner's SystemExit, pytest.skip() or pytest.exit() means nothing here.
            if not isinstance(raised, Exception) or isinstance(raised, pytest.exit.Exception):
                raise _failure(f"{finding.message}\n{finding.where}") from None
            __tracebackhide__ = True
            raise raised from None
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
        names = [n for n in item._fixtureinfo.argnames if n in item.funcargs]
        with fresh(bank.source(version)) as module, open(os.devnull, "w", encoding="utf-8") as sink:
            answer = Answer(module, record=False)
            arguments = {name: item.funcargs[name] for name in names}
            arguments |= _copied(item.stash[PARAMETERS]) | {"answer": answer}
            limit = self._limit(item, seconds)
            try:
                with contextlib.redirect_stdout(sink), limit:
                    item.obj(**arguments)
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
        """Note which wrong versions this test catches."""
        for version in Bank(self.course, exercise).versions():
            got = self._call_with(item, exercise, version, PROOF_SECONDS).verdict
            row = self.matrix.setdefault(exercise.slug, {}).setdefault(version.name, {})
            before = row.get(test_name(item), Verdict.NOT_RUN)
            # One parameter that fails is enough, one that passes shows that the test was run.
            if before is Verdict.NOT_RUN or (before is Verdict.PASS and got.failed):
                row[test_name(item)] = got

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

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Every exercise that is to be graded is missing until a verdict is in."""
        self.ledger.expect([item.nodeid for item in session.items], self._required())

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        """The same on the controller of pytest-xdist, which collects nothing itself."""
        self.ledger.expect(ids, self._required())

    def _required(self) -> list[Exercise]:
        """The exercises that need a verdict, whether or not their tests could be collected."""
        option = self.config.option
        if not self.strict or option.keyword or option.markexpr:
            return []
        here = self.config.invocation_params.dir
        args = [Path(here, a.split("::")[0]).resolve() for a in self.config.args]
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
            write_json(proof, self.matrix)
        if self.config.option.collectonly:
            return
        self.ledger.finish()
        undone = set(self.ledger.verdicts().values()) - {Verdict.PASS, Verdict.NOT_RUN}
        if self.strict and undone and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self.exit_status = session.exitstatus
        if self.tree == self.course.exercises_dir.resolve():
            progress.save(self.course, self.ledger.verdicts())

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
            _load_profile("kata")
        if self.stderr is not None:
            os.close(self.stderr)
            self.stderr = None

    # ------------------------------------------------------------------------------- limits

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool:
        """Take over from pytest-timeout: see kata.limit."""
        limit = self._limit(item, settings.timeout, settings.method)
        vars(item)["cancel_timeout"] = limit.cancel
        limit.start()
        return True

    def _limit(self, item: pytest.Item, seconds: float, method: str = "") -> Limit:
        use_signal = hasattr(signal, "SIGALRM") and method != "thread"
        return Limit(seconds, use_signal, lambda: self._stuck(item), is_debugging, self.stderr)

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


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    copies = dict(values)
    for name, value in values.items():
        with contextlib.suppress(Exception):  # a generator, a module
            copies[name] = copy.deepcopy(value)
    return copies


def _cancel_limit(item: pytest.Item) -> None:
    vars(item).get("cancel_timeout", lambda: None)()


def _setup_finding(report: pytest.TestReport) -> Finding | None:
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        return Finding(Verdict.NOT_RUN, reason.removeprefix("Skipped: "))
    if report.failed:
        return Finding(Verdict.CRASH, report.longreprtext)
    return Finding(Verdict.PASS) if report.when == "call" else None


def pytest_report_teststatus(
    report: pytest.TestReport | pytest.CollectReport,
) -> tuple[str, str, Any] | None:
    """Letters and words: `t` for todo, `n` for not run, and one for each way to fail."""
    record = getattr(report, "kata", None)
    if record is None:
        return None
    kind = Verdict(record["verdict"])
    if kind is Verdict.TODO:  # strict or not, there is nothing to read about it
        return "todo", "t", ("TODO", {"yellow": True})
    if kind is Verdict.NOT_RUN and report.skipped:
        return "not run", "n", ("NOT RUN", {"yellow": True})
    if kind.failed and report.failed:
        return "failed", kind.upper()[0], (kind.upper(), {"red": True})
    return None


def pytest_assertrepr_compare(
    config: pytest.Config, op: str, left: object, right: object
) -> list[str] | None:
    """Explain `assert actual == expected` in a graded test as `kata.check` does."""
    if op != "==" or config.option.verbose >= 2 or not config.stash[RUN].judging:
        return None
    with contextlib.suppress(Exception):
        if left == right:  # the other half of an `and`
            return None
    return [verdict.EXPLAINED, *explain(left, right)]


# ----------------------------------------------------------------------------------- fixtures


@pytest.fixture
def answer(request: pytest.FixtureRequest) -> Iterator[Answer]:
    """The learner's exercise: `answer.merge_pair(...)` calls what they wrote."""
    run = request.config.stash[RUN]
    exercise = _graded(request)
    if exercise not in run.warm:  # pay for `import torch` before the clock of a test starts
        with contextlib.suppress(FileNotFoundError), fresh(run.reference(exercise)) as module:
            module.get()
        run.warm.add(exercise)
    with fresh(run.source(exercise)) as module:
        yield Answer(module)


@pytest.fixture
def reference(request: pytest.FixtureRequest) -> Iterator[Answer]:
    """The reference solution of the same exercise, to compare with."""
    with fresh(request.config.stash[RUN].reference(_graded(request))) as module:
        yield Answer(module)


def _graded(request: pytest.FixtureRequest) -> Exercise:
    exercise = request.config.stash[COURSE].of_test_file(request.path)
    fixtures = request.node._fixtureinfo.name2fixturedefs
    for name, definitions in fixtures.items():
        if any("answer" in definition.argnames for definition in definitions):
            raise pytest.UsageError(
                f"{request.path.name}: the fixture {name!r} uses `answer`. Only the test itself "
                "may, for a wrong version takes its place there"
            )
    if exercise is None:
        raise pytest.UsageError(
            f"{request.path.name} asks for an answer, but no exercise belongs to it: "
            "tests/ch05_decoding/test_ex04_top_p.py grades ch05_decoding/ex04_top_p.py"
        )
    return exercise


@pytest.fixture
def real() -> RealData:
    """Real vocabularies, text and models, where they are found; else the test is not run."""
    return RealData(os.environ)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """`cpu`, and where there is one `cuda` or `mps`: a test that asks for it runs on each."""
    name = str(getattr(request, "param", "cpu"))
    if not device_available(name):
        message = f"not run: this machine has no {name} device"
        if name in request.config.getoption("--require"):
            pytest.fail(f"--require={name}: {message}", pytrace=False)
        pytest.skip(message)
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `device` once for each kind of device."""
    if "device" in metafunc.fixturenames:
        gpus = [
            pytest.param(name, marks=[getattr(pytest.mark, name), pytest.mark.gpu])
            for name in ("cuda", "mps")
        ]
        metafunc.parametrize("device", ["cpu", *gpus], indirect=True)


def device_available(name: str) -> bool:
    """Whether torch can compute on this device here."""
    if name == "cpu":
        return True
    import torch

    return torch.cuda.is_available() if name == "cuda" else torch.backends.mps.is_available()
