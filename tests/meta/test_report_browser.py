"""The page of `kata report --html` in Chromium: on a phone, in the dark, and all by itself."""

import importlib.util
from datetime import UTC, datetime, timedelta

import pytest

from kata import history, progress
from kata.files import write_text
from kata.report import stand
from kata.show import page as pages
from kata.show.report_page import render
from kata.verdict import Verdict
from tests.meta.minicourse import answer, make_course
from tests.meta.test_playground_browser import CHROMIUM, FLAGS, SECONDS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

LONG = "A very long title of an exercise on Donaudampfschifffahrtsgesellschaftskapitänspatente"
SHOWN = pages.document("A shown page", '<p class="verdict good"><strong>✓ Right.</strong></p>')
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="2000" height="90"><path d="M0 0h90v90"/></svg>'
)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("not run: no Chromium")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("not run: no playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page with something of everything on it."""
    course = make_course(tmp_path_factory.mktemp("course"))
    for tree in (course.solutions_dir, course.exercises_dir):
        file = tree / "ch01_demo" / "ex02_pick.py"
        text = file.read_text("utf-8").replace("Twice the value at a place", LONG)
        file.write_text(text, encoding="utf-8")
    start = datetime(2031, 5, 6, 7, 0, tzinfo=UTC)
    with pytest.MonkeyPatch.context() as patch:
        for minute, number, verdict in [
            (0, "1.1", Verdict.WRONG), (5, "1.1", Verdict.PASS), (5000, "1.2", Verdict.PASS),
        ]:  # fmt: skip
            answer(course, number, "return 1" if verdict is Verdict.WRONG else None)
            patch.setattr(history, "now", lambda m=minute: start + timedelta(minutes=m))
            progress.save(course, {course.find(number).slug: verdict})
    write_text(course.root / ".kata" / "show" / "ch01.svg", SVG)
    write_text(course.root / ".kata" / "show" / "ch01.html", SHOWN)
    path = course.root / "report.html"
    write_text(path, render(stand(course)))
    return path


@pytest.fixture
def look(browser, report):
    """Opens the page on a screen of a width; what it says and asks for is in `heard`."""
    opened = []

    def at(width, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        context.set_default_timeout(1000 * SECONDS)
        opened.append(context)
        page = context.new_page()
        page.heard = []
        page.on("console", lambda message: page.heard.append(message.text))
        page.on("pageerror", lambda error: page.heard.append(str(error)))
        page.on("request", lambda request: page.heard.append(request.url))
        page.goto(report.as_uri())
        return page

    yield at
    for context in opened:
        context.close()


def unfold(page):
    page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")


@pytest.mark.parametrize("width", [360, 700, 1280])
def test_nothing_has_to_be_scrolled_sideways(look, width):
    page = look(width)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (
        page.locator(".scroll").evaluate_all(
            "all => all.filter(each => each.scrollWidth > each.clientWidth).length"
        )
        == 0
    )


def test_page_is_silent_and_asks_for_nothing(look, report):
    page = look(1280)
    unfold(page)
    page.locator("iframe").scroll_into_view_if_needed()
    page.frame_locator("iframe").get_by_text("✓ Right.").wait_for()
    outside = [heard for heard in page.heard if not heard.startswith(("data:", report.as_uri()))]
    assert [heard for heard in outside if heard != "about:srcdoc"] == []


def test_pictures_are_shown(look):
    page = look(1280)
    assert (
        page.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    )


def test_page_is_dark_where_the_system_is(look):
    colours = [
        look(1280, scheme).locator("body").evaluate("body => getComputedStyle(body).color")
        for scheme in ("light", "dark")
    ]
    assert colours == ["rgb(28, 30, 33)", "rgb(232, 230, 225)"]


@pytest.mark.parametrize("width", [360, 1280])
def test_tables_are_tables_on_every_screen(look, width):
    table = look(width).get_by_role("table", name="The exercises of chapter 1 Demo")
    row = table.get_by_role("row", name="1.1 Twice a number")
    assert row.get_by_role("rowheader").inner_text() == "1.1 Twice a number"
    assert row.get_by_role("cell").first.inner_text() == "✓pass"
    assert table.get_by_role("columnheader").count() == 5
