"""Two versions of the miniature course, and the ways in which a learner can have the first one."""

import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from kata import stubs
from kata.course import Course
from tests.meta.minicourse import make_course

SOLUTION = '''\
"""{number} {title}   [easy, ~5 min]

A small exercise.

Source: Euclid, Elements, book VII, https://example.org/elements.
"""


def {name}(x: int) -> int:
    """Return what the title says.

    >>> {name}(2)
    {two}
    """
    # solution
    return {answer}
'''
TEST = """\
def test_two_is_right(answer, reference):
    assert answer.{name}(2) == reference.{name}(2)
"""
DOUBLE, PICK = "ch01_demo/ex01_double", "ch01_demo/ex02_pick"
NEW_PICK, HALF, OLD = "ch01_demo/ex03_pick", "ch01_demo/ex02_half", "ch01_demo/ex03_old"


def add(course: Course, path: str, title: str, answer: str, two: int) -> None:
    """Add an exercise: its solution, its stub and a test."""
    chapter, name = path.split("/")
    number, word = f"{int(chapter[2:4])}.{int(name[2:4])}", name[5:]
    text = SOLUTION.format(number=number, title=title, name=word, answer=answer, two=two)
    put(course, f"solutions/{path}.py", text)
    put(course, f"exercises/{path}.py", stubs.make_stub(text))
    put(course, f"tests/{chapter}/test_{name}.py", TEST.format(name=word))


def put(course: Course, path: str, text: str) -> None:
    """Write a file of the course."""
    file = course.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")


def change(course: Course, path: str, old: str, new: str) -> None:
    """Replace a text in a file of the course."""
    before = (course.root / path).read_text("utf-8")
    assert old in before
    put(course, path, before.replace(old, new))


def make_first(root: Path) -> Course:
    """Exercises 1.1 double, 1.2 pick and 1.3 old, and two files of the project."""
    course = make_course(root)
    add(course, OLD, "An old exercise", "x + 1", 3)
    put(course, "solutions/ch01_demo/shared.py", "SHARED = 1\n")
    put(course, "exercises/ch01_demo/shared.py", "SHARED = 1\n")
    put(course, "README.md", "# The course\n")
    put(course, "tests/gone.py", "# of the first version only\n")
    put(course, ".gitignore", "__pycache__/\n.kata/\n")
    return Course(root)


def make_second(course: Course) -> None:
    """Make it the next version.

    1.1 has another signature, 1.2 is new, pick is 1.3 now, and the old 1.3 is gone; a test, a page,
    what is given and a file of the project have changed, and one is gone.
    """
    for tree in ("exercises", "solutions"):
        change(course, f"{tree}/{DOUBLE}.py", "double(x: int)", "double(x: int | float)")
        change(course, f"{tree}/{PICK}.py", "1.2 Twice", "1.3 Twice")
        change(course, f"{tree}/ch01_demo/shared.py", "1", "2")
    for name in ("exercises/{}", "solutions/{}", "tests/{}"):
        for kind in ("test_", "wrong_") if "tests" in name else ("",):
            old, new = (
                course.root / (name.format(path.replace("/", f"/{kind}")) + ".py")
                for path in (PICK, NEW_PICK)
            )
            old.rename(new)
    add(course, HALF, "Half of a number", "x // 2", 1)
    for name in (f"exercises/{OLD}.py", f"solutions/{OLD}.py", "tests/ch01_demo/test_ex03_old.py"):
        (course.root / name).unlink()
    (course.root / "tests" / "gone.py").unlink()
    change(course, "tests/ch01_demo/test_ex01_double.py", "== 6", "== 6  # twice three")
    change(course, "exercises/ch01_demo/README.md", "Two", "Three")
    change(course, "README.md", "The course", "The new course")
    put(course, ".ci/run", "#!/usr/bin/env bash\n")
    (course.root / ".ci" / "run").chmod(0o755)


def git(folder: Path, *args: str) -> str:
    """Run git as somebody with no settings of their own."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *who, *args], cwd=folder, env=environ | alone, capture_output=True, check=True
    )
    return done.stdout.decode()


def commit(folder: Path, message: str = "a change") -> None:
    """Commit all that is in a folder."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)


@dataclass
class Versions:
    """A learner's copy of the first version, and where the second one is.

    Attributes:
        course: the learner's copy.
        second: a folder with the second version, and nothing else in it.
        upstream: a git repository with both versions.
    """

    course: Course
    second: Course
    upstream: Path

    def commit_if(self, wanted: bool) -> None:
        """Commit what the learner did, where there is a repository."""
        if wanted and (self.course.root / ".git").exists():
            commit(self.course.root)

    def as_zip(self, top: str = "course-main/") -> Path:
        """The second version as a zip file, with a folder round it as GitHub makes it."""
        path = self.second.root.parent / "course.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(self.second.root.rglob("*")):
                if file.is_file():
                    archive.write(file, top + file.relative_to(self.second.root).as_posix())
        return path


def make_versions(folder: Path, history: str) -> Versions:
    """Make both versions.

    Args:
        folder: an empty folder.
        history: how the learner has the first one: `shared` (a clone), `own` (committed without
            the history of the course), `none` (a folder that is no repository).
    """
    upstream = folder / "upstream"
    course = make_first(upstream)
    git(folder, "init", "-q", str(upstream))
    commit(upstream, "first")
    mine = folder / "mine"
    if history == "shared":
        git(folder, "clone", "-q", str(upstream), str(mine))
        git(mine, "remote", "rename", "origin", "upstream")
    else:
        shutil.copytree(upstream, mine, ignore=shutil.ignore_patterns(".git"))
    if history == "own":
        git(folder, "init", "-q", str(mine))
        commit(mine)
        git(mine, "remote", "add", "upstream", str(upstream))
    make_second(course)
    commit(upstream, "second")
    second = folder / "second"
    shutil.copytree(upstream, second, ignore=shutil.ignore_patterns(".git"))
    return Versions(Course(mine), Course(second), upstream)
