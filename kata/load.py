"""Runs one course file in a package of its own, lazily and from source.

Each load makes a new package, `_kata_7` say, so that no state survives from one test to the next
and a relative import (`from ..ch01_tokenizers.ex05_merge_pair import merge_pair`) is served by
the tree that the caller chose: the references by default, the learner's own files with `--own`.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType

from kata.course import Exercise
from kata.stubs import is_to_do

PREFIX = "_kata_"
_serial = itertools.count(1)
_sources: dict[str, Source] = {}
_compiled: dict[str, tuple[bytes, CodeType]] = {}


@dataclass(frozen=True)
class Source:
    """Which file is loaded, and which trees serve its relative imports, first match first."""

    exercise: Exercise
    tree: Path
    imports: tuple[Path, ...]
    replace: Mapping[str, object] = field(default_factory=dict)

    def file(self, chapter: str, name: str) -> Path | None:
        """The file that stands for `chapter/name` in this package."""
        main = (chapter, name) == (self.exercise.chapter, self.exercise.name)
        # The answer's tree comes last for imports, so that a learner's own helper file is found.
        trees = (self.tree,) if main else (*self.imports, self.tree)
        found = [path for tree in trees if (path := tree / chapter / f"{name}.py").is_file()]
        # A solution that was left out of this copy has its stub there: then the learner's own.
        done = (path for path in found[:-1] if not is_to_do(path))
        return next(done, found[-1] if found else None)

    def loader(self, fullname: str, file: Path) -> importlib.machinery.SourceFileLoader:
        """What gives Python the text of the file."""
        return SourceLoader(fullname, str(file))


class SourceLoader(importlib.machinery.SourceFileLoader):
    """Never reads or writes bytecode files.

    A `.pyc` is trusted when time (in seconds) and size agree, which two quick edits can do.
    """

    def get_code(self, fullname: str) -> CodeType:
        """The compiled file, from memory when its content has not changed."""
        data = self.get_data(self.path)
        known = _compiled.get(self.path)
        if known is None or known[0] != data:
            known = data, self.source_to_code(data, self.path)
            _compiled[self.path] = known
        return known[1]


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, *parts = fullname.split(".")
        source = _sources.get(package)
        if source is None:
            return None
        if len(parts) < 2:  # the package itself, or a chapter: folders without __init__.py
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        file = source.file(parts[0], ".".join(parts[1:]))
        if file is None:
            return None
        loader = source.loader(fullname, file)
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


_finder = _Finder()


@contextmanager
def fresh(source: Source) -> Iterator[LazyModule]:
    """A package of its own for one exercise; it is forgotten when the block ends."""
    package = f"{PREFIX}{next(_serial)}"
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _sources[package] = source
    try:
        yield LazyModule(package, source)
    finally:
        del _sources[package]
        for name in [n for n in sys.modules if n.split(".")[0] == package]:
            del sys.modules[name]


class LazyModule:
    """The module of one exercise, executed when it is first asked for."""

    def __init__(self, package: str, source: Source) -> None:
        self.package = package
        self.source = source
        self._module: ModuleType | None = None

    def get(self) -> ModuleType:
        """Execute the file at the first call and return its module.

        Raises:
            FileNotFoundError: the tree has no such file.
            Exception: whatever the file raises, a SyntaxError for instance.
        """
        __tracebackhide__ = True
        if self._module is None:
            exercise = self.source.exercise
            if self.source.file(exercise.chapter, exercise.name) is None:
                raise FileNotFoundError(f"there is no {self.source.tree / exercise.path}")
            module = importlib.import_module(f"{self.package}.{exercise.chapter}.{exercise.name}")
            vars(module).update(self.source.replace)
            self._module = module
        return self._module
