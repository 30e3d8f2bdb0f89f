"""`kata report`: the summary in the terminal, and the page."""

import base64
import html
import os
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from kata import history, progress
from kata.show import report_pictures
from kata.verdict import Verdict
from tests.meta.command import Kata
from tests.meta.minicourse import answer, make_course

START = datetime(2031, 5, 6, 7, 0, tzinfo=UTC)
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
PAGE = (
    "<!doctype html><title>It &amp; that</title><main>"
    '<p class="verdict good"><strong>✓ All</strong> is right.</p><i title="x">y</i></main>'
)
NEXT_2 = (
    "next: exercises/ch01_demo/ex02_pick.py:11  1.2 Twice the value at a place  "
    "(stuck? kata hint 1.2   start over? kata reset 1.2)"
)


@pytest.fixture
def kata(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(history, "now", lambda: START)
    return Kata(make_course(tmp_path), monkeypatch, capsys)


@pytest.fixture
def run(kata, monkeypatch):
    """Grade an answer at a given minute."""

    def graded(minute, number, verdict, body=None):
        answer(kata.course, number, body)
        monkeypatch.setattr(history, "now", lambda: START + timedelta(minutes=minute))
        progress.save(kata.course, {kata.course.find(number).slug: verdict})

    return graded


@pytest.fixture
def page(kata):
    """The text of the page."""

    def written(*args):
        result = kata("report", "--html", *args)
        assert (result.code, result.err) == (0, "")
        return (kata.course.root / ".kata" / "report.html").read_text("utf-8")

    return written


def plain(text):
    """What is left of a page without its tags, in one line."""
    body = text[text.index("<main>") :]
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", body)).split())


def a_day_of_work(run):
    """Three attempts at 1.1, the last passes; then one at 1.2, an hour later."""
    run(0, "1.1", Verdict.WRONG, "return 1")
    run(6, "1.1", Verdict.CRASH, "return 1 / 0")
    run(10, "1.1", Verdict.PASS)
    run(70, "1.2", Verdict.WRONG, "return 2")


# ----------------------------------------------------------------------------------- the terminal


def test_report_before_the_first_attempt(kata):
    result = kata("report")
    assert (result.code, result.err) == (0, "")
    assert result.lines[:4] == [
        "0 of 2 exercises done",
        "No attempt is recorded yet. Edit an exercise, then run: pytest",
        "",
        "1 demo           [....................] 0 of 2 done",
    ]
    assert result.lines[-1] == "As a page to keep and to show: kata report --html"


def test_report_sums_up_the_work(kata, run):
    a_day_of_work(run)
    assert kata("report").lines == [
        "1 of 2 exercises done",
        "4 attempts on 1 day, about 10 min of work",
        "",
        "1 demo           [##########..........] 1 of 2 done",
        "",
        "     took the most attempts  attempts  state",
        "1.1  Twice a number                 3  pass",
        "",
        NEXT_2,
        "As a page to keep and to show: kata report --html",
    ]


def test_report_fits_a_narrow_terminal(kata, run, monkeypatch):
    a_day_of_work(run)
    monkeypatch.setenv("COLUMNS", "40")
    lines = kata("report").lines
    assert max(map(len, lines[:-2])) <= 40
    assert "1.1  Twice a number          3  pass" in lines
    assert NEXT_2 in lines  # never cut: the path stays clickable


@pytest.mark.parametrize(
    ("seconds", "said"), [(20, "1 min"), (3599, "1 h"), (7200, "2 h"), (15000, "4 h 10 min")]
)
def test_durations_are_hours_and_minutes(seconds, said):
    from kata.report import duration

    assert duration(timedelta(seconds=seconds)) == said


# ------------------------------------------------------------------------------------------ files


def test_page_is_written_and_its_path_printed(kata):
    result = kata("report", "--html")
    assert result.lines == [f"page: {os.path.join('.kata', 'report.html')}"]
    first = (kata.course.root / ".kata" / "report.html").read_text("utf-8")
    assert kata("report", "--html").code == 0  # a report may be written again
    assert (kata.course.root / ".kata" / "report.html").read_text("utf-8") == first


def test_page_goes_where_it_is_told(kata, monkeypatch):
    monkeypatch.chdir(kata.course.tests_dir)
    assert kata("report", "--html", "new/mine.html").lines == [
        f"page: {os.path.join('tests', 'new', 'mine.html')}"
    ]
    assert (kata.course.tests_dir / "new" / "mine.html").exists()


def test_page_can_go_to_stdout(kata):
    result = kata("report", "--html", "-")
    assert result.out.startswith("<!doctype html>")
    assert result.out.rstrip().endswith("</html>")
    assert not (kata.course.root / ".kata").exists()


def test_no_other_file_is_overwritten(kata):
    path = answer(kata.course, "1.1")
    before = path.read_bytes()
    name = os.path.join("exercises", "ch01_demo", "ex01_double.py")
    result = kata("report", "--html", name)
    assert (result.code, path.read_bytes()) == (2, before)
    assert result.err == f"kata: {name} is there and is no report of ours; name another file\n"


def test_file_without_html_is_explained(kata):
    result = kata("report", "mine.html")
    assert result.code == 2
    assert result.err == "kata: a file is for the page only: kata report --html mine.html\n"


def test_folder_that_cannot_be_written_is_one_line(kata):
    (kata.course.root / ".kata").write_text("not a folder")
    result = kata("report", "--html")
    assert result.code == 1
    assert result.err.startswith("kata: ")
    assert result.err.count("\n") == 1


# --------------------------------------------------------------------------------------- the page


def test_page_tells_figures_and_exercises(run, page):
    a_day_of_work(run)
    written = page()
    assert '<i class="done" style="width:50.0%"></i><i class="not" style="width:50.0%">' in written
    assert '<details class="chapter" id="ch01" open>' in written
    text = plain(written)
    assert "1 of 2 exercises done chapters complete 0 of 1 attempts 4 days 1" in text
    assert "time worked, about 10 min" in text
    assert "Next 1.2 Twice the value at a place (medium, about 10 minutes)" in text
    day = START.astimezone()
    assert f"1.1 Twice a number ✓ pass 3 10 / 5 {day.day} {day:%b} 2031" in text
    assert "1.2 Twice the value at a place ✗ wrong 1 – / 10 –" in text
    assert "✓ pass: it passes ✗ wrong: it ran, and its answer is not the right one" in text


@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_state_has_a_word_and_a_sign(run, page, verdict):
    run(0, "1.1", verdict)
    row = plain(page()).rpartition("1.1 Twice a number ")[2]
    sign, word = re.match(r"(\S+) (not run|\w+)", row).groups()
    assert word == verdict
    assert sign == {"pass": "✓", "wrong": "✗", "crash": "!", "timeout": "∞", "todo": "–",
                    "missing": "?", "not run": "○"}[verdict]  # fmt: skip


def test_page_of_an_untouched_course_has_no_curve(page):
    text = page()
    assert "<svg" not in text
    assert "0 of 2 exercises done" in plain(text)
    assert '<details class="chapter" id="ch01"><summary>' in text  # folded


def test_page_of_a_finished_course_says_so(run, page):
    run(0, "1.1", Verdict.PASS)
    run(5, "1.2", Verdict.PASS)
    text = page()
    assert "2 of 2 exercises done chapters complete 1 of 1" in plain(text)
    assert "All done ✓ Nothing is left to do." in plain(text)


def test_curve_has_a_text_beside_it(run, page):
    run(0, "1.1", Verdict.PASS)
    run(60 * 24 * 3, "1.2", Verdict.PASS)
    text = page()
    assert 'role="img" aria-label="A curve that climbs from 0 to 2 exercises;' in text
    days = [START.astimezone(), (START + timedelta(days=3)).astimezone()]
    rows = [f"{d.day} {d:%b} 2031 1 {i}" for i, d in enumerate(days, 1)]
    assert f"day new together {rows[0]} {rows[1]}" in plain(text)


def test_curve_of_one_day_shows_the_time(run, page):
    run(0, "1.1", Verdict.PASS)
    run(25, "1.2", Verdict.PASS)
    assert f"{START.astimezone():%H:%M} {START.astimezone() + timedelta(minutes=25):%H:%M}," in (
        plain(page())
    )


def test_all_that_a_learner_wrote_is_escaped(kata, run, page):
    evil = '<script>alert(1)</script>"&\x1b[31m'
    for tree in (kata.course.solutions_dir, kata.course.exercises_dir):
        file = tree / "ch01_demo" / "ex01_double.py"
        file.write_text(file.read_text("utf-8").replace("Twice a number", evil), "utf-8")
    (kata.course.exercises_dir / "ch01_demo" / "README.md").write_text(f"# 1 {evil}", "utf-8")
    a_day_of_work(run)
    text = page()
    assert "<script" not in text
    assert "\x1b" not in text
    assert plain(text).count('<script>alert(1)</script>"&') == 4


def test_page_asks_for_nothing_from_outside(run, page):
    a_day_of_work(run)
    text = page()
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert f'http-equiv="Content-Security-Policy" content="{policy}"' in text
    assert re.findall(r"(?:https?:|//|url\(|@import)[^\s]*", text) == []


class Outline(HTMLParser):
    """Tags that are open, and the headings."""

    def __init__(self):
        super().__init__()
        self.open, self.levels = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)
        if re.fullmatch(r"h\d", tag):
            self.levels.append(int(tag[1]))

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_well_formed_and_in_order(kata, run, page):
    a_day_of_work(run)
    shown(kata, "ch01.png", PNG)
    shown(kata, "ch01.html", PAGE.encode())
    outline = Outline()
    text = page()
    outline.feed(text)
    assert outline.open == []
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(outline.levels, outline.levels[1:], strict=False))
    assert '<html lang="en">' in text


# ---------------------------------------------------------------------------------------- pictures


def shown(kata, name, content):
    """Put a file where `kata show` puts them."""
    file = kata.course.root / ".kata" / "show" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def test_pictures_are_in_the_page_itself(kata, page):
    shown(kata, "ch01.png", PNG)
    text = page()
    assert f'<img src="data:image/png;base64,{base64.b64encode(PNG).decode()}"' in text
    assert 'alt="What the code of chapter 1 Demo has drawn"' in text


def test_pages_are_framed_where_nothing_runs(kata, page):
    shown(kata, "ch01.html", PAGE.encode())
    text = page()
    frame = re.search(r'<iframe sandbox loading="lazy" title="([^"]*)" srcdoc="([^"]*)">', text)
    assert html.unescape(frame[1]) == "1 Demo: It & that"
    assert html.unescape(frame[2]) == PAGE
    assert "1 Demo: It & that ✓ All is right. look at the page" in plain(text)


def test_other_files_are_left_out(kata, page, monkeypatch):
    monkeypatch.setattr(report_pictures, "LARGEST", len(PAGE))
    for name in ("ch02.png", "other.html", "ch01.txt", "ch01.json"):
        shown(kata, name, PNG)
    shown(kata, "ch01.html", PAGE.encode() + b" ")
    assert "What this code can do" not in page()


def test_what_cannot_be_read_is_left_out(kata, page):
    shown(kata, "ch01.html", PAGE.encode())
    (kata.course.root / ".kata" / "show" / "ch01.png").mkdir()
    assert "<img" not in page()
