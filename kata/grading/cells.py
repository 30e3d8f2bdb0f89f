"""Exercises out of a notebook: the cells that answer one, with what they need of the others.

A function or class belongs to the exercise with whose number its cell begins (`# 5.4`), or for
which a cell calls `check("5.4", top_p_filter)` of kata.notebook; else to the one exercise that has
it by name. Of several that are called the same, the last one counts. The file of an exercise is its
stub, and after it the imports, functions, classes and assignments of the notebook that the answer
needs, and the answer. Everything else (calls, loops, magics, shell commands) is left out.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kata import stubs
from kata.course import Course, CourseError, Exercise

NUMBER = re.compile(r"\s*#+\s*(?:exercise\s+)?(\d+\.\d+)\b", re.I)
MAGIC = re.compile(r"\s*([%!?]|[\w., ]+=\s*[%!]|.*\?\s*$)")
PYTHON_BELOW = re.compile(r"\s*%%(time|timeit|capture|prun)\b")  # cell magics that run Python
MOST_MAGICS = 30  # in one cell
MOST_CODE = 256 << 10  # characters
EARLIER = re.compile(r"from exercises\.")
FUTURE = "from __future__ import annotations\n"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
IMPORTS = (ast.Import, ast.ImportFrom)
TAKEN = (*DEFINITIONS, *IMPORTS, ast.Assign, ast.AnnAssign)
TOO_MUCH = (SyntaxError, ValueError, RecursionError, MemoryError)  # of ast.parse


@dataclass(frozen=True)
class Statement:
    """A statement at the top level of a cell.

    Attributes:
        text: its lines.
        marked: the exercise with whose number its cell begins.
        binds: the names that it gives a value.
        needs: the names that it, or a function in it, looks up outside of itself.
        is_whole: it gives the name its value alone; an assignment may change what was there.
    """

    text: str
    marked: Exercise | None
    binds: frozenset[str]
    needs: frozenset[str]
    is_whole: bool
    is_definition: bool


class Notebook:
    """What the code cells of a notebook define, and for which exercises.

    Args:
        data: the file.
        course: the catalogue.

    Attributes:
        problems: what could not be understood, a sentence each, without the notebook's name.

    Raises:
        ValueError: it is no notebook.
    """

    def __init__(self, data: bytes, course: Course) -> None:
        self.problems: list[str] = []
        self._course = course
        self._statements: list[Statement] = []
        self._checked: dict[Exercise, dict[str, str]] = {}
        self._future = ""
        sources = list(_sources(data))
        if sum(map(len, sources)) > MOST_CODE:
            raise ValueError(f"its code has more than {MOST_CODE} characters")
        for number, source in enumerate(sources, 1):
            try:
                self._read(source)
            except TOO_MUCH as error:
                self.problems.append(f"code cell {number} is not Python: {_why(error)}")
        self._bindings: dict[str, list[int]] = {}
        for i, statement in enumerate(self._statements):
            for name in statement.binds:
                self._bindings.setdefault(name, []).append(i)

    def exercises(self) -> dict[Exercise, str]:
        """The file of each exercise that the notebook answers."""
        found: dict[Exercise, dict[str, str]] = {s.marked: {} for s in self._statements if s.marked}
        found |= self._checked
        given = {name for names in self._checked.values() for name in names.values()}
        asked = {e: stub_names(self._course, e) for e in self._course.exercises}
        by_name: dict[Exercise, dict[str, str]] = {}
        for name in sorted(self._unmarked() - given):
            owners = [e for e, names in asked.items() if name in names]
            if len(owners) == 1:
                by_name.setdefault(owners[0], {})[name] = name
            elif owners and not found.keys() & set(owners):
                numbers = " and ".join(e.number for e in owners)
                self.problems.append(
                    f"`{name}` is a name in {numbers}: begin its cell with `# {owners[0].number}`"
                )
        every = by_name.keys() | found.keys()
        return {e: self._file(e, by_name.get(e, {}) | found.get(e, {})) for e in every}

    # ------------------------------------------------------------------------------- reading

    def _read(self, source: str) -> None:
        """Note the statements of a cell, and what is checked in it."""
        source = _without_magics(source)
        tree = ast.parse(source)
        number = NUMBER.match(source)
        marked = self._find(number[1]) if number else None
        lines = source.split("\n")
        starts = [_first_line(node) for node in tree.body]
        ends = [node.end_lineno or node.lineno for node in tree.body]
        for i, node in enumerate(tree.body):
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                self._future = FUTURE
            elif isinstance(node, TAKEN):
                # In `a = 1; b = 2` two share a line.
                shares = starts[i] in ends[max(i - 1, 0) : i] or ends[i] in starts[i + 1 : i + 2]
                text = ast.unparse(node) if shares else "\n".join(lines[starts[i] - 1 : ends[i]])
                self._statements.append(_statement(node, text, marked))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call):
                self._read_check(call)

    def _read_check(self, call: ast.Call) -> None:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func
        is_check = name == "check" or (isinstance(name, ast.Name) and name.id == "check")
        if not is_check or not call.args or not isinstance(call.args[0], ast.Constant):
            return
        exercise = self._find(str(call.args[0].value))
        if exercise is None:
            return
        names = {a.id: a.id for a in call.args[1:] if isinstance(a, ast.Name)}
        names |= {
            k.arg: k.value.id for k in call.keywords if k.arg and isinstance(k.value, ast.Name)
        }
        self._checked.setdefault(exercise, {}).update(names)

    def _find(self, number: str) -> Exercise | None:
        try:
            return self._course.find(number)
        except CourseError:
            return None

    def _unmarked(self) -> set[str]:
        definitions = (s for s in self._statements if s.is_definition and not s.marked)
        return {name for statement in definitions for name in statement.binds}

    # ------------------------------------------------------------------------------- writing

    def _file(self, exercise: Exercise, names: dict[str, str]) -> str:
        """What is left of the stub, and what stands for `names` with all that it needs."""
        chosen = {i for i, s in enumerate(self._statements) if s.marked is exercise}
        chosen |= {i for name in names.values() for i in self._binding(name, exercise)}
        open_ = list(chosen)
        while open_:
            for name in self._statements[open_.pop()].needs:
                new = set(self._binding(name, exercise)) - chosen
                chosen |= new
                open_ += new
        parts = [EARLIER.sub("from ..", self._statements[i].text) for i in sorted(chosen)]
        parts += [f"{name} = {other}" for name, other in names.items() if name != other]
        written = {name for i in chosen for name in self._statements[i].binds} | names.keys()
        stub = _stub_without(stubs.stub_of(self._course, exercise), written)
        return self._future + "\n\n\n".join([stub, *parts]) + "\n"

    def _binding(self, name: str, exercise: Exercise) -> list[int]:
        """The statements that make up the value of a name, as cells of `exercise` see it."""
        found = self._bindings.get(name, [])
        near = [i for i in found if self._statements[i].marked is exercise]
        free = [i for i in found if self._statements[i].marked is None]
        found = near or free or found
        return found[-1:] if found and self._statements[found[-1]].is_whole else found


def stub_names(course: Course, exercise: Exercise) -> set[str]:
    """The functions and classes that an exercise asks for."""
    body = ast.parse(stubs.stub_of(course, exercise)).body
    return {node.name for node in body if isinstance(node, DEFINITIONS)}


def _stub_without(stub: str, names: set[str]) -> str:
    """A stub without the definitions that others take the place of, but for those it builds on."""
    body = ast.parse(stub).body
    kept = [n for n in body if not isinstance(n, DEFINITIONS) or n.name not in names]
    needed = {name for node in kept for name in _free(node)}
    lines = stub.split("\n")
    for node in body:
        if node not in kept and not {getattr(node, "name", "")} & needed:
            end = node.end_lineno or node.lineno
            lines[_first_line(node) - 1 : end] = [""] * (end - _first_line(node) + 1)
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).rstrip()


def _sources(data: bytes) -> Iterator[str]:
    """The code cells, also of a notebook in the format before 2015."""
    try:
        document: Any = json.loads(data)
        sheets = document.get("worksheets", [document])
        cells = [cell for sheet in sheets for cell in sheet["cells"]]
        for cell in cells:
            if cell["cell_type"] == "code":
                source = cell["source"] if "source" in cell else cell["input"]
                yield "".join(source).replace("\r\n", "\n").replace("\r", "\n")
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no notebook ({type(error).__name__}: {error})") from None


def _why(error: Exception) -> str:
    return f"{error.msg} (line {error.lineno})" if isinstance(error, SyntaxError) else str(error)


def _without_magics(source: str) -> str:
    """A cell without the lines that only IPython understands; they become empty."""
    lines = source.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].lstrip().startswith("%%"):
        if not PYTHON_BELOW.match(lines[first]):
            return ""
        lines[first] = ""
    for _ in range(MOST_MAGICS):
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:  # a `%` in an expression over several lines is none
            line = (error.lineno or 0) - 1
            if not 0 <= line < len(lines) or not MAGIC.match(lines[line]):
                break
            indent = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
            lines[line] = f"{indent}pass" if indent else ""
        else:
            break
    return "\n".join(lines)


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, DEFINITIONS) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _statement(node: ast.stmt, text: str, marked: Exercise | None) -> Statement:
    is_definition = isinstance(node, DEFINITIONS)
    if isinstance(node, DEFINITIONS):
        binds = {node.name}
    elif isinstance(node, IMPORTS):
        binds = {(a.asname or a.name).partition(".")[0] for a in node.names}
    else:
        binds = _names(node, ast.Store)
    is_whole = is_definition or isinstance(node, IMPORTS)
    return Statement(
        text, marked, frozenset(binds), frozenset(_free(node)), is_whole, is_definition
    )


def _names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    found = (n for n in ast.walk(node) if isinstance(n, ast.Name))
    return {n.id for n in found if isinstance(n.ctx, context)}


def _free(node: ast.AST) -> set[str]:
    """The names that code looks up outside of itself.

    A name that it gives a value is its own, but for a class, whose methods do not see its names.
    """
    loads: set[str] = set()
    own: set[str] = set()
    inner: list[ast.AST] = list(ast.iter_child_nodes(node))
    while inner:
        child = inner.pop()
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            loads |= _free(child)
            own |= {child.name} if not isinstance(child, ast.Lambda) else set()
            continue
        if isinstance(child, ast.Name):
            (loads if isinstance(child.ctx, ast.Load) else own).add(child.id)
        elif isinstance(child, ast.arg):
            own.add(child.arg)
        elif isinstance(child, ast.alias):
            own.add((child.asname or child.name).partition(".")[0])
        inner += ast.iter_child_nodes(child)
    return loads if isinstance(node, ast.ClassDef) else loads - own
