"""What this machine has for the course: a list of findings, of which some are problems."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from kata.course import Course
from kata.data import ENCODING_FILES, RealData

NETWORK = "not needed: every test runs offline"
INSTALL = "run: python -m pip install -e ."
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")


@dataclass(frozen=True)
class Finding:
    """One line of the report; a problem is something that the course cannot do without."""

    topic: str
    text: str
    problem: bool = False


def examine(course: Course, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Look at everything, the quick things first; torch is imported to ask for its devices."""
    project = _project(course)
    yield _python(str(project.get("requires-python", "")))
    yield Finding("platform", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield from _files(course)
    for line in project.get("dependencies", []):
        yield from _package(line)
    yield from _devices()
    yield from _data(environ)
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    yield Finding("chromium", browser or "not found (optional, looks at the pages of kata show)")
    yield Finding("network", NETWORK)


def examine_grading() -> Iterator[Finding]:
    """Look at what would keep learner code from this machine while it is graded."""
    from kata.grading import sandbox

    for protection in sandbox.available():
        optional = protection.name in sandbox.OPTIONAL
        note = " (optional)" if optional and not protection.active else ""
        missing = not (protection.active or optional)
        yield Finding(protection.name, protection.detail + note, missing)


def _project(course: Course) -> dict[str, list[str]]:
    try:
        text = (course.root / "pyproject.toml").read_text("utf-8")
        project: dict[str, list[str]] = tomllib.loads(text)["project"]
    except (OSError, ValueError, KeyError):
        return {}
    return project


def _python(wanted: str) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = SpecifierSet(wanted).contains(version, prereleases=True)
    text = f"{version} ({sys.executable})" + ("" if fits else f", but {wanted} is needed")
    return Finding("python", text, not fits)


def _files(course: Course) -> Iterator[Finding]:
    yield Finding("course", str(course.root))
    count = len(course.exercises)
    missing = [e for e in course.exercises if not (course.exercises_dir / e.path).is_file()]
    if missing:
        names = ", ".join(e.number for e in missing)
        first = missing[0].number
        text = f"{len(missing)} of {count} missing: {names} (kata reset {first} writes one again)"
    else:
        text = f"{count}, every file is there"
    yield Finding("exercises", text, bool(missing))
    untested = [
        e.number
        for e in course.exercises
        if not (course.tests_dir / e.chapter / f"test_{e.name}.py").is_file()
    ]
    if untested:
        yield Finding("tests", f"missing for {', '.join(untested)}", True)
    folder = course.root / ".kata"
    writable = os.access(folder if folder.exists() else course.root, os.W_OK)
    yield Finding("state", f"{folder}" if writable else "read-only: progress is not remembered")


def _package(line: str) -> Iterator[Finding]:
    try:
        wanted = Requirement(line)
    except InvalidRequirement:
        yield Finding(line, "is not a requirement (pyproject.toml)", True)
        return
    if wanted.marker and not wanted.marker.evaluate():  # for another platform
        return
    try:
        version = metadata.version(canonicalize_name(wanted.name))
    except metadata.PackageNotFoundError:
        yield Finding(wanted.name, f"not installed; {INSTALL}", True)
        return
    fits = wanted.specifier.contains(version, prereleases=True)
    text = version if fits else f"{version}, but {wanted.specifier} is needed; {INSTALL}"
    yield Finding(wanted.name, text, not fits)


def _devices() -> Iterator[Finding]:
    try:
        import torch

        yield Finding("cpu", f"{os.cpu_count() or 1} cores, torch uses {torch.get_num_threads()}")
        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
            yield Finding("cuda", ", ".join(names))
        else:
            yield Finding("cuda", "not found (optional)")
        has_mps = torch.backends.mps.is_available()
        yield Finding("mps", "found" if has_mps else "not found (optional)")
    except Exception as error:  # a broken installation fails in many ways
        reason = str(error).partition("\n")[0]
        text = f"cannot be imported: {type(error).__name__}: {reason} (chapter 1 works without)"
        yield Finding("torch", text, True)


def _data(environ: Mapping[str, str]) -> Iterator[Finding]:
    encodings = [name for name in ENCODING_FILES if RealData(environ).has_encoding(name)]
    yield _folder("TIKTOKEN_CACHE_DIR", environ, encodings)
    data = Path(environ.get("KATA_DATA", ""))
    yield _folder("KATA_DATA", environ, _names(data, "*/"))
    models = [name[8:].replace("--", "/") for name in _names(_hub(environ), "models--*")]
    yield _folder("HF_HOME", environ, models)


def _hub(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HF_HOME", "")) / "hub"


def _names(folder: Path, pattern: str) -> list[str]:
    try:
        return sorted(path.name for path in folder.glob(pattern) if path.is_dir())
    except OSError:
        return []


def _folder(variable: str, environ: Mapping[str, str], found: list[str]) -> Finding:
    if not environ.get(variable):
        return Finding(variable, "not set (optional)")
    path = environ[variable]
    if not Path(path).is_dir():
        return Finding(variable, f"{path}: there is no such folder (optional)")
    return Finding(variable, f"{path}: {', '.join(found) or 'nothing found in it'}")
