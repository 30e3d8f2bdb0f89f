"""What is not a failure: a stub that is still to do, and a test that cannot be run here."""

import pytest

ONLY_1 = "tests/ch01_demo/test_ex01_double.py"
STUB = "raise NotImplementedError"


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr("kata.plugin.device_available", lambda name: name == "cpu")


def device_tests(lab, body="assert answer.double(3) == 6"):
    lab.test_file(f"def test_three(answer, device):\n    {body}\n")


# ------------------------------------------------------------------------------------------ todo


def test_an_untouched_course_is_calm(lab):
    outcome = lab.run()
    assert outcome.exit == 0
    assert outcome.text.startswith("ttttttttt ")
    assert outcome.verdicts() == outcome.verdicts("demo/pick") == {"todo"}
    assert "Traceback" not in outcome.text
    assert "Error" not in outcome.text
    assert "FAILURES" not in outcome.text
    assert "\n9 todo in " in outcome.text
    assert outcome.summary() == [
        "1 demo           [....................] 0 of 2 done",
        "next: exercises/ch01_demo/ex01_double.py:18  1.1 Twice a number  "
        "(stuck? kata hint 1.1   start over? kata reset 1.1)",
    ]


def test_verbose_says_todo(lab):
    assert f"{ONLY_1}::test_three_becomes_six TODO " in lab.run("-v", ONLY_1).text


def test_an_untouched_course_fails_when_a_class_is_graded(lab):
    outcome = lab.run("--grade")
    assert outcome.exit == 1
    assert outcome.text.startswith("ttttttttt ")
    assert outcome.verdicts() == {"todo"}
    assert outcome.summary()[1] == "strict: 2 exercises still to do, which counts as failed"
    assert "Traceback" not in outcome.text


def test_ci_is_strict_too(lab, monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert lab.run().exit == 1


def test_half_an_answer_is_still_to_do(lab):
    lab.answer("1.1", f"if x < 0:\n    raise ValueError('x must not be negative')\n{STUB}")
    outcome = lab.run(ONLY_1)
    assert outcome.exit == 0
    assert outcome.tests()["test_negative_number_is_refused"] == "pass"
    assert outcome.tests()["test_three_becomes_six"] == "todo"
    assert outcome.exercise() == "todo"


def test_a_stub_that_is_reached_by_the_imports_of_an_exercise_is_to_do(lab):
    lab.answer("1.2")
    assert lab.run("--own").exercise("demo/pick") == "todo"


def test_a_stub_at_import_is_to_do(lab):
    lab.answer_file("1.1", f"def double(x):\n    {STUB}\nSIX = double(3)\n")
    outcome = lab.run(ONLY_1)
    assert (outcome.exit, outcome.verdicts()) == (0, {"todo"})


def test_no_test_can_swallow_a_stub(lab):
    lab.test_file(
        "import pytest\n"
        "def test_refused(answer):\n"
        "    with pytest.raises(RuntimeError):\n"
        "        answer.double(3)\n"
    )
    assert lab.run(ONLY_1).tests() == {"test_refused": "todo"}


def test_a_property_test_of_a_stub_stops_at_once(lab):
    lab.test_file(
        "from kata.properties import given, st\n"
        "@given(st.integers())\n"
        "def test_even(answer, x):\n"
        "    print('called')\n"
        "    assert answer.double(x) % 2 == 0\n"
    )
    outcome = lab.run("-rA", ONLY_1)
    assert outcome.tests() == {"test_even": "todo"}
    assert "Falsifying" not in outcome.text


@pytest.mark.parametrize(
    "body",
    [
        "import library\nreturn library.Module()(x)",
        "import asyncio\nreturn asyncio.AbstractEventLoop().run_forever()",
    ],
)
def test_a_library_that_raises_not_implemented_is_a_crash(lab, body):
    # As a `torch.nn.Module` without a `forward` does.
    (lab.root / "library.py").write_text(
        "class Module:\n    def __call__(self, x):\n        raise NotImplementedError('forward')\n"
    )
    lab.answer("1.1", body)
    outcome = lab.run(ONLY_1)
    assert outcome.tests()["test_three_becomes_six"] == "crash"
    assert outcome.exit == 1


def test_not_implemented_from_c_is_a_crash(lab):
    # As torch does on the meta device: the innermost line is the answer's own call.
    lab.answer(
        "1.1",
        "import ctypes\n"
        "api = ctypes.pythonapi.PyErr_SetNone\n"
        "api.argtypes, api.restype = [ctypes.py_object], ctypes.py_object\n"
        "return api(NotImplementedError)",
    )
    outcome = lab.run("-k", "three")
    assert outcome.tests() == {"test_three_becomes_six": "crash"}
    assert "  NotImplementedError\n" in outcome.failure("test_three_becomes_six")


# --------------------------------------------------------------------------------------- not run


@pytest.mark.parametrize("strict", [False, True], ids=["learner", "strict"])
def test_a_device_that_is_missing_is_not_run(lab, no_gpu, strict):
    device_tests(lab)
    lab.answer("1.1")
    outcome = lab.run(ONLY_1, "-rn", *["--grade"] * strict)
    assert outcome.exit == 0
    assert outcome.tests() == {
        "test_three[cpu]": "pass",
        "test_three[cuda]": "not run",
        "test_three[mps]": "not run",
    }
    assert outcome.text.startswith(".nn ")
    assert outcome.exercise() == "pass"
    entry = outcome.document["exercises"]["demo/double"]
    assert (entry["passed"], entry["expected"], entry["points"]) == (1, 1, 1.0)
    assert entry["tests"]["test_three[cuda]"]["message"] == (
        "not run: this machine has no cuda device"
    )


def test_a_device_that_is_required_and_missing_is_a_failure(lab, no_gpu):
    device_tests(lab)
    lab.answer("1.1")
    outcome = lab.run(ONLY_1, "--require=cuda")
    assert outcome.exit == 1
    assert outcome.tests()["test_three[cuda]"] == "crash"
    assert outcome.tests()["test_three[mps]"] == "not run"
    assert "--require=cuda: not run: this machine has no cuda device" in outcome.text


def test_a_device_that_is_there_is_run(lab, monkeypatch):
    monkeypatch.setattr("kata.plugin.device_available", lambda name: name != "mps")
    device_tests(lab, "assert answer.double(3) == (6 if device == 'cpu' else 7)")
    lab.answer("1.1")
    assert lab.run(ONLY_1, "-m", "cuda").tests() == {"test_three[cuda]": "wrong"}


def test_float64_is_not_run_on_an_apple_gpu(lab, monkeypatch):
    monkeypatch.setattr("kata.plugin.device_available", lambda name: True)
    lab.test_file(
        "import pytest\n"
        "@pytest.mark.parametrize('dtype', ['torch.float64', 'torch.float32'])\n"
        "def test_three(answer, device, dtype):\n    assert answer.double(3) == 6\n"
    )
    lab.answer("1.1")
    assert lab.run(ONLY_1, "-m", "mps").tests() == {
        "test_three[mps-torch.float32]": "pass",
        "test_three[mps-torch.float64]": "not run",
    }


def test_an_exercise_whose_tests_cannot_run_here_counts_nothing(lab, no_gpu):
    device_tests(lab)
    lab.answer("1.1")
    outcome = lab.run(ONLY_1, "-m", "gpu", "--grade")
    assert outcome.exit == 0
    assert outcome.exercise() == "not run"
    assert outcome.document["max_points"] == 0.0


REAL_TESTS = {
    "not run: no corpus.txt (set KATA_DATA to the folder that holds it)": "real.path('corpus.txt')",
    "not run: no gpt2 (set TIKTOKEN_CACHE_DIR to tiktoken's cache)": "real.encoding('gpt2')",
}


@pytest.mark.parametrize("reason", REAL_TESTS)
@pytest.mark.parametrize("strict", [False, True], ids=["learner", "strict"])
def test_real_data_that_is_missing_is_not_run(lab, reason, strict):
    lab.test_file(
        "import pytest\n"
        "@pytest.mark.real\n"
        "def test_real(answer, real):\n"
        f"    {REAL_TESTS[reason]}\n"
        "    assert answer.double(3) == 6\n"
        "def test_three(answer):\n"
        "    assert answer.double(3) == 6\n"
    )
    lab.answer("1.1")
    outcome = lab.run("-v", ONLY_1, *["--grade"] * strict)
    assert outcome.exit == 0
    assert outcome.tests() == {"test_real": "not run", "test_three": "pass"}
    entry = outcome.document["exercises"]["demo/double"]
    assert entry["tests"]["test_real"]["message"] == reason
    assert f"{ONLY_1}::test_real NOT RUN " in outcome.text


def test_real_data_that_is_there_is_used(lab, monkeypatch):
    (lab.root / "corpus.txt").write_text("6")
    monkeypatch.setenv("KATA_DATA", str(lab.root))
    lab.test_file(
        "def test_real(answer, real):\n"
        "    assert answer.double(3) == int(real.path('corpus.txt').read_text())\n"
    )
    lab.answer("1.1")
    assert lab.run(ONLY_1).tests() == {"test_real": "pass"}


def test_a_library_that_is_missing_is_not_run(lab):
    lab.test_file(
        "import pytest\n"
        "def test_library(answer):\n"
        "    library = pytest.importorskip('no_such_library')\n"
        "    assert answer.double(3) == library.six\n"
    )
    lab.answer("1.1")
    assert lab.run(ONLY_1).tests() == {"test_library": "not run"}
