"""The class run with real stations: what is killed in the middle, and what is left of it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.meta.minicourse import PROJECT, make_course
from tests.meta.processes import alive, below

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="not run: needs Linux, and its /proc"),
    pytest.mark.timeout(300),
]
SECONDS = 120  # for anything: the machine may be busy
# In a test file of the course: one judge that comes to the gate waits there, and no other.
GATE = """


@pytest.fixture(autouse=True, scope="module")
def gate():
    here = Path(__file__)
    if here.with_suffix(".gate2").exists():
        here.with_suffix(".gate2").rename(here.with_suffix(".gate1"))
    elif here.with_suffix(".gate1").exists():
        here.with_suffix(".gate1").rename(here.with_suffix(".held"))
        while here.with_suffix(".held").exists():
            time.sleep(0.05)
"""
CLUSTER = """
from distributed import LocalCluster
if __name__ == "__main__":
    options = dict(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with LocalCluster(**options) as cluster:
        print(cluster.scheduler_address, flush=True)
        input()
"""
POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from kata.course import Course
from kata.grading.classrun import grade_class
from kata.grading.model import Submission
from kata.grading.station import Settings

if __name__ == "__main__":
    course, to = Course(Path(sys.argv[1])), Path(sys.argv[2])
    hand_ins = [Submission(path.name, path, path) for path in map(Path, sys.argv[3:])]
    spawn = multiprocessing.get_context("spawn")
    graded = grade_class(
        course,
        hand_ins,
        to,
        course.exercises,
        Settings(),
        executor=lambda: ProcessPoolExecutor(1, mp_context=spawn),
    )
    print(*[g.complete for g in graded])
"""


class Room:
    """A course, hand-ins, and `kata grade` on them in a process of its own."""

    def __init__(self, folder):
        self.course = make_course(folder / "course")
        self.students = folder / "class"
        self.out = folder / "out"
        self.started = []

    def add(self, name):
        """Hand in the solutions."""
        for exercise in self.course.exercises:
            path = self.students / name / exercise.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((self.course.solutions_dir / exercise.path).read_bytes())

    def hold(self, number, comer=1):
        """Let the first judge (or the second) that comes to an exercise wait there."""
        exercise = self.course.find(number)
        file = self.course.tests_dir / exercise.chapter / f"test_{exercise.name}.py"
        needs = "import time\nfrom pathlib import Path\n\nimport pytest\n\n"
        file.write_text(needs + file.read_text("utf-8") + GATE, "utf-8")
        file.with_suffix(f".gate{comer}").touch()
        self.held = file.with_suffix(".held")

    def wait_for_held(self):
        """Wait until a judge waits at the gate."""
        until(self.held.exists)

    def release(self):
        """Let it go on."""
        self.held.unlink()

    def start(self, *args, program=("-m", "kata", "grade")):
        """Start it in the folder of the course."""
        run = subprocess.Popen(
            [sys.executable, *program, *map(str, args)],
            cwd=self.course.root,
            env=os.environ | {"PYTHONPATH": str(PROJECT), "COLUMNS": "100"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(run)
        return run

    def close(self):
        """End what a failed test has left."""
        for run in self.started:
            if run.poll() is None:
                run.kill()
                run.communicate()

    def grade(self, *args):
        return self.start(self.students, "--to", self.out, "--workers", "1", *args)

    def kept(self, name):
        """What is kept of a hand-in at this moment."""
        try:
            return json.loads((self.out / name / "grade.json").read_text("utf-8"))
        except FileNotFoundError:
            return {"complete": False, "seconds": {}, "document": {}}


def until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:  # it has just ended
        return []


def zygotes(pid):
    """The zygotes of a class run, by their role; what they fork is called by the same command."""
    parents = alive()
    lines = {child: command(child) for child in below(pid)}
    return {
        line[line.index("kata.grading.zygote") + 1]: child
        for child, line in lines.items()
        if "kata.grading.zygote" in line and line[0] == sys.executable
        if lines.get(parents.get(child)) != line
    }


def victim_of(pid, who):
    """A process of a station by its role; `judge` is the one at work, of the zygote `judges`."""
    of_role = zygotes(pid)[who.removesuffix("s")]
    if who.endswith("s"):
        return of_role
    [at_work] = [child for child, parent in alive().items() if parent == of_role]
    return at_work


def points(out):
    """The points of the table, by hand-in."""
    rows = [line.split(maxsplit=1) for line in out.splitlines()[1:]]
    return {row[0]: row[1].strip() for row in rows if row and row[0] != "reports:"}


@pytest.fixture
def room(tmp_path):
    with contextlib.closing(Room(tmp_path)) as room:
        yield room


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_ended_class_run_leaves_verdicts_and_no_process(room, how):
    for name in ("anna", "ben"):
        room.add(name)
    room.hold("1.2", comer=2)
    run = room.grade()
    room.wait_for_held()
    started, before = below(run.pid), time.monotonic()
    assert len(started) >= 3  # two zygotes and a judge
    log = room.out / "anna" / "judge.log"
    graded_at = log.stat().st_mtime_ns
    run.send_signal(how)
    _, err = run.communicate(timeout=SECONDS)
    until(lambda: not started & alive().keys())
    assert time.monotonic() - before < 20
    assert room.kept("anna")["complete"]
    ben = room.kept("ben")
    assert (ben["complete"], list(ben["seconds"])) == (False, ["demo/double"])
    if how is signal.SIGINT:
        assert run.returncode == 130
        assert err.splitlines()[-1].startswith("kata: interrupted: 1 of 2 are graded, see ")
        assert (room.out / "ben" / "report.html").exists()
        return
    run = room.grade("--resume")
    out, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 0
    assert points(out) == {"anna": "2 of 2", "ben": "2 of 2"}
    assert log.stat().st_mtime_ns == graded_at


def test_a_judge_that_dies_is_reported_and_the_rest_is_graded(room):
    for name in ("anna", "ben"):
        room.add(name)
    room.hold("1.1")
    run = room.grade()
    room.wait_for_held()
    os.kill(victim_of(run.pid, "judge"), signal.SIGKILL)
    out, _ = run.communicate(timeout=SECONDS)
    assert run.returncode == 0
    assert points(out)["ben"] == "2 of 2"
    assert re.fullmatch("1 of 2  1.1 +tampered: 1.1: the judge died .*", points(out)["anna"])


@pytest.mark.parametrize("who", ["judges", "workers"])
def test_what_dies_at_a_station_costs_no_verdict(room, who):
    for name in ("anna", "ben"):
        room.add(name)
    room.hold("1.1")
    run = room.grade()
    room.wait_for_held()
    victim, started = victim_of(run.pid, who), below(run.pid)
    os.kill(victim, signal.SIGKILL)
    room.release()
    out, _ = run.communicate(timeout=SECONDS)
    assert points(out) == {"anna": "2 of 2", "ben": "2 of 2"}
    assert run.returncode == 0
    until(lambda: not started & alive().keys())


def test_a_killed_worker_of_a_pool_is_replaced(room):
    for name in ("anna", "ben"):
        room.add(name)
    room.hold("1.1")
    hand_ins = [room.students / name for name in ("anna", "ben")]
    run = room.start(room.course.root, room.out, *hand_ins, program=("-c", POOL))
    room.wait_for_held()
    judges = victim_of(run.pid, "judges")
    started, pool = below(run.pid), alive()[judges]
    assert pool != run.pid
    os.kill(pool, signal.SIGKILL)
    room.release()
    out, err = run.communicate(timeout=SECONDS)
    assert (out, err) == ("True True\n", "")
    until(lambda: not started & alive().keys())


def test_a_dask_cluster_grades_a_class(room):
    pytest.importorskip("distributed", reason="not run: the package distributed is not installed")
    for name in ("anna", "ben", "carl"):
        room.add(name)
    cluster = room.start(program=("-c", CLUSTER))
    try:
        address = cluster.stdout.readline().strip()
        run = room.grade("--dask", address)
        stations = set()

        def is_done():
            stations.update(zygotes(cluster.pid).values())
            return run.poll() is not None

        until(is_done)
        out, err = run.communicate()
        assert (run.returncode, len(err.splitlines())) == (0, 3)
        assert points(out) == dict.fromkeys(("anna", "ben", "carl"), "2 of 2")
        until(lambda: not stations & alive().keys())  # they end with the class run
        started = below(cluster.pid)
    finally:
        cluster.communicate("\n", timeout=SECONDS)
    until(lambda: not started & alive().keys())


def test_an_address_without_a_cluster_is_wrong_usage(room):
    pytest.importorskip("distributed", reason="not run: the package distributed is not installed")
    room.add("anna")
    run = room.grade("--dask", "tcp://127.0.0.1:9")
    _, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 2
    assert err == (
        "kata: --dask: no scheduler answers at 'tcp://127.0.0.1:9' "
        "(example: tcp://localhost:8786)\n"
    )
