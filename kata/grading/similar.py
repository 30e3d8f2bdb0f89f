"""Pairs of answers that are too much alike, however names, comments, literals and order differ.

An answer becomes a bag of statements: syntax trees in which the learner's own names, literals,
annotations and the order of what can be swapped no longer show, without what the stub contained.
Two answers are as similar as the part of them that both have. That is suspicious when it is also
unlikely: a fragment counts the more, the larger it is and the fewer others in the class have it.
So nobody is reported for the two lines that everybody writes.

Equal parts get equal numbers, and an index tells who has a rare one. Only answers that share one
are compared: the work grows with the class, not with its pairs.
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

from kata import stubs
from kata.course import Course, Exercise

THRESHOLD = 0.8
LARGEST = 100_000  # bytes of a text that is looked at: an answer has a few thousand
SMALLEST = 5  # nodes; a smaller part of a statement is in every answer
RARE = 10  # answers, or a tenth of the class: what more have does not make two of them comparable
# By a first guess, two people write the same n nodes by chance with probability exp(-n / 4). It
# counts as much as two students; from the third on, the class says how common a fragment is.
NODES_PER_NAT = 4.0
GUESS = 2.0
SURPRISE = 8.0  # nats for one pair; as a class of N has about N² pairs, 2 log N more
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
NOTHING = (ast.Import, ast.ImportFrom, ast.Pass, ast.Global, ast.Nonlocal)
LEFT_OUT = {
    *("annotation", "returns", "type_comment", "type_params", "simple", "kind"),
    *("ctx", "op", "ops"),
}
MIRRORED: dict[type, type] = {ast.Gt: ast.Lt, ast.GtE: ast.LtE}
COMMUTE = {
    *(ast.Add, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor),
    *(ast.And, ast.Or, ast.Eq, ast.NotEq),
}
LITERALS = {int: "number", float: "number", complex: "number", str: "text", bytes: "text"}
LEAVES = (ast.Name, ast.Constant, ast.arg, ast.JoinedStr)
UNREADABLE = (OSError, SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Pair:
    """Two answers to one exercise that have most of their code in common.

    Attributes:
        exercise: what they answer.
        share: how much of both is the same, from 0 to 1.
        first: one of the two submissions.
        first_at: `path:line` in its tree, of the largest part that both have.
        second: the other one.
        second_at: the same place in the other tree.
    """

    exercise: Exercise
    share: float
    first: str
    first_at: str
    second: str
    second_at: str

    def __str__(self) -> str:
        return (
            f"{self.exercise}: {self.share:.0%} the same, "
            f"{self.first} ({self.first_at}) and {self.second} ({self.second_at})"
        )


def similar(trees: Mapping[str, Path], course: Course, threshold: float = THRESHOLD) -> list[Pair]:
    """The pairs of a class whose answers to an exercise are nearly the same.

    Args:
        trees: the clean tree of each submission, by its name; see kata.grading.intake.
        course: the catalogue, and the stubs, which are left out.
        threshold: the share that two answers must have in common.

    Returns:
        The pairs in the order of the course, the most similar first.
    """
    found: list[Pair] = []
    for exercise in course.exercises:
        answers = _Answers(exercise, stubs.stub_of(course, exercise))
        for name, tree in trees.items():
            answers.add(name, tree / exercise.path)
        found += sorted(answers.pairs(threshold), key=lambda p: (-p.share, p.first, p.second))
    return found


# ------------------------------------------------------------------------------ what is compared


@dataclass(slots=True)
class Node:
    """A part of an answer.

    Attributes:
        key: a number that equal parts share, whatever their names and literals.
        size: of how many nodes of a syntax tree it consists.
        line: where it begins in its file.
        parts: what it is made of.
        is_statement: whether it stands on its own.
    """

    key: int
    size: int
    line: int
    parts: tuple[Node, ...]
    is_statement: bool

    @property
    def is_telling(self) -> bool:
        """Whether it is more than what every answer has."""
        return self.is_statement or self.size >= SMALLEST

    def walk(self) -> Iterator[Node]:
        """It and all that it is made of."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def among(self, keys: Set[int]) -> Iterator[Node]:
        """The largest telling parts of it that have one of these keys."""
        if self.is_telling and self.key in keys:
            yield self
        else:
            for part in self.parts:
                yield from part.among(keys)


class Answer:
    """What one student wrote for one exercise.

    Args:
        name: of the submission.
        statements: what is not in the stub.
    """

    def __init__(self, name: str, statements: Sequence[Node]) -> None:
        self.name = name
        self.statements = statements
        self.size = sum(statement.size for statement in statements)
        self.keys = frozenset(node.key for node in self._nodes() if node.is_telling)

    def _nodes(self) -> Iterator[Node]:
        return (node for statement in self.statements for node in statement.walk())

    def shared(self, other: Answer) -> list[Node]:
        """The parts of it that the other one has too."""
        return [node for statement in self.statements for node in statement.among(other.keys)]

    def share_in(self, other: Answer) -> float:
        """How much of it the other one has, from 0 to 1."""
        return sum(node.size for node in self.shared(other)) / max(self.size, 1)

    def line_of(self, key: int) -> int:
        """Where a part of it begins."""
        return next(node.line for node in self._nodes() if node.key == key)


class Reader:
    """Reads texts into answers that can be compared.

    Args:
        stub: what none of them is credited with.
    """

    def __init__(self, stub: str = "") -> None:
        self._keys: dict[tuple[object, ...], int] = {}
        self._given: set[int] = set()
        self._given = {node.key for node in self.read("", stub.encode()).statements}

    def read(self, name: str, text: bytes) -> Answer:
        """The answer of one student.

        Raises:
            SyntaxError: it is no Python; or another one of UNREADABLE.
        """
        found = _Text(ast.parse(text), self._keys).statements()
        return Answer(name, [node for node in found if node.key not in self._given])


class _Text:
    """Turns one text into nodes.

    Args:
        tree: the text.
        keys: the numbers of all parts that were seen; new ones are added.
    """

    def __init__(self, tree: ast.Module, keys: dict[tuple[object, ...], int]) -> None:
        self._tree = tree
        self._keys = keys
        self._own: set[str] = set()
        self._own_attributes: set[str] = set()
        self._imported: dict[str, str] = {}
        for node in _walk(tree):
            if isinstance(node, DEFINITIONS):
                self._own.add(node.name)
                self._own_attributes.add(node.name)
            elif isinstance(node, ast.arg):
                self._own.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                self._own.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._own.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                self._own_attributes.add(node.attr)
            elif isinstance(node, ast.alias):  # `functional` is what F stands for
                here = node.asname or node.name.partition(".")[0]
                self._imported[here] = node.name.rpartition(".")[2] if node.asname else here

    def statements(self) -> list[Node]:
        """The statements in the functions of the text, and those outside of functions."""
        return list(self._statements(self._tree.body))

    def _statements(self, body: Iterable[ast.stmt]) -> Iterator[Node]:
        for statement in body:
            if isinstance(statement, DEFINITIONS):  # without its head, which the stub gives
                yield from self._statements(statement.body)
            elif node := self._node(statement):
                yield node

    def _node(self, x: ast.AST) -> Node | None:
        """The node of a syntax tree, or None for what does nothing."""
        if isinstance(x, LEAVES):
            return self._made(self._label(x), x, ())
        if isinstance(x, ast.keyword):  # `dim=-1` is `-1`
            return self._node(x.value)
        if isinstance(x, ast.AugAssign):  # `x += y` is `x = x + y`
            value = ast.copy_location(ast.BinOp(x.target, x.op, x.value), x)
            return self._node(ast.copy_location(ast.Assign([x.target], value), x))
        is_text = isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant)
        if is_text or isinstance(x, NOTHING) or (isinstance(x, ast.AnnAssign) and not x.value):
            return None
        groups = [self._parts(getattr(x, name, None)) for name in x._fields if name not in LEFT_OUT]
        signs = [type(sign) for sign in getattr(x, "ops", [getattr(x, "op", None)]) if sign]
        if len(signs) == 1 and signs[0] in MIRRORED:  # `a > b` is `b < a`
            signs, groups = [MIRRORED[signs[0]]], groups[::-1]
        if len(signs) == 1 and signs[0] in COMMUTE:
            groups = [sorted((n for group in groups for n in group), key=lambda n: n.key)]
        return self._made(" ".join([self._label(x), *(s.__name__ for s in signs)]), x, groups)

    def _parts(self, value: object) -> Sequence[Node]:
        if not isinstance(value, list):
            node = self._node(value) if isinstance(value, ast.AST) else None
            return (node,) if node else ()
        nodes = [node for x in value if isinstance(x, ast.AST) and (node := self._node(x))]
        if nodes and nodes[0].is_statement:  # many could be in another order
            nodes.sort(key=lambda node: node.key)
        return nodes

    def _made(self, label: str, x: ast.AST, groups: Sequence[Sequence[Node]]) -> Node:
        parts = tuple(part for group in groups for part in group)
        content = (label, *(tuple(part.key for part in group) for group in groups))
        key = self._keys.setdefault(content, len(self._keys))
        size = 1 + sum(part.size for part in parts)
        return Node(key, size, getattr(x, "lineno", 0), parts, isinstance(x, ast.stmt))

    def _label(self, x: ast.AST) -> str:
        if isinstance(x, ast.Name):
            return "own" if x.id in self._own else self._imported.get(x.id, x.id)
        if isinstance(x, ast.arg):
            return "own"
        if isinstance(x, ast.Attribute):
            return ".own" if x.attr in self._own_attributes else f".{x.attr}"
        if isinstance(x, ast.Constant):
            return LITERALS.get(type(x.value)) or repr(x.value)
        if isinstance(x, ast.JoinedStr):
            return LITERALS[str]
        return "Assign" if isinstance(x, ast.AnnAssign) else type(x).__name__


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """What ast.walk gives but for annotations, in a third of the time."""
    left = [tree]
    while left:
        node = left.pop()
        yield node
        for name, value in vars(node).items():
            if isinstance(value, list):
                left += [v for v in value if isinstance(v, ast.AST)]
            elif isinstance(value, ast.AST) and name not in LEFT_OUT:
                left.append(value)


# ---------------------------------------------------------------------------------- one exercise


class _Answers:
    """The answers of a class to one exercise; those that are the same in one list.

    Args:
        exercise: what they answer.
        stub: what everybody had to begin with.
    """

    def __init__(self, exercise: Exercise, stub: str) -> None:
        self._exercise = exercise
        self._stub = stub.encode()
        self._reader = Reader(stub)
        self._same: dict[tuple[int, ...], list[Answer]] = {}
        self._count = 0
        self._having: Counter[int] = Counter()

    def add(self, name: str, file: Path) -> None:
        """Read an answer, unless there is nothing of the student's in it."""
        try:
            data = file.read_bytes()
            if data == self._stub or len(data) > LARGEST:
                return
            answer = self._reader.read(name, data)
        except UNREADABLE:
            return
        if answer.statements:
            key = tuple(sorted(node.key for node in answer.statements))
            self._same.setdefault(key, []).append(answer)
            self._having.update(answer.keys)
            self._count += 1

    def pairs(self, threshold: float) -> Iterator[Pair]:
        """The pairs that have this share in common, and not by chance."""
        for same in self._same.values():
            if len(same) > 1 and self._surprise(same[0].statements):
                for one, other in combinations(same, 2):
                    yield self._pair(one, other, 1.0, same[0].statements)
        for ones, others in self._candidates(threshold):
            mine, theirs = ones[0].shared(others[0]), others[0].shared(ones[0])
            both = sum(node.size for node in mine) + sum(node.size for node in theirs)
            share = both / (ones[0].size + others[0].size)
            if share >= threshold and self._surprise(mine):
                for one, other in product(ones, others):
                    yield self._pair(one, other, share, mine)

    def _candidates(self, threshold: float) -> Iterator[tuple[list[Answer], list[Answer]]]:
        """Kinds of answers that share something rare, and enough of the rest."""
        kinds = list(self._same.values())
        index: dict[int, list[int]] = {}
        for i, same in enumerate(kinds):
            for key in same[0].keys:
                index.setdefault(key, []).append(i)
        most = max(RARE, len(kinds) // 10)
        near = {
            pair for kind in index.values() if len(kind) <= most for pair in combinations(kind, 2)
        }
        for i, j in sorted(near):
            mine, theirs = kinds[i][0].keys, kinds[j][0].keys
            # A changed line changes the blocks around it too: ask for less than in the end.
            if len(mine & theirs) >= threshold / 2 * max(len(mine), len(theirs)):
                yield kinds[i], kinds[j]

    def _surprise(self, shared: Sequence[Node]) -> bool:
        """Whether two students would hardly write these same parts by chance."""
        nats = 0.0
        for key, size in {node.key: node.size for node in shared}.items():
            guess = GUESS * math.exp(-size / NODES_PER_NAT)
            nats -= math.log((self._having[key] - 2 + guess) / (self._count - 2 + GUESS))
        return nats >= SURPRISE + 2 * math.log(self._count)

    def _pair(self, one: Answer, other: Answer, share: float, shared: Sequence[Node]) -> Pair:
        key = max(shared, key=lambda node: node.size).key
        path = self._exercise.path.as_posix()
        places = [f"{path}:{answer.line_of(key)}" for answer in (one, other)]
        return Pair(self._exercise, share, one.name, places[0], other.name, places[1])
