"""Speed of `kata watch`: `python benchmarks/bench_watch.py`.

From the moment at which a file is saved to the verdict on the screen, every wait included, next to
a cold `pytest` on the same exercise and next to `import torch` alone. The three take turns, on a
copy of the course. A right answer runs all tests; a wrong one (`return None`) ends with the first
that fails, and is compared with the known mistakes.

Wall time, as a learner waits: nothing else should run on the machine.
"""

import argparse
import os
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from timing import median_ratio

from kata.course import Course, Exercise
from kata.stubs import stub_of

EXERCISES = ("1.5", "2.5", "4.1")  # plain Python; torch; torch and transformers
TARGETS = {"1.5": "<= 100 ms", "2.5": "<= 350 ms"}
PARTS = ("exercises", "solutions", "tests", "pyproject.toml")
SECONDS = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=7, help="how often each side runs")
    parser.add_argument("exercises", nargs="*", default=EXERCISES, help="such as 1.5 2.5")
    args = parser.parse_args()
    for name in ("CI", "PYTEST_ADDOPTS"):
        os.environ.pop(name, None)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    with tempfile.TemporaryDirectory() as folder:
        course = copy_of_course(Path(folder))
        print(f"{'':36}{'watch':>8}{'pytest':>9}{'ratio':>7}{'torch':>9}{'ratio':>7}  target")
        for number in args.exercises:
            for kind in ("right", "wrong"):
                compare(course, course.find(number), kind, args.turns)


def copy_of_course(folder: Path) -> Course:
    for part in PARTS:
        source, target = ROOT / part, folder / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("meta", "__pycache__"))
        else:
            shutil.copy(source, target)
    return Course(folder)


def compare(course: Course, exercise: Exercise, kind: str, turns: int) -> None:
    """Time one kind of answer in the three ways, and print a row."""
    path = course.exercises_dir / exercise.path
    test = course.tests_dir / exercise.chapter / f"test_{exercise.name}.py"
    warm: list[float] = []
    cold: list[float] = []
    torch: list[float] = []
    save(path, course, exercise, kind, 0)
    with watching(course, exercise) as lines:
        verdict_on(lines, exercise)
        for turn in range(1, turns + 2):
            pytest_seconds = seconds_of("-m", "pytest", "-x", "-q", str(test), cwd=course.root)
            torch_seconds = seconds_of("-c", "import torch", cwd=course.root)
            start = time.perf_counter()
            save(path, course, exercise, kind, turn)
            said = verdict_on(lines, exercise)
            if turn > 1:  # the first one warms the disk's cache
                warm.append(time.perf_counter() - start)
                cold.append(pytest_seconds)
                torch.append(torch_seconds)
            if (said == "pass") != (kind == "right"):
                raise SystemExit(f"{exercise}, {kind}: the verdict is {said!r}")
    times = [1e3 * statistics.median(side) for side in (warm, cold, torch)]
    row = f"{times[0]:5.0f} ms{times[1]:6.0f} ms{median_ratio(cold, warm):7.1f}"
    row += f"{times[2]:6.0f} ms{median_ratio(torch, warm):7.1f}"
    print(f"{f'{exercise}, {kind}'[:36]:36}{row}  {TARGETS.get(exercise.number, '')}")


def save(path: Path, course: Course, exercise: Exercise, kind: str, turn: int) -> None:
    """Write an answer that differs from the last one in a comment."""
    text = (course.solutions_dir / exercise.path).read_text("utf-8")
    if kind == "wrong":
        lines = stub_of(course, exercise).splitlines()
        indents = [line[: len(line) - len(line.lstrip())] for line in lines]
        text = "\n".join(
            f"{indent}return None" if "raise NotImplementedError" in line else line
            for line, indent in zip(lines, indents, strict=True)
        )
    path.write_text(f"{text}\n# {turn}\n", "utf-8")


@contextmanager
def watching(course: Course, exercise: Exercise) -> Iterator["queue.SimpleQueue[str]"]:
    """What `kata watch` writes, line by line."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    process = subprocess.Popen(
        [sys.executable, "-m", "kata", "watch", exercise.number],
        cwd=course.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)

    threading.Thread(target=read, daemon=True).start()
    try:
        yield lines
    finally:
        process.communicate()


def verdict_on(lines: "queue.SimpleQueue[str]", exercise: Exercise) -> str:
    """Wait until all of a verdict is there; its word."""
    said = ""
    while not line_ends(line := lines.get(timeout=SECONDS)):
        if line.startswith(f"{exercise}: "):
            said = line.strip().removeprefix(f"{exercise}: ")
    return said


def line_ends(line: str) -> bool:
    """Whether it is the bar, which comes last."""
    return line.endswith(" done\n")


def seconds_of(*args: str, cwd: Path) -> float:
    """How long a command of Python takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *args], cwd=cwd, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
