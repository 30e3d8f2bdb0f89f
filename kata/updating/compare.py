"""What is different in the new stub of an exercise, in words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

Renames = dict[
    str, str
]  # a chapter or an exercise: the old name of its folder or file, the new one
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
TO_IMPORT = re.compile(r"\s*(from\s+\.|import\s)")
WHOLE = "the file"


def changes(old: str, new: str) -> list[str]:
    """The parts of a stub that have changed; numbers of exercises do not count.

    Returns:
        Such as `the signature of pick`; nothing when both mean the same.
    """
    try:
        before, after = dict(_parts(old)), dict(_parts(new))
    except (SyntaxError, ValueError):
        return [] if old == new else [WHOLE]
    found = [part for part in after if before.get(part) != after[part]]
    return found + [f"{part} (it is gone)" for part in before if part not in after]


def _parts(text: str) -> Iterator[tuple[str, str]]:
    tree = ast.parse(text)
    title = ast.get_docstring(tree) or ""
    yield "the text at the top", re.sub(r"\b\d+\.\d+\b", "", title)
    body = [n for n in tree.body if not isinstance(n, DEFINITION) and not _is_text(n)]
    lines = "\n".join(map(ast.unparse, body))
    yield "the lines outside of functions", re.sub(r"\b(ch|ex)\d\d_", r"\1_", lines)
    yield from _definitions(tree, "")


def _definitions(tree: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, DEFINITION):
            continue
        name = prefix + node.name
        if isinstance(node, ast.ClassDef):
            signature = ", ".join(map(ast.unparse, [*node.bases, *node.keywords]))
        else:
            result = ast.unparse(node.returns) if node.returns else ""
            signature = f"{ast.unparse(node.args)} -> {result}"
        yield f"the signature of {name}", signature
        yield f"the docstring of {name}", ast.get_docstring(node) or ""
        own = [n for n in node.body if not isinstance(n, DEFINITION) and not _is_text(n)]
        yield f"the given lines of {name}", "\n".join(map(ast.unparse, own))
        yield from _definitions(node, f"{name}.")


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def old_imports(code: bytes, renames: Renames) -> Iterator[str]:
    """The imports of a learner's file that name an exercise as it was called before."""
    for line, text in enumerate(code.decode("utf-8", "replace").splitlines(), 1):
        for old, new in renames.items():
            if TO_IMPORT.match(text) and re.search(rf"\b{old}\b", text):
                yield f"line {line} imports {old}, which is called {new} now: change it there"
