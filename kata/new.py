"""`kata new`: the files of an exercise, all of them or none, and nothing is ever overwritten."""

from __future__ import annotations

import contextlib
import keyword
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from kata import catalogue, templates
from kata.catalogue import Difficulty
from kata.course import TITLE, Course, CourseError, Exercise
from kata.files import write_text
from kata.stubs import make_stub
from kata.terminal import say
from kata.verdict import relative

NUMBER = re.compile(r"(\d+)\.(\d+)")
NAME = re.compile(r"(?=.{2,40}$)[a-z][a-z0-9]*(_[a-z0-9]+)*")


def new(
    number: Annotated[str, typer.Argument(help="the next one of a chapter, such as 5.16")],
    name: Annotated[str, typer.Argument(help="of the function, such as top_a_filter")],
    title: Annotated[str, typer.Option(metavar="TEXT", help="made of the name without it")] = "",
    difficulty: Annotated[Difficulty, typer.Option(help="for a learner")] = Difficulty.EASY,
    minutes: Annotated[int, typer.Option(min=1, max=600, help="for a learner")] = 10,
) -> None:
    """For authors: make the files of a new exercise."""
    from kata.cli import the_course

    course = the_course()
    exercise = plan(course, number, name, title, difficulty, minutes)
    made, changed = texts(course, exercise)
    write(made, changed)
    names = {path: relative(path, course.root) for path in (*made, *changed)}
    for path, shown in names.items():
        say(f"{'made' if path in made else 'changed'}: {shown}")
    page = _page(course, exercise)
    if page not in changed:
        say(f"{relative(page, course.root)} has no table of exercises: tell of this one there")
    wrong, solution, test, _, hints, *_ = names.values()
    say()
    say(
        templates.STEPS.format(
            wrong=wrong, solution=solution, test=test, hints=hints, number=exercise.number
        )
    )


def plan(
    course: Course, number: str, name: str, title: str, difficulty: str, minutes: int
) -> Exercise:
    """The exercise that is asked for.

    Raises:
        CourseError: there can be none with that number, name or title.
    """
    match = NUMBER.fullmatch(number)
    if not match:
        raise CourseError(f"a number is that of a chapter and an exercise, 5.16; got {number!r}")
    chapter = catalogue.find_chapter(course, match[1])
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise CourseError(f"a name is that of a function, such as top_a_filter; got {name!r}")
    if taken := [e for e in course.exercises if e.name[5:] == name]:
        raise CourseError(f"the name {name} is taken: {taken[0]}")
    following = 1 + int(course.chapters[chapter][-1].name[2:4])
    if int(match[2]) != following:
        there = [f"{e} is there; " for e in course.chapters[chapter] if e.number == number]
        raise CourseError(
            f"{''.join(there)}the next number of chapter {match[1]} is {match[1]}.{following}"
        )
    title = title or name.replace("_", " ").capitalize()
    exercise = Exercise(chapter, f"ex{following:02}_{name}", title, difficulty, minutes)
    line = _filled(templates.SOLUTION, exercise).partition("\n")[0]
    read = TITLE.match(line)
    if not read or read["title"] != title or not title.isprintable() or set(title) & set('"\\|'):
        raise CourseError(f'a title is one line without ", \\ and |; got {title!r}')
    return exercise


def texts(course: Course, exercise: Exercise) -> tuple[dict[Path, str], dict[Path, str]]:
    """The files of an exercise: those to be made, and those to be changed, with their new text.

    Raises:
        CourseError: one is there already, or one that is to be changed cannot be read.
    """
    tests, page = course.tests_dir / exercise.chapter, _page(course, exercise)
    solution = _filled(templates.SOLUTION, exercise)
    made = {
        tests / f"wrong_{exercise.name}.py": _filled(templates.WRONG, exercise),
        course.solutions_dir / exercise.path: solution,
        tests / f"test_{exercise.name}.py": _filled(templates.TEST, exercise),
        course.exercises_dir / exercise.path: make_stub(solution, str(exercise.path)),
    }
    for path in made:
        number = exercise.name[:5]
        if there := sorted(path.parent.glob(f"{path.name.partition(number)[0]}{number}*")):
            raise CourseError(f"{relative(there[0], course.root)} is there already")
    hints = tests / "hints.toml"
    old = _read(course, hints) if hints.exists() else ""
    try:
        if exercise.name in tomllib.loads(old):
            raise CourseError(f"{relative(hints, course.root)} has {exercise.name} already")
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{relative(hints, course.root)} cannot be read: {error}") from None
    changed = {hints: _after(old, _filled(templates.HINTS, exercise))}
    row = with_row(_read(course, page), exercise) if page.exists() else None
    return made, changed | ({page: row} if row else {})


def with_row(page: str, exercise: Exercise) -> str | None:
    """The page of a chapter with a line more in its table of exercises; None without a table."""
    lines = page.splitlines(keepends=True)
    chapter = exercise.number.partition(".")[0]
    rows = [i for i, line in enumerate(lines) if re.match(rf"\|\s*{chapter}\.\d+\s*\|", line)]
    if not rows:
        return None
    head = next(i + 1 for i in range(rows[-1], -2, -1) if i < 0 or not lines[i].startswith("|"))
    known = {
        "number": exercise.number,
        "file": f"[{exercise.name}.py]({exercise.name}.py)",
        "title": exercise.title,
        "difficulty": exercise.difficulty,
        "minutes": str(exercise.minutes),
    }
    columns = [cell.strip().lower() for cell in lines[head].strip().strip("|").split("|")]
    row = f"| {' | '.join(known.get(column, templates.MARK) for column in columns)} |\n"
    end = rows[-1] + 1
    return _after("".join(lines[:end]), row) + "".join(lines[end:])


def write(made: Mapping[Path, str], changed: Mapping[Path, str]) -> None:
    """Write every file, or none: whatever fails, all is again as it was."""
    before = {path: path.read_bytes() if path.exists() else b"" for path in changed}
    try:
        for path, text in made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        for path, text in changed.items():
            write_text(path, text)
    except BaseException:
        for path, text in {**made, **changed}.items():
            with contextlib.suppress(OSError):
                _undo(path, text.encode(), before.get(path, b""))
        raise


def _undo(path: Path, text: bytes, before: bytes) -> None:
    there = path.read_bytes()
    if before and there == text:
        write_text(path, before.decode())
    elif not before and text.startswith(there):  # nobody else's, or nothing is lost
        path.unlink()


def left_to_write(course: Course) -> Iterator[str]:
    """`path:line: text` of each line that still has to be rewritten by its author."""
    files = [
        *course.solutions_dir.glob("ch*/*.py"),
        *course.tests_dir.glob("ch*/*.*"),
        *course.exercises_dir.glob("ch*/README.md"),
    ]
    for path in sorted(files):
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if templates.MARK in line:
                yield f"{relative(path, course.root)}:{number}: {line.strip()}"


def _filled(template: str, exercise: Exercise) -> str:
    words = {
        "NUMBER": exercise.number,
        "TITLE": exercise.title,
        "DIFFICULTY": exercise.difficulty,
        "MINUTES": str(exercise.minutes),
        "NAME": exercise.name[5:],
        "FILE": exercise.name,
    }
    return re.sub(rf"\b({'|'.join(words)})(?=\b|__)", lambda match: words[match[0]], template)


def _page(course: Course, exercise: Exercise) -> Path:
    return course.exercises_dir / exercise.chapter / "README.md"


def _read(course: Course, path: Path) -> str:
    """The text of a file, its line ends as they are."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise CourseError(f"{relative(path, course.root)} cannot be read: {error}") from None


def _after(old: str, text: str) -> str:
    """A text with another one below it, that has the same line ends."""
    end = "\r\n" if "\r\n" in old else "\n"
    start = old if not old or old.endswith("\n") else old + end
    return start + text.replace("\n", end)
