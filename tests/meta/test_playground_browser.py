"""The page of the playground in Chromium, as somebody uses it."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kata.doctor import BROWSERS
from kata.parts import Parts
from tests.meta.conftest import PROJECT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SHOTS = "KATA_SHOTS"  # a folder for pictures of the page
SECONDS = 15
CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def tools():
    """Whatever the tests cannot do without."""
    if CHROMIUM is None:
        pytest.skip("not run: no Chromium")
    for package in ("playwright", "voila"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"not run: no {package}")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of 7.10 with random weights, and with letters only."""
    path = tmp_path_factory.mktemp("model") / "tiny.pt"
    with Parts(PROJECT, PROJECT.solutions_dir) as parts:
        lm = parts["7.10"]
        config = lm.TrainConfig(n_layer=1, n_head=2, n_embd=16, context=16)
        tokenizer = parts["1.2"].CharTokenizer("abcdefghijklmnopqrstuvwxyz <&")
        lm.TinyLM(lm.build_model(config, tokenizer.vocab_size), tokenizer, config, []).save(path)
    return path


@pytest.fixture(scope="module")
def address(tools, model, tmp_path_factory):
    """Where `kata playground` is, which runs until the tests are over."""
    home, log = tmp_path_factory.mktemp("jupyter"), tmp_path_factory.mktemp("log") / "out"
    folders = {f"JUPYTER_{name}_DIR": str(home) for name in ("CONFIG", "DATA", "RUNTIME")}
    environ = os.environ | folders | {"IPYTHONDIR": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "kata", "playground", f"--model={model}"]
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*command, f"--answers={PROJECT.solutions_dir}"],
            cwd=PROJECT.root, env=environ | {"COLUMNS": "200"}, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        yield wait_for_address(server, log)
    finally:
        server.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(SECONDS)
        server.kill()
        server.wait()


def wait_for_address(server: subprocess.Popen, log: Path) -> str:
    end = time.monotonic() + 2 * SECONDS
    while time.monotonic() < end and server.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+", log.read_text("utf-8"))
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no address:\n{log.read_text('utf-8')}")


@pytest.fixture(scope="module")
def browser(tools):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def asked():
    """The addresses that the page got an answer from."""
    return set()


@pytest.fixture(scope="module")
def page(browser, address, asked):
    """The page, with the widgets on it."""
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    page.set_default_timeout(1000 * SECONDS)
    page.on("response", lambda response: asked.add(response.url))
    page.goto(address, timeout=2000 * SECONDS)
    page.get_by_role("button", name="Generate").wait_for(timeout=2000 * SECONDS)
    yield page
    page.close()


def fill(page, **numbers):
    for name, value in numbers.items():
        label = {"k": "k (tokens)"}.get(name, name.replace("_", " "))
        page.get_by_role("spinbutton", name=label, exact=True).fill(str(value))


def generate(page, prompt, new):
    """Press Generate, and read the text as soon as it is another one of `new` characters more."""
    before = text_of(page)
    page.get_by_role("textbox", name="prompt").fill(prompt)
    page.get_by_role("button", name="Generate").click()
    page.wait_for_function(
        """([before, prompt, length]) => {
            const text = document.querySelector(".kata-text").textContent;
            return text.startsWith(prompt) && text.length == length && text != before;
        }""",
        arg=[before, prompt, len(prompt) + new],
    )
    return text_of(page)


def text_of(page):
    return page.locator(".kata-text").first.text_content()


def shot(page, name):
    if os.environ.get(SHOTS):
        page.screenshot(path=Path(os.environ[SHOTS], f"{name}.png"))


def test_text_is_what_the_controls_say(page):
    prompt = "a harbour <b"
    page.get_by_role("combobox", name="strategy").select_option("temperature")
    fill(page, temperature=1.5, maximum_tokens=60)
    hot = generate(page, prompt, 60)
    page.get_by_role("combobox", name="strategy").select_option("top_k")
    fill(page, k=2, temperature=0.5)
    cold = generate(page, prompt, 60)
    page.get_by_role("combobox", name="strategy").select_option("temperature")
    fill(page, temperature=1.5)
    assert generate(page, prompt, 60) == hot != cold
    shot(page, "write")


def test_stop_ends_a_long_text(page):
    fill(page, maximum_tokens=1_000_000)
    page.get_by_role("button", name="Generate").click()
    page.wait_for_function("document.querySelector('.kata-text').innerText.length > 200")
    shot(page, "writing")
    page.get_by_role("button", name="Stop").first.click()
    page.get_by_text(re.compile("^Stopped after ")).wait_for()
    text = text_of(page)
    time.sleep(0.5)
    assert text_of(page) == text


def test_error_is_read(page):
    fill(page, maximum_tokens=10, temperature=-1)
    page.get_by_role("button", name="Generate").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text() == "ValueError: temperature must be finite and at least 0, got -1.0"
    shot(page, "error")
    fill(page, temperature=1)
    generate(page, "ab", 10)
    assert alert.count() == 0


def test_texts_and_next_tokens_are_compared(page):
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("checkbox", name="letter triples").check()
    page.get_by_role("button", name="Compare texts").click()
    page.get_by_text("Done.", exact=True).wait_for()
    assert page.locator(".kata-grid h4").count() == 8  # four strategies, two models
    shot(page, "compare")
    page.get_by_role("button", name="Compare the next token").click()
    page.locator("img[alt=bars]").nth(1).wait_for()
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 300)")
    shot(page, "chart")


def test_page_fits_a_phone(page):
    page.set_viewport_size({"width": 375, "height": 1400})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    for box in page.locator("input:visible, select:visible, textarea:visible").all():
        place = box.bounding_box()
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= 375
    shot(page, "phone_chart")
    page.get_by_role("tab", name="Write").click()
    shot(page, "phone")


def test_nothing_comes_from_elsewhere(page, address, asked):
    here = address.split("?")[0]
    assert [url for url in asked if not url.startswith((here, "data:", "blob:"))] == []


def test_page_needs_its_token(browser, page, address):
    visitor = browser.new_context()
    stranger = visitor.new_page()
    stranger.goto(address.split("?")[0])
    assert stranger.get_by_role("button", name="Generate").count() == 0
    assert "login" in stranger.url
    visitor.close()
