"""`kata grade` and `kata release`: what an instructor types. The work is in kata.grading.desk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kata.terminal import say, screen, stop
from kata.text import plural

NOT_GRADED = 3
INTERRUPTED = 130
FOLDER = Path(".kata", "grade")


def grade(
    hand_ins: Annotated[
        list[Path],
        typer.Argument(metavar="SUBMISSION...", help="folders, zip files, or a folder of them"),
    ],
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write to DIR, not to .kata/grade")
    ] = None,
    points: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the assignment, what counts how much")
    ] = None,
    exercises: Annotated[
        str, typer.Option(metavar="LIST", help="only these: 1.5,2-3,ch05,attention")
    ] = "",
    workers: Annotated[
        int | None, typer.Option(min=1, help="how many at a time; one per core without it")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="leave out what is graded and has not changed")
    ] = False,
    dask: Annotated[
        str, typer.Option(metavar="ADDRESS", help="use a Dask cluster: tcp://host:8786")
    ] = "",
    similar: Annotated[
        bool, typer.Option("--similar", help="name answers that are nearly the same")
    ] = False,
    own: Annotated[
        bool, typer.Option("--own", help="imports come from the hand-in, not from solutions")
    ] = False,
    off: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="leave a protection out, to show what it is good for"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for other programs")] = False,
) -> None:
    """For instructors: grade hand-ins, which cannot interfere.

    The tests are those of pytest; the code of a hand-in reaches neither them, nor the marks, nor
    the machine.

    Exit code: 0 all is graded, 2 wrong usage, 3 something could not be graded or the points file
    has a mistake, 130 interrupted (--resume goes on).
    """
    from kata.cli import the_course
    from kata.grading import desk

    course = the_course()
    rules = desk.rules(course, points, exercises)
    settings = desk.settings(rules, own, off or [])
    folder = (to or course.root / FOLDER).resolve()
    submissions = desk.take(course, hand_ins, folder)
    with desk.display(course) as display:
        outcome = desk.Outcome(course, rules, folder, display)
        finished = desk.grade(outcome, submissions, settings, dask, workers, resume)
    if not finished:
        outcome.write()
        stop(outcome.interrupted(), INTERRUPTED)
    if similar:
        outcome.compare(submissions)
    outcome.write()
    outcome.tell_github()
    if as_json:
        print(json.dumps(outcome.document(), indent=1))
    else:
        outcome.show(screen())
    raise typer.Exit(0 if outcome.all_graded else NOT_GRADED)


def release(
    without: Annotated[
        str, typer.Option(metavar="LIST", help="whose solutions stay here: 5.3,6.2,ch07")
    ],
    to: Annotated[Path, typer.Option(metavar="DIR", help="a new folder")],
) -> None:
    """For instructors: make the students' repository.

    It is the course without the solutions of some exercises.
    """
    from kata.cli import the_course
    from kata.grading import desk
    from kata.grading.release import release as write

    course = the_course()
    kept = desk.chosen(course, without, "--without")
    files = write(course, to.resolve(), kept)
    say(f"{plural(len(files), 'file')} are in {to}, without the solutions of")
    for exercise in kept:
        say(f"  {exercise}")
    say("Only you can grade these to the end: kata grade, from here.", "dim")
