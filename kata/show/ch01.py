"""Chapter 1: the learner's tokenizer beside tiktoken's, on one text, in colour."""

from __future__ import annotations

import ast
import html
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kata.course import Course
from kata.data import RealData
from kata.files import write_text
from kata.show import NotReady, OwnFiles, page
from kata.text import brief, first_difference

if TYPE_CHECKING:
    import tiktoken

TEXT = """The 🌟 star-player scored 40 points! Tokenization isn't unbelievable.

def greet(name="you"):
    return f"Hello, {name}!"  # 12345 times

今天天气很好，我们去公园吧。
"""
NEEDS = "This show runs your 1.6 to 1.9, 1.11 and 1.15."
CORPUS_CHARACTERS = 60_000
VOCAB_SIZE = 768

Functions = tuple[Callable[[str], list[int]], Callable[[int], bytes]]


@dataclass(frozen=True)
class Tokenizers:
    """What is compared: the learner's own tokenizer, its counterpart, and others to look at."""

    number: str  # of the exercise that the learner's tokenizer comes from
    what: str
    own: Any
    own_bytes: Callable[[int], bytes]
    theirs_name: str
    theirs: tiktoken.Encoding
    others: dict[str, tiktoken.Encoding] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came out of it: the learner's rows of 1.15, and whether the ids agree."""

    setup: Tokenizers
    rows: list[dict[str, Any]]
    agrees: bool
    verdict: str
    restored: bool


def show(course: Course, tree: Path, out: Path, console: Console) -> list[Path]:
    """Tokenise a text with the learner's code, compare it with tiktoken, and draw both.

    Raises:
        NotReady: an exercise that this needs is not done, or failed.
    """
    with OwnFiles(course, tree, NEEDS) as files:
        module = files["1.15"]
        setup = _with_real_files(files, RealData()) or _trained_on_the_course(files, course)
        outcome = _compare(files, setup, TEXT)
        with files.blame("1.15"):
            _print(console, module, outcome)
            path = out / "ch01.html"
            write_text(path, _page(module, outcome))
    return [path]


# ------------------------------------------------------------------------------- tokenizers


def _with_real_files(files: OwnFiles, data: RealData) -> Tokenizers | None:
    """The tokenizer of 1.11 with the files of GPT-2, where they are."""
    vocab, merges = data.find("gpt2/vocab.json"), data.find("gpt2/merges.txt")
    if vocab is None or merges is None:
        return None
    with files.blame("1.11"):
        own = files["1.11"].load_gpt2_bpe(vocab, merges)
        byte_of = {char: byte for byte, char in files["1.11"].bytes_to_unicode().items()}
        tokens = {i: token for token, i in json.loads(vocab.read_text("utf-8")).items()}
    real = [name for name in ("gpt2", "cl100k_base", "o200k_base") if data.has_encoding(name)]
    others = {name: data.encoding(name) for name in real}
    theirs = others.pop("gpt2", None) or _gpt2_from_files(vocab, merges)
    return Tokenizers(
        number="1.11",
        what="Yours is the tokenizer of exercise 1.11 with the real files of GPT-2.",
        own=own,
        own_bytes=lambda i: bytes(byte_of[char] for char in tokens[i]),
        theirs_name="tiktoken gpt2",
        theirs=theirs,
        others=others,
    )


def _gpt2_from_files(vocab: Path, merges: Path) -> tiktoken.Encoding:
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    ranks = data_gym_to_mergeable_bpe_ranks(str(merges), str(vocab))
    return tiktoken.Encoding(
        "gpt2", pat_str=_pattern(), mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256}
    )


def _trained_on_the_course(files: OwnFiles, course: Course) -> Tokenizers:
    """The tokenizer of 1.9, trained here and now, and tiktoken with the same merges."""
    import tiktoken

    with files.blame("1.9"):
        own = files["1.9"].RegexBPETokenizer()
        own.train(_course_text(course), VOCAB_SIZE)
        twin = _first_repeated(own.vocab)
        if twin is not None:  # tiktoken tells tokens apart by their bytes alone
            own.train(_course_text(course), twin)
        ranks = {token: i for i, token in own.vocab.items()}
        own_bytes = dict(own.vocab).__getitem__
    theirs = tiktoken.Encoding(
        "yours", pat_str=_pattern(), mergeable_ranks=ranks, special_tokens={}
    )
    return Tokenizers(
        number="1.9",
        what=f"Yours is the tokenizer of exercise 1.9, trained just now to {len(ranks)} tokens on "
        "the texts of this course; tiktoken got the same merges. Set KATA_DATA to a folder with "
        "gpt2/vocab.json and gpt2/merges.txt, and it is the one of 1.11 with the files of GPT-2.",
        own=own,
        own_bytes=own_bytes,
        theirs_name="tiktoken, your merges",
        theirs=theirs,
    )


def _first_repeated(vocab: dict[int, bytes]) -> int | None:
    seen: set[bytes] = set()
    for i, token in sorted(vocab.items()):
        if token in seen:
            return i
        seen.add(token)
    return None


def _pattern() -> str:
    """The pattern of GPT-2, as tiktoken has it."""
    return str(importlib.import_module("tiktoken_ext.openai_public").r50k_pat_str)


def _course_text(course: Course) -> str:
    """The READMEs and docstrings of the course, up to a size that any trainer copes with."""
    parts = [
        path.read_text("utf-8")
        for path in [course.root / "README.md", *course.exercises_dir.glob("ch*/README.md")]
        if path.is_file()
    ]
    for exercise in course.exercises:
        solution = course.solutions_dir / exercise.path
        source = solution if solution.is_file() else course.exercises_dir / exercise.path
        parts += _docstrings(source.read_text("utf-8"))
    return "\n".join(parts)[:CORPUS_CHARACTERS]


def _docstrings(source: str) -> list[str]:
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return []
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return [doc for n in nodes if isinstance(n, documented) and (doc := ast.get_docstring(n))]


# ------------------------------------------------------------------------------- comparison


def _compare(files: OwnFiles, setup: Tokenizers, text: str) -> Outcome:
    with files.blame(setup.number):
        ids = setup.own.encode(text)
        if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
            raise NotReady(f"{setup.number}: `encode` returned {brief(ids)}, not a list of ids")
        tokens = [setup.own_bytes(i) for i in ids]
        restored = setup.own.decode(ids) == text
    try:
        b"".join(tokens).decode()
    except UnicodeDecodeError:
        message = f"the tokens of your `encode` are not a text when joined: {brief(tokens)}"
        raise NotReady(f"{setup.number}: {message}") from None
    encodings: dict[str, Functions] = {"yours": (setup.own.encode, setup.own_bytes)}
    for name, encoding in {setup.theirs_name: setup.theirs, **setup.others}.items():
        encodings[name] = (encoding.encode_ordinary, encoding.decode_single_token_bytes)
    with files.blame("1.15"):
        rows = files["1.15"].compare_encodings(text, encodings)
    expected = setup.theirs.encode_ordinary(text)
    return Outcome(setup, rows, ids == expected, _verdict(setup, ids, expected), restored)


def _verdict(setup: Tokenizers, ids: list[int], expected: list[int]) -> str:
    if ids == expected:
        return f"all {len(ids)} ids are those of tiktoken"
    place = first_difference(ids, expected)

    def token(ids: list[int], bytes_of: Callable[[int], bytes]) -> str:
        return f"{ids[place]}, {bytes_of(ids[place])!r}" if place < len(ids) else "nothing more"

    before = setup.theirs.decode(expected[:place])[-20:]
    theirs = setup.theirs.decode_single_token_bytes
    return (
        f"they do so first at token {place} (counted from 0), after {before!r}. "
        f"Yours: {token(ids, setup.own_bytes)}. Tiktoken's: {token(expected, theirs)}"
    )


def _numbers(row: dict[str, Any]) -> list[str]:
    ratios = [f"{row[key]:.2f}" for key in ("tokens_per_word", "bytes_per_token")]
    return [row["name"], str(len(row["ids"])), *ratios]


NUMBERS = ["encoding", "tokens", "tokens per word", "bytes per token"]
AGREE = "The ids agree"
DIFFER = "The ids differ"


# --------------------------------------------------------------------------------- terminal


def _print(console: Console, module: ModuleType, outcome: Outcome) -> None:
    console.print(outcome.setup.what)
    console.print()
    rows = outcome.rows
    side = Table()
    for row in rows[:2]:
        side.add_column(row["name"], overflow="fold")
    side.add_row(*(_coloured(console, module, row["pieces"]) for row in rows[:2]))
    console.print(side)
    numbers = Table(NUMBERS[0])
    for name in NUMBERS[1:]:
        numbers.add_column(name, justify="right")
    for row in rows:
        numbers.add_row(*_numbers(row))
    console.print(numbers)
    line = Text(f"{AGREE if outcome.agrees else DIFFER}: ", "green" if outcome.agrees else "red")
    console.print(line.append(f"{outcome.verdict}.", "default"))
    if not outcome.restored:
        console.print(Text(f"{LOSSY}.", "red"))


LOSSY = "Your decode does not give the text back"


def _coloured(console: Console, module: ModuleType, pieces: list[tuple[str, int]]) -> Text:
    """The pieces as the learner colours them; with fewer colours, bars show where they end."""
    if console.color_system in ("256", "truecolor") and not console.no_color:
        return Text.from_ansi(module.tokens_to_ansi(pieces))
    plain = [Text.from_ansi(module.tokens_to_ansi([piece])).plain for piece in pieces]
    return Text("|".join(plain))


# ------------------------------------------------------------------------------------- page

_STYLE = """
.tokens { line-height: 2; overflow-wrap: anywhere; }
.tokens span { border-bottom: 2px solid #0009; border-radius: .25rem; padding: .1rem .15rem;
  margin-right: 2px; white-space: break-spaces !important; }
"""


def _page(module: ModuleType, outcome: Outcome) -> str:
    kind, mark = ("good", "✓") if outcome.agrees else ("bad", "✗")
    head = AGREE if outcome.agrees else DIFFER
    lossy = "" if outcome.restored else f'<p class="verdict bad"><strong>✗ {LOSSY}.</strong></p>'
    parts = [
        f"<p>{html.escape(outcome.setup.what)}</p>",
        f'<p class="verdict {kind}"><strong>{mark} {head}:</strong> '
        f"{html.escape(outcome.verdict)}.</p>{lossy}",
        '<p class="soft">Each box is a piece of the text. ×2 means a character that is spread over '
        "two tokens, ⏎ a newline.</p>",
        f'<div class="side">{_panels(module, outcome.rows[:2])}</div>',
        "<h2>In numbers</h2>",
        page.table(NUMBERS, [_numbers(row) for row in outcome.rows], numbers=3),
    ]
    if outcome.rows[2:]:
        parts.append("<h2>The same text in other encodings</h2>")
        parts.append(f'<div class="side">{_panels(module, outcome.rows[2:])}</div>')
    parts.append(f"<h2>Every token</h2>\n<details><summary>Ids and bytes</summary>{_ids(outcome)}")
    parts.append("</details>")
    return page.document("Your tokenizer beside tiktoken's", "\n".join(parts), _STYLE)


def _panels(module: ModuleType, rows: list[dict[str, Any]]) -> str:
    return "\n".join(
        f'<section class="panel"><h3>{html.escape(row["name"])}, {len(row["ids"])} tokens</h3>'
        f'<div class="tokens mono">{module.tokens_to_html(row["pieces"])}</div></section>'
        for row in rows
    )


def _ids(outcome: Outcome) -> str:
    """Both lists of tokens, side by side where they start at the same byte of the text."""
    setup = outcome.setup
    own, theirs = (row["ids"] for row in outcome.rows[:2])
    left = _by_start(own, setup.own_bytes)
    right = _by_start(theirs, setup.theirs.decode_single_token_bytes)
    lines = [
        [str(at), left.get(at, ""), right.get(at, ""), "" if left.get(at) == right.get(at) else "≠"]
        for at in sorted(left.keys() | right.keys())
    ]
    return page.table(["from byte", "yours", "tiktoken's", ""], lines, numbers=0)


def _by_start(ids: list[int], bytes_of: Callable[[int], bytes]) -> dict[int, str]:
    tokens = [bytes_of(i) for i in ids]
    starts = accumulate(map(len, tokens), initial=0)
    return {at: f"{i} {token!r}" for at, i, token in zip(starts, ids, tokens, strict=False)}
