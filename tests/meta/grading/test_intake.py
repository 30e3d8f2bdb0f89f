"""Hand-ins as students make them, and as attackers do: what is taken, and what is said about it."""

import io
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from kata import stubs
from kata.course import Course
from kata.grading import handin, intake
from kata.grading.intake import as_utf8, find, safe_name, take
from tests.meta import minicourse

DOUBLE, PICK = "ch01_demo/ex01_double.py", "ch01_demo/ex02_pick.py"
ANSWER = "def double(x):\n    return x + x\n"
NEEDS_LINKS = pytest.mark.skipif(
    sys.platform == "win32", reason="not run: links need rights on Windows"
)
NEEDS_FIFO = pytest.mark.skipif(
    not hasattr(os, "mkfifo"), reason="not run: this system has no named pipes"
)


@pytest.fixture
def course(tmp_path):
    course = minicourse.make_course(tmp_path / "course")
    (course.solutions_dir / "ch01_demo" / "table.py").write_text("GIVEN = 1\n")
    return course


@pytest.fixture
def work(tmp_path):
    return tmp_path / "anna"


class Taken:
    """What was taken of a hand-in."""

    def __init__(self, submission):
        self.submission = submission
        self.problems = list(submission.problems)
        found = (p for p in submission.tree.rglob("*") if p.is_file())
        self.files = {p.relative_to(submission.tree).as_posix(): p.read_bytes() for p in found}
        assert self.files.pop("ch01_demo/table.py") == b"GIVEN = 1\n"

    def text(self, name=DOUBLE):
        return self.files[name].decode()


@pytest.fixture
def taken(course, tmp_path):
    """Takes a hand-in; `taken.problems` is what was said."""

    def take_it(origin):
        return Taken(take(origin, tmp_path / "tree", course))

    return take_it


def put(folder, name, content=ANSWER):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zipped(path, entries):
    """A zip file with these entries: names or ZipInfos, and their contents."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in entries:
            archive.writestr(name, content)
    return path


# ------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize(
    "place",
    [
        f"exercises/{DOUBLE}",
        f"llm-katas/exercises/{DOUBLE}",
        f"a/b/c/exercises/{DOUBLE}",
        DOUBLE,
        f"my work/{DOUBLE}",
        f"Exercises/{DOUBLE.upper()}",
        "ex01_double.py",
        "exercises/ex01_double.py",
        "exercises/chapter1/ex01_double.py",
        "my answers/ch01_demo_ex01_double.py",
        "ch01_ex01_double.py",
        "ch01-ex01-double.py",
    ],
)
def test_answer_is_found_in_many_layouts(taken, work, place):
    put(work, place)
    result = taken(work)
    assert result.files == {DOUBLE: ANSWER.encode()}
    assert result.problems == []


def test_whole_course_gives_its_exercises_only(course, taken):
    minicourse.answer(course, "1.1", "return 2 * x")
    result = taken(course.root)
    assert set(result.files) == {DOUBLE, PICK}
    assert "return 2 * x" in result.text()
    assert result.problems == []


def test_solutions_are_never_taken(taken, work):
    put(work, f"solutions/{DOUBLE}")
    result = taken(work)
    assert result.files == {}
    assert result.problems == [intake.NOTHING]


def test_exercises_go_before_chapters_elsewhere(taken, work):
    put(work, f"exercises/{DOUBLE}")
    put(work, f"old/{DOUBLE}", "old = 1\n")
    result = taken(work)
    assert result.text() == ANSWER
    assert result.problems == ["old/ was not taken, but exercises/"]


def test_copy_inside_of_exercises_is_not_taken(taken, work):
    put(work, f"exercises/{PICK}")
    put(work, f"exercises/backup/{DOUBLE}")
    result = taken(work)
    assert set(result.files) == {PICK}
    assert result.problems == ["exercises/backup/ was not taken, but exercises/"]


def test_single_file_is_a_hand_in(taken, work):
    assert set(taken(put(work, "ex01_double.py")).files) == {DOUBLE}


def test_loose_files_that_differ_are_not_guessed_at(taken, work):
    put(work, "a/ex01_double.py", "a = 1\n")
    put(work, "b/ex01_double.py", "a = 2\n")
    put(work, "b/ex02_pick.py")
    result = taken(work)
    assert set(result.files) == {PICK}
    assert result.problems == [
        "a/ex01_double.py and b/ex01_double.py differ: none was taken as 1.1"
    ]


def test_loose_files_that_are_the_same_are_one(taken, work):
    put(work, "a/ex01_double.py")
    put(work, "b/ex01_double.py")
    result = taken(work)
    assert (set(result.files), result.problems) == ({DOUBLE}, [])


@pytest.mark.parametrize("name", ["ex01_doubel.py", "ex03_double.py", "ex1_double.py"])
def test_other_name_gets_a_suggestion(taken, work, name):
    put(work, f"exercises/ch01_demo/{name}")
    put(work, f"exercises/{PICK}")
    result = taken(work)
    assert PICK in result.files
    assert result.problems == [
        f"exercises/ch01_demo/{name} is no exercise; is ch01_demo/ex01_double.py meant?"
    ]


def test_module_beside_the_exercises_is_taken(taken, work):
    put(work, f"exercises/{DOUBLE}")
    put(work, "exercises/ch01_demo/helper.py", "x = 1\n")
    result = taken(work)
    assert set(result.files) == {DOUBLE, "ch01_demo/helper.py"}


def test_module_outside_of_chapters_is_not_taken(taken, work):
    put(work, f"exercises/{DOUBLE}")
    put(work, "exercises/helper.py")
    put(work, "exercises/ch01_demo/lib/helper.py")
    result = taken(work)
    assert set(result.files) == {DOUBLE}
    assert [p.split(" ")[0] for p in result.problems] == [
        "exercises/helper.py",
        "exercises/ch01_demo/lib/helper.py",
    ]


def test_given_file_comes_from_the_course(taken, work):
    put(work, f"exercises/{DOUBLE}")
    put(work, "exercises/ch01_demo/table.py", "GIVEN = 2\n")
    assert taken(work).problems == [
        "exercises/ch01_demo/table.py was changed: the course's own is used"
    ]


def test_given_file_that_is_unchanged_is_not_mentioned(taken, work):
    put(work, f"exercises/{DOUBLE}")
    put(work, "exercises/ch01_demo/table.py", "GIVEN = 1\r\n")
    assert taken(work).problems == []


@pytest.mark.parametrize(
    "name",
    [
        "conftest.py",
        "test_ex01_double.py",
        "setup.py",
        "sitecustomize.py",
        "__init__.py",
        "evil.pth",
        "fast.so",
        "ex01_double.cpython-311.pyc",
        "pytest.ini",
        "pyproject.toml",
    ],
)
def test_what_is_no_answer_is_not_taken(taken, work, name):
    put(work, f"exercises/{DOUBLE}")
    put(work, f"exercises/ch01_demo/{name}", "x = 1")
    result = taken(work)
    assert set(result.files) == {DOUBLE}
    assert result.problems == [f"exercises/ch01_demo/{name} was not taken: it is no answer"]


@pytest.mark.parametrize("folder", ["tests", ".git", "__pycache__", ".venv", "node_modules"])
def test_folders_of_tools_are_not_looked_into(taken, work, folder):
    put(work, f"exercises/{DOUBLE}")
    put(work, f"{folder}/{PICK}")
    result = taken(work)
    assert (set(result.files), result.problems) == ({DOUBLE}, [])


def test_virtual_environment_of_any_name_is_not_looked_into(taken, work):
    put(work, "my-env/pyvenv.cfg", "")
    put(work, "my-env/ex01_double.py")
    assert taken(work).files == {}


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: put(path, "notes.txt", "")])
def test_nothing_to_grade_is_said(taken, work, make):
    make(work)
    assert taken(work).problems == [
        "no exercise was found: a hand-in has files like "
        "exercises/ch01_tokenizers/ex05_merge_pair.py"
    ]


def test_hand_in_is_left_as_it_was(taken, work):
    path = put(work, f"exercises/{DOUBLE}", "x = 1\r\n")
    before = path.stat()
    taken(work)
    assert path.stat() == before
    assert [p.name for p in work.rglob("*")] == ["exercises", "ch01_demo", "ex01_double.py"]


def test_two_hand_ins_are_never_mixed(course, work, tmp_path):
    put(tmp_path, "tree/other.py")
    put(work, DOUBLE)
    with pytest.raises(FileExistsError, match="tree is not empty"):
        take(work, tmp_path / "tree", course)


def test_names_say_which_hand_in_it_is(course, work, tmp_path):
    put(work, DOUBLE)
    submission = take(work, tmp_path / "tree", course)
    assert (submission.name, submission.origin) == ("anna", work)
    assert submission.tree == tmp_path / "tree"
    assert take(work, tmp_path / "tree2", course, "bob").name == "bob"


def test_long_list_of_problems_is_cut(taken, work):
    for i in range(100):
        put(work, f"exercises/ch01_demo/test_{i}.py")
    put(work, f"exercises/{DOUBLE}")
    problems = taken(work).problems
    assert len(problems) == intake.MOST_PROBLEMS + 1
    assert problems[-1] == "and 60 problems more"


# ----------------------------------------------------------------------------------- the text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a = 1\r\nb = 2\r\n", "a = 1\nb = 2\n"),
        (b"a = 1\rb = 2\r", "a = 1\nb = 2\n"),
        (b"\xef\xbb\xbfa = 1\n", "a = 1\n"),
        (b"\xef\xbb\xbf# coding: utf-8\na = 1\n", "# coding: utf-8\na = 1\n"),
        (b"# -*- coding: latin-1 -*-\na = '\xe9'\n", "# -*- coding: utf-8 -*-\na = 'é'\n"),
        (b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\na = '\x80'\n", None),
        ("# coding: gbk\na = '中'\n".encode("gbk"), "# coding: utf-8\na = '中'\n"),
        (b"a = 1\n# coding: latin-1\nb = 'x'\n", "a = 1\n# coding: latin-1\nb = 'x'\n"),
        (b"a = 1", "a = 1\n"),
    ],
)
def test_text_becomes_what_python_would_read(content, text):
    got, why = as_utf8(content)
    assert why == ""
    assert text is None or got.decode() == text
    names, expected = {}, {}
    exec(compile(content, "before", "exec"), expected)
    exec(compile(got, "after", "exec"), names)
    assert {k: v for k, v in names.items() if len(k) == 1} == {
        k: v for k, v in expected.items() if len(k) == 1
    }


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a = 1\nb = '\xe9'\n", "is not utf-8 (byte 0xe9 in line 2): Python cannot read it. "),
        (b"# coding: ascii\na = '\xe9'\n", "is not ascii (byte 0xe9 in line 2)"),
        ("a = 1\n".encode("utf-16"), "is UTF-16, which Python does not read"),
        (b"a = 1\n\0", "holds a null byte"),
        (b"# coding: klingon\n", "says that it is klingon: it is left to Python"),
        (b"# coding: punycode\n", "says that it is punycode: it is left to Python"),
        (b"# coding: cp9999\n", "says that it is cp9999, which Python does not know"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "begins as UTF-8 and says that it is latin-1"),
    ],
)
def test_text_that_python_cannot_read_is_taken_as_it_is(taken, work, content, why):
    put(work, DOUBLE, content)
    result = taken(work)
    assert result.files == {DOUBLE: content}
    assert len(result.problems) == 1
    assert result.problems[0].startswith(f"{DOUBLE} {why}")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_empty_file_is_said(taken, work, content):
    put(work, DOUBLE, content)
    result = taken(work)
    assert result.problems == [f"{DOUBLE} is empty"]
    assert DOUBLE in result.files


def test_large_file_is_not_taken(taken, work):
    put(work, DOUBLE, b"#" * (intake.LARGEST_FILE + 1))
    put(work, PICK)
    result = taken(work)
    assert set(result.files) == {PICK}
    assert result.problems == [f"{DOUBLE} was not taken: more than 1 MB"]


def test_many_large_modules_are_not_taken(taken, work):
    put(work, DOUBLE)
    for i in range(20):
        put(work, f"ch01_demo/helper{i:02}.py", b"#" * intake.LARGEST_FILE)
    result = taken(work)
    assert sum(map(len, result.files.values())) <= intake.LARGEST_TREE
    assert "the hand-in is too large" in result.problems[-1]


def test_no_more_is_read_than_a_hand_in_may_have(taken, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "LARGEST_HAND_IN", 3 << 20)
    entries = [(f"{i}/ex01_double.py", bytes(1 << 20)) for i in range(30)]
    result = taken(zipped(tmp_path / "a.zip", [*entries, ("z/ex02_pick.py", ANSWER)]))
    assert result.problems.count("9/ex01_double.py was not taken: the hand-in is too large") == 1


def test_many_folders_of_answers_end(taken, tmp_path):
    entries = [(f"{i}/{DOUBLE}", "") for i in range(3000)]
    result = taken(zipped(tmp_path / "a.zip", entries))
    assert set(result.files) == {DOUBLE}
    assert len(result.problems) == intake.MOST_PROBLEMS + 1


def test_answers_go_before_modules_when_there_is_too_much(taken, work):
    for i in range(20):
        put(work, f"ch01_demo/a{i:02}.py", b"#" * intake.LARGEST_FILE)
    put(work, DOUBLE)
    assert DOUBLE in taken(work).files


# ------------------------------------------------------------------------------ hostile folders


@NEEDS_LINKS
@pytest.mark.parametrize("what", ["ch01_demo/ex01_double.py", "ch01_demo/helper.py", "ch01_demo"])
def test_links_are_not_followed(taken, work, tmp_path, what):
    put(work, f"exercises/{PICK}") if "/" in what else put(work, "exercises/ex02_pick.py")
    secret = put(tmp_path, f"secret/{DOUBLE}", "secret = 1\n")
    link = work / "exercises" / what
    link.symlink_to(secret if link.suffix else secret.parent)
    result = taken(work)
    assert set(result.files) == {PICK}
    assert result.problems == [f"exercises/{what} is a link, which is not followed"]


@NEEDS_LINKS
def test_hand_in_that_is_a_link_is_not_followed(taken, work, tmp_path):
    put(tmp_path, f"secret/{DOUBLE}")
    work.symlink_to(tmp_path / "secret")
    result = taken(work)
    assert (result.files, result.problems) == ({}, ["anna is a link, which is not followed"])


@NEEDS_FIFO
def test_pipes_do_not_block(taken, work):
    put(work, PICK)
    os.mkfifo(work / DOUBLE)
    result = taken(work)
    assert set(result.files) == {PICK}
    assert result.problems == [f"{DOUBLE} is neither a file nor a folder"]


@NEEDS_FIFO
def test_file_that_becomes_a_pipe_does_not_block(work):
    path = put(work, DOUBLE)
    with handin.HandIn(work) as hand_in:
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(handin.Unreadable, match="neither a file nor a folder"):
            hand_in.entries[0].read(10)


@NEEDS_LINKS
def test_file_that_becomes_a_link_is_not_followed(work, tmp_path):
    path = put(work, DOUBLE)
    with handin.HandIn(work) as hand_in:
        path.unlink()
        path.symlink_to(put(tmp_path, "secret.py"))
        with pytest.raises(handin.Unreadable):
            hand_in.entries[0].read(10)


@pytest.mark.skipif(sys.platform == "win32", reason="not run: Windows has no such names")
@pytest.mark.parametrize("name", ["ex01_double\n.py", "ex01\x1b[31m_double.py", "a\r.py"])
def test_control_characters_in_names_are_shown_as_escapes(taken, work, name):
    put(work, PICK)
    put(work, f"ch01_demo/{name}")
    result = taken(work)
    assert set(result.files) == {PICK}
    assert all(p.isprintable() and p.isascii() for p in result.problems)
    assert result.problems


@pytest.mark.parametrize("name", ["con.py", "my-helper.py", "1st.py", "a b.py", f"{'a' * 100}.py"])
def test_module_names_must_be_possible_everywhere(taken, work, name):
    put(work, PICK)
    put(work, f"ch01_demo/{name}")
    result = taken(work)
    assert set(result.files) == {PICK}
    assert result.problems[0].endswith("was not taken: no module has such a name")


@pytest.mark.skipif(sys.platform != "linux", reason="not run: names here differ in more than case")
def test_modules_that_differ_only_in_case_do_not_overwrite_each_other(taken, work):
    put(work, "ch01_demo/Helper.py", "x = 1\n")
    put(work, "ch01_demo/helper.py", "x = 2\n")
    put(work, PICK)
    result = taken(work)
    assert result.files["ch01_demo/Helper.py"] == b"x = 1\n"
    assert result.problems == ["ch01_demo/helper.py was not taken: another file has the same name"]


def test_deep_folders_are_not_looked_into(taken, work):
    put(work, "a/" * (handin.DEEPEST + 2) + DOUBLE)
    put(work, PICK)
    assert "lies too deep" in taken(work).problems[0]


def test_deep_entries_are_not_looked_at(taken, tmp_path):
    result = taken(zipped(tmp_path / "a.zip", [("a/" * 30_000 + "x.py", ""), (DOUBLE, ANSWER)]))
    assert set(result.files) == {DOUBLE}
    assert "lies too deep" in result.problems[0]


def test_folder_of_very_many_files_ends(taken, work, monkeypatch):
    monkeypatch.setattr(handin, "MOST_ENTRIES", 30)
    put(work, DOUBLE)
    for i in range(50):
        put(work, f"junk/{i}.txt", "")
    result = taken(work)
    assert set(result.files) == {DOUBLE}  # what is shallow is looked at first
    assert result.problems == ["more than 30 files: not all were looked at"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="not run: root may read everything"
)
def test_closed_folder_is_said(taken, work):
    put(work, DOUBLE)
    (work / "closed").mkdir(mode=0)
    assert taken(work).problems == ["closed cannot be read: Permission denied"]


def test_hand_in_that_is_not_there_is_said(taken, work):
    assert taken(work).problems == ["anna cannot be read: No such file or directory"]


# -------------------------------------------------------------------------------- zip files


def test_zip_file_is_taken(taken, tmp_path):
    result = taken(zipped(tmp_path / "anna.zip", [(f"x/exercises/{DOUBLE}", ANSWER)]))
    assert (result.submission.name, result.text(), result.problems) == ("anna", ANSWER, [])


def test_zip_file_of_an_old_windows_tool_is_taken(taken, tmp_path):
    entries = [(f"exercises\\{DOUBLE}".replace("/", "\\"), ANSWER)]
    assert set(taken(zipped(tmp_path / "a.zip", entries)).files) == {DOUBLE}


def test_zip_file_of_any_name_is_taken(taken, tmp_path):
    assert set(taken(zipped(tmp_path / "hand-in.1", [(DOUBLE, ANSWER)])).files) == {DOUBLE}


def test_zip_file_alone_in_a_folder_is_taken(taken, work):
    work.mkdir()
    put(work, "comment.txt", "late, sorry")
    zipped(work / "hand-in.zip", [(DOUBLE, ANSWER)])
    result = taken(work)
    assert (result.submission.name, set(result.files), result.problems) == ("anna", {DOUBLE}, [])


def test_zip_file_in_a_zip_file_is_not_opened(taken, tmp_path):
    inner = zipped(tmp_path / "inner.zip", [(DOUBLE, ANSWER)]).read_bytes()
    result = taken(zipped(tmp_path / "anna.zip", [("inner.zip", inner)]))
    assert result.files == {}
    assert result.problems == ["inner.zip was not opened: it is an archive in the hand-in"]


@pytest.mark.parametrize(
    "name",
    [
        f"../{DOUBLE}",
        f"a/../../{DOUBLE}",
        f"/tmp/{DOUBLE}",
        f"C:/{DOUBLE}",
        f"C:\\{DOUBLE}",
        f"..\\..\\{DOUBLE}",
        f"//server/share/{DOUBLE}",
    ],
)
def test_zip_slip_is_not_taken(taken, tmp_path, name):
    before = {p for p in tmp_path.parent.rglob("*") if "tree" not in p.parts}
    archive = zipped(tmp_path / "evil.zip", [(name, "evil = 1\n"), (PICK, ANSWER)])
    result = taken(archive)
    assert set(result.files) == {PICK}
    assert result.problems == [
        f"{name.replace(chr(92), '/')} would lie outside of the archive: it was not taken"
    ]
    after = {p for p in tmp_path.parent.rglob("*") if "tree" not in p.parts}
    assert after - before == {archive}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (stat.S_IFLNK, "is a link, which is not followed"),
        (stat.S_IFIFO, "is neither a file nor a folder"),
        (stat.S_IFCHR, "is neither a file nor a folder"),
    ],
)
def test_zip_entry_that_is_no_file_is_not_taken(taken, tmp_path, kind, words):
    info = zipfile.ZipInfo(DOUBLE)
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    result = taken(zipped(tmp_path / "a.zip", [(info, "/etc/passwd"), (PICK, ANSWER)]))
    assert set(result.files) == {PICK}
    assert result.problems == [f"{DOUBLE} {words}"]


def test_zip_entry_that_is_there_twice_is_said(taken, tmp_path):
    result = taken(zipped(tmp_path / "a.zip", [(DOUBLE, "a = 1\n"), (DOUBLE, "a = 2\n")]))
    assert result.text() == "a = 2\n"
    assert result.problems == [f"{DOUBLE} is twice in the archive: the last one counts"]


def test_encrypted_zip_entry_is_said(taken, tmp_path):
    path = zipped(tmp_path / "a.zip", [(DOUBLE, ANSWER), (PICK, ANSWER)])
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    result = taken(path)
    assert set(result.files) == {PICK}
    assert result.problems == [f"{DOUBLE} is encrypted: it was not taken"]


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_unusual_compression_is_said(taken, tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr(DOUBLE, ANSWER)
    assert taken(tmp_path / "a.zip").problems == [
        f"{DOUBLE} is packed in an unusual way: use a plain zip file"
    ]


def test_bomb_is_not_unpacked(taken, tmp_path):
    archive = zipped(tmp_path / "a.zip", [(DOUBLE, bytes(200 << 20)), (PICK, ANSWER)])
    assert archive.stat().st_size < 1 << 20
    result = taken(archive)
    assert set(result.files) == {PICK}
    assert result.problems == [f"{DOUBLE} was not taken: more than 1 MB"]


def test_bomb_that_lies_about_its_size_is_not_unpacked(taken, tmp_path):
    path = zipped(tmp_path / "a.zip", [(DOUBLE, bytes(50 << 20)), (PICK, ANSWER)])
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(mark) + at
        data[place : place + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    result = taken(path)
    assert len(result.files.get(DOUBLE, b"")) <= 100
    assert PICK in result.files


def test_damaged_entry_is_said(taken, tmp_path):
    path = zipped(tmp_path / "a.zip", [(DOUBLE, os.urandom(1000)), (PICK, ANSWER)])
    data = bytearray(path.read_bytes())
    place = data.index(DOUBLE.encode()) + len(DOUBLE) + 100
    data[place : place + 100] = bytes(100)
    path.write_bytes(data)
    result = taken(path)
    assert PICK in result.files
    assert result.problems[0].startswith(f"{DOUBLE} cannot be read: the archive is damaged (")


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06 and no more", os.urandom(5000)])
def test_broken_zip_file_is_said(taken, tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    result = taken(tmp_path / "a.zip")
    assert result.files == {}
    assert result.problems[0].startswith("a.zip cannot be read: it is no zip file, or a broken")


def test_cut_off_zip_file_is_said(taken, tmp_path):
    path = zipped(tmp_path / "a.zip", [(DOUBLE, ANSWER)])
    path.write_bytes(path.read_bytes()[:-30])
    assert taken(path).problems[0].startswith("a.zip cannot be read: it is no zip file")


def test_other_archive_is_said(taken, tmp_path):
    (tmp_path / "a.rar").write_bytes(b"Rar!\x1a\x07")
    assert taken(tmp_path / "a.rar").problems == [
        "a.rar cannot be read: a hand-in is a folder, a zip file, a .py or an .ipynb file"
    ]


def test_enormous_table_of_contents_is_not_read(taken, tmp_path):
    path = tmp_path / "a.zip"
    size = handin.LARGEST_TABLE + 1
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, size, 0, 0)
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(end)
    assert "its table of contents is too large" in taken(path).problems[0]


def test_hand_in_of_500_megabytes_is_not_read(taken, tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(DOUBLE, ANSWER)
        archive.writestr("model.bin", b"x")
    data = path.read_bytes()
    with path.open("wb") as file:  # 500 MB of nothing before the archive, which zipfile allows
        file.truncate(500 << 20)
        file.seek(500 << 20)
        file.write(data)
    read, asked = io.FileIO.read, []
    monkeypatch.setattr(
        handin._Archive, "read", lambda self, n=-1: asked.append(n) or read(self, min(n, 1 << 20))
    )
    assert set(taken(path).files) == {DOUBLE}
    assert sum(max(n, 1 << 16) for n in asked) < 8 << 20


# -------------------------------------------------------------------------------------- git


def git(folder, *args, **environ):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *args],
        cwd=folder,
        check=True,
        capture_output=True,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull} | environ,
    )


@pytest.fixture
def repository(work):
    if not shutil.which("git"):
        pytest.skip("not run: git is not installed")
    put(work, f"exercises/{DOUBLE}", "committed = 1\n")
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    date = "2026-05-04T12:00:00 +0200"
    git(work, "commit", "-qm", "x", GIT_COMMITTER_DATE=date, GIT_AUTHOR_DATE="2020-01-01T00:00:00")
    return work


COMMITTED = datetime(2026, 5, 4, 12, tzinfo=timezone(timedelta(hours=2)))


def test_work_tree_is_taken_as_it_is(taken, repository):
    put(repository, f"exercises/{DOUBLE}")
    result = taken(repository)
    assert (result.text(), result.problems) == (ANSWER, [])
    assert result.submission.submitted == COMMITTED
    assert result.submission.submitted.utcoffset() == timedelta(hours=2)


def test_time_is_found_in_a_packed_repository(taken, repository):
    git(repository, "gc", "-q")
    assert not (repository / ".git" / "refs" / "heads" / "main").exists()
    assert taken(repository).submission.submitted == COMMITTED


def test_time_is_found_of_a_commit_without_a_branch(taken, repository):
    git(repository, "checkout", "-q", "--detach")
    assert taken(repository).submission.submitted == COMMITTED


def test_hand_in_without_git_has_no_time(taken, work):
    put(work, DOUBLE)
    assert taken(work).submission.submitted is None


def test_repository_without_a_commit_has_no_time(taken, work):
    put(work, DOUBLE)
    git(work, "init", "-q")
    assert taken(work).submission.submitted is None


@pytest.mark.parametrize(
    "head", ["ref: ../../../etc/passwd", "ref: refs/heads/none", "x", "0" * 40]
)
def test_damaged_repository_has_no_time(taken, repository, head):
    (repository / ".git" / "HEAD").write_text(head)
    assert taken(repository).submission.submitted is None


PROGRAMS = [
    *("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass"),
    *("core.gitProxy", "gpg.program", "diff.external", "credential.helper", "alias.cat-file"),
    *("filter.x.clean", "filter.x.smudge", "filter.x.process", "uploadpack.packObjectsHook"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="not run: the trap is a shell script")
def test_nothing_of_a_repository_is_run(taken, repository, tmp_path):
    trap = put(tmp_path, "trap.sh", f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    for name in PROGRAMS:
        git(repository, "config", name, str(trap))
    for name, value in (("log.showSignature", "true"), ("core.hooksPath", str(tmp_path))):
        git(repository, "config", name, value)
    git(repository, "config", "remote.origin.url", f"ext::{trap}")
    git(repository, "config", "remote.origin.promisor", "true")
    git(repository, "config", "remote.origin.uploadpack", str(trap))
    git(repository, "config", "extensions.partialClone", "origin")
    put(repository, ".gitattributes", "* filter=x\n")
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        (tmp_path / hook).write_bytes(trap.read_bytes())
        (tmp_path / hook).chmod(0o755)
    assert taken(repository).submission.submitted == COMMITTED
    (repository / ".git" / "HEAD").write_text("1" * 40)  # missing: git would fetch it
    assert take(repository, tmp_path / "t2", Course(tmp_path / "course")).submitted is None
    assert not (tmp_path / "sprung").exists()
    subprocess.run(["git", "status"], cwd=repository, capture_output=True, check=False)
    assert (tmp_path / "sprung").exists()  # the trap works


# -------------------------------------------------------------------------------- notebooks


def notebook(path, *cells):
    """A notebook of these code cells."""
    cells = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "source": cell.splitlines(True)}
        for cell in cells
    ]
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def code(result, name=DOUBLE):
    """What follows the head of the stub."""
    return result.text(name).rpartition('"""\n')[2].strip()


def test_function_of_a_cell_is_found_by_its_name(taken, work):
    result = taken(notebook(work / "a.ipynb", ANSWER))
    assert (set(result.files), result.problems) == ({DOUBLE}, [])
    assert code(result) == ANSWER.strip()
    assert result.text().startswith('"""1.1 Twice a number   [easy, ~5 min]\n')


def test_cell_can_be_marked_with_its_exercise(taken, work):
    cells = ["# 1.2\ndef pick(values, place):\n    return triple(values)\n\n\ndef triple(x): ...\n"]
    result = taken(notebook(work / "a.ipynb", *cells))
    assert set(result.files) == {PICK}
    assert "def triple(x): ..." in code(result, PICK)


def test_checked_function_belongs_to_the_exercise_of_the_check(taken, work):
    cells = ["def mine(x):\n    return x + x\n", 'check("1.1", double=mine)']
    result = taken(notebook(work / "a.ipynb", *cells))
    assert code(result) == "def mine(x):\n    return x + x\n\n\ndouble = mine"


def test_answer_gets_what_it_needs_and_no_more(taken, work):
    cells = [
        "import math\nimport numpy\nfrom kata.notebook import check",
        "TWO = 2\nresult = expensive()\nx = 5",
        "def times(x):\n    return math.prod([TWO, x])\n\ndef unused(): ...",
        "print('hello')\nfor i in range(10**9): pass",
        "def double(x):\n    y = times(x)\n    return y",
        "double(3)",
    ]
    result = taken(notebook(work / "a.ipynb", *cells))
    assert code(result).split("\n\n\n") == [
        "import math",
        "TWO = 2",
        "def times(x):\n    return math.prod([TWO, x])",
        "def double(x):\n    y = times(x)\n    return y",
    ]


def test_last_definition_counts(taken, work):
    result = taken(notebook(work / "a.ipynb", "def double(x): return 1", "def double(x): return 2"))
    assert code(result) == "def double(x): return 2"


def test_stub_stands_for_what_is_not_in_the_notebook(course, taken, work):
    path = course.solutions_dir / DOUBLE
    path.write_text(path.read_text() + "\n\ndef half(x):\n    # solution\n    return x / 2\n")
    result = taken(notebook(work / "a.ipynb", ANSWER))
    assert 'raise NotImplementedError("half")' in result.text()
    assert 'raise NotImplementedError("double")' not in result.text()


@pytest.mark.parametrize(
    "cell",
    [
        f"%matplotlib inline\n{ANSWER}",
        f"!pip install torch\n{ANSWER}",
        f"files = !ls\n{ANSWER}",
        f"double?\n{ANSWER}",
        f"%%time\n{ANSWER}",
        f"\n%%capture out\n{ANSWER}",
        f"if True:\n    %cd ..\n{ANSWER}",
    ],
)
def test_magics_are_left_out(taken, work, cell):
    result = taken(notebook(work / "a.ipynb", cell))
    assert (code(result), result.problems) == (ANSWER.strip(), [])


def test_percent_of_an_expression_is_no_magic(taken, work):
    cell = "def double(x):\n    return (2 * x\n        % 1000)"
    assert code(taken(notebook(work / "a.ipynb", f"%pwd\n{cell}"))) == cell


def test_cell_of_another_language_is_left_out(taken, work):
    result = taken(notebook(work / "a.ipynb", "%%bash\nrm -rf /\n", ANSWER))
    assert (set(result.files), result.problems) == ({DOUBLE}, [])


def test_broken_cell_is_said_and_the_rest_is_taken(taken, work):
    result = taken(notebook(work / "a.ipynb", "x = = 1", ANSWER))
    assert set(result.files) == {DOUBLE}
    assert result.problems == ["a.ipynb: code cell 1 is not Python: invalid syntax (line 1)"]


def test_notebook_without_an_exercise_is_said(taken, work):
    assert taken(notebook(work / "a.ipynb", "x = 1")).problems == [
        "a.ipynb: no cell belongs to an exercise; begin one with its number, such as `# 5.4`"
    ]


def test_name_of_several_exercises_is_not_guessed_at(course, taken, work):
    path = course.solutions_dir / PICK
    path.write_text(path.read_text() + "\n\ndef double(x):\n    # solution\n    return x\n")
    result = taken(notebook(work / "a.ipynb", ANSWER))
    assert result.files == {}
    assert result.problems[0] == (
        "a.ipynb: `double` is a name in 1.1 and 1.2: begin its cell with `# 1.1`"
    )


def test_file_that_is_worked_on_goes_before_a_cell(taken, work):
    put(work, f"exercises/{DOUBLE}", "def double(x):\n    return 'file'\n")
    notebook(work / "a.ipynb", ANSWER)
    result = taken(work)
    assert "file" in result.text()
    assert result.problems == ["a.ipynb: 1.1 Twice a number has a file too: it counts"]


def test_cell_goes_before_a_stub(course, taken, work):
    stub = stubs.stub_of(course, course.find("1.1"))
    put(work, f"exercises/{DOUBLE}", stub.replace("\n", "\r\n"))
    notebook(work / "exercises" / "a.ipynb", ANSWER)
    result = taken(work)
    assert (code(result), result.problems) == (ANSWER.strip(), [])


def test_notebook_of_the_course_is_not_mentioned(course, taken, work):
    notebook(course.exercises_dir / "ch01_demo" / "play.ipynb", "x = 1")
    notebook(work / "exercises" / "ch01_demo" / "play.ipynb", "x = 2")
    put(work, f"exercises/{DOUBLE}")
    assert taken(work).problems == []


def test_notebook_of_the_old_format_is_read(taken, work):
    cell = {"cell_type": "code", "input": ANSWER}
    put(work, "a.ipynb", json.dumps({"nbformat": 3, "worksheets": [{"cells": [cell]}]}))
    assert set(taken(work).files) == {DOUBLE}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"cells": 5}', b'{"cells": [{}]}', b"[" * 100_000, b"\xff\xfe", b"null"],
)
def test_broken_notebook_is_said(taken, work, content):
    put(work, "a.ipynb", content)
    put(work, PICK)
    result = taken(work)
    assert set(result.files) == {PICK}
    assert result.problems[0].startswith("a.ipynb cannot be read: ")


def test_cells_are_never_executed(taken, work, tmp_path):
    cell = f"# 1.1\nimport pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n{ANSWER}"
    result = taken(notebook(work / "a.ipynb", cell))
    assert "touch" not in result.text()
    assert not (tmp_path / "ran").exists()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "cell",
    [
        "-" * 50_000 + "1",
        "(" * 50_000,
        "x = " + "1+" * 60_000 + "1",
        "%a\n" * 20_000,
        "x=1\n" * 50_000,
    ],
)
def test_hostile_cells_end(taken, work, cell):
    assert set(taken(notebook(work / "a.ipynb", cell, ANSWER)).files) == {DOUBLE}


def test_too_much_code_is_said(taken, work):
    assert (
        "more than 262144 characters"
        in taken(notebook(work / "a.ipynb", "#" * 300_000)).problems[0]
    )


# ---------------------------------------------------------------------------- a whole class


def names(found):
    return [name for name, _ in found]


def test_class_has_one_hand_in_per_student(tmp_path):
    put(tmp_path, f"class/anna/exercises/{DOUBLE}")
    put(tmp_path, f"class/bob/project/exercises/{DOUBLE}")
    put(tmp_path, "class/dora/notes.txt")
    put(tmp_path, "class/.DS_Store")
    put(tmp_path, "class/students.csv")
    put(tmp_path, "class/erik.rar")
    zipped(tmp_path / "class" / "carl.zip", [(DOUBLE, ANSWER)])
    assert find([tmp_path / "class"]) == [
        (path.stem, path)
        for path in (
            tmp_path / "class" / n for n in ("anna", "bob", "carl.zip", "dora", "erik.rar")
        )
    ]


@pytest.mark.parametrize(
    "place", [f"exercises/{DOUBLE}", DOUBLE, "ex01_double.py", "ch01_ex01.py", "all.ipynb"]
)
def test_folder_with_work_in_it_is_one_hand_in(work, place):
    put(work, place)
    assert find([work]) == [("anna", work)]


def test_work_tree_is_one_hand_in(work):
    put(work, f"katas/exercises/{DOUBLE}")
    put(work, ".git/HEAD")
    put(work, "docs/notes.txt")
    assert find([work]) == [("anna", work)]


def test_work_tree_of_a_class_is_a_class(tmp_path):
    put(tmp_path, f"class/anna/exercises/{DOUBLE}")
    put(tmp_path, f"class/bob/{DOUBLE}")
    put(tmp_path, "class/.git/HEAD")
    assert names(find([tmp_path / "class"])) == ["anna", "bob"]


def test_script_of_the_instructor_is_no_hand_in(tmp_path):
    put(tmp_path, f"class/anna/exercises/{DOUBLE}")
    put(tmp_path, "class/collect.py")
    assert names(find([tmp_path / "class"])) == ["anna"]


def test_origins_keep_their_order_and_are_taken_once(tmp_path):
    for name in "abc":
        put(tmp_path, f"{name}/{DOUBLE}")
    assert names(find([tmp_path / "c", tmp_path / "a", tmp_path / "b" / ".." / "c"])) == ["c", "a"]


def test_same_names_get_numbers(tmp_path):
    for folder in "abc":
        put(tmp_path, f"{folder}/Anna/{DOUBLE}")
    put(tmp_path, f"d/anna-2/{DOUBLE}")
    found = names(find([tmp_path / f for f in "abcd"]))
    assert found == ["Anna", "Anna-2", "Anna-3", "anna-2-2"]


@NEEDS_LINKS
def test_links_are_followed_when_the_instructor_names_them_only(tmp_path):
    put(tmp_path, f"real/{DOUBLE}")
    (tmp_path / "latest").symlink_to(tmp_path / "real")
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "anna").symlink_to(tmp_path / "real")
    assert find([tmp_path / "latest"]) == [("real", tmp_path / "real")]
    assert find([tmp_path / "class"]) == [("anna", tmp_path / "class" / "anna")]


def test_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        find([tmp_path / "nobody"])


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("anna", "anna"),
        ("Anna Müller", "Anna_Müller"),
        ("Doe, Jane_1234_assignsubmission_file", "Doe_Jane_1234_assignsubmission_file"),
        ("../../etc", "etc"),
        ("..", "submission"),
        ("", "submission"),
        ("con", "con_"),
        ("NUL.txt", "NUL.txt_"),
        ("a.", "a"),
        ("a:b*c?d|e<f>g", "a_b_c_d_e_f_g"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\nb\x1b[0m", "a_b_0m"),
        ("e\u0301", "é"),
        ("x" * 300, "x" * 60),
    ],
)
def test_names_are_safe_everywhere(name, safe):
    assert safe_name(name) == safe
