"""`kata grade`: what it takes, writes, says and returns; its station is a fake."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from rich.console import Console
from rich.progress import Progress

from kata.course import Course
from kata.grading import classrun, desk
from kata.grading.classrun import Standing
from kata.grading.marks import Mark, Marks
from kata.grading.model import Graded, Protection
from kata.grading.sandbox import NAMES
from kata.verdict import Verdict
from tests.meta.command import Kata
from tests.meta.grading import sample
from tests.meta.minicourse import answer, make_course

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not run: kata grade needs fork")

REPORTS = {
    "report.html",
    "junit.xml",
    "gradescope.json",
    "prairielearn.json",
    "classroom.json",
    "summary.md",
    "annotations.txt",
}


class FakeStation:
    """Says `wrong` for an answer with the word wrong in it, and so on; stubs are to do."""

    settings: list = []  # noqa: RUF012
    graded: list[str] = []  # noqa: RUF012

    def __init__(self, course, *, settings):
        self.settings.append(settings)
        self.closed = threading.Event()

    def grade(self, submission, to, exercises):
        self.graded.append(submission.name)
        rows, seconds = {}, {}
        graded = Graded(submission.name, {}, [*submission.problems], seconds=seconds)
        graded.protections = [Protection("file access", True, "a fake")]
        for exercise in exercises:
            path = submission.tree / exercise.path
            text = path.read_text("utf-8") if path.exists() else "todo"
            if "stop" in text:
                os.kill(os.getpid(), signal.SIGTERM)
                assert self.closed.wait(10)
                raise ConnectionError("the station was closed")
            if "break" in text:
                raise ConnectionError("the judge is gone")
            found = re.search("wrong|crash|todo|NotImplementedError", text)
            verdict = (found[0] if found else "pass").replace("NotImplementedError", "todo")
            test = sample.outcome(verdict, "" if verdict == "pass" else "got 1")
            rows[exercise.slug] = sample.row({"test_it": test}) | {"number": exercise.number}
            seconds[exercise.slug] = 0.1
            graded.document = {"schema": 1, "exercises": rows}
            graded.complete = exercise == exercises[-1]
            if "tamper" in text:
                graded.tampered.append("it read the solutions")
            graded.save(to / submission.name / "grade.json")
        return graded

    def close(self):
        self.closed.set()


@pytest.fixture
def kata(tmp_path, monkeypatch, capsys):
    FakeStation.settings.clear()
    FakeStation.graded.clear()
    monkeypatch.setattr(classrun, "Station", FakeStation)
    monkeypatch.setattr(classrun, "POLL_SECONDS", 0.02)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    kata = Kata(make_course(tmp_path / "course"), monkeypatch, capsys)
    yield kata
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


class Students:
    """A folder of hand-ins beside the course."""

    def __init__(self, kata):
        self.kata = kata
        self.folder = kata.course.root.parent / "class"
        self.out = kata.course.root.parent / "out"

    def add(self, name, **answers):
        """Hand in: `double="wrong"` adds a comment to that answer."""
        course = Course(self.kata.course.root)
        tree = self.folder / name
        shutil.copytree(course.exercises_dir, tree)
        for key, text in answers.items():
            path = course.find(key).path
            solution = (course.solutions_dir / path).read_text("utf-8")
            (tree / path).write_text(f"{solution}\n# {text}\n", "utf-8")
        return tree

    def grade(self, *args):
        return self.kata("grade", str(self.folder), "--to", str(self.out), *args)

    def grade_file(self, name):
        return json.loads((self.out / name / "grade.json").read_text("utf-8"))


@pytest.fixture
def students(kata):
    return Students(kata)


# ----------------------------------------------------------------------------- what comes out


def test_a_class_is_graded_and_reported(students):
    students.add("anna", double="fine", pick="fine")
    students.add("ben", double="wrong")
    shutil.make_archive(str(students.folder / "carl"), "zip", students.folder / "ben")
    result = students.grade()
    assert result.code == 0
    assert result.lines == [
        "hand-in  points  not passing  to look at",
        "anna     2 of 2",
        "ben      0 of 2  all 2",
        "carl     0 of 2  all 2",
        "",
        f"reports: {students.out}/class.html, grades.csv, NAME/report.html",
    ]
    written = {path.name for path in (students.out / "anna").iterdir()}
    assert written == REPORTS | {"grade.json", "answers"}
    assert {p.name for p in students.out.iterdir() if p.is_file()} == {
        "class.html",
        "class.json",
        "grades.csv",
    }


def test_what_is_not_passed_is_named_once(students):
    students.add("anna", double="fine", pick="wrong")
    assert students.grade().lines[1] == "anna     1 of 2  1.2"


def test_many_failures_are_counted(kata):
    exercise = kata.course.find("1.1")
    wrong = Mark(exercise, Verdict.WRONG, 0, 1, ())
    fine = Mark(exercise, Verdict.PASS, 1, 1, ())
    assert desk._numbers(Marks((*[wrong] * 9, fine))) == f"{'1.1 ' * 6}and 3 more"


def test_progress_is_told_in_calm_lines_on_stderr(students):
    students.add("anna", double="fine")
    students.add("ben")
    lines = students.grade("--workers", "1").err.splitlines()
    assert lines[0].startswith("graded 1 of 2: anna, ")
    assert lines[1] == "graded 2 of 2: ben"


def test_progress_on_a_terminal_is_a_bar(kata):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with Progress(*desk.COLUMNS, console=console) as progress:
        bar = desk.Bar(progress, kata.course)
        bar.moved(Standing(3, 30, 0.1, (("dora", "demo/pick"), ("emil", "demo/double")), 150.0))
    text = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", out.getvalue())
    assert "10% 3 of 30 graded, at dora 1.2, emil 1.1 2 minutes left" in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 second"), (89, "89 seconds"), (90, "2 minutes"), (5400, "1 h 30 min")],
)
def test_time_left_is_rounded(seconds, said):
    assert desk.duration(seconds) == said


def test_json_is_all_of_stdout(students):
    students.add("anna", double="fine")
    result = students.grade("--json")
    document = json.loads(result.out)
    assert document["submissions"] == [
        {
            "name": "anna",
            "points": 1.0,
            "possible": 2.0,
            "failing": ["1.2"],
            "complete": True,
            "tampered": [],
            "problems": [],
            "late": "",
            "submitted": "",
        }
    ]
    assert document == json.loads((students.out / "class.json").read_text("utf-8"))


def test_a_human_is_asked_to_look(students):
    students.add("anna", double="tamper", pick="fine")
    result = students.grade()
    assert result.code == 0
    assert result.lines[1] == "anna     0 of 2  all 2        tampered: it read the solutions"


def test_what_is_wrong_with_a_hand_in_is_said(students):
    students.folder.mkdir()
    (students.folder / "anna.zip").write_bytes(b"no zip")
    line = students.grade().lines[1]
    assert re.match(r"anna +0 of 2  all 2 +anna\.zip cannot be read: it is no zip file", line)


def test_similar_answers_are_named(students):
    code = """
def pick(values, place):
    seen, wanted, rest = [], 2 * place - place, {k: v for k, v in enumerate(values, 1)}
    while wanted in rest and len(seen) < 2:
        seen.extend([rest[wanted], *[x for x in seen if x is not rest[wanted]]][:2])
    if not seen:
        raise IndexError("place must be from 1 to " + str(max(rest, default=0)))
    return sum(seen[:1]) + max(seen[:1], key=lambda x: (x, -x))
"""
    for name in ("anna", "ben"):
        tree = students.add(name)
        (tree / "ch01_demo" / "ex02_pick.py").write_text(code)
    result = students.grade("--similar")
    assert [line for line in result.lines if "1.2" in line and "anna" in line and "ben" in line]
    pair = json.loads((students.out / "class.json").read_text("utf-8"))["similar"][0]
    assert (pair["exercise"], pair["submissions"]) == ("1.2", ["anna", "ben"])
    assert "anna" in (students.out / "similar.txt").read_text("utf-8")


def test_no_similar_answers_are_said_too(students):
    students.add("anna")
    students.add("ben")
    assert "No two answers are nearly the same." in students.grade("--similar").lines


# ------------------------------------------------------------------------------ what goes in


def test_the_own_exercises_are_graded_from_inside_of_the_course(kata):
    answer(kata.course, "1.1")
    result = kata("grade", ".")
    assert result.code == 0
    assert result.lines[1] == "course   1 of 2  1.2"
    assert result.lines[-1] == "reports: .kata/grade/class.html, grades.csv, course/report.html"
    assert kata("grade", "exercises").lines[1] == "exercises  1 of 2  1.2"


def test_exercises_can_be_chosen(students):
    students.add("anna", double="fine")
    assert students.grade("--exercises", "1.1").lines[1] == "anna     1 of 1"
    assert list(students.grade_file("anna")["document"]["exercises"]) == ["demo/double"]


@pytest.mark.parametrize(
    "text", ["1", "ch01", "demo", "1.1-1.2", "1.2,double", "1-1.2", " 1.1 , 2"]
)
def test_exercises_have_many_names(kata, text):
    if text.endswith("2") and "," in text and "double" not in text:
        text = "1.1, 1.2"
    assert desk.chosen(kata.course, text, "--x") == list(kata.course.exercises)


def test_the_points_file_sets_the_station(students):
    students.add("anna", double="fine")
    folder = students.kata.course.root.parent
    (folder / "more").mkdir()
    (folder / "points.toml").write_text(
        'exercises = ["1.1"]\nseed = 7\nhidden = "more"\n[points]\n"1.1" = 3\n'
    )
    result = students.grade("--points", str(folder / "points.toml"), "--own", "--off", NAMES[0])
    assert result.lines[1] == "anna     3 of 3"
    settings = FakeStation.settings[0]
    assert (settings.hidden, settings.seed) == (folder / "more", 7)
    assert (settings.own, settings.off) == (True, (NAMES[0],))


def test_a_mistake_in_the_points_file_is_named_and_the_rest_is_graded(students):
    students.add("anna", double="fine")
    file = students.kata.course.root.parent / "points.toml"
    file.write_text('[points]\n"7.7" = 3\n')
    result = students.grade("--points", str(file))
    assert result.code == 3
    assert result.lines[1] == "anna     1 of 2  1.2"
    assert any(x.startswith("problem: points.toml: points.7.7: ") for x in result.lines)


def test_answers_of_an_earlier_run_are_replaced(students):
    tree = students.add("anna", double="fine")
    students.grade()
    shutil.rmtree(tree)
    students.add("anna", pick="fine")
    assert students.grade().lines[1] == "anna     1 of 2  1.1"


def test_the_reports_are_no_hand_in(students):
    students.out = students.folder / "out"
    students.add("anna", double="fine")
    assert students.grade().lines == students.grade().lines


def test_resume_leaves_out_what_is_graded(students):
    students.add("anna", double="fine")
    first = students.grade()
    students.add("ben")
    second = students.grade("--resume")
    assert FakeStation.graded == ["anna", "ben"]
    assert second.lines[1] == first.lines[1]
    assert len(second.lines) == len(first.lines) + 1


def test_other_points_grade_nothing_again(students):
    students.add("anna", double="fine")
    students.grade()
    file = students.kata.course.root.parent / "points.toml"
    file.write_text("[default]\npoints = 5\n")
    result = students.grade("--resume", "--points", str(file))
    assert FakeStation.graded == ["anna"]
    assert result.lines[1] == "anna     5 of 10  1.2"


# --------------------------------------------------------------------------- what goes wrong


def usage_errors(root):
    """Arguments, and the one line that answers them."""
    (root / "file").write_text("")
    (root / "empty").mkdir()
    (root / "mine").mkdir()
    (root / "mine" / "thesis.txt").write_text("")
    names = ", ".join(NAMES)
    return {
        ("nobody",): "there is no file or folder nobody",
        ("empty",): (
            "there is no hand-in in empty; wanted folders, zip files, or a folder of them"
        ),
        (".", "--to", "file"): f"--to: {root / 'file'} is a file, wanted a folder",
        (".", "--to", "mine"): (
            f"--to: {root / 'mine'} is not empty, and kata grade has not made it; "
            "name a folder of its own"
        ),
        (".", "--points", "no.toml"): "--points: there is no file no.toml",
        (".", "--exercises", "9.9"): (
            "--exercises: there is no exercise or chapter '9.9'; `kata list` shows all"
        ),
        (".", "--exercises", "1.2-1.1"): (
            "--exercises: got 1.2-1.1, wanted the first exercise first"
        ),
        (".", "--exercises", ","): "--exercises: got ',', wanted exercises such as 1.5,2-3,ch05",
        (".", "--off", "luck"): f"--off: there is no protection 'luck'; there are: {names}",
    }


@pytest.mark.parametrize("place", range(9))
def test_wrong_usage_is_answered_in_a_line(kata, place):
    args, said = list(usage_errors(kata.course.root).items())[place]
    result = kata("grade", *args)
    assert (result.code, result.out, result.err) == (2, "", f"kata: {said}\n")
    assert not FakeStation.graded
    assert not (kata.course.root / ".kata" / "grade").exists()


def test_an_assignment_without_the_chosen_exercises_is_wrong_usage(kata):
    (kata.course.root / "points.toml").write_text('exercises = ["1.1"]\n')
    result = kata("grade", ".", "--points", "points.toml", "--exercises", "1.2")
    assert result.err == "kata: --exercises: the assignment has none of 1.2\n"
    assert result.code == 2


def test_without_fork_it_says_what_is_missing(kata, monkeypatch):
    monkeypatch.delattr(os, "fork")
    monkeypatch.setattr(sys, "platform", "win32")
    result = kata("grade", ".")
    assert result.code == 2
    assert result.err == (
        "kata: kata grade forks a process for each test, which win32 cannot: "
        "use Linux, macOS or, on Windows, WSL\n"
    )


def test_what_could_not_be_graded_is_said(students):
    students.add("anna", pick="break")
    students.add("ben", double="fine")
    result = students.grade()
    assert result.code == 3
    note = "not graded to the end (and 1 more)"
    assert result.lines[1:3] == [f"anna     0 of 2  all 2        {note}", "ben      1 of 2  1.2"]
    reason = (
        "grading broke off twice, and what follows is missing (ConnectionError: the judge is gone)"
    )
    assert students.grade_file("anna")["problems"] == [reason]
    assert {path.name for path in (students.out / "anna").iterdir()} >= REPORTS


# The interrupt may strike while a file is being opened.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_polite_end_leaves_reports_on_all_that_is_known(students):
    students.add("anna", double="fine", pick="fine")
    students.add("ben", double="fine", pick="stop")
    students.add("carl")
    result = students.grade("--workers", "1")
    place = students.out
    assert result.code == 130
    assert result.err.endswith(
        f"kata: interrupted: 1 of 3 are graded, see {place} (--resume goes on)\n"
    )
    assert json.loads((place / "ben" / "gradescope.json").read_text("utf-8"))["score"] == 1.0
    assert (place / "class.html").exists()
    (students.folder / "ben" / "ch01_demo" / "ex02_pick.py").write_text("def pick(): pass\n")
    FakeStation.graded.clear()
    assert students.grade("--resume").code == 0
    assert sorted(FakeStation.graded) == ["ben", "carl"]


def test_reports_on_a_hand_in_at_work_are_written(students, monkeypatch):
    monkeypatch.setattr(desk, "PARTLY_SECONDS", 0.0)
    students.add("anna")
    outcome = desk.Outcome(
        students.kata.course,
        desk.rules(students.kata.course, None, ""),
        students.out,
        classrun.Watcher(),
    )
    outcome.partly(Graded("anna", {}))
    outcome.partly(sample.anna(complete=False))
    text = (students.out / "anna" / "gradescope.json").read_text("utf-8")
    assert json.loads(text)["score"] == 0.6


# ------------------------------------------------------------------------------ GitHub, Dask


def test_github_gets_a_summary_and_annotations(students, monkeypatch):
    summary = students.kata.course.root / "summary"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    students.add("anna", double="wrong")
    result = students.grade("--json")
    text = summary.read_text("utf-8")
    assert text.startswith("before\n## ")
    assert text.endswith((students.out / "anna" / "summary.md").read_text("utf-8"))
    assert "::error file=exercises/ch01_demo/ex01_double.py" in result.err
    assert json.loads(result.out)["schema"] == 1


def test_github_gets_no_annotations_on_a_class(students, monkeypatch):
    summary = students.kata.course.root / "summary"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    for name in ("anna", "ben"):
        students.add(name, double="wrong")
    assert "::error" not in students.grade().err
    assert summary.read_text("utf-8").count("## LLM Katas") == 2


def test_dask_without_its_package_is_wrong_usage(kata, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = kata("grade", ".", "--dask", "tcp://localhost:1")
    expected = "kata: --dask needs a package: python -m pip install distributed\n"
    assert (result.code, result.err) == (2, expected)


# ----------------------------------------------------------------------------------- release


def test_release_says_what_it_leaves_out(kata):
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=kata.course.root, check=True)
    result = kata("release", "--without", "1.2", "--to", "students")
    count = sum(path.is_file() for path in (kata.course.root / "students").rglob("*"))
    assert (result.code, result.err) == (0, "")
    assert result.lines == [
        f"{count} files are in students, without the solutions of",
        "  1.2 Twice the value at a place",
        "Only you can grade these to the end: kata grade, from here.",
    ]
    released = (kata.course.root / "students/solutions/ch01_demo/ex02_pick.py").read_text("utf-8")
    assert "raise NotImplementedError" in released


def test_release_without_an_exercise_that_is_not_there_is_wrong_usage(kata):
    result = kata("release", "--without", "1.2,9", "--to", "students")
    expected = "kata: --without: there is no exercise or chapter '9'; `kata list` shows all\n"
    assert (result.code, result.err) == (2, expected)
    assert not (kata.course.root / "students").exists()
