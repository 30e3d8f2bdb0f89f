"""From whatever a student hands in to a clean tree of answers: `chNN_topic/exMM_name.py`, no more.

Where the answers are, in this order: in the shallowest folder called `exercises`; in the
shallowest folder that has chapters' folders (but one called `solutions`); else in loose files of
unmistakable names, `ex04_top_p_filter.py` or `ch05_ex04_top_p_filter.py`, wherever they lie. Taken
are exercises, modules of the learner's own beside them, and what the cells of notebooks define
(kata.grading.cells). What the course gives (`tiny_lm.py`) comes from the course. Nothing else is
taken, nothing is executed, and what is wrong becomes a sentence each while the rest is graded.

Texts become UTF-8 with plain line ends, as Python would read them. A file that Python cannot decode
is taken byte for byte: then the verdict is Python's own error.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from difflib import get_close_matches
from itertools import count
from pathlib import Path, PurePosixPath

from kata import stubs
from kata.course import Course, Exercise
from kata.grading.cells import Notebook
from kata.grading.handin import Entry, HandIn, Unreadable, is_left_behind, shown
from kata.grading.model import Submission
from kata.grading.worktree import last_commit
from kata.text import plural

LARGEST_FILE = 1 << 20
LARGEST_NOTEBOOK = 8 << 20  # with the pictures in it
LARGEST_TREE = 16 << 20
LARGEST_HAND_IN = 64 << 20  # of what looks as if it were to be taken: the rest is not read
MOST_FILES = 1000
MOST_PROBLEMS = 40
NOT_ANSWERS = ("solutions", "tests")  # folders of a whole course that is handed in
# Files by which a tool or Python itself would be told what to do.
FOREIGN = re.compile(
    r"conftest|test_.*|.*_test|setup|noxfile|sitecustomize|usercustomize|__init__|__main__"
)
FOREIGN_KINDS = (".pth", ".so", ".pyd", ".dll", ".dylib", ".pyc", ".cfg", ".ini", ".toml")
PLAIN = re.compile(  # the codecs that are quick, and without surprises, on any input
    r"utf-?8(-sig)?|(us-?)?ascii|latin-?\d+|l1|iso-?8859-?\d*|(cp|windows-?)\d+|koi8-?\w|mac-?\w+"
    r"|gbk?|gb2312|gb18030|big5(hkscs)?|shift-?jis|sjis|euc-?\w+"
)
COOKIE = re.compile(rb"^([ \t\f]*#.*?coding[:=][ \t]*)([-\w.]+)", re.ASCII)


def take(origin: Path, into: Path, course: Course, name: str = "") -> Submission:
    """Take the answers out of a hand-in: a folder, a git work tree, a zip file, a single file.

    Args:
        origin: what was handed in; it is only read.
        into: the folder of the clean tree, empty or still to be made.
        course: the catalogue of what can be handed in.
        name: how reports call it; by default after its file.

    Raises:
        FileExistsError: there is something in `into`: two hand-ins must not be mixed.
    """
    into.mkdir(parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise FileExistsError(f"{into} is not empty")
    taking = _Taking(course, into)
    with ExitStack() as stack:
        hand_in = stack.enter_context(HandIn(origin))
        if archive := _only_archive(hand_in):
            hand_in = stack.enter_context(HandIn(archive))
        taking.take(hand_in)
        submitted = taking.submitted(hand_in)
    problems = [*hand_in.problems, *taking.problems]
    if (more := len(problems) - MOST_PROBLEMS) > 0:
        problems[MOST_PROBLEMS:] = [f"and {plural(more, 'problem')} more"]
    name = name or safe_name(origin.stem if origin.is_file() else origin.name)
    return Submission(name, origin, into, tuple(problems), submitted)


def _only_archive(hand_in: HandIn) -> Path | None:
    """The zip file in a folder that has nothing else to grade, as some platforms hand out."""
    kinds = Counter(entry.path.suffix.lower() for entry in hand_in.entries)
    if not hand_in.origin.is_dir() or kinds[".zip"] != 1 or kinds[".py"] or kinds[".ipynb"]:
        return None
    return next(hand_in.origin / e.path for e in hand_in.entries if e.path.suffix.lower() == ".zip")


class _Taking:
    """What is taken of one hand-in, and what is said about the rest.

    Args:
        course: the catalogue.
        into: the folder to write to.
    """

    def __init__(self, course: Course, into: Path) -> None:
        self.problems: list[str] = []
        self._course = course
        self._into = into
        self._root: PurePosixPath | None = None
        self._others: set[PurePosixPath] = set()
        self._files: dict[Exercise, list[Entry]] = {}
        self._loose: dict[Exercise, list[Entry]] = {}
        self._modules: list[tuple[str, Entry]] = []
        self._notebooks: list[Entry] = []
        self._written: set[str] = set()
        self._bytes = 0
        self._to_read = LARGEST_HAND_IN
        self._exercises = {(e.chapter.lower(), e.name.lower()): e for e in course.exercises}
        self._chapters = {chapter.lower(): chapter for chapter in course.chapters}
        self._given = {path.as_posix().lower(): path for path in course.given}
        self._by_alias: dict[str, list[Exercise]] = {}
        for e in course.exercises:
            for alias in (e.name, f"{e.chapter}_{e.name}", f"{e.chapter[:4]}_{e.name}"):
                self._by_alias.setdefault(alias.lower(), []).append(e)

    def take(self, hand_in: HandIn) -> None:
        """Write the tree."""
        self._root = self._find_root(hand_in.entries)
        for entry in hand_in.entries:
            self._sort(entry)
        for path in self._course.given:
            ours = (self._course.solutions_dir / path).read_bytes()
            self._write(path.parent.name, path.stem, ours)
        texts = {e: data for e in self._course.exercises if (data := self._answer(e)) is not None}
        texts |= self._from_notebooks(texts)
        for exercise, data in texts.items():
            self._write(exercise.chapter, exercise.name, data)
        for chapter, entry in self._modules:
            self._take_module(chapter, entry)
        if not texts and not self.problems and not hand_in.problems:
            self.problems.append(NOTHING)

    def submitted(self, hand_in: HandIn) -> datetime | None:
        """The time of the last commit, where the answers are in a git work tree."""
        root = self._root or PurePosixPath()
        around = [folder for folder in hand_in.repositories if root.is_relative_to(folder)]
        return last_commit(hand_in.origin / max(around, key=_depth)) if around else None

    # ------------------------------------------------------------------------- where they are

    def _find_root(self, entries: Sequence[Entry]) -> PurePosixPath | None:
        """The folder that has the answers, or None when there are only loose files."""
        roots = Counter(
            root for entry in entries if (root := self._root_of(entry.path)) is not None
        )
        best = min(
            roots,
            key=lambda root: (root.name.lower() != "exercises", _depth(root), -roots[root], root),
            default=None,
        )
        self._others = roots.keys() - {best}
        for root in sorted(self._others):
            self.problems.append(f"{shown(root)}/ was not taken, but {shown(best or root)}/")
        return best

    def _root_of(self, path: PurePosixPath) -> PurePosixPath | None:
        key = (path.parent.name.lower(), path.stem.lower())
        is_loose = key[0] == "exercises" and key[1] in self._by_alias
        root = path.parent if is_loose else path.parent.parent
        is_answer = path.suffix.lower() == ".py" and (is_loose or key in self._exercises)
        return root if is_answer and root.name.lower() not in NOT_ANSWERS else None

    def _sort(self, entry: Entry) -> None:
        """Find out what a file is for."""
        path, kind = entry.path, entry.path.suffix.lower()
        is_inside = self._root is not None and path.is_relative_to(self._root)
        if any(folder.lower() in NOT_ANSWERS for folder in path.parts[:-1]) and not is_inside:
            return
        if kind == ".ipynb":
            self._notebooks.append(entry)
        elif not self._others.isdisjoint(path.parents):
            return
        elif kind == ".py" and (is_inside or self._root is None):
            self._sort_code(entry)
        elif kind in FOREIGN_KINDS and is_inside:
            self.problems.append(f"{shown(path)} was not taken: it is no answer")
        elif kind in ARCHIVES and self._root is None:
            self.problems.append(f"{shown(path)} was not opened: it is an archive in the hand-in")

    def _sort_code(self, entry: Entry) -> None:
        path, stem = entry.path, entry.path.stem
        inside = PurePosixPath(path.name) if self._root is None else path.relative_to(self._root)
        chapter = self._chapters.get(inside.parent.as_posix().lower(), "")
        exercise = self._exercises.get((chapter.lower(), stem.lower()))
        owners = self._by_alias.get(re.sub(r"[ -]", "_", stem.lower()), [])
        if exercise:
            self._files.setdefault(exercise, []).append(entry)
        elif len(owners) == 1:
            self._loose.setdefault(owners[0], []).append(entry)
        elif inside.as_posix().lower() in self._given:
            self._compare_given(entry, self._given[inside.as_posix().lower()])
        elif FOREIGN.fullmatch(stem.lower()):
            if entry.size:
                self.problems.append(f"{shown(path)} was not taken: it is no answer")
        else:
            nearest = self._nearest(chapter, stem)
            if nearest:
                self.problems.append(f"{shown(path)} is no exercise; is {nearest} meant?")
            if chapter:
                self._modules.append((chapter, entry))
            elif not nearest:
                self.problems.append(f"{shown(path)} was not taken: it is in no chapter's folder")

    def _nearest(self, chapter: str, stem: str) -> str:
        """The exercise whose name is most like that of a file that looks like one."""
        if not re.match(r"(ex|ch)\d", stem, re.I) or len(self.problems) > MOST_PROBLEMS:
            return ""
        names = {e.name: e for e in self._course.exercises if chapter in ("", e.chapter)}
        bare = {name[5:]: e for name, e in names.items()}  # the number may have changed
        near = get_close_matches(stem.lower(), names, 1) or [""]
        far = get_close_matches(re.sub(r"^\w+?\d+_", "", stem.lower()), bare, 1) or [""]
        exercise = names.get(near[0]) or bare.get(far[0])
        return exercise.path.as_posix() if exercise else ""

    # ---------------------------------------------------------------------------- what is taken

    def _answer(self, exercise: Exercise) -> bytes | None:
        """The text of an exercise, unless there are several that differ."""
        entries = self._files.get(exercise) or self._loose.get(exercise, [])
        texts = {entry.path: text for entry in entries if (text := self._text(entry)) is not None}
        if len(set(texts.values())) > 1:
            names = " and ".join(shown(path) for path in texts)
            self.problems.append(f"{names} differ: none was taken as {exercise.number}")
            return None
        return next(iter(texts.values()), None)

    def _from_notebooks(self, texts: Mapping[Exercise, bytes]) -> dict[Exercise, bytes]:
        """The exercises of all notebooks; a file that somebody has worked on goes before a cell."""
        known = {path.name for path in self._course.exercises_dir.glob("ch*/*.ipynb")}
        found: dict[Exercise, bytes] = {}
        for entry in self._notebooks:
            if entry.path.name in known:
                continue
            data = self._content(entry, LARGEST_NOTEBOOK)
            if data is None:
                continue
            try:
                notebook = Notebook(data, self._course)
                answers = notebook.exercises()
            except ValueError as error:
                self.problems.append(f"{shown(entry.path)} cannot be read: {shown(str(error))}")
                continue
            self.problems += [f"{shown(entry.path)}: {shown(p)}" for p in notebook.problems]
            if not answers:
                self.problems.append(f"{shown(entry.path)}: {NO_CELL}")
            for exercise, text in answers.items():
                if exercise in found:
                    self.problems.append(
                        f"{shown(entry.path)}: another notebook has {exercise} too"
                    )
                elif self._is_worked_on(exercise, texts.get(exercise)):
                    self.problems.append(
                        f"{shown(entry.path)}: {exercise} has a file too: it counts"
                    )
                else:
                    found[exercise] = text.encode()
        return found

    def _is_worked_on(self, exercise: Exercise, text: bytes | None) -> bool:
        if text is None:
            return False
        stub = stubs.stub_of(self._course, exercise)
        return stubs.is_edited(text.decode("utf-8", "replace"), stub)

    def _take_module(self, chapter: str, entry: Entry) -> None:
        """Take a module that exercises beside it can import."""
        name = unicodedata.normalize("NFC", entry.path.stem)
        if not name.isidentifier() or RESERVED.fullmatch(name) or len(name) > LONGEST_NAME:
            self.problems.append(f"{shown(entry.path)} was not taken: no module has such a name")
        elif (data := self._text(entry)) is not None:
            self._write(chapter, name, data)

    def _compare_given(self, entry: Entry, path: Path) -> None:
        ours, _ = as_utf8((self._course.solutions_dir / path).read_bytes())
        if self._text(entry) not in (None, ours):
            self.problems.append(f"{shown(entry.path)} was changed: the course's own is used")

    def _text(self, entry: Entry) -> bytes | None:
        """The content of a Python file; what is wrong with it is said."""
        data = self._content(entry, LARGEST_FILE)
        if data is None:
            return None
        text, why = as_utf8(data)
        if why or not text.strip():
            self.problems.append(f"{shown(entry.path)} {why or 'is empty'}")
        return text

    def _content(self, entry: Entry, most: int) -> bytes | None:
        if entry.size <= min(most, self._to_read):
            try:
                data = entry.read(most + 1)
            except Unreadable as error:
                self.problems.append(f"{shown(entry.path)} cannot be read: {error}")
                return None
            self._to_read -= len(data)
            if len(data) <= most:
                return data
        why = f"more than {most >> 20} MB" if entry.size > most else TOO_LARGE
        self.problems.append(f"{shown(entry.path)} was not taken: {why}")
        return None

    def _write(self, chapter: str, name: str, data: bytes) -> None:
        """Write a file of the tree, under a name that is the course's or was looked at."""
        key = f"{chapter}/{name}".casefold()
        full = self._bytes + len(data) > LARGEST_TREE or len(self._written) >= MOST_FILES
        if key in self._written or full:
            why = TOO_LARGE if full else "another file has the same name"
            self.problems.append(f"{chapter}/{name}.py was not taken: {why}")
            return
        self._written.add(key)
        self._bytes += len(data)
        folder = self._into / chapter
        folder.mkdir(exist_ok=True)
        with (folder / f"{name}.py").open("xb") as file:
            file.write(data)


NOTHING = (
    "no exercise was found: a hand-in has files like exercises/ch01_tokenizers/ex05_merge_pair.py"
)
TOO_LARGE = "the hand-in is too large"
NO_CELL = "no cell belongs to an exercise; begin one with its number, such as `# 5.4`"


def _depth(path: PurePosixPath) -> int:
    return len(path.parts)


def as_utf8(data: bytes) -> tuple[bytes, str]:
    """A Python text as UTF-8 without a mark and with plain line ends, as Python would read it.

    Returns:
        The text, and an empty string; or the bytes as they were, and why Python cannot read them.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data, "is UTF-16, which Python does not read: save it as UTF-8"
    if b"\0" in data:
        return data, "holds a null byte: Python cannot read it"
    lines = data.removeprefix(codecs.BOM_UTF8).splitlines()
    place, cookie = _cookie(lines)
    codec = cookie[2].decode() if cookie else "utf-8"
    is_utf8 = re.fullmatch(r"utf[-_]?8", codec, re.I) is not None
    if not PLAIN.fullmatch(codec.lower().replace("_", "-")):
        return data, f"says that it is {codec}: it is left to Python to read it"
    if data.startswith(codecs.BOM_UTF8) and not is_utf8:
        return data, f"begins as UTF-8 and says that it is {codec}: Python cannot read it"
    try:
        text = b"".join(line + b"\n" for line in lines).decode(codec)
    except LookupError:
        return data, f"says that it is {codec}, which Python does not know"
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = f"byte 0x{error.object[error.start]:02x} in line {line}"
        return data, f"is not {codec} ({byte}): Python cannot read it. Save it as UTF-8"
    plain = text.encode().splitlines(keepends=True)
    if cookie and not is_utf8:
        plain[place] = COOKIE.sub(rb"\1utf-8", plain[place])
    return b"".join(plain), ""


def _cookie(lines: Sequence[bytes]) -> tuple[int, re.Match[bytes] | None]:
    """Which line says how a text is encoded (PEP 263), and what it says."""
    for place, line in enumerate(lines[:2]):
        if found := COOKIE.match(line):
            return place, found
        if line.strip() and not line.lstrip().startswith(b"#"):
            break
    return 0, None


# -------------------------------------------------------------------------------- a whole class


def find(origins: Sequence[Path]) -> list[tuple[str, Path]]:
    """The hand-ins that the paths on a command line mean, each with a name for it.

    A file is one hand-in. A folder is one when it looks like it: directly in it lies `exercises/`,
    a chapter's folder, an exercise's file, or a notebook and no folder; or it is a git work tree
    in which at most one folder looks so. Any other folder is a class: each folder and each archive
    directly in it is the hand-in of one student, whatever it looks like. Hidden and other files
    (a list of names, say) are none.

    Returns:
        Names, which are safe as names of files on every system and differ in more than upper and
        lower case, with what to take; in the order of `origins`, a class in that of its names.

    Raises:
        FileNotFoundError: one of the paths is not there.
    """
    places: list[Path] = []
    for origin in origins:
        place = origin.resolve(strict=True)  # a link that the instructor names is meant
        places += [place] if not place.is_dir() or _is_one(place) else _students(place)
    names: dict[str, Path] = {}
    taken: set[str] = set()
    for place in dict.fromkeys(places):
        wanted = safe_name(place.name if place.is_dir() else place.stem)
        numbered = (f"{wanted}-{number}" if number > 1 else wanted for number in count(1))
        name = next(free for free in numbered if free.casefold() not in taken)
        taken.add(name.casefold())
        names[name] = place
    return list(names.items())


WORK = re.compile(r"exercises|ch\d\d_\w+|(ch|ex)\d\d.*\.(py|ipynb)", re.I)
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)
LONGEST_NAME = 60


def _is_one(folder: Path) -> bool:
    if _has_work(folder):
        return True
    students = _students(folder)
    if not students:
        return any(child.suffix.lower() == ".ipynb" for child in _children(folder))
    return (folder / ".git").exists() and sum(map(_has_work, students)) < 2


def _has_work(folder: Path) -> bool:
    return any(WORK.fullmatch(child.name) for child in _children(folder))


def _students(folder: Path) -> list[Path]:
    return [
        child
        for child in _children(folder)
        if child.is_dir() or child.is_symlink() or child.suffix.lower() in ARCHIVES
    ]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if not is_left_behind(child.name))
    except OSError:  # a file, or closed to us: `open` says so
        return []


def safe_name(name: str) -> str:
    """A name that every system takes for a file: letters, digits, `_`, `-` and single dots.

    >>> safe_name("Anna Müller: ../hand-in?")
    'Anna_Müller_hand-in'
    """
    name = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name))
    name = re.sub(r"\.*_[_.]*", "_", re.sub(r"\.+", ".", name))
    name = name[:LONGEST_NAME].strip("._-") or "submission"
    return f"{name}_" if RESERVED.fullmatch(name) else name
