"""`.github/workflows/grade.yml`: what a student could change takes no part, and its steps work."""

import base64
import os
import re
import subprocess
import sys

import pytest
import yaml

from tests.meta.minicourse import PROJECT

TEXT = (PROJECT / ".github" / "workflows" / "grade.yml").read_text("utf-8")
WORKFLOW = yaml.safe_load(TEXT)
JOB = WORKFLOW["jobs"]["run-autograding-tests"]
STEPS = {step.get("id") or step.get("name") or step["uses"]: step for step in JOB["steps"]}
SCRIPTS = [step for step in JOB["steps"] if "run" in step]
COMMIT = "0123456789abcdef0123456789abcdef01234567"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="not run: the steps are for Linux")


# ------------------------------------------------------------------------------ what it may do


def test_a_fork_gets_no_token_of_the_repository():
    triggers = WORKFLOW[True]  # YAML 1.1 reads `on` so
    assert set(triggers) == {"push", "pull_request", "workflow_dispatch"}


def test_the_token_can_read_and_nothing_else():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in JOB
    assert not re.search(r"secrets\.|github\.token|GITHUB_TOKEN|: write", TEXT)


def test_no_token_stays_on_the_disk():
    checkouts = [s["with"] for s in JOB["steps"] if "actions/checkout" in s.get("uses", "")]
    assert [c["persist-credentials"] for c in checkouts] == [False, False]


def test_there_is_no_cache_to_poison():
    assert "cache:" not in TEXT
    assert "actions/cache" not in TEXT


def test_actions_are_pinned_to_a_commit_with_its_version():
    uses = re.findall(r"uses: (.*)", TEXT)
    assert len(uses) == 4
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", u) for u in uses)


def test_everything_has_a_time_limit():
    assert STEPS["grade"]["timeout-minutes"] < JOB["timeout-minutes"] <= 60


def test_nothing_is_pasted_into_a_script():
    assert not [s["run"] for s in SCRIPTS if "${{" in s["run"]]


# ------------------------------------------------------------------------- what takes part in it


def test_the_course_comes_from_its_own_repository_at_a_commit():
    course = STEPS["The course"]["with"]
    assert course["repository"] == "${{ env.COURSE }}"
    assert course["ref"] == "${{ steps.course.outputs.version }}"


def test_of_the_student_only_exercises_are_taken():
    (student,) = (s["with"] for s in JOB["steps"] if "sparse-checkout" in s.get("with", {}))
    assert student["sparse-checkout"] == "/exercises/"
    assert student["sparse-checkout-cone-mode"] is False
    assert "repository" not in student


def test_commands_run_in_the_course():
    assert [s.get("working-directory") for s in SCRIPTS] == [None, "course", "course", "course"]
    assert JOB["env"]["PYTHONSAFEPATH"] == "1"
    assert JOB["env"]["PYTHONPATH"] == ""


def test_only_what_the_course_names_is_installed():
    commands = re.findall(r"pip install (.*)", TEXT)
    cpu = "--no-deps -c .ci/constraints.txt --index-url https://download.pytorch.org/whl/cpu torch"
    assert commands == [cpu, "-c .ci/constraints.txt -e ."]
    assert (PROJECT / ".ci" / "constraints.txt").is_file()


def test_nothing_runs_before_the_course_is_named():
    assert (WORKFLOW["env"]["COURSE"], WORKFLOW["env"]["VERSION"]) == ("", "")
    later = [step["if"] for step in JOB["steps"][1:]]
    assert all("steps.course.outputs.version" in condition for condition in later)


def test_missing_protections_stop_it():
    names = list(STEPS)
    assert STEPS["What protects this machine"]["run"] == "kata doctor --grading"
    assert names.index("What protects this machine") < names.index("grade")


# ---------------------------------------------------------------------------- its scripts, run


class Runner:
    """Runs a step's script as GitHub does."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "output").touch()

    def program(self, name, text):
        file = self.folder / "bin" / name
        file.write_text(f"#!/usr/bin/env bash\n{text}")
        file.chmod(0o755)

    def __call__(self, step, **variables):
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        where = {"GITHUB_WORKSPACE": self.folder, "RUNNER_TEMP": self.folder / "temp"}
        env = {"PATH": path, "GITHUB_OUTPUT": self.folder / "output"} | where | variables
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[step]["run"]],
            cwd=self.folder,
            env={name: str(value) for name, value in env.items()},
            capture_output=True,
            text=True,
            check=False,
        )
        lines = (self.folder / "output").read_text("utf-8").splitlines()
        return done.returncode, done.stdout, dict(line.split("=", 1) for line in lines)


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


@on_linux
def test_a_repository_without_a_course_is_told(runner):
    code, out, outputs = runner("course", COURSE="", VERSION="", ASKED="")
    assert (code, outputs) == (0, {})
    assert out.startswith("::notice title=Nothing was graded::")


@on_linux
@pytest.mark.parametrize("version", ["", "main", "v1.0", COMMIT[:12], f"{COMMIT}\nx"])
def test_a_version_that_can_move_is_refused(runner, version):
    code, out, outputs = runner("course", COURSE="org/katas", VERSION=version, ASKED="")
    assert (code, outputs) == (1, {})
    assert "VERSION must be a commit of org/katas, 40 digits" in out


@on_linux
@pytest.mark.parametrize(("version", "asked"), [(COMMIT, ""), ("a" * 40, COMMIT)])
def test_a_commit_is_taken(runner, version, asked):
    code, _, outputs = runner("course", COURSE="org/katas", VERSION=version, ASKED=asked)
    assert (code, outputs) == (0, {"version": COMMIT})


GRADE = """
echo "$@" > called
mkdir -p "$RUNNER_TEMP/report/student"
printf '%s' "$DOCUMENT" > "$RUNNER_TEMP/report/student/classroom.json"
exit "$CODE"
"""


@on_linux
@pytest.mark.parametrize("code", [0, 3])
def test_the_result_is_an_output_however_it_ends(runner, code):
    runner.program("kata", GRADE)
    document = '{"version": 1, "tests": []}'
    found, _, outputs = runner("grade", DOCUMENT=document, CODE=code)
    assert found == code
    assert base64.b64decode(outputs["result"]).decode() == document


@on_linux
@pytest.mark.parametrize("with_points", [False, True])
def test_the_class_of_one_is_graded_by_the_course_s_points(runner, with_points):
    runner.program("kata", GRADE)
    if with_points:
        (runner.folder / "points.toml").touch()
    runner("grade", DOCUMENT="{}", CODE=0)
    here = runner.folder
    expected = f"grade {here}/hand-ins --to {here}/temp/report"
    expected += " --points points.toml" if with_points else ""
    assert (here / "called").read_text().strip() == expected


@on_linux
def test_a_result_that_github_would_refuse_is_left_out(runner):
    runner.program("kata", GRADE.replace("printf '%s' \"$DOCUMENT\"", "head -c 900000 /dev/zero"))
    code, _, outputs = runner("grade", CODE=0)
    assert (code, outputs) == (0, {})


@on_linux
def test_a_grader_that_could_not_begin_fails_the_step(runner):
    runner.program("kata", "exit 2")
    code, _, outputs = runner("grade")
    assert (code, outputs) == (2, {})
