"""`kata grade --similar`: copied answers are found however they are disguised, others are not."""

import ast
import random

import pytest

from kata import stubs
from kata.grading.similar import similar
from tests.meta.conftest import PROJECT

NUMBER = "5.13"
EXERCISE = PROJECT.find(NUMBER)
SOLUTION = (PROJECT.solutions_dir / EXERCISE.path).read_text("utf-8")

ANNA = '''\
import torch


def beam_search(log_prob_fn, start, beams, max_new_tokens, eos_id=None, length_penalty=1.0):
    """Search."""
    if len(start) == 0:
        raise ValueError("start must not be empty")
    if beams < 1:
        raise ValueError(f"beams must be at least 1, got {beams}")
    live, finished = [(0.0, list(start))], []
    for step in range(1, max_new_tokens + 1):
        candidates = []
        for score, ids in live:  # each beam
            log_probs = log_prob_fn(torch.tensor([ids]))[0]
            values, tokens = log_probs.topk(min(2 * beams, len(log_probs)))
            for value, token in zip(values.tolist(), tokens.tolist()):
                candidates.append((score + value, ids + [token]))
        candidates.sort(key=lambda pair: pair[0], reverse=True)
        live = []
        for score, ids in candidates:
            if ids[-1] == eos_id or step == max_new_tokens:
                finished.append((score / step**length_penalty, ids[len(start):]))
            elif len(live) < beams:
                live.append((score, ids))
    finished.sort(key=lambda pair: -pair[0])
    return [(ids, score) for score, ids in finished[:beams]]
'''

# The same search in another hand: a heap, one batch for all beams, tensors of scores.
BOB = """\
import heapq

import torch


def beam_search(log_prob_fn, start, beams, max_new_tokens, eos_id=None, length_penalty=1.0):
    if beams <= 0 or max_new_tokens <= 0 or not len(start):
        raise ValueError("cannot search")
    ids = torch.tensor([start])
    scores = torch.zeros(1)
    done = []
    length = 0
    while length < max_new_tokens and len(ids):
        length += 1
        total = log_prob_fn(ids).double() + scores[:, None]
        vocab = total.shape[1]
        best, flat = total.flatten().sort(descending=True)
        parents = torch.div(flat, vocab, rounding_mode="floor")
        ids = torch.cat([ids[parents], (flat % vocab)[:, None]], dim=1)
        ended = ids[:, -1] == (-1 if eos_id is None else eos_id)
        if length == max_new_tokens:
            ended = torch.ones_like(ended)
        for row in ended[:beams].nonzero().flatten():
            entry = best[row].item() / length**length_penalty, ids[row, len(start) :].tolist()
            heapq.heappush(done, entry)
            while len(done) > beams:
                heapq.heappop(done)
        ids, scores = ids[~ended][:beams], best[~ended][:beams]
    return [(found, score) for score, found in sorted(done, reverse=True)]
"""


@pytest.fixture
def compare(tmp_path):
    """Compares answers to one exercise by their texts."""

    def run(*texts, exercise=EXERCISE, **options):
        trees = {}
        for i, text in enumerate(texts):
            trees[f"s{i:03}"] = tmp_path / f"s{i:03}"
            path = trees[f"s{i:03}"] / exercise.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return similar(trees, PROJECT, **options)

    return run


def shares(pairs):
    return {(pair.first, pair.second): round(pair.share, 2) for pair in pairs}


def changed(text, *replacements):
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


DISGUISES = {
    "as it is": ANNA,
    "without comments": ast.unparse(ast.parse(ANNA)),
    "other names": changed(
        ANNA,
        ("candidates", "options"),
        ("live", "open_beams"),
        ("score", "s"),
        ("finished", "out"),
        ("ids", "seq"),
        ("import torch", "import torch as t"),
        ("torch.tensor", "t.tensor"),
    ),
    "other comments and literals": changed(
        ANNA,
        ("# each beam", "# all of them"),
        ('"""Search."""', '"""Find the best."""'),
        ("must not be empty", "is missing"),
        ("2 * beams", "3 * beams"),
    ),
    "annotations": changed(
        ANNA,
        ("candidates = []", "candidates: list[tuple[float, list[int]]] = []"),
        ("length_penalty=1.0):", "length_penalty: float = 1.0) -> list:"),
    ),
    "other order": changed(
        ANNA,
        (
            '    if len(start) == 0:\n        raise ValueError("start must not be empty")\n',
            "",
        ),
        (
            "    live, finished",
            '    if len(start) == 0:\n        raise ValueError("start must not be empty")\n'
            "    live, finished",
        ),
    ),
    "other ways to write it": changed(
        ANNA,
        ("if beams < 1:", "if 1 > beams:"),
        ("2 * beams", "beams * 2"),
        ("len(start) == 0", "0 == len(start)"),
        ("score + value", "value + score"),
    ),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_copy_is_found(compare, disguise):
    pairs = compare(ANNA, DISGUISES[disguise], BOB)
    assert shares(pairs) == {("s000", "s001"): 1.0}


def test_reordered_functions_are_found(compare):
    helper = "def best(pairs):\n    return sorted(pairs, key=lambda p: -p[0])[: len(pairs)]\n\n\n"
    pairs = compare(helper + ANNA, f"{ANNA}\n\n{helper}")
    assert shares(pairs) == {("s000", "s001"): 1.0}


def test_small_change_is_still_a_copy(compare):
    text = changed(
        ANNA, ("finished.sort(key=lambda pair: -pair[0])", "finished.sort(reverse=True)")
    )
    (pair,) = compare(ANNA, text)
    assert 0.9 < pair.share < 1


def test_added_lines_lower_the_share(compare):
    text = changed(ANNA, ("    finished.sort", "    print(len(finished), live)\n    finished.sort"))
    (pair,) = compare(ANNA, text)
    assert 0.9 < pair.share < 1


def test_independent_answers_are_not_found(compare):
    assert compare(ANNA, BOB, SOLUTION) == []


def test_independent_answers_share_little(compare):
    assert compare(ANNA, BOB, threshold=0.3) == []


def test_threshold_is_obeyed(compare):
    text = changed(
        ANNA, ("finished.sort(key=lambda pair: -pair[0])", "finished.sort(reverse=True)")
    )
    assert compare(ANNA, text, threshold=0.99) == []


def test_places_and_share_are_printed(compare):
    (pair,) = compare(ANNA, f"# mine\n{ANNA}")
    assert str(pair) == (
        "5.13 Beam search: 100% the same, s000 (ch05_decoding/ex13_beam_search.py:11) "
        "and s001 (ch05_decoding/ex13_beam_search.py:12)"
    )


# ------------------------------------------------------------------------- what is no suspicion


SHORT = PROJECT.find("2.3")


def test_short_answer_of_everybody_is_not_found(compare):
    text = (PROJECT.solutions_dir / SHORT.path).read_text("utf-8")
    assert compare(*[text] * 2, exercise=SHORT) == []
    assert compare(*[text] * 10, exercise=SHORT) == []


def test_long_answer_of_everybody_is_not_found(compare):
    assert compare(*[SOLUTION] * 40) == []


def test_two_copies_among_many_like_the_reference_are_found(compare):
    pairs = compare(ANNA, *[SOLUTION] * 30, DISGUISES["other names"])
    assert shares(pairs) == {("s000", "s031"): 1.0}


def test_untouched_stubs_are_not_found(compare):
    stub = stubs.stub_of(PROJECT, EXERCISE)
    assert compare(stub, stub, stub.replace("\n", "\r\n")) == []


def test_what_the_stub_contains_does_not_count(compare):
    exercise = PROJECT.find("4.4")
    stub = stubs.stub_of(PROJECT, exercise)
    one = stub.replace(stubs.TO_DO.format("RMSNorm.forward"), "return 1")
    assert compare(one, stub + "\nX = 1\n", exercise=exercise) == []


@pytest.mark.parametrize("number", ["1.5", "3.11", "4.2", "7.4", "8.9"])
def test_copied_solution_is_found_in_a_class_of_two(compare, number):
    exercise = PROJECT.find(number)
    text = (PROJECT.solutions_dir / exercise.path).read_text("utf-8")
    assert shares(compare(text, ast.unparse(ast.parse(text)), exercise=exercise)) == {
        ("s000", "s001"): 1.0
    }


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "text",
    ["", "def f(:\n", "x = '\0'\n", "1+" * 100_000 + "1", "-" * 50_000 + "1", "x = 1\n" * 50_000],
)
def test_text_that_cannot_be_read_is_left_out(compare, text):
    assert shares(compare(ANNA, text, text, DISGUISES["other names"])) == {("s000", "s003"): 1.0}


def test_missing_answer_is_left_out(tmp_path):
    assert similar({"a": tmp_path, "b": tmp_path / "none"}, PROJECT) == []


# ------------------------------------------------------------------------------------- a class


def variant(seed):
    """An answer that is about as different from others as two students' are."""
    numbers = random.Random(seed)
    calls = ["abs", "float", "int", "len", "list", "max", "min", "sorted", "str", "sum", "tuple"]
    tree = ast.parse(ANNA)

    class Edit(ast.NodeTransformer):
        def visit_Name(self, node):
            if isinstance(node.ctx, ast.Store) or numbers.random() < 0.5:
                return node
            return ast.Call(ast.Name(numbers.choice(calls), ast.Load()), [node], [])

    return ast.unparse(ast.fix_missing_locations(Edit().visit(tree)))


def test_work_grows_with_the_class_not_with_its_pairs(compare, monkeypatch):
    from kata.grading import similar as module

    compared = []
    shared = module.Answer.shared
    monkeypatch.setattr(
        module.Answer, "shared", lambda self, other: compared.append(1) or shared(self, other)
    )
    texts = [variant(seed) for seed in range(60)]
    assert shares(compare(*texts, texts[7])) == {("s007", "s060"): 1.0}
    assert len(compared) < 60  # of 1830 pairs
