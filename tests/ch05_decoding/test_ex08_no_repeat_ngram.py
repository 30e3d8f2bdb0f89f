import pytest
import torch

from kata.check import close, raises
from kata.properties import example, given, st
from kata.tensors import generator, normal

INF = float("inf")


def some_ids(*shape, below=4):
    """Random ids, so few different ones that n-grams repeat."""
    return torch.randint(below, shape, generator=generator(1))


def transformers_no_repeat(logits, ids, n):
    from transformers.generation.logits_process import NoRepeatNGramLogitsProcessor

    rows = logits.reshape(-1, logits.shape[-1]).clone()
    seen = ids.reshape(len(rows), ids.shape[-1])
    return NoRepeatNGramLogitsProcessor(n)(seen, rows).reshape(logits.shape)


@pytest.mark.parametrize(
    ("ids", "n", "expected"),
    [
        ([1, 2, 3, 1, 2], 3, {3}),
        ([1, 2, 3, 1, 2, 4, 1, 2], 3, {3, 4}),
        ([1, 2, 3, 1, 2], 2, {3}),
        ([1, 2, 3, 2, 1], 3, set()),
    ],
)
def test_bans_what_followed_before(answer, ids, n, expected):
    assert answer.banned_tokens(ids, n) == expected


@pytest.mark.parametrize(("ids", "n"), [([7, 7], 2), ([7, 7, 7], 3), ([5, 7, 7, 7, 7], 4)])
def test_an_ngram_may_overlap_itself(answer, ids, n):
    assert answer.banned_tokens(ids, n) == {7}


@pytest.mark.parametrize(("ids", "expected"), [([3, 1, 3], {1, 3}), ([4], {4}), ([], set())])
def test_single_tokens_may_not_repeat(answer, ids, expected):
    assert answer.banned_tokens(ids, 1) == expected


@pytest.mark.parametrize(("ids", "n"), [([], 2), ([7], 2), ([7, 7], 3), ([7, 7, 7], 9)])
def test_too_few_tokens_ban_nothing(answer, ids, n):
    assert answer.banned_tokens(ids, n) == set()


@given(ids=st.lists(st.integers(0, 2), max_size=12), n=st.integers(1, 4))
@example(ids=[0, 1, 0], n=2)
@example(ids=[1, 1], n=2)
@example(ids=[0, 1], n=1)
def test_exactly_the_banned_tokens_repeat_an_ngram(answer, ids, n):
    ngrams = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
    endings = {token: tuple([*ids, token][-n:]) for token in range(3)}
    expected = {token for token, ending in endings.items() if ending in ngrams}
    assert answer.banned_tokens(list(ids), n) == expected


def test_removes_the_banned_tokens(answer):
    logits, ids = torch.tensor([0.5, 1.5, 2.5, 3.5]), torch.tensor([2, 0, 2, 3, 2])
    expected = torch.tensor([-INF, 1.5, 2.5, -INF])
    close(answer.no_repeat_ngram_filter(logits, ids, 2), expected, "vocab")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3)], ids=str)
def test_agrees_with_transformers(answer, device, shape, n):
    logits, ids = normal(*shape, 5).to(device), some_ids(*shape, 30).to(device)
    expected = transformers_no_repeat(logits, ids, n)
    close(answer.no_repeat_ngram_filter(logits, ids, n), expected, "vocab", rtol=0, atol=0)


def test_rows_do_not_influence_each_other(answer):
    logits, ids = torch.zeros(2, 4), torch.tensor([[0, 1, 2, 0], [3, 0, 3, 1]])
    expected = torch.tensor([[0.0, -INF, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    close(answer.no_repeat_ngram_filter(logits, ids, 2), expected, "batch vocab")


@pytest.mark.parametrize(("batch", "seq"), [(2, 0), (2, 1), (0, 9)])
def test_nothing_to_remove(answer, batch, seq):
    expected = normal(batch, 5)
    actual = answer.no_repeat_ngram_filter(expected.clone(), some_ids(batch, seq), 2)
    close(actual, expected, "batch vocab")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_keeps_the_dtype_and_removed_logits(answer, dtype):
    logits, ids = torch.tensor([6e4, -6e4, -INF, 0.1], dtype=dtype), torch.tensor([1, 3, 1])
    expected = torch.tensor([6e4, -6e4, -INF, -INF], dtype=dtype)
    close(answer.no_repeat_ngram_filter(logits, ids, 2), expected, "vocab", rtol=0, atol=0)


def test_inputs_are_not_modified(answer):
    logits, ids = normal(2, 5), some_ids(2, 30)
    answer.no_repeat_ngram_filter(logits, ids, 2)
    close(logits, normal(2, 5), "batch vocab")
    close(ids, some_ids(2, 30), "batch seq")


@pytest.mark.parametrize("n", [0, -1])
def test_refuses_n_below_one(answer, n):
    with raises(ValueError):
        answer.banned_tokens([1, 2, 1], n)


@pytest.mark.parametrize("n", [0, -1])
def test_filter_refuses_n_below_one(answer, n):
    with raises(ValueError):
        answer.no_repeat_ngram_filter(torch.zeros(3), torch.tensor([1, 2, 1]), n)
