"""`kata update`: what is new arrives, and what the learner wrote stays, with git and without."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from kata import progress, update
from kata.course import Course
from kata.updating import fetch, safety, source
from kata.verdict import Verdict
from tests.meta.command import Kata
from tests.meta.minicourse import PROJECT, answer
from tests.meta.versions import (
    DOUBLE,
    HALF,
    NEW_PICK,
    OLD,
    PICK,
    change,
    commit,
    git,
    make_versions,
    put,
)

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="not run: git is not installed")

MINE = "return 7  # my own \N{WHITE MEDIUM STAR} work"
BACKUP = os.path.join(".kata", "backup", "update_2031-05-06_070809")
# History of the learner's folder, whether the edits are committed, and where the update is from.
SITUATIONS = [
    pytest.param((history, committed, place), id=f"{history}-{committed}-{place}")
    for history, committed, place in [
        ("shared", "committed", "git"),
        ("shared", "uncommitted", "git"),
        ("own", "committed", "git"),
        ("own", "uncommitted", "git"),
        ("none", "uncommitted", "git"),
        ("shared", "committed", "folder"),
        ("own", "uncommitted", "zip"),
        ("none", "uncommitted", "folder"),
        ("none", "uncommitted", "zip"),
    ]
]


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    return {
        history: make_versions(tmp_path_factory.mktemp(history), history)
        for history in ("shared", "own", "none")
    }


class Learner(Kata):
    """A learner with the first version, and what they type to get the second one."""

    def __init__(self, versions, situation, monkeypatch, capsys):
        super().__init__(versions.course, monkeypatch, capsys)
        self.versions = versions
        self.history, self.committed, self.place = situation

    def update(self, *args, place=None):
        if self.committed == "committed" and (self.course.root / ".git").exists():
            commit(self.course.root, "mine")
        return self("update", "--yes", *self.source(place), *args)

    def source(self, place=None):
        place = place or self.place
        if place == "git":
            return [] if self.history != "none" else ["--from", str(self.versions.upstream)]
        folder = self.versions.second.root
        return ["--from", str(self.versions.as_zip() if place == "zip" else folder)]

    @property
    def is_known(self):
        """Whether the history of the course can be looked at."""
        return self.place == "git"

    def read(self, path):
        file = self.course.root / path
        return file.read_text("utf-8") if file.exists() else None

    def second(self, path):
        return (self.versions.second.root / path).read_text("utf-8")

    def kept(self, path):
        """The copy of a file in the backup of the update."""
        return self.read(f"{BACKUP}/{path}")

    def files(self):
        """All files outside of .git and .kata, with their content."""
        root = self.course.root
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.relative_to(root).parts[0] not in (".git", ".kata")
        }


@pytest.fixture
def copied(templates, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(time, "strftime", lambda form: "2031-05-06_070809")
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # slow, and no power cut is tested here

    def copy(history="shared", committed="uncommitted", place="git"):
        versions = templates[history]
        mine, second = tmp_path / "mine", tmp_path / "second"
        shutil.copytree(versions.course.root, mine)
        shutil.copytree(versions.second.root, second)
        versions = replace(versions, course=Course(mine), second=Course(second))
        return Learner(versions, (history, committed, place), monkeypatch, capsys)

    return copy


@pytest.fixture(params=SITUATIONS)
def learner(request, copied):
    return copied(*request.param)


@pytest.fixture
def plain(copied):
    """A learner with a folder, and the second version in a folder: no git."""
    return copied("none", "uncommitted", "folder")


# -------------------------------------------------------------------------- in every situation


def test_new_exercise_arrives_with_its_test(learner):
    result = learner.update()
    assert (result.code, result.err) == (0, "")
    assert result.lines[1:3] == ["New exercises:", "  1.2 Half of a number"]
    for name in (
        f"exercises/{HALF}.py",
        f"solutions/{HALF}.py",
        "tests/ch01_demo/test_ex02_half.py",
    ):
        assert learner.read(name) == learner.second(name)


def test_untouched_folder_becomes_the_new_version(learner):
    learner.update()
    found = {path: data.decode() for path, data in learner.files().items()}
    if not learner.is_known:  # nobody can tell that these were not the learner's own
        for name in (f"exercises/{OLD}.py", f"solutions/{OLD}.py", "tests/gone.py"):
            del found[name]
        del found["tests/ch01_demo/test_ex03_old.py"]
    root = learner.versions.second.root
    files = [p for p in root.rglob("*") if p.is_file()]
    assert found == {p.relative_to(root).as_posix(): p.read_text("utf-8") for p in files}


def test_edited_exercise_stays_and_its_change_is_told(learner):
    path = answer(learner.course, "1.1", MINE)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"# \xff")
    before = path.read_bytes()
    result = learner.update()
    assert path.read_bytes() == before
    where = f".kata/update/{DOUBLE}.py"
    assert learner.read(where) == learner.second(f"exercises/{DOUBLE}.py")
    told = f"  changed by the course: the signature of double. Look at {where}"
    assert told.replace("/", os.sep) in result.lines


def test_stub_with_windows_line_ends_is_untouched(learner):
    path = learner.course.exercises_dir / f"{DOUBLE}.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    learner.update()
    assert path.read_text("utf-8") == learner.second(f"exercises/{DOUBLE}.py")


def test_renumbered_answer_is_carried_to_its_new_place(learner):
    path = answer(learner.course, "1.2", MINE)
    progress.save(learner.course, {"demo/pick": Verdict.PASS})
    before = path.read_bytes()
    result = learner.update()
    assert (learner.course.exercises_dir / f"{NEW_PICK}.py").read_bytes() == before
    assert not path.exists()
    assert "  1.3 Twice the value at a place (it was 1.2)" in result.lines
    assert not (learner.course.tests_dir / "ch01_demo" / "test_ex02_pick.py").exists()
    assert progress.read(Course(learner.course.root)) == {"demo/pick": Verdict.PASS}


def test_answer_to_a_dropped_exercise_stays(learner):
    path = answer(learner.course, "1.3", MINE)
    before = path.read_bytes()
    result = learner.update()
    assert path.read_bytes() == before
    heading = result.lines.index("Not in the new version, and left alone:")
    assert result.lines[heading + 1] == f"  exercises/{OLD}.py".replace("/", os.sep)


def test_changed_test_is_replaced_and_kept(learner):
    name = "tests/ch01_demo/test_ex01_double.py"
    change(learner.course, name, "== 6", "== 7")
    mine = learner.read(name)
    result = learner.update()
    assert learner.read(name) == learner.second(name)
    assert learner.kept(name) == mine
    assert (f"  {name}".replace("/", os.sep) in result.lines) == learner.is_known
    assert ("Nothing is known about how" in result.out) != learner.is_known


def test_files_of_the_learner_are_not_touched(learner):
    own = {"notes.txt": "mine", "exercises/ch01_demo/helper.py": "X = 1", "kata/mine.py": "Y = 2"}
    for path, text in own.items():
        put(learner.course, path, text)
    learner.update()
    assert {path: learner.read(path) for path in own} == own


def test_every_replaced_file_is_kept(learner):
    answer(learner.course, "1.1", MINE)
    answer(learner.course, "1.2", MINE)
    before = learner.files()
    learner.update()
    after = learner.files()
    gone = {path: data for path, data in before.items() if after.get(path) != data}
    root = learner.course.root / BACKUP
    files = [p for p in root.rglob("*") if p.is_file()]
    assert {p.relative_to(root).as_posix(): p.read_bytes() for p in files} == gone
    assert {"README.md", f"exercises/{PICK}.py"} < set(gone)


def test_second_update_finds_nothing_to_do(learner):
    for number in ("1.1", "1.2", "1.3"):
        answer(learner.course, number, MINE)
    learner.update()
    before = learner.files()
    result = learner.update()
    assert result.lines[-1] == "Everything is up to date."
    assert learner.files() == before
    assert "changed by the course" not in result.out


def test_nothing_of_git_is_touched(learner):
    root = learner.course.root
    if not (root / ".git").exists():
        pytest.skip("not run: this learner has no git")
    answer(learner.course, "1.1", MINE)
    git(root, "add", "README.md")
    before = {p: p.read_bytes() for p in (root / ".git").rglob("*") if p.is_file()}
    learner.committed = "as it is"
    assert learner.update().code == 0
    assert {p: p.read_bytes() for p in (root / ".git").rglob("*") if p.is_file()} == before


# ------------------------------------------------------------------------------- with a history


@pytest.mark.parametrize("history", ["shared", "own", "none"])
def test_dropped_exercise_goes_when_nobody_worked_on_it(copied, history):
    learner = copied(history)
    learner.update()
    assert [p for p in learner.files() if "old" in p or "gone" in p] == []
    assert learner.kept(f"exercises/{OLD}.py").startswith('"""1.3 An old exercise')


def test_file_that_the_course_dropped_stays_when_it_was_changed(copied):
    learner = copied()
    put(learner.course, "tests/gone.py", "# mine\n")
    result = learner.update()
    assert learner.read("tests/gone.py") == "# mine\n"
    heading = result.lines.index("Changed by you, and no longer in the course; left alone:")
    assert result.lines[heading + 1] == os.path.join("  tests", "gone.py")


@pytest.mark.parametrize("numbers", [["1.1"], ["1.2"], ["1.1", "1.2"]])
def test_update_then_merge_gives_no_conflict(copied, numbers):
    learner = copied("shared", "committed")
    for number in numbers:
        answer(learner.course, number, MINE)
    learner.update()
    root = learner.course.root
    commit(root, "updated")
    git(root, "fetch", "-q", "upstream")
    git(root, "merge", "-q", "upstream/main")
    mine = {"1.1": f"exercises/{DOUBLE}.py", "1.2": f"exercises/{NEW_PICK}.py"}
    differing = git(root, "diff", "--name-only", "upstream/main").split()
    assert differing == [mine[number] for number in numbers]
    assert all("my own" in learner.read(path) for path in differing)


def test_merge_in_progress_is_no_obstacle(copied):
    learner = copied()
    root = learner.course.root
    path = learner.course.exercises_dir / f"{DOUBLE}.py"
    change(learner.course, f"exercises/{DOUBLE}.py", "double(x: int)", "double(number)")
    commit(root, "mine")
    git(root, "fetch", "-q", "upstream")
    with pytest.raises(subprocess.CalledProcessError):
        git(root, "merge", "-q", "upstream/main")
    before = path.read_bytes()
    assert b"<<<<<<<" in before
    assert learner.update().code == 0
    assert path.read_bytes() == before
    assert (root / ".git" / "MERGE_HEAD").exists()


def test_answers_in_the_history_of_a_fork_are_edits(copied, tmp_path):
    learner = copied()
    path = answer(learner.course, "1.1", "return x + x")
    commit(learner.course.root, "mine")
    fork = tmp_path / "fork"
    git(tmp_path, "clone", "-q", "--bare", str(learner.course.root), str(fork))
    before = path.read_bytes()
    assert learner("update", "--yes", "--from", str(fork)).code == 0
    assert path.read_bytes() == before


def test_content_that_only_a_merge_made_is_known(copied, tmp_path):
    learner = copied("none")
    upstream = tmp_path / "upstream"
    git(tmp_path, "clone", "-q", str(learner.versions.upstream), str(upstream))
    course = Course(upstream)
    texts = {"side": "# Other\n\n\n\n# End\n", "main": "# The new course\n\n\n\n# Other\n"}
    put(course, "README.md", "# The new course\n\n\n\n# End\n")
    commit(upstream)
    git(upstream, "branch", "side")
    for branch, text in texts.items():
        git(upstream, "checkout", "-q", branch)
        put(course, "README.md", text)
        commit(upstream)
    git(upstream, "merge", "-q", "-m", "both", "side")
    shutil.copy(upstream / "README.md", learner.course.root)
    change(course, "README.md", "Other", "Last")
    commit(upstream)
    result = learner("update", "--yes", "--from", str(upstream))
    assert learner.read("README.md") == "# Last\n\n\n\n# Last\n"
    assert "Changed by you" not in result.out


def test_stub_of_an_older_version_is_untouched(copied):
    learner = copied("none")
    path = learner.course.exercises_dir / f"{DOUBLE}.py"
    put(learner.course, f"solutions/{DOUBLE}.py", "# damaged\n")
    learner.update()
    assert path.read_text("utf-8") == learner.second(f"exercises/{DOUBLE}.py")


def test_second_update_from_a_folder_knows_what_came(plain):
    plain.update()
    change(plain.versions.second, "README.md", "new", "newest")
    put(plain.versions.second, f"exercises/{HALF}.py", "never looked at\n")
    (plain.versions.second.root / "tests" / "ch01_demo" / "hints.toml").unlink()
    result = plain.update()
    assert "Nothing is known" not in result.out
    assert "Files: 0 new, 1 changed, 1 removed (tests 1)." in result.lines
    assert result.lines.count("  ~ README.md") == 1
    assert plain.read("README.md") == "# The newest course\n"


# -------------------------------------------------------------------------------- from where


def test_remote_called_upstream_goes_before_origin(copied, tmp_path):
    learner = copied()
    git(learner.course.root, "remote", "add", "origin", str(tmp_path / "nowhere"))
    assert learner.update().code == 0


def test_origin_is_used_when_there_is_no_upstream(copied):
    learner = copied()
    git(learner.course.root, "remote", "rename", "upstream", "origin")
    assert learner.update().code == 0
    assert learner.read(f"exercises/{HALF}.py")


@pytest.mark.parametrize("history", ["own", "none"])
def test_update_from_nowhere_says_how_to_name_it(copied, history):
    learner = copied(history)
    if history == "own":
        git(learner.course.root, "remote", "remove", "upstream")
    result = learner("update")
    assert (result.code, result.out, result.err) == (2, "", f"kata: {source.NO_PLACE}\n")


def test_repository_around_the_course_is_not_asked(copied, tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "upstream", str(tmp_path / "another"))
    result = copied("none")("update")
    assert result.err == f"kata: {source.NO_PLACE}\n"


def test_ref_names_a_branch_a_tag_or_a_commit(copied):
    learner = copied("none")
    upstream = learner.versions.upstream
    first = git(upstream, "rev-parse", "HEAD~1").strip()
    before = learner.files()
    for ref in ("main~1", "no_such_branch"):
        result = learner("update", "--yes", "--from", str(upstream), "--ref", ref)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(
            f"kata: the new version could not be fetched from {upstream}: "
        )
        assert result.err.count("\n") == 1
    result = learner("update", "--yes", "--from", str(upstream), "--ref", first)
    assert (result.code, learner.files()) == (0, before)
    learner("update", "--yes", "--from", str(upstream), "--ref", "main")
    assert learner.files() != before


def test_ref_of_a_folder_is_refused(plain):
    result = plain("update", *plain.source(), "--ref", "main")
    assert result.code == 2
    assert result.err.startswith("kata: --ref belongs to a git repository, and ")


def test_without_a_network_one_line_says_so(copied):
    learner = copied("none")
    before = learner.files()
    result = learner("update", "--from", "https://someone:secret@localhost:1/course.git")
    start = "kata: the new version could not be fetched from https://localhost:1/course.git: "
    assert (result.code, result.out, learner.files()) == (2, "", before)
    assert result.err.startswith(start)
    assert result.err.endswith(". Nothing was changed\n")
    assert "secret" not in result.err
    assert result.err.count("\n") == 1


def test_without_git_a_zip_file_is_advised(copied, monkeypatch, tmp_path):
    learner = copied("none")
    monkeypatch.setenv("PATH", str(tmp_path))
    result = learner("update", "--from", "https://localhost:1/course.git")
    assert (result.code, result.err) == (2, f"kata: {fetch.NO_GIT}\n")
    assert learner.update(place="zip").code == 0


def test_hooks_and_templates_are_not_run(copied, tmp_path, monkeypatch):
    learner = copied()
    hooks, template = tmp_path / "hooks", tmp_path / "template"
    for folder in (hooks, template / "hooks"):
        folder.mkdir(parents=True)
        for name in ("reference-transaction", "post-checkout", "post-merge", "post-index-change"):
            (folder / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/was_run\n")
            (folder / name).chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(f"[core]\nhooksPath = {hooks}\n[init]\ntemplateDir = {template}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert learner.update().code == 0
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("what", ["empty folder", "text file", "no zip", "missing file"])
def test_place_without_a_course_is_refused(plain, tmp_path, what):
    place = tmp_path / "place.zip"
    if what == "empty folder":
        place.mkdir()
    elif what == "text file":
        place = tmp_path / "place.txt"
        place.write_text("text")
    elif what == "no zip":
        place.write_text("text")
    before = plain.files()
    result = plain("update", "--from", str(place))
    assert (result.code, result.out, plain.files()) == (2, "", before)
    assert str(place) in result.err
    assert result.err.count("\n") == 1


def hostile(learner, name, data="x", mode=0o100644):
    """A zip file of the second version with one entry more."""
    path = learner.versions.as_zip()
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, data)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "course-main/../../outside.txt",
        "/outside.txt",
        "course-main/c:/outside.txt",
        "course-main/tests/a\nb.py",
        "course-main/README.MD",
    ],
)
def test_zip_with_a_dangerous_name_is_refused(plain, tmp_path, name):
    path = hostile(plain, name)
    before = plain.files()
    result = plain("update", "--yes", "--from", str(path))
    assert (result.code, result.out, plain.files()) == (2, "", before)
    assert result.err.startswith(f"kata: {path} ")
    assert not list(tmp_path.rglob("outside.txt"))


def test_zip_with_a_link_is_refused(plain):
    path = hostile(plain, "course-main/kata/link.py", "/etc/passwd", 0o120777)
    result = plain("update", "--yes", "--from", str(path))
    assert result.code == 2
    assert "kata/link.py is a link, which is not followed" in result.err


@pytest.mark.parametrize(
    ("limit", "value"), [("LARGEST_TREE", 2000), ("LARGEST_FILE", 500), ("MOST_FILES", 5)]
)
@pytest.mark.parametrize("place", ["git", "zip"])
def test_huge_upstream_is_refused(plain, monkeypatch, limit, value, place):
    monkeypatch.setattr(safety, limit, value)
    before = plain.files()
    result = plain.update(place=place)
    assert (result.code, plain.files()) == (2, before)
    assert result.err.endswith(" was not used: it is too large for a course\n")


def test_folder_brings_nothing_that_tools_leave_behind(plain):
    for name in (".git/config", ".kata/state.json", "kata/__pycache__/a.pyc", ".venv/x.py"):
        put(plain.versions.second, name, "x")
    (plain.versions.second.root / ".git").rename(plain.versions.second.root / ".hg")
    plain.update()
    assert [p for p in plain.files() if "pycache" in p or "venv" in p or ".hg" in p] == []
    assert not (plain.course.root / ".kata" / "state.json").exists()


def test_answers_in_a_folder_are_not_brought(plain):
    answer(plain.versions.second, "1.1")
    plain.update()
    assert "raise NotImplementedError" in plain.read(f"exercises/{DOUBLE}.py")


# ------------------------------------------------------------------------------- obstacles here


@pytest.mark.skipif(os.name == "nt", reason="not run: links need rights on Windows")
@pytest.mark.parametrize("name", ["README.md", "tests/ch01_demo"])
def test_link_in_the_learners_folder_is_left_alone(plain, tmp_path, name):
    place = plain.course.root / name
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    paths = [p for p in (tmp_path / "elsewhere").rglob("*") if p.is_file()]
    before = {p: p.read_bytes() for p in [*paths, tmp_path / "elsewhere"] if p.is_file()}
    result = plain.update()
    assert result.code == 0
    assert result.lines.count(f"  {name} is a link") == 1
    assert {p: p.read_bytes() for p in before} == before
    assert place.is_symlink()


def test_folder_in_the_place_of_a_file_is_left_alone(plain):
    (plain.course.root / "README.md").unlink()
    put(plain.course, "README.md/mine.txt", "mine")
    result = plain.update()
    assert result.code == 0
    assert "  README.md is no file, and the course has one there" in result.lines
    assert plain.read("README.md/mine.txt") == "mine"
    assert plain.read(f"exercises/{HALF}.py")


def test_file_in_the_place_of_a_folder_is_left_alone(plain):
    put(plain.course, ".ci", "mine")
    result = plain.update()
    assert result.code == 0
    assert "  .ci is a file, and the course has a folder there" in result.lines
    assert plain.read(".ci") == "mine"


def test_scripts_of_the_project_are_what_can_be_run():
    if not (PROJECT / ".git").exists():
        pytest.skip("not run: this is no git checkout")
    rows = [row.split("\t") for row in git(PROJECT, "ls-files", "-s").splitlines()]
    executable = {path for facts, path in rows if facts.startswith("100755")}
    files = [PROJECT / path for _, path in rows if (PROJECT / path).is_file()]
    scripts = {p.relative_to(PROJECT).as_posix() for p in files if p.read_bytes()[:2] == b"#!"}
    assert scripts == executable


@pytest.mark.skipif(os.name == "nt", reason="not run: Windows has no such bit")
def test_script_can_be_run_after_the_update(plain):
    plain.update()
    assert (plain.course.root / ".ci" / "run").stat().st_mode & 0o111 == 0o111
    assert (plain.course.root / "README.md").stat().st_mode & 0o111 == 0


def test_file_saved_in_the_meantime_is_left_alone(plain, monkeypatch):
    path = plain.course.exercises_dir / f"{DOUBLE}.py"
    keep = update.steps.keep

    def save_late(course, steps):
        kept = keep(course, steps)
        path.write_text("my late work")
        return kept

    monkeypatch.setattr(update.steps, "keep", save_late)
    result = plain.update()
    assert path.read_text() == "my late work"
    assert f"Saved in the meantime, and left alone: {path.relative_to(plain.course.root)}" in (
        result.lines
    )


def test_page_of_unknown_origin_is_replaced_and_kept(plain):
    change(plain.course, "exercises/ch01_demo/README.md", "Two", "My two")
    plain.update()
    assert plain.read("exercises/ch01_demo/README.md") == "# Demo\n\nThree exercises.\n"
    assert plain.kept("exercises/ch01_demo/README.md") == "# Demo\n\nMy two exercises.\n"


def test_edited_page_stays_when_its_origin_is_known(copied):
    learner = copied()
    change(learner.course, "exercises/ch01_demo/README.md", "Two", "My two")
    result = learner.update()
    assert learner.read("exercises/ch01_demo/README.md") == "# Demo\n\nMy two exercises.\n"
    assert learner.read(".kata/update/ch01_demo/README.md") == "# Demo\n\nThree exercises.\n"
    where = os.path.join(".kata", "update", "ch01_demo", "README.md")
    assert f"  changed by the course: the file. Look at {where}" in result.lines


def test_edited_given_file_stays(learner):
    put(learner.course, "exercises/ch01_demo/shared.py", "SHARED = 9\n")
    learner.update()
    assert learner.read("exercises/ch01_demo/shared.py") == "SHARED = 9\n"
    assert learner.read(".kata/update/ch01_demo/shared.py") == "SHARED = 2\n"


def test_import_of_a_renumbered_exercise_is_pointed_out(plain):
    path = answer(plain.course, "1.1", MINE)
    path.write_text(path.read_text("utf-8") + "from .ex02_pick import pick\n", encoding="utf-8")
    result = plain.update()
    number = len(path.read_text("utf-8").splitlines())
    told = f"  line {number} imports ex02_pick, which is called ex03_pick now: change it there"
    assert told in result.lines


def test_import_in_an_exercise_of_the_learner_is_pointed_out(plain):
    name = "exercises/ch01_demo/ex09_mine.py"
    put(plain.course, name, "from .ex02_pick import pick\n")
    result = plain.update()
    heading = result.lines.index(f"{name}:".replace("/", os.sep))
    told = "  line 1 imports ex02_pick, which is called ex03_pick now: change it there"
    assert result.lines[heading + 1] == told
    assert plain.read(name) == "from .ex02_pick import pick\n"


def test_edited_file_that_the_course_did_not_change_needs_no_word(plain):
    for tree in ("exercises", "solutions"):
        change(plain.versions.second, f"{tree}/ch01_demo/shared.py", "2", "1")
    put(plain.course, "exercises/ch01_demo/shared.py", "SHARED = 9\n")
    result = plain.update()
    assert "Yours, and left as you wrote it: 1 file in exercises/" in result.lines
    assert "changed by the course" not in result.out
    assert not (plain.course.root / ".kata" / "update").exists()


def test_renumbered_chapter_takes_the_answers_along(copied):
    learner = copied("none")
    upstream = learner.versions.second
    for tree in ("exercises", "solutions", "tests"):
        (upstream.root / tree / "ch01_demo").rename(upstream.root / tree / "ch02_demo")
    before = answer(learner.course, "1.2", MINE).read_bytes()
    result = learner.update(place="folder")
    moved = learner.course.exercises_dir / "ch02_demo" / "ex03_pick.py"
    assert moved.read_bytes() == before
    assert "  2.3 Twice the value at a place (it was 1.2)" in result.lines
    assert list((learner.course.root / "solutions").rglob("ex*_pick.py")) == [
        learner.course.solutions_dir / "ch02_demo" / "ex03_pick.py"
    ]


def test_answer_in_both_places_stays_in_both(plain):
    old = answer(plain.course, "1.2", MINE)
    put(plain.course, f"exercises/{NEW_PICK}.py", "another = 1\n")
    before = old.read_bytes()
    result = plain.update()
    assert old.read_bytes() == before
    assert plain.read(f"exercises/{NEW_PICK}.py") == "another = 1\n"
    assert f"  exercises/{PICK}.py".replace("/", os.sep) in result.lines


# ---------------------------------------------------------------------------------- the command


def test_dry_run_lists_every_file_and_writes_nothing(plain):
    answer(plain.course, "1.2", MINE)
    before = plain.files()
    result = plain.update("--dry-run")
    assert (result.code, plain.files()) == (0, before)
    assert not (plain.course.root / ".kata").exists()
    listed = [line.split() for line in result.lines if line[2:3] in "+~-" and line[3:4] == " "]
    marks = {path.replace(os.sep, "/"): mark for mark, path in listed}
    assert marks[f"exercises/{NEW_PICK}.py"] == "+"
    assert marks[f"exercises/{PICK}.py"] == "-"
    assert marks["README.md"] == "~"


def test_update_asks_and_nobody_answers(plain, monkeypatch):
    before = plain.files()
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    result = plain("update", *plain.source())
    assert "Bring it in? [y/N]" in result.out
    assert (result.code, result.err) == (1, "kata: nothing was changed\n")
    assert plain.files() == before


def test_update_says_what_is_new_and_what_comes_next(plain):
    place = plain.versions.second.root
    result = plain.update()
    assert result.lines == [
        f"From {place}",
        "New exercises:",
        "  1.2 Half of a number",
        "With another number:",
        "  1.3 Twice the value at a place (it was 1.2)",
        "Not in the new version, and left alone:",
        os.path.join("  exercises", "ch01_demo", "ex03_old.py"),
        "Nothing is known about how 8 other files came to differ: a copy is kept, should you have",
        "changed something there.",
        "Files: 8 new, 7 changed, 4 removed (exercises 6, solutions 5, tests 6).",
        "",
        "Updated: 8 new, 7 changed, 4 removed.",
        f"What was replaced is kept: {BACKUP}",
        "next: exercises/ch01_demo/ex01_double.py:18  1.1 Twice a number  "
        "(stuck? kata hint 1.1   start over? kata reset 1.1)",
    ]


def test_other_packages_ask_for_an_installation(plain):
    change(plain.versions.second, "pyproject.toml", '"rich>=14",', '"rich>=14",\n    "other>=1",')
    assert update.INSTALL in plain.update().lines
    change(plain.versions.second, "pyproject.toml", "line-length = 100", "line-length = 99")
    assert update.INSTALL not in plain.update().lines


def test_interrupted_update_ends_with_one_line(plain, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(update.steps, "carry_out", interrupt)
    result = plain.update()
    assert (result.code, result.err) == (130, f"kata: interrupted. {update.AGAIN}\n")


def test_damaged_memory_is_forgotten(plain):
    for content in ("", "[]", "{broken", '{"files": 3}'):
        put(plain.course, ".kata/upstream.json", content)
        assert plain.update().code == 0
    files = json.loads(plain.read(".kata/upstream.json"))["files"]
    assert files["README.md"] == git(plain.versions.upstream, "rev-parse", "HEAD:README.md").strip()


def test_course_that_is_up_to_date_can_be_read_only(plain, monkeypatch):
    plain.update()

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    (plain.course.root / ".kata" / "upstream.json").unlink()
    for number in ("1.1",):
        assert Course(plain.course.root).find(number)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    result = plain.update()
    assert (result.code, result.lines[-1]) == (0, "Everything is up to date.")


def test_tool_can_replace_itself_while_it_runs(plain):
    root, second = plain.course.root, plain.versions.second.root
    ignore = shutil.ignore_patterns("__pycache__", "corpus")
    shutil.copytree(PROJECT / "kata", root / "kata", ignore=ignore)
    for file in (root / "kata").rglob("*.py"):
        put(plain.versions.second, file.relative_to(root).as_posix(), "raise SystemExit('new')\n")
    done = subprocess.run(
        [sys.executable, "-m", "kata", "update", "--yes", "--from", str(second)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("next: ")
    assert Path(root, "kata", "cli.py").read_text() == "raise SystemExit('new')\n"
