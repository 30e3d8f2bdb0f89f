"""`kata update`: brings in the new version of the course, and what the learner wrote stays."""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from kata import progress
from kata.course import Course
from kata.files import content
from kata.terminal import paragraph, say, stop
from kata.text import plural
from kata.updating import source, steps, trees
from kata.updating.model import Plan, beside
from kata.updating.plan import make_plan
from kata.verdict import relative

INTERRUPTED = 130
UP_TO_DATE = "Everything is up to date."
INSTALL = "The course needs other packages now. Run again: python -m pip install -e ."
AGAIN = "Nothing of yours is lost; `kata update` once more goes on."
PROJECT = "pyproject.toml"
FOLDERS = ("exercises", "solutions", "tests", "kata")
SHORT = 10  # steps that are listed one by one without being asked for


def update(
    place: Annotated[
        str, typer.Option("--from", metavar="WHERE", help="a git URL, a folder or a zip file")
    ] = "",
    ref: Annotated[str, typer.Option(metavar="REF", help="a branch, a tag or a commit")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only say what would be done, file by file")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Bring in the new version of the course; what you wrote stays.

    Without --from it comes from the git remote `upstream`, else from `origin`. Every file that is
    replaced is kept in .kata/backup.
    """
    from kata.cli import the_course

    course = the_course()
    try:
        new = source.read(place or source.default_place(course.root), ref)
        known = trees.Known(trees.remembered(course.root), new.ever)
        shown = [beside(path) for path in new.tree if path.startswith("exercises/")]
        local = trees.look(course.root, [*new.tree, *shown], known.paths)
        plan = make_plan(local, new.tree, known, new.left_out)
        say(f"From {new.name}", "dim")
        _explain(plan)
        if dry_run or len(plan.steps) <= SHORT:
            _list(plan)
        if dry_run:
            return
        if not plan.steps or yes or _agreed():
            _bring_in(course, plan, new.tree)
        else:
            stop("nothing was changed", 1)
    except KeyboardInterrupt:
        stop(f"interrupted. {AGAIN}", INTERRUPTED)


def _agreed() -> bool:
    try:
        return typer.confirm("Bring it in?")
    except typer.Abort:  # Ctrl-C, or nobody there to answer
        print()
        return False


def _bring_in(course: Course, plan: Plan, tree: trees.Tree) -> None:
    """Do it, and say what there is to do next."""
    if not plan.steps:
        with contextlib.suppress(OSError):
            trees.remember(course.root, tree)
        return
    before = _needs(course.root)
    kept = None
    try:
        kept = steps.keep(course, plan.steps)
        changed = steps.carry_out(course.root, plan.steps)
        trees.remember(course.root, tree)
    except OSError as error:
        where = relative(error.filename, course.root) if error.filename else "a file"
        begun = f"Copies are in {relative(kept, course.root)}. {AGAIN}" if kept else AGAIN
        stop(f"{where} cannot be written: {error.strerror or error}. {begun}", 1)
    say()
    for path in changed:
        say(f"Saved in the meantime, and left alone: {_native(path)}")
    again = ". Run `kata update` once more" if changed else ""
    say(f"Updated: {_counts(plan)}{again}.")
    if kept:
        say(f"What was replaced is kept: {relative(kept, course.root)}")
    if _needs(course.root) != before:
        say(INSTALL)
    course = Course(course.root)
    following = progress.next_exercise(
        course.exercises, progress.read(course), course.exercises_dir
    )
    for line in progress.next_lines(course, following, course.exercises_dir):
        say(line)


def _needs(root: Path) -> object:
    """What an installation of this folder depends on."""
    try:
        project = tomllib.loads((content(root / PROJECT) or b"").decode()).get("project", {})
    except ValueError:
        return None
    return [project.get(key) for key in ("requires-python", "dependencies", "scripts")]


# ------------------------------------------------------------------------------------------- words


def _explain(plan: Plan) -> None:
    """Say what will happen: what is new, what becomes of the learner's files."""
    _part("New exercises", plan.new)
    _part("With another number", [f"{exercise} (it was {old})" for old, exercise in plan.moved])
    _part("Not in the new version, and left alone", map(_native, plan.gone))
    if plan.edited:
        kept = f"{plural(len(plan.edited), 'file')} in exercises/"
        say(f"Yours, and left as you wrote {'it' if len(plan.edited) == 1 else 'them'}: {kept}")
    for path, notes in plan.notes.items():
        _part(_native(path), map(_native_in, notes))
    _part("Changed by you, and replaced; a copy is kept", map(_native, plan.replaced))
    _part("Changed by you, and no longer in the course; left alone", map(_native, plan.left))
    _part("Left alone", map(_native_in, plan.blocked))
    if plan.guessed:
        paragraph(
            f"Nothing is known about how {plural(plan.guessed, 'other file')} came to differ: a "
            "copy is kept, should you have changed something there."
        )
    where = Counter(step.path.split("/")[0] for step in plan.steps if "/" in step.path)
    folders = ", ".join(f"{name} {where[name]}" for name in FOLDERS if where[name])
    inside = f" ({folders})" if folders else ""
    say(f"Files: {_counts(plan)}{inside}." if plan.steps else UP_TO_DATE)


def _part(heading: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    if lines:
        say(f"{heading}:")
    for line in lines:
        say(f"  {line}")


def _counts(plan: Plan) -> str:
    kinds = Counter(
        "removed" if step.new is None else "new" if step.old is None else "changed"
        for step in plan.steps
    )
    return ", ".join(f"{kinds[kind]} {kind}" for kind in ("new", "changed", "removed"))


def _list(plan: Plan) -> None:
    for step in plan.steps:
        mark = "-" if step.new is None else "+" if step.old is None else "~"
        say(f"  {mark} {_native(step.path)}")


def _native(path: str) -> str:
    return path.replace("/", os.sep)


def _native_in(text: str) -> str:
    """A sentence with paths in it."""
    return text.replace("/", os.sep) if os.sep != "/" else text
