"""What Tab offers: asked as each shell asks, in the shells that are installed."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.meta.minicourse import PROJECT, make_course

NUMBERS = {"1.1": "Twice a number", "1.2": "Twice the value at a place"}


@pytest.fixture
def course(tmp_path):
    return make_course(tmp_path / "course")


@pytest.fixture
def bin_dir(tmp_path):
    """A folder with a `kata` that runs this checkout, for the PATH of a shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    file = folder / "kata"
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kata "$@"\n')
    file.chmod(0o755)
    return folder


def environment(folder=None, **more):
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "SYSTEMROOT", "HOME", "TMPDIR")}
    path = os.pathsep.join([str(folder), keep["PATH"]]) if folder else keep["PATH"]
    return keep | {"PATH": path, "PYTHONPATH": str(PROJECT), "TERM": "dumb"} | more


def offers(cwd, line):
    """The pairs of word and description that fish is given for a line."""
    asked = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": line}
    done = subprocess.run(
        [sys.executable, "-m", "kata"],
        cwd=cwd,
        env=environment(_KATA_COMPLETE="complete_fish", **asked),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stderr == ""
    return dict(pair.partition("\t")[::2] for pair in done.stdout.splitlines() if pair)


# -------------------------------------------------------------------------------- what is offered


@pytest.mark.parametrize("command", ["hint", "reset", "solution", "prove"])
def test_exercises_are_offered_with_their_titles(course, command):
    assert offers(course.root, f"kata {command} ") == NUMBERS


def test_names_are_offered_after_a_letter(course):
    assert offers(course.root, "kata hint do") == {"double": "Twice a number"}


@pytest.mark.parametrize("command", ["list", "show"])
def test_chapters_are_offered_by_number_and_topic(course, command):
    assert offers(course.root, f"kata {command} ") == {"1": "demo"}
    assert offers(course.root, f"kata {command} d") == {"demo": "chapter 1"}


def test_commands_and_options_are_offered(course):
    assert offers(course.root, "kata hi").keys() == {"hint"}
    assert offers(course.root, "kata hint --l") == {"--level": "this hint, not the next one"}


def test_a_folder_is_left_to_the_shell(course):
    assert offers(course.root, "kata hint exercises/") == {}
    assert offers(course.root, "kata show --answers ") == {}


@pytest.mark.parametrize("line", ["kata nothing ", "kata hint 1.1 1.2 ", "kata hint 'a", "kata $("])
def test_a_strange_line_is_no_error(course, line):
    offers(course.root, line)


def test_nothing_is_offered_without_a_course(tmp_path):
    for name in ("tests", "exercises"):
        (tmp_path / name).mkdir()
    assert offers(tmp_path, "kata hint ") == offers(tmp_path, "kata list ") == {}


def test_a_course_that_cannot_be_read_is_no_error(course):
    path = course.exercises_dir / "chxx_demo" / "ex09_no_number.py"
    path.parent.mkdir()
    path.write_text('"""9.9 No number   [easy, ~1 min]\n', "utf-8")
    assert offers(course.root, "kata hint ") == {}


def test_outside_a_course_the_installed_one_is_offered(tmp_path):
    assert offers(tmp_path, "kata hint 1.")["1.1"] == "A word tokenizer"


def test_completion_imports_nothing_heavy(course):
    code = (
        "import sys; from kata import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'transformers', 'hypothesis'} & set(sys.modules)))"
    )
    asked = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": "kata hint 1.1"}
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=course.root,
        env=environment(_KATA_COMPLETE="complete_fish", **asked),
        capture_output=True,
        encoding="utf-8",
    ).stdout
    assert out.splitlines() == ["1.1\tTwice a number", "[]"]


# ------------------------------------------------------------------------------------- the shells


def shell(name, bin_dir, cwd, *args):
    """What a program says in a shell; "not run" where it is not installed."""
    program = shutil.which(name)
    if program is None or sys.platform == "win32":
        pytest.skip(f"not run: {name} is not installed")
    done = subprocess.run(
        [program, *args],
        cwd=cwd,
        env=environment(bin_dir),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.timeout(120)
def test_bash_completes_numbers(course, bin_dir):
    script = (
        "source <(_KATA_COMPLETE=source_bash kata) && COMP_WORDS=(kata hint 1.) COMP_CWORD=2 "
        '&& _kata_completion kata && printf "%s\\n" "${COMPREPLY[@]}"'
    )
    said = shell("bash", bin_dir, course.root, "--norc", "-c", script)
    assert said.split() == ["1.1", "1.2"]


@pytest.mark.timeout(120)
def test_fish_completes_numbers_with_titles(course, bin_dir):
    script = '_KATA_COMPLETE=source_fish kata | source; complete -C "kata hint 1."'
    said = shell("fish", bin_dir, course.root, "--no-config", "-c", script)
    assert said.splitlines() == ["1.1\tTwice a number", "1.2\tTwice the value at a place"]


ZSH = r"""
zmodload zsh/zpty || exit 1
zpty z "PS1='' zsh -f -i"
zpty -w z 'stty cols 100 rows 500 -echo; unsetopt zle_bracketed_paste
autoload -Uz compinit; compinit -D -u; eval "$(_KATA_COMPLETE=source_zsh kata)"
setopt auto_list no_list_ambiguous no_beep; LISTMAX=1000; echo rea""dy'
zpty -r -m z out '*ready*'
zpty -w -n z "$1"$'\t'
zpty -r -m z out "*${(b)2}*"
print -r -- "$out"
zpty -d z
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("line", "word"),
    [("kata hint 1.", "1.2"), ("kata solution pi", "pick"), ("kata hint p", "pick")],
)
def test_zsh_completes_with_titles(course, bin_dir, line, word):
    title = "What? (it) is: $HOME `x` * ~ #1"  # nothing in it is obeyed
    path = course.solutions_dir / "ch01_demo" / "ex02_pick.py"
    path.write_text(path.read_text("utf-8").replace(NUMBERS["1.2"], title), "utf-8")
    other = course.solutions_dir / "ch01_demo" / "ex03_pine.py"
    other.write_text('"""1.3 The last   [easy, ~5 min]\n"""\n', "utf-8")
    said = shell("zsh", bin_dir, course.root, "-f", "-c", ZSH, "zsh", line, "-- The last")
    assert f"{word}  -- {title}" in re.sub(" +--", "  --", said)
