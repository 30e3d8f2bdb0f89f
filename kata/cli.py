"""The command line: what a learner types besides pytest."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from kata import backup, catalogue, complete, hints, progress, stubs
from kata.course import Course, CourseError, Exercise, chapter_title, find_root
from kata.grading.command import grade, release
from kata.new import new
from kata.prove import prove
from kata.report import report
from kata.terminal import flush, paragraph, prepare, say, screen, stop
from kata.text import plural
from kata.update import update
from kata.verdict import NOT_HERE, Verdict, relative
from kata.watch import watch

STYLES = {
    Verdict.PASS: "green",
    Verdict.WRONG: "red",
    Verdict.CRASH: "red",
    Verdict.TIMEOUT: "red",
    Verdict.MISSING: "red",
    catalogue.NO_FILE: "red",
    catalogue.UNTESTED: "yellow",
}
NARROW = 60
NO_COURSE = "there is no course here: go to the folder of LLM Katas first"
UP_TO_DATE = "Every stub is up to date."
ALL_DONE = "nothing left to do; name an exercise (example: kata hint 1.5)"

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Which = Annotated[
    str,
    typer.Argument(
        metavar="EXERCISE",
        help="a number (1.5), a name or a path",
        autocompletion=complete.exercises,
    ),
]
Chapter = Annotated[
    str | None,
    typer.Argument(help="a number (1) or a topic (tokenizers)", autocompletion=complete.chapters),
]


def main() -> None:
    """Run the tool; what goes wrong for a known reason ends with one line."""
    prepare()
    try:
        try:
            app(prog_name="kata")
        finally:
            flush()
    except CourseError as error:
        stop(str(error), 2)
    except BrokenPipeError:  # `kata list | head -1`
        sys.exit(1)
    except OSError as error:
        stop(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""), 1)


def the_course() -> Course:
    """The course around the current folder.

    Raises:
        CourseError: there is none.
    """
    course = Course(find_root(Path.cwd()))
    if not course.exercises:
        raise CourseError(NO_COURSE)
    return course


def following(course: Course) -> Exercise:
    """The exercise to do next.

    Raises:
        CourseError: everything is done.
    """
    verdicts = progress.read(course)
    exercise = progress.next_exercise(course.exercises, verdicts, course.exercises_dir)
    if exercise is None:
        raise CourseError(ALL_DONE)
    return exercise


@app.callback(invoke_without_command=True)
def no_command(context: typer.Context) -> None:
    """LLM Katas: learn how language models work by writing their parts. pytest grades them."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def list_(
    chapter: Chapter = None,
    todo: Annotated[bool, typer.Option("--todo", help="only what is not done")] = False,
    failing: Annotated[bool, typer.Option("--failing", help="only what failed last time")] = False,
    difficulty: Annotated[
        catalogue.Difficulty | None, typer.Option(case_sensitive=False, help="only of this kind")
    ] = None,
    minutes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="only what takes at most this")
    ] = None,
    find: Annotated[str, typer.Option(metavar="WORD", help="only with it in title or name")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="for other programs")] = False,
) -> None:
    """Show the exercises, how far you are, and what comes next."""
    course = the_course()
    verdicts = progress.read(course)
    chapters = [catalogue.find_chapter(course, chapter)] if chapter else list(course.chapters)
    inside = [e for name in chapters for e in course.chapters[name]]
    wanted = catalogue.Filter(todo, failing, difficulty, minutes, find)
    shown = [e for e in inside if wanted.takes(e, verdicts.get(e.slug))]
    if as_json:
        print(json.dumps(catalogue.document(course, shown, verdicts), indent=1))
        return
    if shown:
        screen().print(_table(course, shown, verdicts))
    else:
        place = f"in {chapter_title(chapters[0])}: " if chapter else ""
        say(f"No exercise matches: {place}{wanted}.")
    say()
    for line in progress.bars(course, verdicts, chapters):
        screen().print(line)
    upcoming = progress.next_exercise(shown or inside, verdicts, course.exercises_dir)
    for line in progress.next_lines(course, upcoming, course.exercises_dir):
        say(line)


def _table(course: Course, exercises: list[Exercise], verdicts: dict[str, Verdict]) -> Table:
    wide = screen().width >= NARROW
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("exercise", overflow="fold")
    if wide:
        table.add_column("difficulty")
        table.add_column("minutes", justify="right")
    table.add_column("state", no_wrap=True)
    for exercise in exercises:
        state = catalogue.state(course, exercise, verdicts)
        details = (exercise.difficulty, str(exercise.minutes)) if wide else ()
        last = Text(state, STYLES.get(state, "dim"))
        table.add_row(exercise.number, exercise.title, *details, last)
    return table


def hint(
    exercise: Annotated[
        str | None,
        typer.Argument(
            help="a number (1.5); without it, what comes next", autocompletion=complete.exercises
        ),
    ] = None,
    level: Annotated[
        int | None, typer.Option(min=1, max=len(hints.LEVELS), help="this hint, not the next one")
    ] = None,
) -> None:
    """Give a hint, a clearer one at each call."""
    course = the_course()
    found = course.find(exercise) if exercise else following(course)
    given = hints.give(course, found, level)
    say(f"{found}, hint {given.level}/{given.of}", "bold")
    say()
    paragraph(given.text)
    say()
    if given.level == given.of:
        say(f"That was the last hint. The answer: kata solution {found.number} --peek", "dim")
    else:
        again = "" if given.remembered and not level else f" --level {given.level + 1}"
        say(f"More: kata hint {found.number}{again}", "dim")


def reset(
    exercise: Which,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Start an exercise over; your file is kept in .kata/backup."""
    course = the_course()
    found = course.find(exercise)
    path = course.exercises_dir / found.path
    name = relative(path, course.root)
    stub = stubs.stub_of(course, found)
    if stubs.is_stub(path, stub):
        say(backup.UNTOUCHED.format(name))
        return
    if path.exists() and not yes:
        try:
            agreed = typer.confirm(backup.START_OVER.format(found))
        except typer.Abort:  # Ctrl-C, or nobody there to answer
            agreed = False
            print()
        if not agreed:
            stop("nothing was changed", 1)
    try:
        kept = backup.replace(course, path, stub)
    except OSError as error:
        stop(backup.NOT_CHANGED.format(name, error.strerror or error), 1)
    if kept:
        say(f"Your file is kept: {relative(kept, course.root)}")
    say(f"Start again: {progress.place(course, found, course.exercises_dir)}")


def solution(
    exercise: Which,
    peek: Annotated[bool, typer.Option("--peek", help="show it before your own passes")] = False,
) -> None:
    """Show the reference solution of an exercise that you solved."""
    course = the_course()
    found = course.find(exercise)
    path = course.solutions_dir / found.path
    if not stubs.has_solution(course, found):
        raise CourseError(f"the solution of {found} {NOT_HERE}")
    if not peek and progress.read(course).get(found.slug) is not Verdict.PASS:
        test = relative(course.tests_dir / found.chapter / f"test_{found.name}.py", course.root)
        stop(
            f"{found} does not pass yet; check it with: pytest {test}\n"
            f"To look all the same: kata solution {found.number} --peek",
            1,
        )
    from rich.syntax import Syntax

    highlighter = Syntax("", "python", theme="ansi_dark", background_color="default")
    code = highlighter.highlight(path.read_text("utf-8"))
    code.rstrip()
    say(code)


def show(
    chapter: Chapter = None,
    answers: Annotated[
        Path | None, typer.Option(metavar="DIR", help="use the files of DIR, not of exercises/")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write the pages to DIR, not to .kata/show")
    ] = None,
) -> None:
    """Run what you have built in a chapter, and look at it."""
    from kata import gallery
    from kata.show import NotReady

    course = the_course()
    name = catalogue.find_chapter(course, chapter) if chapter else gallery.default_chapter(course)
    tree = answers.resolve() if answers else course.exercises_dir
    if not tree.is_dir():
        raise CourseError(f"--answers: there is no folder {tree}")
    folder = out.resolve() if out else course.root / ".kata" / "show"
    folder.mkdir(parents=True, exist_ok=True)  # else a show blames the exercise
    try:
        pages = gallery.run(course, name, tree, folder, screen())
    except NotReady as error:
        stop(str(error), 1)
    for page in pages:
        say(f"page: {relative(page, course.root)}")


def playground(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="a folder, a .pt of 7.10, a hub name"),
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(metavar="DIR", help="use the files of DIR, not of exercises/")
    ] = None,
    port: Annotated[int, typer.Option(help="of the page; 0 takes a free one")] = 0,
    terminal: Annotated[bool, typer.Option("--terminal", help="no page: type here")] = False,
) -> None:
    """Play with language models on a page: your own, and others."""
    from kata import serve

    course = the_course()
    if answers and not answers.is_dir():
        raise CourseError(f"--answers: there is no folder {answers.resolve()}")
    if answers:
        os.environ[serve.ANSWERS] = str(answers.resolve())
    if terminal:
        _play_here(model or [])
        return
    if model:
        os.environ[serve.MODELS] = os.pathsep.join(map(_absolute, model))
    notebook = course.exercises_dir / serve.NOTEBOOK

    def ready(address: str) -> None:
        say(f"The playground is here, until you press Ctrl-C: {address}")

    serve.serve(notebook, port, ready)


def _absolute(name: str) -> str:
    """A folder or file as it is found from elsewhere; any other name as it is."""
    return str(Path(name).resolve()) if Path(name).exists() else name


def _play_here(models: list[str]) -> None:
    from kata.playground import in_terminal
    from kata.show import NotReady

    say("A line is a prompt. /strategy top_p, /temperature 0.7 and the like set a control.", "dim")

    def write(text: str) -> None:
        print(text, end="", flush=True)

    try:
        in_terminal(models, lambda: input("> "), write)
    except NotReady as error:
        stop(str(error), 1)
    except KeyboardInterrupt:
        print()


def doctor(
    grading: Annotated[
        bool, typer.Option("--grading", help="what keeps learner code that is graded in bounds")
    ] = False,
) -> None:
    """Look at this machine: packages, devices, data."""
    from kata import doctor as examination

    problems = 0
    look = examination.examine_grading if grading else lambda: examination.examine(the_course())
    for finding in look():
        problems += finding.problem
        line = Text(f"{finding.topic:<19}")
        if finding.problem:
            line.append("problem: ", "red")
        say(line.append(finding.text))
    say()
    say(f"{plural(problems, 'problem')} to solve." if problems else "Everything needed is here.")
    raise typer.Exit(1 if problems else 0)


def stubs_(
    check: Annotated[bool, typer.Option("--check", help="only list what is stale")] = False,
    force: Annotated[bool, typer.Option("--force", help="replace edited files too")] = False,
) -> None:
    """For authors: cut exercises/ out of solutions/."""
    course = the_course()
    tree = relative(course.exercises_dir, course.root)
    if check:
        stale = stubs.stale(course)
        for path in stale:
            say(f"stale: {tree}/{path.as_posix()}")
        are, them = ("is", "it") if len(stale) == 1 else ("are", "them")
        count = plural(len(stale), "stub")
        say(f"{count} {are} stale; write {them} with: kata stubs" if stale else UP_TO_DATE)
        raise typer.Exit(1 if stale else 0)
    written = stubs.write_all(course, force=force)
    for path in written.changed:
        say(f"written: {tree}/{path.as_posix()}")
    for copy in written.kept:
        say(f"kept: {relative(copy, course.root)}")
    for path in written.refused:
        say(f"left alone, somebody has worked on it: {tree}/{path.as_posix()}")
    if written.refused:
        it = "it too, with a copy" if len(written.refused) == 1 else "them too, with copies"
        say(f"To replace {it} kept: kata stubs --force", "dim")
        raise typer.Exit(1)
    if not written.changed:
        say(UP_TO_DATE)


# In the order of the help: for learners, for authors, for instructors.
COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_,
    "watch": watch,
    "hint": hint,
    "reset": reset,
    "solution": solution,
    "show": show,
    "report": report,
    "update": update,
    "playground": playground,
    "doctor": doctor,
    "new": new,
    "prove": prove,
    "stubs": stubs_,
    "grade": grade,
    "release": release,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
