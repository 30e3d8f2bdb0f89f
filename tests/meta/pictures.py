"""The picture in each chapter's README: what `kata show` makes of the solutions.

`python -m tests.meta.pictures 5 7` makes those of chapters 5 and 7 anew, without arguments all; the
real data must be found. Chapter 10 has no show: there it is the page of the playground.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from kata import catalogue, gallery
from tests.meta.conftest import PROJECT
from tests.meta.test_playground_browser import CHROMIUM, FLAGS, wait_for_address

NAME = "shown.png"
WIDTH, HEIGHT = 1000, 640
COLOURS = 128  # enough for a page, and a third of the bytes
PROMPT = "Once upon a time"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def of_show(chapter: str, out: Path) -> Path:
    """What the show of a chapter has written, as a picture."""
    pages = gallery.run(PROJECT, chapter, PROJECT.solutions_dir, out, Console(quiet=True))
    page = next((page for page in pages if page.suffix == ".png"), pages[-1])
    if page.suffix == ".png":
        return page
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(page.as_uri())
        tab.screenshot(path=page.with_suffix(".png"))
    return page.with_suffix(".png")


def of_playground(out: Path) -> Path:
    """The page of the playground, with a text that a model has written."""
    log = out / "log"
    command = [sys.executable, "-m", "kata", "playground", f"--answers={PROJECT.solutions_dir}"]
    environ = os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        server = subprocess.Popen(command, cwd=PROJECT.root, env=environ, stdout=file, stderr=file)
    try:
        with chromium() as browser:
            tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            tab.goto(wait_for_address(server, log))
            button = tab.get_by_role("button", name="Generate")
            button.wait_for(timeout=120_000)
            tab.locator("textarea").first.fill(PROMPT)
            models = tab.locator("select").first
            real = next(o for o in models.inner_text().split("\n") if "260K" in o)
            models.select_option(label=real)
            button.click()
            tab.get_by_text("One day").first.wait_for(timeout=120_000)
            tab.wait_for_timeout(5_000)  # the text goes on
            tab.screenshot(path=out / "page.png")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    return out / "page.png"


def main(numbers: list[str]) -> None:
    chapters = [catalogue.find_chapter(PROJECT, number) for number in numbers]
    for chapter in chapters or PROJECT.chapters:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            made = of_playground(out) if chapter.startswith("ch10") else of_show(chapter, out)
            picture = Image.open(made).convert("RGB")
            picture.thumbnail((WIDTH, WIDTH))
            to = PROJECT.exercises_dir / chapter / NAME
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(to, optimize=True)
        print(f"{to.relative_to(PROJECT.root)}: {to.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
