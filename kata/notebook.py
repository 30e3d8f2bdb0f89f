"""Grades what is written in the cells of a notebook, with the tests and the words of pytest.

    from kata.notebook import check
    check("5.4", top_p_filter)

pytest runs in this process, so nothing is copied out of the notebook: what a cell refers to is
found where it is. Each call starts anew, as a session of its own.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import io
import linecache
import random
import re
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

import pytest

from kata import grade, progress, stubs
from kata.answer import Answer, Todo, Transcript, Unusable, last_frame
from kata.course import Course, CourseError, Exercise, find_root
from kata.load import LazyModule, Source, fresh
from kata.plugin import COURSE, RUN
from kata.session import Run
from kata.text import a, cut, indent, plural
from kata.verdict import Finding, Verdict, relative, render

NO_COURSE = (
    "there is no course here: work in the folder of LLM Katas, or install it from there with "
    "`pip install -e .`"
)
STUCK = "kata: the code cannot be interrupted. If it does not end, restart the kernel."
SHOWN_FAILURES = 3
SHOWN_OUTPUT = 2000  # characters that the learner's code printed
# What only runs of a whole course need, or what would leave its mark on a kernel.
LEFT_OUT = ("cacheprovider", "faulthandler", "threadexception", "unraisableexception")
STRICT = ("CI", grade.GUARD)
OF_ANOTHER_RUN = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")


class NotebookError(CourseError):
    """`check` cannot do what it was asked for; IPython shows the message and no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"kata: {self}"]


def check(number: str, *objects: object, **named: object) -> bool:
    """Grade functions and classes of a notebook, and print what pytest would say.

    They take the place of those of the same names in a fresh copy of the exercise. What you do not
    pass comes from your file below `exercises/`; other exercises that it needs are the references.

    Args:
        number: of the exercise, "5.4"; its name will do too.
        objects: what you wrote.
        named: the same under a name that the exercise knows: `top_p_filter=my_second_attempt`.

    Returns:
        Whether every test passes that can be run on this machine.

    Raises:
        NotebookError: there is no such exercise, or it has nothing of that name.
    """
    course = _course()
    exercise = _exercise(course, number)
    cells = Cells(_by_name(course, exercise, objects, named), sys._getframe(1).f_globals)
    session = Session(course, exercise, cells)
    session.run()
    print(session.text())
    return session.passed


# ------------------------------------------------------------------------------- what is checked


def _course() -> Course:
    """The course around the current folder, else the one that this package belongs to."""
    for folder in (find_root(Path.cwd()), Path(__file__).resolve().parent.parent):
        course = Course(folder)
        if course.exercises:
            return course
    raise NotebookError(NO_COURSE)


def _exercise(course: Course, number: object) -> Exercise:
    if not isinstance(number, str):
        example = number if isinstance(number, (int, float)) else "5.4"
        raise NotebookError(f'the number comes first, in quotes: check("{example}", ...)')
    try:
        return course.find(number)
    except CourseError as error:
        raise NotebookError(str(error)) from None


def _by_name(
    course: Course, exercise: Exercise, objects: Sequence[object], named: Mapping[str, object]
) -> dict[str, object]:
    known = _names(course, exercise)
    example = f'check("{exercise.number}", {known[0] if known else "..."}'
    if not objects and not named:
        raise NotebookError(f"pass what you wrote: {example})")
    found: dict[str, object] = {}
    for value in objects:
        name = getattr(value, "__name__", "")
        if not callable(value) or not isinstance(name, str) or not name.isidentifier():
            what = "a lambda" if name == "<lambda>" else a(type(value).__name__)
            raise NotebookError(
                f"{what} has no name: pass the function or the class itself, or say what it is: "
                f"{example}=...)"
            )
        found[name] = value
    if twice := [name for name in named if name in found]:
        raise NotebookError(f"`{twice[0]}` is given twice")
    found |= named
    if unknown := [name for name in found if name not in known]:
        raise NotebookError(
            f"{exercise} has no `{unknown[0]}`, only {', '.join(known)}. What your code needs "
            f"besides is found in the notebook; another name is given so: {example}=...)"
        )
    return found


def _names(course: Course, exercise: Exercise) -> list[str]:
    """What the exercise defines: its functions and classes first, then its constants."""
    try:
        body = ast.parse(stubs.stub_of(course, exercise)).body
    except CourseError:  # a course without solutions
        body = ast.parse((course.exercises_dir / exercise.path).read_bytes()).body
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = [node.name for node in body if isinstance(node, kinds)]
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


class Cells:
    """The objects that take the place of an exercise's own, and the notebook around them.

    Args:
        objects: by the names that the exercise has for them.
        namespace: the global names of the notebook.
    """

    def __init__(self, objects: Mapping[str, object], namespace: dict[str, Any]) -> None:
        self.objects = objects
        self.module = namespace.get("__name__")
        functions = [inspect.unwrap(x) for x in objects.values() if callable(x)]
        self._namespaces = [namespace, *(getattr(f, "__globals__", namespace) for f in functions)]

    def wrote(self, frame: TracebackType) -> bool:
        """Whether this line of a traceback is one of the notebook."""
        return any(frame.tb_frame.f_globals is names for names in self._namespaces)

    def is_stub(self, error: NotImplementedError) -> bool:
        """Whether the error comes from a `raise NotImplementedError` in a cell."""
        frame = last_frame(error.__traceback__)
        if frame is None or not self.wrote(frame):
            return False
        line = linecache.getline(frame.tb_frame.f_code.co_filename, frame.tb_lineno)
        return "raise NotImplementedError" in line

    def classes(self, value: type) -> list[type]:
        """A class and those of its bases that are written in the notebook."""
        return [cls for cls in value.__mro__ if cls.__module__ == self.module]

    def place(self, called: str) -> str:
        """Where the object is written that a call, `softmax` or `Linear.forward`, goes to."""
        name, _, method = called.partition(".")
        types = [x for x in self.objects.values() if inspect.isclass(x)]
        bases = {cls.__name__: cls for x in types for cls in self.classes(x)}
        value: Any = self.objects.get(name, bases.get(name))
        if inspect.isclass(value):
            methods = [vars(value).get(n) for n in (method, "__init__")] + [*vars(value).values()]
            value = next((m for m in methods if inspect.isfunction(m)), value)
        code = getattr(inspect.unwrap(value), "__code__", None) if callable(value) else None
        if not isinstance(code, CodeType):
            return ""
        return _located(f"{code.co_filename}:{code.co_firstlineno}")


def _located(where: str) -> str:
    """`path:line` with the name that IPython shows for a cell in the place of its file."""
    first, newline, rest = where.partition("\n")
    file, _, line = first.rpartition(":")
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    with contextlib.suppress(AttributeError, TypeError):  # no shell, or another file
        kind, name = shell.compile.format_code_name(file)
        return f"{kind} {name}, line {line}{newline}{rest}"
    return where


# --------------------------------------------------------------------------------- how it is run


class CellTranscript(Transcript):
    """A record of calls that knows the stubs of a notebook."""

    def __init__(self, cells: Cells) -> None:
        super().__init__()
        self._cells = cells

    def recorded(
        self, function: Callable[..., Any], name: str, skip: int = 0, is_read: bool = False
    ) -> Callable[..., Any]:
        """The same, and what a cell has not written yet is still to do."""

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            try:
                return function(*args, **kwargs)
            except NotImplementedError as error:
                if self._cells.is_stub(error):
                    raise Todo("todo") from None
                raise

        return super().recorded(guarded, name, skip, is_read)


class CellAnswer(Answer):
    """An exercise with objects of a notebook in it; these are left as they were."""

    def __init__(self, module: LazyModule, cells: Cells) -> None:
        super().__init__(module)
        self._kata_cells = cells
        self._kata_transcript = CellTranscript(cells)
        self._kata_before: dict[type, dict[str, Any]] = {}

    def _wrapped(self, name: str, value: Any) -> Any:
        if inspect.isclass(value):
            for cls in self._kata_cells.classes(value):
                if cls not in self._kata_before:
                    self._kata_before[cls] = dict(vars(cls))
                    self._record_methods(cls)
        return super()._wrapped(name, value)

    def restore(self) -> None:
        """Take the record out of the classes of the notebook."""
        for cls, before in self._kata_before.items():
            for name, value in before.items():
                if vars(cls).get(name) is not value:
                    setattr(cls, name, value)


class CellRun(Run):
    """A session whose answer is an exercise with objects of a notebook in it."""

    def __init__(self, config: pytest.Config, course: Course, cells: Cells, screen: Any) -> None:
        self._file_tree = course.exercises_dir.resolve()
        super().__init__(config, course, self._file_tree)
        self._cells = cells
        self._screen = screen
        self.printed: dict[str, str] = {}
        super().pytest_unconfigure()  # no last resort: it would end the kernel

    def source(self, exercise: Exercise) -> Source:
        """The learner's file with the objects in it; its imports come from the references."""
        trees = (self.course.solutions_dir,)
        return Source(exercise, self._file_tree, trees, self._cells.objects)

    @pytest.fixture
    def answer(self, request: pytest.FixtureRequest) -> Iterator[Answer]:
        """Takes the place of the plugin's own fixture."""
        exercise = self.course.of_test_file(request.path)
        assert exercise is not None
        if exercise not in self.warm:
            self.warm.add(exercise)
            with contextlib.suppress(FileNotFoundError), fresh(self.solution(exercise)) as module:
                module.get()
        with fresh(self.source(exercise)) as module:
            answer = CellAnswer(module, self._cells)
            yield answer
            answer.restore()

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """Before a failure is judged, find out where the learner's line is: in a file or a cell."""
        try:
            return (yield)
        except BaseException as error:
            self.tree = self._origin(error)
            raise

    def _origin(self, error: BaseException) -> Path:
        """The cell of the learner's innermost line, or the folder of their files."""
        place = self._file_tree
        error = error.error if isinstance(error, Unusable) else error
        for cause in (error.__cause__, error):  # a check has its cause: see check.raises
            trace = cause.__traceback__ if cause else None
            while trace is not None:
                file = Path(trace.tb_frame.f_code.co_filename)
                if self._cells.wrote(trace):
                    place = file
                elif file.is_relative_to(self._file_tree):
                    place = self._file_tree
                trace = trace.tb_next
        return place

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the verdict, and what was printed."""
        super().pytest_runtest_logreport(report)
        if report.when == "call":
            self.printed[report.nodeid] = report.capstdout

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Nothing is written down: a cell says nothing about the file."""
        self.ledger.finish()

    def _stuck(self, item: pytest.Item) -> None:
        print(STUCK, file=self._screen, flush=True)  # the kernel is not ours to end


class Session:
    """Runs the graded tests of one exercise on objects of a notebook."""

    def __init__(self, course: Course, exercise: Exercise, cells: Cells) -> None:
        self.course = course
        self.exercise = exercise
        self._cells = cells
        self._screen = sys.stdout
        self._run: CellRun | None = None
        self._said = ""  # by pytest
        self._interrupted = False

    def run(self) -> None:
        """Run them.

        Raises:
            KeyboardInterrupt: somebody interrupted the kernel.
        """
        test = self.course.tests_dir / self.exercise.chapter / f"test_{self.exercise.name}.py"
        root = self.course.root
        args = [str(test), f"--rootdir={root}", "-c", str(root / "pyproject.toml"), "--capture=sys"]
        args += ["--color=no", "-p", "pytest_timeout", *(f"-pno:{name}" for name in LEFT_OUT)]
        sink = io.StringIO()
        with (
            _kernel_as_it_was(),
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(sink),
            contextlib.redirect_stderr(sink),
        ):
            for name in (*STRICT, *OF_ANOTHER_RUN):
                patch.delenv(name, raising=False)
            patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            pytest.main(args, plugins=[self])
        self._said = sink.getvalue()
        if self._interrupted:
            raise KeyboardInterrupt

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Take the place of the run that the plugin has made."""
        config.stash[RUN].pytest_unconfigure()
        config.pluginmanager.unregister(name="kata-run")
        self._run = CellRun(config, config.stash[COURSE], self._cells, self._screen)
        config.stash[RUN] = self._run
        config.pluginmanager.register(self._run, "kata-run")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Somebody wants the whole notebook to stop; pytest itself has other ways to say so."""
        self._interrupted = excinfo.type is KeyboardInterrupt

    # ----------------------------------------------------------------------------- the outcome

    @property
    def _records(self) -> dict[str, grade.Record | None]:
        return self._run.ledger.rows.get(self.exercise.slug, {}) if self._run else {}

    def _with(self, *kinds: Verdict) -> dict[str, grade.Record]:
        return {n: r for n, r in self._records.items() if r and Verdict(r["verdict"]) in kinds}

    @property
    def passed(self) -> bool:
        """Whether every test passes that was run, and there is one."""
        fine = self._with(Verdict.PASS, Verdict.NOT_RUN)
        return len(fine) == len(self._records) and bool(self._with(Verdict.PASS))

    def text(self) -> str:
        """What is printed: how many pass, and why others do not."""
        if not self._records or None in self._records.values():
            return f"{self.exercise}: the tests did not come to their end\n\n{self._said}"
        absent = self._with(Verdict.NOT_RUN)
        passed, count = len(self._with(Verdict.PASS)), len(self._records) - len(absent)
        how = f"{passed} of {count} tests pass"
        if passed == count:
            how = f"all {count} tests pass" if count > 1 else "the test passes"
        parts = [how] if count else []
        if todo := self._with(Verdict.TODO):
            parts.append(f"{len(todo)} still to do")
        if absent:
            reasons = {r["message"].removeprefix("not run: ") for r in absent.values()}
            parts.append(f"{len(absent)} not run ({'; '.join(sorted(reasons))})")
        lines = [f"{self.exercise}: {', '.join(parts)}"]
        missing = [n for n in _names(self.course, self.exercise) if n not in self._cells.objects]
        if todo and missing:
            file = relative(self.course.exercises_dir / self.exercise.path, self.course.root)
            lines.append(f"Not passed, so taken from {file}: {', '.join(missing)}")
        lines += self._failures()
        return "\n".join(lines) if self.passed else "\n".join([*lines, "", self._help])

    @property
    def _help(self) -> str:
        return f"stuck? !kata hint {self.exercise.number}"

    def _failures(self) -> list[str]:
        """The text of some failures, one for each test, and the names of the others."""
        by_test: dict[str, list[str]] = {}
        for node, record in self._with(Verdict.WRONG, Verdict.CRASH, Verdict.TIMEOUT).items():
            by_test.setdefault(record["test"], []).append(node)
        lines = []
        for test, nodes in [*by_test.items()][:SHOWN_FAILURES]:
            more = f", and with {plural(len(nodes) - 1, 'other input')}" if nodes[1:] else ""
            lines += ["", f"--- test_{test}{more}", self._failure(nodes[0])]
        if rest := [f"test_{test}" for test in [*by_test][SHOWN_FAILURES:]]:
            lines += ["", f"--- also failed: {', '.join(rest)}"]
        return lines

    def _failure(self, node: str) -> str:
        record = self._records[node]
        assert record is not None
        assert self._run is not None
        finding = Finding(
            Verdict(record["verdict"]), record["message"], record["where"], record["calls"]
        )
        finding = replace(finding, where=_located(finding.where))
        calls = [c[4:].partition("(")[0] for c in finding.calls if c.startswith(">>> ")]
        called = calls[-1] if calls else next(iter(self._cells.objects))
        written = self._cells.place(called) or progress.place(
            self.course, self.exercise, self.course.exercises_dir, called
        )
        known = self._run.ledger.looks_like(record)
        text = render(finding, self.exercise, written, record["test_at"], known)
        printed = cut(self._run.printed.get(node, "").rstrip(), SHOWN_OUTPUT)
        return f"{text}\n\n  it printed:\n{indent(printed, '    ')}" if printed else text


@contextlib.contextmanager
def _kernel_as_it_was() -> Iterator[None]:
    """Let the notebook go on with its own modules, random numbers and figures."""
    linecache.checkcache()  # the learner may have edited a file since
    modules, torch = set(sys.modules), sys.modules.get("torch")
    numbers, state = random.getstate(), torch.get_rng_state() if torch else None
    figures = set(_open_figures())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield
    finally:
        random.setstate(numbers)
        if torch:
            torch.set_rng_state(state)
        for number in set(_open_figures()) - figures:  # a notebook shows every one that is open
            sys.modules["matplotlib.pyplot"].close(number)
        # The test files are read again next time, whatever course they belong to.
        for name in [n for n in sys.modules if re.match(r"(tests|conftest)(\.|$)", n)]:
            if name not in modules:
                del sys.modules[name]


def _open_figures() -> list[int]:
    pyplot = sys.modules.get("matplotlib.pyplot")
    return list(pyplot.get_fignums()) if pyplot else []
