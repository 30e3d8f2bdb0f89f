"""`kata list`, `hint`, `solution`, `show`, and what every command has in common."""

import importlib.machinery
import json
import os
import subprocess
import sys
import tempfile
import types

import pytest

from kata import progress
from kata.course import Course
from kata.verdict import Verdict
from tests.meta.command import Kata
from tests.meta.minicourse import PROJECT, answer, make_course

NEXT_1 = (
    "next: exercises/ch01_demo/ex01_double.py:18  1.1 Twice a number  "
    "(stuck? kata hint 1.1   start over? kata reset 1.1)"
)
NO_EXERCISE = "no exercise '9.9'; `kata list` shows them all (example: kata hint 1.5)"
NO_CHAPTER = "kata: no chapter '9'; there are: 1 demo\n"


@pytest.fixture
def kata(tmp_path, monkeypatch, capsys):
    return Kata(make_course(tmp_path), monkeypatch, capsys)


def refuse(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


# ------------------------------------------------------------------------------------- in common


def test_without_a_command_the_help_is_shown(kata):
    result = kata()
    assert (result.code, result.err) == (0, "")
    assert result.out == kata("--help").out
    assert [line.strip() for line in result.lines if line.startswith("  ")] == [
        "LLM Katas: learn how language models work by writing their parts. pytest",
        "grades them.",
        "--install-completion  Install completion for the current shell.",
        "--show-completion     Show completion for the current shell, to copy it or",
        "customize the installation.",
        "-h, --help            Show this message and exit.",
        "list        Show the exercises, how far you are, and what comes next.",
        "watch       Check an exercise whenever you save it, at once.",
        "hint        Give a hint, a clearer one at each call.",
        "reset       Start an exercise over; your file is kept in .kata/backup.",
        "solution    Show the reference solution of an exercise that you solved.",
        "show        Run what you have built in a chapter, and look at it.",
        "report      Sum up your work: what is done and what it took, or as a page.",
        "update      Bring in the new version of the course; what you wrote stays.",
        "playground  Play with language models on a page: your own, and others.",
        "doctor      Look at this machine: packages, devices, data.",
        "new         For authors: make the files of a new exercise.",
        "prove       For authors: prove one exercise, and say what is missing.",
        "stubs       For authors: cut exercises/ out of solutions/.",
        "grade       For instructors: grade hand-ins, which cannot interfere.",
        "release     For instructors: make the students' repository.",
    ]


@pytest.mark.parametrize(
    ("command", "texts"),
    [
        ("list", ["a number (1) or a topic (tokenizers)", "only what is not done"]),
        ("list", ["for other programs", "only what failed last time", "only of this kind"]),
        ("list", ["only what takes at most this", "only with it in title or name"]),
        ("report", ["write one page, to .kata/report.html or FILE", "of --html; - for stdout"]),
        ("hint", ["a number (1.5); without it, what comes next", "this hint, not the next one"]),
        ("reset", ["a number (1.5), a name or a path", "do not ask"]),
        ("solution", ["a number (1.5), a name or a path", "show it before your own passes"]),
        ("show", ["use the files of DIR, not of exercises/"]),
        ("show", ["write the pages to DIR, not to .kata/show"]),
        ("playground", ["a folder, a .pt of 7.10, a hub name", "no page: type here"]),
        ("playground", ["use the files of DIR, not of exercises/", "0 takes a free one"]),
        ("stubs", ["only list what is stale", "replace edited files too"]),
        ("new", ["the next one of a chapter, such as 5.16", "made of the name without it"]),
        ("prove", ["a number (1.5), a name or a path"]),
    ],
)
def test_every_option_explains_itself(kata, command, texts):
    result = kata(command, "--help")
    assert result.code == 0
    assert [text for text in texts if text not in result.out] == []


@pytest.mark.parametrize("command", ["hint", "reset", "solution"])
def test_unknown_number_ends_with_one_line(kata, command):
    result = kata(command, "9.9")
    assert (result.code, result.out, result.err) == (2, "", f"kata: {NO_EXERCISE}\n")


@pytest.mark.parametrize("command", ["list", "show"])
def test_unknown_chapter_ends_with_one_line(kata, command):
    result = kata(command, "9")
    assert (result.code, result.out, result.err) == (2, "", NO_CHAPTER)


@pytest.mark.parametrize("args", [["nothing"], ["reset"], ["hint", "1.1", "--level", "4"]])
def test_wrong_usage_ends_with_code_two(kata, args):
    result = kata(*args)
    assert result.code == 2
    assert "Error: " in result.err
    assert "Traceback" not in result.err


def test_folder_without_a_course_is_named(kata, tmp_path, monkeypatch):
    for name in ("tests", "exercises"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = kata("list")
    assert result.code == 2
    assert result.err == "kata: there is no course here: go to the folder of LLM Katas first\n"


def test_works_from_any_subfolder(kata, monkeypatch):
    above = kata("list").out
    monkeypatch.chdir(kata.course.tests_dir / "ch01_demo")
    assert kata("list").out == above


def test_error_of_the_system_is_one_line(kata, monkeypatch):
    monkeypatch.setattr("kata.progress.read", refuse)
    result = kata("list")
    assert (result.code, result.err) == (1, "kata: Permission denied\n")


def command(course, *args, **environ):
    """Run the command in a process of its own, with hardly any environment."""
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "SYSTEMROOT", "PYTHONPATH")}
    return subprocess.run(
        [sys.executable, "-m", "kata", *args],
        cwd=course.root,
        env=keep | {"PYTHONPATH": str(PROJECT)} | environ,
        capture_output=True,
        check=False,
    )


def test_runs_without_a_home_folder(kata):
    result = command(kata.course, "list")
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize("args", [["list"], ["hint", "1.1"], ["solution", "1.1", "--peek"]])
def test_character_that_cannot_be_shown_is_escaped(kata, args):
    for file in (kata.course.solutions_dir / "ch01_demo").glob("*.py"):
        text = file.read_text("utf-8").replace("Twice a", "Twice a \N{WHITE MEDIUM STAR}")
        file.write_text(text, encoding="utf-8")
    result = command(kata.course, *args, PYTHONIOENCODING="cp1252")
    assert (result.returncode, result.stderr) == (0, b"")
    assert rb"Twice a \u2b50 number" in result.stdout


def test_no_color_means_no_color(kata):
    answer(kata.course, "1.1")
    kata.verdict(double=Verdict.PASS)
    green = b"\x1b[32m"
    assert green in command(kata.course, "list", FORCE_COLOR="1", TERM="xterm").stdout
    plain = command(kata.course, "list", FORCE_COLOR="1", TERM="xterm", NO_COLOR="1").stdout
    assert green not in plain


def test_light_commands_import_nothing_heavy(kata):
    code = (
        "import sys; sys.argv = ['kata', *sys.argv[1:]]\n"
        "from kata.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'transformers', 'tiktoken', 'datasets', 'hypothesis'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    peek = ["solution", "1.1", "--peek"]
    for args in (["list"], ["hint"], peek, ["reset", "1.1"], ["report", "--html"]):
        run = [sys.executable, "-c", code, *args]
        out = subprocess.run(run, cwd=kata.course.root, capture_output=True, text=True, check=True)
        assert out.stdout.splitlines()[-1] == "heavy: []"


# ------------------------------------------------------------------------------------------ list


def test_list_shows_exercises_progress_and_next(kata):
    result = kata("list")
    assert (result.code, result.err) == (0, "")
    assert result.lines == [
        "     exercise                    difficulty  minutes  state",
        "1.1  Twice a number              easy              5  todo",
        "1.2  Twice the value at a place  medium           10  todo",
        "",
        "1 demo           [....................] 0 of 2 done",
        NEXT_1,
    ]


def states(kata, *args):
    return {
        e["number"]: e["state"] for e in json.loads(kata("list", "--json", *args).out)["exercises"]
    }


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.TODO])
def test_list_shows_the_last_verdict(kata, verdict):
    answer(kata.course, "1.1")
    kata.verdict(double=verdict)
    assert states(kata) == {"1.1": str(verdict), "1.2": "todo"}
    assert kata("list").lines[1].endswith(f"  {verdict}")


def test_list_forgets_the_verdict_on_an_edited_file(kata):
    answer(kata.course, "1.1")
    kata.verdict(double=Verdict.PASS)
    answer(kata.course, "1.1", "return 2 * x")
    assert states(kata)["1.1"] == "untested"


def test_list_shows_that_a_file_is_gone(kata):
    (kata.course.exercises_dir / "ch01_demo" / "ex01_double.py").unlink()
    assert states(kata)["1.1"] == "no file"


def test_list_todo_leaves_out_what_is_done(kata):
    answer(kata.course, "1.1")
    kata.verdict(double=Verdict.PASS)
    result = kata("list", "--todo")
    assert [line[:3] for line in result.lines[1:3]] == ["1.2", ""]
    assert "1 demo           [##########..........] 1 of 2 done" in result.lines
    assert result.lines[-1].startswith("next: exercises/ch01_demo/ex02_pick.py:20  1.2 ")


def test_list_says_when_everything_is_done(kata):
    answer(kata.course, "1.1")
    answer(kata.course, "1.2")
    kata.verdict(double=Verdict.PASS, pick=Verdict.PASS)
    assert kata("list", "--todo").lines == [
        "No exercise matches: not done.",
        "",
        "1 demo           [####################] 2 of 2 done",
        "next: nothing left to do here. `kata show` runs what you have built.",
    ]


@pytest.mark.parametrize(
    ("args", "numbers"),
    [
        (["--difficulty", "easy"], {"1.1", "2.1"}),
        (["--difficulty", "MEDIUM"], {"1.2"}),
        (["--minutes", "9"], {"1.1", "2.1"}),
        (["--minutes", "10"], {"1.1", "1.2", "2.1"}),
        (["--find", "PLACE"], {"1.2"}),  # a word of the title
        (["--find", "double"], {"1.1"}),  # the name
        (["--find", "value twice"], {"1.2"}),
        (["--find", "ex01"], set()),
        (["--find", "twice", "--minutes", "5"], {"1.1", "2.1"}),
        (["--find", "twice", "--minutes", "5", "--difficulty", "medium"], set()),
        (["--find", "twice", "2"], {"2.1"}),
        (["--todo", "--difficulty", "easy"], {"2.1"}),
        (["--failing"], {"1.2"}),
        (["--failing", "--todo", "--minutes", "30", "1"], {"1.2"}),
        (["--failing", "--difficulty", "easy"], set()),
    ],
)
def test_list_filters_can_be_combined(kata, args, numbers):
    add_chapter(kata.course)
    answer(kata.course, "1.1")
    answer(kata.course, "1.2", "return 0")
    kata.verdict(double=Verdict.PASS, pick=Verdict.CRASH)
    assert set(states(kata, *args)) == numbers


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        (["--failing"], "failing"),
        (["1", "--difficulty", "hard"], "in 1 demo: hard"),
        (["--minutes", "1"], "at most 1 minute"),
        (["--find", "rope \x1b[1m"], '"rope \\x1b[1m" in its title or name'),
        (
            ["--todo", "--failing", "--difficulty", "easy", "--minutes", "4", "--find", "x"],
            'not done, failing, easy, at most 4 minutes, "x" in its title or name',
        ),
    ],
)
def test_list_of_nothing_says_what_was_asked(kata, args, asked):
    result = kata("list", *args)
    assert (result.code, result.err) == (0, "")
    assert result.lines == [
        f"No exercise matches: {asked}.",
        "",
        "1 demo           [....................] 0 of 2 done",
        NEXT_1,
    ]


def test_next_is_one_of_those_that_are_asked_for(kata):
    assert (
        kata("list", "--find", "place")
        .lines[-1]
        .startswith("next: exercises/ch01_demo/ex02_pick.py:20  1.2 ")
    )
    assert json.loads(kata("list", "--find", "place", "--json").out)["next"] == "1.2"


@pytest.mark.parametrize("args", [["--difficulty", "huge"], ["--minutes", "0"], ["--minutes", "x"]])
def test_list_refuses_a_filter_that_means_nothing(kata, args):
    result = kata("list", *args)
    assert (result.code, result.out) == (2, "")
    assert f"Invalid value for '{args[0]}'" in result.err


def add_chapter(course):
    """Add a chapter of one exercise, and return the course as it then is."""
    other = course.solutions_dir / "ch02_other"
    other.mkdir()
    source = (course.solutions_dir / "ch01_demo" / "ex01_double.py").read_text("utf-8")
    (other / "ex01_more.py").write_text(source.replace("1.1", "2.1"), encoding="utf-8")
    (course.exercises_dir / "ch02_other").mkdir()
    return Course(course.root)


@pytest.mark.parametrize("key", ["1", "01", "ch01", "ch01_demo", "demo", "exercises/ch01_demo/"])
def test_list_takes_a_chapter_by_any_name(kata, key):
    add_chapter(kata.course)
    assert set(states(kata)) == {"1.1", "1.2", "2.1"}
    assert set(states(kata, key)) == {"1.1", "1.2"}
    assert "2 other" not in kata("list", key).out


def test_list_as_json_for_other_programs(kata):
    result = kata("list", "--json")
    document = json.loads(result.out)
    assert result.out.isascii()
    assert (document["schema"], document["next"]) == (1, "1.1")
    assert document["exercises"][0] == {
        "number": "1.1",
        "slug": "demo/double",
        "title": "Twice a number",
        "difficulty": "easy",
        "minutes": 5,
        "state": "todo",
        "path": "exercises/ch01_demo/ex01_double.py",
    }


def test_list_as_json_when_nothing_is_left(kata):
    answer(kata.course, "1.1")
    answer(kata.course, "1.2")
    kata.verdict(double=Verdict.PASS, pick=Verdict.NOT_RUN)
    document = json.loads(kata("list", "--json", "--todo").out)
    assert document == {"schema": 1, "next": None, "exercises": []}


def test_list_fits_a_narrow_terminal(kata, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    *table, following = kata("list", "--minutes", "30").lines
    assert max(map(len, table)) <= 40
    assert table[1:3] == [
        "1.1  Twice a number              todo",
        "1.2  Twice the value at a place  todo",
    ]
    assert following == NEXT_1  # never cut: the path stays clickable


# ------------------------------------------------------------------------------------------ hint


def test_hint_gets_clearer_at_each_call(kata):
    first, second, third, again = (kata("hint", "1.1") for _ in range(4))
    assert first.lines == [
        "1.1 Twice a number, hint 1/3",
        "",
        "What is twice 3, and how would you say it to a child?",
        "",
        "More: kata hint 1.1",
    ]
    assert second.lines[0::2] == [
        "1.1 Twice a number, hint 2/3",
        "Add the number to itself, after a look at its sign.",
        "More: kata hint 1.1",
    ]
    assert third.lines[0::2] == [
        "1.1 Twice a number, hint 3/3",
        "Raise the ValueError when `x < 0`; else it is `x + x`.",
        "That was the last hint. The answer: kata solution 1.1 --peek",
    ]
    assert again == third


def test_hints_are_counted_for_each_exercise(kata):
    kata("hint", "1.1")
    assert "hint 1/3" in kata("hint", "1.2").out
    assert json.loads((kata.course.root / ".kata" / "hints.json").read_text()) == {
        "demo/double": 1,
        "demo/pick": 1,
    }


def test_hint_of_a_level_can_be_read_again(kata):
    kata("hint", "1.1")
    kata("hint", "1.1")
    again = kata("hint", "1.1", "--level", "1")
    assert again.lines[0] == "1.1 Twice a number, hint 1/3"
    assert again.lines[-1] == "More: kata hint 1.1 --level 2"
    assert "hint 3/3" in kata("hint", "1.1").out


def test_hint_without_a_number_is_on_what_comes_next(kata):
    assert kata("hint").lines[0] == "1.1 Twice a number, hint 1/3"
    answer(kata.course, "1.1")
    answer(kata.course, "1.2", "return 0")
    kata.verdict(double=Verdict.PASS, pick=Verdict.WRONG)
    assert kata("hint").lines[0] == "1.2 Twice the value at a place, hint 1/3"


def test_hint_when_nothing_is_left_asks_for_a_number(kata):
    answer(kata.course, "1.1")
    answer(kata.course, "1.2")
    kata.verdict(double=Verdict.PASS, pick=Verdict.PASS)
    result = kata("hint")
    assert result.code == 2
    assert result.err == "kata: nothing left to do; name an exercise (example: kata hint 1.5)\n"


def test_hint_on_a_read_only_checkout_names_the_next_level(kata, monkeypatch):
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    for _ in range(2):
        result = kata("hint", "1.1")
        assert result.lines[0] == "1.1 Twice a number, hint 1/3"
        assert result.lines[-1] == "More: kata hint 1.1 --level 2"
    assert "hint 2/3" in kata("hint", "1.1", "--level", "2").out


@pytest.mark.parametrize("content", ["", "[]", "{broken", '{"demo/double": "x"}', "\x00"])
def test_hint_survives_a_damaged_memory(kata, content):
    (kata.course.root / ".kata").mkdir()
    (kata.course.root / ".kata" / "hints.json").write_text(content)
    assert "hint 1/3" in kata("hint", "1.1").out
    assert "hint 2/3" in kata("hint", "1.1").out


@pytest.mark.parametrize("content", [None, "", "ex01_double = 3", "[ex02_pick]\nquestion='?'"])
def test_hint_that_does_not_exist_is_named(kata, content):
    file = kata.course.tests_dir / "ch01_demo" / "hints.toml"
    file.unlink()
    if content is not None:
        file.write_text(content)
    result = kata("hint", "1.1")
    assert (result.code, result.out) == (2, "")
    assert result.err == "kata: there are no hints on 1.1 Twice a number yet\n"


def test_broken_hint_file_is_named_with_its_line(kata):
    (kata.course.tests_dir / "ch01_demo" / "hints.toml").write_text("[ex01_double]\nquestion = ?")
    result = kata("hint", "1.1")
    assert result.code == 2
    name = os.path.join("tests", "ch01_demo", "hints.toml")
    assert result.err.startswith(f"kata: {name} cannot be read: Invalid value (at line 2")


def test_hint_with_brackets_is_shown_as_it_is(kata):
    text = "[ex01_double]\nquestion = 'Is `[bold]x[/bold]` :star: it?'"
    (kata.course.tests_dir / "ch01_demo" / "hints.toml").write_text(text)
    result = kata("hint", "1.1")
    assert result.lines[0] == "1.1 Twice a number, hint 1/1"
    assert result.lines[2] == "Is `[bold]x[/bold]` :star: it?"


# -------------------------------------------------------------------------------------- solution


def test_solution_is_shown_after_a_pass(kata):
    answer(kata.course, "1.1", "return abs(x)")
    kata.verdict(double=Verdict.PASS)
    result = kata("solution", "1.1")
    expected = (kata.course.solutions_dir / "ch01_demo" / "ex01_double.py").read_text("utf-8")
    assert (result.code, result.out, result.err) == (0, expected, "")


def refused_solution():
    test = os.path.join("tests", "ch01_demo", "test_ex01_double.py")
    return (
        f"kata: 1.1 Twice a number does not pass yet; check it with: pytest {test}\n"
        "To look all the same: kata solution 1.1 --peek\n"
    )


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.PASS])
def test_solution_is_kept_back_before_a_pass(kata, verdict):
    kata.verdict(double=verdict)
    result = kata("solution", "1.1")
    assert (result.code, result.out, result.err) == (1, "", refused_solution())


def test_solution_is_kept_back_when_the_file_has_changed_since(kata):
    answer(kata.course, "1.1")
    kata.verdict(double=Verdict.PASS)
    answer(kata.course, "1.1", "return 0")
    assert kata("solution", "1.1").err == refused_solution()


def test_solution_can_be_peeked_at(kata):
    assert "return x + x" in kata("solution", "1.1", "--peek").out


def test_solution_is_highlighted_on_a_terminal(kata):
    out = command(kata.course, "solution", "1.1", "--peek", FORCE_COLOR="1", TERM="xterm").stdout
    assert b"\x1b[" in out


def test_course_without_solutions_says_so(kata):
    (kata.course.solutions_dir / "ch01_demo" / "ex01_double.py").unlink()
    result = kata("solution", "1.1")
    assert result.code == 2
    assert result.err == "kata: the solution of 1.1 Twice a number is not part of this copy\n"


# ------------------------------------------------------------------------------------------ show


class NotReady(Exception):
    """Stands in for `kata.show.NotReady`."""


@pytest.fixture
def show(monkeypatch):
    """Put a function in the place of a chapter's show, or None for no show at all."""

    def put(function, chapter="ch01"):
        name = f"kata.show.{chapter}"
        package, module = types.ModuleType("kata.show"), types.ModuleType(name)
        for each in (package, module):
            each.__spec__ = importlib.machinery.ModuleSpec(each.__name__, None)
        package.NotReady = NotReady
        module.show = function
        monkeypatch.setitem(sys.modules, "kata.show", package)
        monkeypatch.setitem(sys.modules, name, module if function else None)

    return put


@pytest.mark.parametrize("args", [[], ["1"], ["demo"]])
def test_show_runs_on_the_learners_own_files(kata, show, args):
    def pages(course, tree, out, console):
        console.print(f"[{tree.relative_to(course.root)}]")
        return [out / "one.html", out / "two.html"]

    show(pages)
    result = kata("show", *args)
    folder = os.path.join(".kata", "show", "")
    assert (result.code, result.err) == (0, "")
    assert result.lines == ["[exercises]", f"page: {folder}one.html", f"page: {folder}two.html"]


def test_show_without_a_number_takes_the_last_chapter_that_is_done(kata, show):
    course = add_chapter(kata.course)
    show(lambda *args: [kata.course.root / "first"])
    show(lambda *args: [kata.course.root / "second"], "ch02")
    assert kata("show").lines == ["page: first"]
    kata.verdict(double=Verdict.PASS, pick=Verdict.PASS)
    assert kata("show").lines == ["page: first"]
    answer(course, "2.1")
    progress.save(course, {"other/more": Verdict.PASS})
    assert kata("show").lines == ["page: second"]


def test_show_takes_other_answers_and_another_folder(kata, show, tmp_path, monkeypatch):
    show(lambda course, tree, out, console: [tree / "seen", out / "page.html"])
    monkeypatch.chdir(kata.course.tests_dir)
    result = kata("show", "1", "--answers", "../solutions", "--out", "../pages")
    assert result.lines == [
        f"page: {os.path.join('solutions', 'seen')}",
        f"page: {os.path.join('pages', 'page.html')}",
    ]


def test_show_names_a_folder_that_is_not_there(kata):
    result = kata("show", "1", "--answers", "nowhere")
    assert result.code == 2
    assert result.err == f"kata: --answers: there is no folder {kata.course.root / 'nowhere'}\n"


def test_show_says_what_is_missing(kata, show):
    def not_ready(course, tree, out, console):
        raise NotReady("1.2 is still to do")

    show(not_ready)
    result = kata("show", "1")
    assert (result.code, result.out, result.err) == (1, "", "kata: 1.2 is still to do\n")


def test_fault_of_a_show_is_not_blamed_on_the_learner(kata, show):
    show(lambda course, tree, out, console: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kata("show", "1")


def test_chapter_without_a_show_says_so(kata, show):
    show(None)
    for args in (["show"], ["show", "1"]):
        result = kata(*args)
        assert result.code == 2
        assert result.err == "kata: chapter 1 demo has nothing to show yet\n"
