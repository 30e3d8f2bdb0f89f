"""What becomes of each file, decided from three trees without touching any of them.

Of an exercise the base is its stub: an untouched file gets the new stub, an edited one stays. All
else becomes what the course has now. A file is removed only where the course is known to have had
exactly this content there. So nobody's own file goes, whatever is known or unknown.
"""

from __future__ import annotations

from kata import stubs
from kata.course import TITLE, CourseError
from kata.updating.compare import WHOLE, Renames, changes, old_imports
from kata.updating.model import PART, Plan, Role, Step, beside, number, role
from kata.updating.trees import Known, Local, Tree, blob, plain, same

PAGES = (".md", ".png", ".svg")


def make_plan(local: Local, wanted: Tree, known: Known, left_out: dict[str, str]) -> Plan:
    """Decide about every file.

    Args:
        local: the learner's folder.
        wanted: the new version.
        known: what the course had before.
        left_out: by path, what the new version has there that cannot be taken.
    """
    return _Planner(local, wanted, known, left_out).plan


class _Planner:
    def __init__(self, local: Local, wanted: Tree, known: Known, left_out: dict[str, str]) -> None:
        self.plan = Plan()
        self._local = local
        self._files = local.files
        self._wanted = wanted
        self._known = known
        self._had = known.paths
        self._homes: dict[Role, list[str]] = {}
        for path in sorted(local.files):
            if its := role(path):
                self._homes.setdefault(its, []).append(path)
        self._bases = self._read_bases()
        self._places = {its: path for path in wanted if (its := role(path))}
        self._renames = self._find_renames()
        self._done: set[str] = set()
        taken = [path for path in sorted(wanted) if path not in local.blocked]
        for path in taken:
            if path.startswith("exercises/"):
                self._exercise(path)
        for path in taken:
            if not path.startswith("exercises/"):
                self._other(path)
        self._remove({path.casefold() for path in [*wanted, *left_out]})
        self._say_what_is_new()
        self.plan.blocked = list(dict.fromkeys([*local.blocked.values(), *left_out.values()]))

    def _step(self, path: str, new: bytes | None) -> None:
        self.plan.steps.append(Step(path, self._files.get(path), new))
        self._done.add(path)

    # ------------------------------------------------------------------------------ the exercises

    def _read_bases(self) -> dict[str, list[str]]:
        """The stubs that the learner's copies were made from, by topic and name."""
        bases: dict[str, list[str]] = {}
        for (tree, topic, word), paths in self._homes.items():
            for path in paths if tree == "solutions" else ():
                try:
                    stub = stubs.stub_from(plain(self._files[path]).decode(), path)
                except (CourseError, SyntaxError, ValueError):
                    continue
                bases.setdefault(f"{topic}/{word}", []).append(stub)
        return bases

    def _find_renames(self) -> Renames:
        renames: Renames = {}
        for its, new in self._places.items():
            for old in self._homes.get(its, []):
                one, other = PART.fullmatch(old), PART.fullmatch(new)
                if its[0] == "exercises" and one and other:
                    for group in ("chapter", "name"):
                        if one[group] != other[group]:
                            renames[one[group]] = other[group]
        return renames

    def _old_bases(self, path: str) -> list[str]:
        its = role(path)
        if its:
            return self._bases.get("/".join(its[1:]), [])
        given = self._files.get(path.replace("exercises/", "solutions/", 1))
        return [plain(given).decode("utf-8", "replace")] if given is not None else []

    def _is_untouched(self, path: str) -> bool:
        data = self._files[path]
        if any(same(data, base.encode()) for base in self._old_bases(path)):
            return True
        if same(data, self._wanted.get(path)):
            return True
        if not self._known.gave(path, data):
            return self._is_page_of_unknown_origin(path)
        if not path.startswith("exercises/") or role(path) is None:
            return True
        # The history may be that of the learner's own fork, with the answers in it.
        home = self._places.get(role(path) or ("", "", ""), path)
        stub = self._wanted.get(home, b"").decode("utf-8", "replace")
        return not stubs.is_edited(data.decode("utf-8-sig", "replace"), stub)

    def _is_page_of_unknown_origin(self, path: str) -> bool:
        """A page is seldom edited, and a new exercise needs it: it is replaced, with a copy."""
        return path.endswith(PAGES) and path not in self._had

    def _exercise(self, path: str) -> None:
        """Bring the new stub, or leave the learner's file, in its new place if it has one."""
        new, here = self._wanted[path], self._files.get(path)
        its = role(path)
        places = [p for p in self._homes.get(its, []) if p not in self._wanted] if its else []
        mine = [p for p in places if not self._is_untouched(p)]
        if here is not None and not self._is_untouched(path):
            self._keep(path, here, new)
            places = [p for p in places if p not in mine or same(self._files[p], here)]
        elif mine:
            data = self._files[mine[0]]
            self._step(path, data)
            self._keep(path, data, new)
            places = [p for p in places if p not in mine[1:]]
        elif not same(here, new):
            self._step(path, new)
            if here is not None and self._is_page_of_unknown_origin(path):
                self.plan.guessed += 1
        for old in places:
            self._step(old, None)
        for old in mine:
            if old not in places:
                self.plan.left.append(old)

    def _keep(self, path: str, mine: bytes, new: bytes) -> None:
        """Leave an edited file as it is, and say what has changed round it."""
        self.plan.edited.append(path)
        notes = list(old_imports(mine, self._renames))
        if changed := self._changed(path, new):
            where = beside(path)
            notes.append(f"changed by the course: {', '.join(changed)}. Look at {where}")
            if not same(self._files.get(where), new) and where not in self._local.blocked:
                self._step(where, new)
        self._note(path, notes)

    def _note(self, path: str, notes: list[str]) -> None:
        if notes:
            self.plan.notes[path] = notes

    def _changed(self, path: str, new: bytes) -> list[str]:
        bases = self._old_bases(path)
        if bases and role(path):
            return changes(bases[-1], plain(new).decode("utf-8", "replace"))
        is_old = self._known.last.get(path) == blob(new) or self._known.ever.get(path) == {
            blob(new)
        }
        is_old = is_old or any(same(new, base.encode()) for base in bases)
        return [] if is_old else [WHOLE]

    # ------------------------------------------------------------------------------- all the rest

    def _other(self, path: str) -> None:
        new, here = self._wanted[path], self._files.get(path)
        if same(here, new):
            return
        self._step(path, new)
        if here is not None:
            self._count_as_replaced(path, here)

    def _count_as_replaced(self, path: str, data: bytes) -> None:
        if path not in self._had:
            self.plan.guessed += 1
        elif not self._known.gave(path, data):
            self.plan.replaced.append(path)

    def _remove(self, taken: set[str]) -> None:
        """Remove what the course no longer has, as far as it is the course's."""
        for path, data in sorted(self._files.items()):
            its = role(path)
            if path.casefold() in taken or path in self._done:
                continue
            home = self._places.get(its, "") if its else ""  # another number: it has moved there
            if home:
                if not path.startswith("exercises/") and home not in self._local.blocked:
                    self._step(path, None)
                    self._count_as_replaced(path, data)
            elif self._known.gave(path, data) and self._is_untouched(path):
                self._step(path, None)
            elif its and path.startswith("exercises/"):
                self.plan.gone.append(path)
                self._note(path, list(old_imports(data, self._renames)))
            elif path in self._had:
                self.plan.left.append(path)

    def _say_what_is_new(self) -> None:
        for its, path in sorted(self._places.items(), key=lambda item: item[1]):
            if its[0] != "exercises":
                continue
            homes = self._homes.get(its) or self._homes.get(("solutions", *its[1:]), [])
            if not homes:
                self.plan.new.append(self._shown(path))
            elif all(number(home) != number(path) for home in homes):
                self.plan.moved.append((number(homes[0]), self._shown(path)))

    def _shown(self, path: str) -> str:
        first, _, _ = self._wanted[path].decode("utf-8-sig", "replace").partition("\n")
        title = TITLE.match(first)
        return f"{number(path)} {title['title'] if title else path}"
