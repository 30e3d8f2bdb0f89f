"""Speed of grading a class: `python benchmarks/bench_grading.py`.

Submissions per minute of `kata grade` with its stations open, next to a process for each hand-in
(`pytest --grade` with the learner's code in it, which protects nothing). Both have as many at work
as there are cores, and they take turns; the hand-ins are the solutions, so that every test runs to
its end. Opening the stations costs seconds, once for a class: that is timed by itself.

The overhead of a test is what it takes longer across the boundary than in one process: a fork, the
protections, and every call as a message. It is the median over the tests of an assignment, each
with the mean of its exercise.

Wall time, as an instructor waits: nothing else should run on the machine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from timing import median_ratio

from kata.course import Course, Exercise
from kata.grading.classrun import cores
from kata.grading.desk import chosen
from kata.grading.model import Graded, Submission
from kata.grading.station import Settings, Station

COURSE = Course(ROOT)
ASSIGNMENTS = ("1.5", "ch01", "ch02")
FASTER, SLOWER = ">= 15", "<= 30 ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=3, help="how often both sides run")
    parser.add_argument("--stations", type=int, default=cores(), help="submissions at a time")
    parser.add_argument("assignments", nargs="*", default=ASSIGNMENTS, help="such as 1.5 ch01")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # for the process per submission, as stations have it
    start = time.perf_counter()
    with ThreadPoolExecutor(args.stations) as pool:
        stations = list(pool.map(open_station, range(args.stations)))
    print(f"{args.stations} at a time; opening {args.stations} stations took ", end="")
    print(f"{time.perf_counter() - start:.1f} s, once for a class\n")
    print(f"{'submissions per minute':28}{'stations':>10}{'processes':>11}{'ratio':>8}  target")
    graded: dict[str, list[Graded]] = {}
    try:
        for name in args.assignments:
            graded[name] = compare(name, stations, args.turns)
    finally:
        for station in stations:
            station.close()
    print(f"\n{'milliseconds per test':28}{'station':>10}{'process':>11}{'more':>8}  target")
    for name, results in graded.items():
        overhead(name, results)


def open_station(_: int) -> Station:
    return Station(COURSE, settings=Settings())


def compare(name: str, stations: Sequence[Station], turns: int) -> list[Graded]:
    """Time an assignment both ways, and print a row; what the stations said in each turn."""
    exercises = chosen(COURSE, name, "assignment")
    results: list[Graded] = []
    ours: list[float] = []
    other: list[float] = []
    for turn in range(turns + 1):  # the first one warms the disk's cache
        begun = time.perf_counter()
        at_once(len(stations), lambda i: results.append(at_station(stations[i], exercises)))
        between = time.perf_counter()
        at_once(len(stations), lambda _: in_process(exercises))
        if turn:
            ours.append(between - begun)
            other.append(time.perf_counter() - between)
    per_minute = [60 * len(stations) / statistics.median(times) for times in (ours, other)]
    ratio = median_ratio(other, ours)
    row = f"{per_minute[0]:10.1f}{per_minute[1]:11.1f}{ratio:8.1f}"
    print(f"{what(name, exercises):28}{row}  {FASTER}")
    return results[len(stations) :]


def what(name: str, exercises: Sequence[Exercise]) -> str:
    return str(exercises[0]) if len(exercises) == 1 else f"{name}, {len(exercises)} exercises"


def at_once(count: int, work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))


def at_station(station: Station, exercises: Sequence[Exercise]) -> Graded:
    """Grade the solutions at a station."""
    with tempfile.TemporaryDirectory() as folder:
        tree = COURSE.solutions_dir
        graded = station.grade(Submission("solutions", tree, tree), Path(folder), exercises)
    if not graded.complete or graded.document["points"] != graded.document["max_points"]:
        raise SystemExit("the solutions do not pass at a station: there is nothing to compare")
    return graded


def in_process(exercises: Sequence[Exercise], *args: str) -> None:
    """Grade the solutions as `pytest --grade` does, in a process of its own."""
    tests = [str(COURSE.tests_dir / e.chapter / f"test_{e.name}.py") for e in exercises]
    options = ["--answers=solutions", "--grade", "-q", "-p", "no:cacheprovider", *args]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the solutions do not pass:\n{done.stdout}")


def overhead(name: str, results: Sequence[Graded]) -> None:
    """Compare the time of each exercise's tests with that in one process, and print a row."""
    exercises = chosen(COURSE, name, "assignment")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "junit.xml")
        in_process(exercises, f"--junit-xml={file}")
        cases = list(ElementTree.parse(file).getroot().iter("testcase"))
    ours: list[float] = []
    other: list[float] = []
    for exercise in exercises:
        module = f"tests.{exercise.chapter}.test_{exercise.name}"
        times = [float(case.get("time", 0)) for case in cases if case.get("classname") == module]
        seconds = statistics.median(graded.seconds[exercise.slug] for graded in results)
        ours += [1e3 * seconds / len(times)] * len(times)
        other += [1e3 * sum(times) / len(times)] * len(times)
    more = statistics.median(x - y for x, y in zip(ours, other, strict=True))
    here, there = statistics.median(ours), statistics.median(other)
    label = f"{what(name, exercises)}, {len(ours)}"
    print(f"{label:28}{here:10.0f}{there:11.0f}{more:8.0f}  {SLOWER}")


if __name__ == "__main__":
    main()
