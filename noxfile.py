"""The sessions of the course: `nox -l` is its table of contents, `nox -s ch01` grades a chapter.

Every session runs in the environment that nox itself runs in: torch is there already, and a second
copy of it per session would cost minutes and gigabytes.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["project"]
nox.options.error_on_missing_interpreters = False

CHAPTERS = {
    "ch01": "Tokenizers: from words and characters to GPT-2's byte-pair encoding",
    "ch02": "Layers: linear to SwiGLU, softmax and loss, norms, first weights",
    "ch03": "Attention: masks, heads, RoPE, tiles and the key-value cache",
    "ch04": "Models: GPT-2 and Llama equal to transformers', BERT, BART and T5",
    "ch05": "Decoding: filters, sampling, generate, cache, beams, streaming",
    "ch06": "Mixture of experts: routing, balance, capacity, fast dispatch",
    "ch07": "Training: batches, loss, AdamW and Muon, checkpoints, a tiny language model",
    "ch08": "Tuning: chat templates, SFT, packing, LoRA, DPO, GRPO",
    "ch09": "Scaling: FLOPs, Chinchilla, power laws, INT8, the cost of a model",
    "ch10": "Playground: one door to every strategy, chat, comparison",
}


def python(session: nox.Session, *args: str, **env: str | None) -> None:
    """Run a module with the interpreter of this environment."""
    session.run(sys.executable, "-m", *args, env=env, external=True)


def chapter_session(name: str, title: str) -> Callable[[nox.Session], None]:
    """The session that grades one chapter; arguments after `--` go to pytest."""

    def grade(session: nox.Session) -> None:
        folder = next(Path("tests").glob(f"{name}_*"))
        python(session, "pytest", str(folder), *session.posargs)

    grade.__doc__ = title
    return grade


for _name, _title in CHAPTERS.items():
    nox.session(name=_name)(chapter_session(_name, _title))


@nox.session
def grade(session: nox.Session) -> None:
    """Grade hand-ins: `nox -s grade -- PATH`; the rest of the options is in `kata grade --help`."""
    python(session, "kata", "grade", *session.posargs)


@nox.session
def project(session: nox.Session) -> None:
    """The project's own tests: solutions pass, wrong versions are caught, tool, lint, types."""
    lint(session)
    # One thread per process: the tensors are small, and two processes share the cores already.
    one = {"OMP_NUM_THREADS": "1"}
    python(session, "pytest", "--answers=solutions", "--grade", *session.posargs, **one)
    python(session, "pytest", "tests/meta", "-n", "2", "-m", "not browser", *session.posargs, **one)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types, and that exercises/ is what solutions/ makes of it."""
    python(session, "ruff", "check", ".")
    python(session, "ruff", "format", "--check", ".")
    python(session, "mypy")
    python(session, "kata", "stubs", "--check")


@nox.session
def cuda(session: nox.Session) -> None:
    """The tests marked for an NVIDIA GPU; without one this fails instead of skipping them."""
    python(session, "pytest", "-m", "cuda", "--require=cuda", *session.posargs)


@nox.session
def mps(session: nox.Session) -> None:
    """The tests marked for an Apple GPU; without one this fails instead of skipping them."""
    python(session, "pytest", "-m", "mps", "--require=mps", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The page of the playground in Chromium; says "not run" where there is none."""
    python(session, "pytest", "tests/meta", "-m", "browser", "-rs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed as ratios: the references against the libraries, each in one run."""
    for script in sorted(Path("benchmarks").glob("bench_*.py")):
        session.run(sys.executable, str(script), external=True)
