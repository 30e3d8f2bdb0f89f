"""Answers that do not end: they get a verdict on every platform, and so do the tests after them."""

import re
import signal
import xml.etree.ElementTree as ElementTree

import pytest

from kata.limit import Limit

needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no SIGALRM here")
METHODS = pytest.mark.parametrize("method", [pytest.param("signal", marks=needs_signals), "thread"])

LOOPS = {
    "empty": "while True: pass",
    "swallows Exception": """\
        while True:
            try:
                int("x")
            except Exception:
                pass""",
    "swallows everything": """\
        while True:
            try:
                int("x")
            except:
                pass""",
    "calls a function that swallows everything": """\
        def step():
            try:
                int("x")
            except:
                pass
        while True:
            step()""",
    "makes another error of it": """\
        try:
            while True: pass
        except BaseException:
            raise KeyError("x")""",
    "sleeps": """\
        import time
        while True:
            time.sleep(0.01)""",
}
# One call into C that is not interrupted: it lets other threads run, or it does not.
STUCK = 'import hashlib\nhashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)'
STUCK_WITH_THE_LOCK = "import itertools\nsum(itertools.repeat(1))"
IMPATIENT = """\
import kata.limit
kata.limit.GRACE_SECONDS = 0.3
kata.limit.LAST_RESORT_SECONDS = 0.3
"""


def dedent(body):
    return re.sub(r"^ {8}", "", body, flags=re.MULTILINE)


@METHODS
@pytest.mark.parametrize("name", LOOPS)
def test_an_endless_loop_is_a_timeout(lab, name, method):
    lab.answer("1.1", dedent(LOOPS[name]))
    lab.answer("1.2")
    outcome = lab.run(
        "--timeout=0.5", f"--timeout-method={method}", "-k", "three_becomes_six or pick"
    )
    assert outcome.exit == 1
    assert outcome.tests() == {"test_three_becomes_six": "timeout"}
    assert outcome.verdicts("demo/pick") == {"pass"}
    text = outcome.failure("test_three_becomes_six")
    assert text.startswith("1.1 Twice a number: it did not end\n\n  >>> double(3)\n\n")
    assert "\n  did not end within 0.5 s\n  at exercises/ch01_demo/ex01_double.py:" in text
    assert outcome.text.startswith("T.... ")


@pytest.mark.parametrize(("option", "second"), [((), "0.2 s"), (("--grade",), "0.5 s")])
def test_the_next_test_of_an_endless_answer_gets_less_time(lab, monkeypatch, option, second):
    monkeypatch.setattr("kata.session.AFTER_A_TIMEOUT_SECONDS", 0.2)
    lab.answer("1.1", "while True: pass")
    outcome = lab.run("--timeout=0.5", "-k", "three_becomes_six or refused", *option)
    assert outcome.tests() == {
        "test_three_becomes_six": "timeout",
        "test_negative_number_is_refused": "timeout",
    }
    assert "did not end within 0.5 s" in outcome.failure("test_three_becomes_six")
    assert f"did not end within {second}" in outcome.failure("test_negative_number_is_refused")


@METHODS
def test_an_endless_loop_while_the_file_is_executed_is_a_timeout(lab, method):
    lab.answer_file("1.1", "while True: pass")
    outcome = lab.run("--timeout=0.5", f"--timeout-method={method}", "-k", "three or refused")
    assert outcome.exit == 1
    assert outcome.verdicts() == {"timeout"}


def impatient(lab):
    (lab.course.tests_dir / "conftest.py").write_text(IMPATIENT)


@METHODS
def test_code_that_cannot_be_interrupted_ends_the_session_with_a_report(lab, method):
    impatient(lab)
    lab.answer("1.1")
    lab.answer("1.2", f"if place == 3:\n    {STUCK.replace(chr(10), chr(10) + '    ')}\nreturn 0")
    outcome = lab.run_outside(
        "--timeout=0.5", f"--timeout-method={method}", "--junit-xml=report.xml"
    )
    assert outcome.exit == 1
    assert outcome.exercise() == "pass"
    assert outcome.tests("demo/pick") == {
        "test_first_place_is_one": "wrong",
        "test_last_value_can_be_picked": "timeout",
    }
    assert outcome.exercise("demo/pick") == "timeout"
    # The failure before it is shown too.
    assert "1.2 Twice the value at a place: wrong answer\n" in outcome.text
    assert outcome.failure("test_last_value_can_be_picked").startswith(
        "1.2 Twice the value at a place: it did not end\n\n"
        "  >>> pick([10, 20, 30], 3)\n\n"
        "  did not end and could not be interrupted: the tests after it were not run\n"
        "  at exercises/ch01_demo/ex02_pick.py:"
    )
    assert outcome.summary()[0] == "1 demo           [##########..........] 1 of 2 done"
    suite = ElementTree.parse(lab.root / "report.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("7", "2")


def test_code_that_cannot_be_interrupted_ends_only_its_worker_of_xdist(lab):
    impatient(lab)
    lab.answer("1.1", f"if x == 3:\n    {STUCK.replace(chr(10), chr(10) + '    ')}\nreturn x + x")
    lab.answer("1.2")
    outcome = lab.run_outside("--timeout=0.5", "-n1")
    assert outcome.exit == 1
    assert outcome.tests()["test_three_becomes_six"] == "timeout"
    assert outcome.tests()["test_agrees_with_the_reference[10]"] == "pass"
    assert outcome.verdicts("demo/pick") == {"pass"}


@METHODS
def test_code_that_stops_every_thread_ends_the_session(lab, method):
    impatient(lab)
    lab.answer("1.2", STUCK_WITH_THE_LOCK)
    lab.answer("1.1")
    outcome = lab.run_outside("--timeout=0.5", f"--timeout-method={method}")
    assert outcome.exit == 1
    assert "Timeout (0:00:0" in outcome.text
    assert Limit.code_that_cannot_be_interrupted_ends_the_session.__name__ in outcome.text
    assert re.search(r'ex02_pick\.py", line \d+ in pick', outcome.text)
    assert outcome.exercise() == "pass"
    assert outcome.exercise("demo/pick") == "missing"


def test_a_limit_of_a_test_of_the_project_is_kept_too(lab):
    (lab.course.tests_dir / "meta").mkdir()
    (lab.course.tests_dir / "meta" / "test_x.py").write_text(
        "def test_x():\n    while True: pass\n"
    )
    outcome = lab.run("--timeout=0.2", "tests/meta")
    assert outcome.exit == 1
    assert "TimeLimit: did not end within 0.2 s" in outcome.text
