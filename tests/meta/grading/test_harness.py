"""kata.grading.harness: whatever the grader does, Gradescope and PrairieLearn get a result."""

import json
import os
import re
import stat
import subprocess
import sys
import textwrap
from datetime import datetime, timedelta

import pytest
import typer

from kata import cli
from kata.course import Course
from kata.grading import reports
from kata.grading.harness import run
from kata.grading.points import Points
from tests.meta import minicourse
from tests.meta.minicourse import PROJECT

HARNESS = PROJECT / "kata" / "grading" / "harness"
GRADESCOPE, PRAIRIELEARN = run.HARNESSES["gradescope"], run.HARNESSES["prairielearn"]
DUE = "2026-11-30T23:59:00+01:00"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="not run: the containers are Linux")

# Stands in for `kata`: writes what the grader would, then ends as the test wants it to.
STUB = """
import json, os, pathlib, sys, time
arguments = sys.argv[1:]
students, to = pathlib.Path(arguments[1]), pathlib.Path(arguments[3])
(student,) = os.listdir(students)
own = to / student
def report(complete=True, output="1 of 1"):
    own.mkdir(parents=True, exist_ok=True)
    row = {"verdict": "pass", "passed": 1, "expected": 1, "tests": {"a": {"verdict": "pass"}}}
    graded = {"schema": 1, "submission": student, "complete": complete, "problems": [],
              "protections": [], "tampered": [], "seconds": {}, "submitted": "",
              "document": {"exercises": {"demo/double": row}}}
    (own / "grade.json").write_text(json.dumps(graded))
    (own / "gradescope.json").write_text(json.dumps({"score": 1.0, "output": output}))
    (own / "prairielearn.json").write_text(json.dumps({"score": 1.0, "output": output}))
"""


class Place:
    """A harness's root folder, and the course, with a grader that does what a test says."""

    def __init__(self, folder, monkeypatch):
        self.root = folder / "root"
        self.course = minicourse.make_course(folder / "course")
        self.stub = folder / "stub.py"
        for name in ("submission", "student", "tests"):
            (self.root / name).mkdir(parents=True)
        monkeypatch.setattr(run, "COURSE", self.course.root)
        monkeypatch.setattr(run, "KATA", [sys.executable, str(self.stub)])
        monkeypatch.setattr(run, "without_rights", lambda: None)
        self.grader("report()")

    def grader(self, code):
        self.stub.write_text(STUB + textwrap.dedent(code))

    def about(self, **metadata):
        (self.root / "submission_metadata.json").write_text(json.dumps(metadata))

    @property
    def result(self):
        return json.loads((self.root / "results" / "results.json").read_text("utf-8"))

    def __call__(self, harness="gradescope", *further, limit=30):
        run.main([harness, "--root", str(self.root), "--limit", str(limit), *further])
        return self.result


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Place(tmp_path, monkeypatch)


both = pytest.mark.parametrize("harness", run.HARNESSES)


def failed(harness, said):
    return run.HARNESSES[harness].without(said)


# ------------------------------------------------------------------------ there is a result


@both
def test_the_report_of_the_grader_is_the_result(place, harness):
    assert place(harness) == {"score": 1.0, "output": "1 of 1"}


@both
def test_there_is_a_result_before_the_grader_begins(place, harness):
    results = place.root / "results" / "results.json"
    place.grader(f"report(output=pathlib.Path({str(results)!r}).read_text())")
    assert json.loads(place(harness)["output"]) == failed(harness, run.BROKEN)


@both
@pytest.mark.parametrize(
    "ends",
    [
        "os._exit(0)",
        "os.kill(os.getpid(), 9)",
        "raise SystemExit(2)",
        "report(); (own / 'gradescope.json').unlink(); (own / 'prairielearn.json').unlink()",
        "report(); (own / 'grade.json').write_text('{')",
        "report(); [f.write_text('[]') for f in own.iterdir()]",
    ],
)
def test_a_grader_that_dies_leaves_a_result(place, harness, ends):
    place.grader(ends)
    assert place(harness) == failed(harness, run.BROKEN)


@both
def test_a_grader_that_cannot_be_started_leaves_a_result(place, harness, monkeypatch, capsys):
    monkeypatch.setattr(run, "KATA", [str(place.root / "no-such-python")])
    assert place(harness) == failed(harness, run.BROKEN)
    assert "no-such-python" in capsys.readouterr().err


def test_a_broken_grader_costs_no_attempt_and_earns_no_point():
    assert GRADESCOPE.without("x") == {"score": 0, "output": "x"}
    assert PRAIRIELEARN.without("x") == {"gradable": False, "format_errors": ["x"]}


# ----------------------------------------------------------------------------- the time limit

POLITE = """
import signal
def end(*_):
    report(complete=False, output="so far")
    sys.exit(130)
signal.signal(signal.SIGTERM, end)
time.sleep(60)
"""


@both
def test_when_the_time_is_up_what_is_graded_counts(place, harness):
    place.grader(POLITE)
    said = place(harness, limit=1)["output"]
    assert said == f"The time of the grader was up, after 1 s. {run.PARTLY}\n\nso far"


@both
def test_a_grader_that_does_not_end_is_killed(place, harness, monkeypatch):
    monkeypatch.setattr(run, "GRACE_SECONDS", 0.2)
    place.grader("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)")
    assert place(harness, limit=1) == failed(harness, run.STOPPED.format(seconds=1))


def test_processes_of_the_grader_end_with_it(place):
    place.grader("""
        import subprocess
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        report(output=str(child.pid))
        """)
    child = int(place()["output"])
    assert not os.path.exists(f"/proc/{child}") or b"Z" in _state(child)


def test_a_request_to_end_reaches_the_grader(place):
    place.grader("print(os.getpid(), flush=True); os.kill(os.getppid(), 15); time.sleep(60)")
    code = f"""
        from kata.grading.harness import run
        run.KATA = {run.KATA!r}
        run.without_rights = lambda: None
        run.main(["gradescope", "--root", {str(place.root)!r}])
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=PROJECT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert place.result == failed("gradescope", run.BROKEN)
    assert not os.path.exists(f"/proc/{int(done.stdout)}")


def _state(process):
    with open(f"/proc/{process}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0]


def test_a_run_that_broke_off_says_so(place):
    place.grader("report(complete=False)")
    assert place()["output"] == f"{run.PARTLY}\n\n1 of 1"


# ------------------------------------------------------------------------- what the grader gets


def told(place, harness="gradescope", *further):
    """The arguments of the grader."""
    place.grader("report(output=json.dumps([arguments, os.getcwd(), dict(os.environ)]))")
    return json.loads(place(harness, *further)["output"])


def test_the_grader_runs_in_the_course_on_a_class_of_one(place):
    arguments, folder, _ = told(place)
    assert arguments[0] == "grade"
    assert arguments[2] == "--to"
    assert len(arguments) == 4
    assert folder == str(place.course.root)


@both
def test_further_arguments_are_the_grader_s(place, harness):
    arguments, _, _ = told(place, harness, "--exercises", "1.1", "--own")
    assert arguments[4:] == ["--exercises", "1.1", "--own"]


def test_gradescope_s_assignment_lies_in_the_course(place):
    points = place.course.root / "points.toml"
    points.touch()
    assert told(place)[0][4:] == ["--points", str(points)]


def test_prairielearn_s_assignment_lies_beside_the_question(place):
    (place.root / "tests" / "points.toml").write_text("seed = 1")
    (place.root / "tests" / "hidden").mkdir()
    place.grader("""
        points = pathlib.Path(arguments[5])
        report(output=points.read_text() + str((points.parent / "hidden").is_dir()))
        """)
    assert place("prairielearn")["output"] == "seed = 1True"


def test_variables_of_the_harness_stay_outside(place, monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setenv("PYTHONPATH", "/grade/student")
    monkeypatch.setenv("KATA_DATA", "/data")
    _, _, variables = told(place)
    assert not {"SECRET", "PYTHONPATH"} & set(variables)
    assert variables["KATA_DATA"] == "/data"
    assert variables["PYTHONSAFEPATH"] == "1"


def test_nothing_is_left_in_the_folder_for_temporary_files(place, tmp_path, monkeypatch):
    monkeypatch.setattr(run.tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    place()
    assert not list((tmp_path / "temp").iterdir())


# -------------------------------------------------------------------------------- the hand-in

LIST = """
found = {}
for folder, folders, files in os.walk(students / student):
    for name in [*folders, *files]:
        path = pathlib.Path(folder, name)
        found[str(path.relative_to(students / student))] = oct(path.lstat().st_mode)
report(output=json.dumps(found))
"""


def test_the_hand_in_is_copied_for_anybody_to_read(place):
    folder = place.root / "submission" / "exercises"
    folder.mkdir()
    (folder / "ex01_double.py").touch(mode=0o600)
    folder.chmod(0o700)
    place.grader(LIST)
    found = json.loads(place()["output"])
    assert found == {"exercises": "0o40755", "exercises/ex01_double.py": "0o100644"}


def test_links_are_not_followed_and_pipes_not_read(place, tmp_path):
    hand_in = place.root / "submission"
    (tmp_path / "secret").write_text("secret")
    (hand_in / "link").symlink_to(tmp_path / "secret")
    (hand_in / "folder").symlink_to(tmp_path)
    os.mkfifo(hand_in / "pipe")
    (hand_in / "kept.py").touch()
    place.grader(LIST)
    found = json.loads(place()["output"])
    assert set(found) == {"link", "folder", "kept.py"}
    assert all(found[name].startswith("0o12") for name in ("link", "folder"))
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) & 0o600 == 0o600


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_hand_in_is_one(place, there):
    if not there:
        (place.root / "submission").rmdir()
    place.grader(LIST)
    assert place()["output"] == "{}"


# ------------------------------------------------------------------------------- the metadata


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ([{"name": "Anna Müller"}], "Anna_Müller"),
        ([{"name": "Anna"}, {"name": "Ben"}], "Anna_Ben"),
        ([{"name": "../../x; rm -rf"}], "_x_rm_rf"),
        ([{"email": "a@example.com"}], "hand-in"),
        ([], "hand-in"),
    ],
)
def test_the_hand_in_has_its_student_s_name(place, users, expected):
    place.about(users=users)
    place.grader("report(output=student)")
    assert place()["output"] == expected


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"users": null, "assignment": null}'])
def test_metadata_without_anything_in_it_is_no_trouble(place, text):
    (place.root / "submission_metadata.json").write_text(text)
    assert place()["score"] == 1.0


def hours_late(hours):
    return (datetime.fromisoformat(DUE) + timedelta(hours=hours)).isoformat()


def test_lateness_is_counted_from_gradescope_s_dates(place):
    (place.course.root / "points.toml").write_text(
        'exercises = ["1.1"]\n[late]\nper_day = 0.1\n', "utf-8"
    )
    place.about(created_at=hours_late(5), assignment={"due_date": DUE})
    result = place()
    assert result["score"] == 0.9
    assert "anded in 5 h late: 10 % off" in result["output"]


def test_an_extension_of_a_student_counts(place):
    (place.course.root / "points.toml").write_text("[late]\nper_day = 0.1\n", "utf-8")
    users = [{"name": "Anna", "assignment": {"due_date": hours_late(6)}}]
    place.about(created_at=hours_late(5), assignment={"due_date": DUE}, users=users)
    assert place()["score"] == 1.0


def test_the_date_of_the_points_file_goes_before_gradescope_s(place):
    (place.course.root / "points.toml").write_text(f"due = {DUE}\n[late]\nper_day = 0.5\n", "utf-8")
    place.about(created_at=hours_late(5), assignment={"due_date": hours_late(9)})
    assert place()["score"] == 0.5


def test_without_a_points_file_no_date_costs_anything(place):
    place.about(created_at=hours_late(5), assignment={"due_date": DUE, "late_due_date": None})
    assert place()["score"] == 1.0


# ------------------------------------------------------------------------------ the user


def test_only_root_can_make_another_user_grade(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run.without_rights() is None


# ------------------------------------------------------------- the scripts and the container


def script(name, tmp_path, **variables):
    """Run a script with a Python that writes down what it is called with."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    places = {"AUTOGRADER_ROOT": tmp_path, "GRADE_ROOT": tmp_path, "KATA_VENV": tmp_path / "venv"}
    env = os.environ | {key: str(value) for key, value in (places | variables).items()}
    command = [HARNESS / name, *(["--limit", "9", "--own"] if name == "prairielearn" else [])]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    result = json.loads((tmp_path / "results" / "results.json").read_text("utf-8"))
    return done.returncode, done.stdout.splitlines(), result


STARTED = "The grader could not be started. Tell your instructor."
PROGRAM = "/autograder/source/kata/grading/harness/run.py"


def test_gradescope_s_script_starts_the_grader(tmp_path):
    code, lines, result = script("run_autograder", tmp_path)
    assert lines == ["-P", PROGRAM, "gradescope", "--root", str(tmp_path), "--limit", "540"]
    assert (code, result) == (0, GRADESCOPE.without(STARTED))


def test_prairielearn_s_script_starts_the_grader(tmp_path):
    code, lines, result = script("prairielearn", tmp_path)
    expected = ["-P", PROGRAM, "prairielearn", "--root", str(tmp_path), "--limit", "9", "--own"]
    assert lines == expected
    assert (code, result) == (0, PRAIRIELEARN.without(STARTED))


@pytest.mark.parametrize("name", ["run_autograder", "prairielearn"])
def test_without_python_there_is_a_result(tmp_path, name):
    code, _, result = script(name, tmp_path, KATA_VENV="/nowhere")
    assert code != 0  # so the staff is told
    assert STARTED in json.dumps(result)


@pytest.mark.parametrize("name", ["setup.sh", "run_autograder", "prairielearn"])
def test_scripts_are_scripts(name):
    assert os.access(HARNESS / name, os.X_OK)
    assert (HARNESS / name).read_bytes().startswith(b"#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", HARNESS / name], check=True)


CONTAINER = (HARNESS / "Containerfile").read_text("utf-8")
SETUP = (HARNESS / "setup.sh").read_text("utf-8")


def test_what_the_container_runs_is_in_it():
    taken = re.findall(r"^!(.+)$", (HARNESS / "Containerfile.dockerignore").read_text(), re.M)
    optional = {"hidden", "points.toml"}
    assert optional < set(taken)
    assert all((PROJECT / name).exists() for name in set(taken) - optional)
    named = re.findall(r"/autograder/source/([\w./]+)", CONTAINER)
    named += re.findall(r"\$course/([\w./]+)", SETUP)
    assert set(named) >= {"kata/grading/harness/setup.sh", ".ci/constraints.txt"}
    assert all((PROJECT / name).exists() and name.split("/")[0] in taken for name in named)


def test_scripts_and_container_agree_on_places():
    for name in ("run_autograder", "prairielearn"):
        text = (HARNESS / name).read_text("utf-8")
        assert "${KATA_VENV:-/opt/kata}" in text
        assert "${KATA_COURSE:-/autograder/source}" in text
    assert "${KATA_VENV:-/opt/kata}" in SETUP
    assert f"useradd --system --no-create-home {run.GRADER}\n" in SETUP
    assert "/opt/kata/bin" in CONTAINER


def test_the_container_installs_what_the_readme_does():
    readme = (PROJECT / "README.md").read_text("utf-8")
    assert "-c .ci/constraints.txt -e ." in readme
    assert '-c "$course/.ci/constraints.txt" "$@"; }' in SETUP
    assert 'install -e "$course"' in SETUP


# ----------------------------------------------------------------------------- the instructions

GUIDE = (PROJECT / "kata" / "grading" / "README.md").read_text("utf-8")


def test_the_guide_s_points_file_has_no_mistake(tmp_path):
    (tmp_path / "hidden").mkdir()
    file = tmp_path / "points.toml"
    file.write_text(re.search(r"```toml\n(.+?)```", GUIDE, re.S)[1], "utf-8")
    assert Points.read(file, Course(PROJECT)).problems == []


@pytest.mark.parametrize("command", ["grade", "release"])
def test_the_guide_names_every_option(command):
    parameters = typer.main.get_command(cli.app).commands[command].params
    options = [name for p in parameters for name in p.opts if name.startswith("--")]
    assert len(options) >= 2
    assert not [name for name in options if name not in GUIDE]


def test_the_guide_names_every_report():
    files = [*reports.OF_A_STUDENT, reports.class_page.FILE, reports.gradebook.FILE]
    assert not [name for name in files if name not in GUIDE]


def test_places_that_the_guide_names_are_there():
    named = re.findall(r"(?:--add-file=|-f |^`)(kata/[\w./]+|\.github/[\w./]+)", GUIDE, re.M)
    assert len(named) >= 4
    assert all((PROJECT / name).is_file() for name in named)
    headings = re.findall(r"^## (.+)$", GUIDE, re.M)
    anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", GUIDE)) == anchors
