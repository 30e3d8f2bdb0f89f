import pytest
import torch

from kata.check import close, raises
from kata.tensors import generator

TARGET = [0.1, 0.3, 0.0, 0.4, 0.2]
DRAFT = [0.4, 0.1, 0.2, 0.3, 0.0]  # sum of the smaller ones: 0.5


def decode(answer, target, draft_probs, draft, rng=None):
    """The tokens that come out, as a list, from plain numbers."""
    rows = torch.tensor(target), torch.tensor(draft_probs)
    result = answer.speculative_decode(*rows, torch.tensor(draft), rng or generator())
    return result.tolist()


def one_position(answer, count):
    """What comes out of many drafts of one token, with a bonus token 5 when it is accepted."""
    rng = generator(1)
    rows = torch.tensor([[*TARGET, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    other = torch.tensor([[*DRAFT, 0.0]])
    drafts = other[0].multinomial(count, replacement=True, generator=rng)
    return [answer.speculative_decode(rows, other, draft, rng) for draft in drafts.split(1)]


def two_positions(answer, count, first, other, then, drafted):
    """The first two tokens, as 3 * first + second, of many drafts of two tokens."""
    rng, pairs = generator(4), []
    for a in other.multinomial(count, replacement=True, generator=rng).tolist():
        b = drafted[a].multinomial(1, generator=rng).item()
        target = torch.stack([first, then[a], then[b]])
        draft_probs = torch.stack([other, drafted[a]])
        tokens = answer.speculative_decode(target, draft_probs, torch.tensor([a, b]), rng).tolist()
        if len(tokens) == 1:  # the next round begins with the second token
            tokens += then[tokens[0]].multinomial(1, generator=rng).tolist()
        pairs.append(3 * tokens[0] + tokens[1])
    return pairs


def frequencies(tokens, vocab):
    return torch.bincount(torch.tensor(tokens), minlength=vocab) / len(tokens)


def total_variation(tokens, probs):
    """Half the sum of the distances between what came and what should have come."""
    return (frequencies(tokens, len(probs)) - torch.tensor(probs)).abs().sum().item() / 2


def test_accepted_draft_is_followed_by_a_bonus_token(answer, device):
    rows = torch.eye(4)[[1, 3, 2]].to(device)
    draft = torch.tensor([1, 3], device=device)
    result = answer.speculative_decode(rows, rows[:2], draft, generator())
    close(result, torch.tensor([1, 3, 2], device=device), "token")


def test_result_ends_at_the_first_rejection(answer):
    target = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    other = [[0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]
    assert decode(answer, target, other, [1, 2, 2]) == [1, 0]


@pytest.mark.parametrize("probability", [0.5, 0.0])
def test_impossible_token_is_never_accepted(answer, probability):
    target, other = [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]], [[probability, 1 - probability, 0.0]]
    assert decode(answer, target, other, [0]) == [2]


@pytest.mark.parametrize("probability", [0.3, 0.0])
def test_token_likelier_for_the_target_is_always_accepted(answer, probability):
    target, other, rng = [[0.4, 0.6], [0.0, 1.0]], [[probability, 1 - probability]], generator(2)
    assert [decode(answer, target, other, [0], rng) for _ in range(50)] == [[0, 1]] * 50


def test_replacement_is_likelier_for_the_target(answer):
    target, other, rng = [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]], [[0.5, 0.5, 0.0]], generator(3)
    results = [decode(answer, target, other, [0], rng) for _ in range(100)]
    assert sorted({tuple(tokens) for tokens in results}) == [(2,)]


def test_each_token_has_its_own_chance(answer):
    target, other, rng = [[0.5, 0.5]] * 3, [[1.0, 0.0]] * 2, generator(5)
    accepted = [len(decode(answer, target, other, [0, 0], rng)) - 1 for _ in range(600)]
    close(
        frequencies(accepted, 3),
        torch.tensor([0.5, 0.25, 0.25]),
        "share_of_accepted",
        rtol=0,
        atol=0.1,
    )


def test_bonus_token_is_drawn(answer):
    rng, empty = generator(6), (torch.empty(0, 3), torch.empty(0, dtype=torch.long))
    rows = torch.tensor([[0.2, 0.5, 0.3]])
    results = [answer.speculative_decode(rows, *empty, rng).tolist() for _ in range(600)]
    assert {len(tokens) for tokens in results} == {1}, "tokens in a result"
    close(
        frequencies([tokens[0] for tokens in results], 3),
        rows[0],
        "share_of_token",
        rtol=0,
        atol=0.1,
    )


def test_rounding_leaves_no_replacement(answer):
    target, other = [[0.0, 0.9999999], [0.5, 0.5]], [[1e-7, 1.0]]
    assert decode(answer, target, other, [0]) == [1]


def test_random_numbers_come_from_the_generator(answer):
    torch.manual_seed(0)
    expected = [tokens.tolist() for tokens in one_position(answer, 50)]
    torch.manual_seed(1)
    again = [tokens.tolist() for tokens in one_position(answer, 50)]
    assert again == expected, "the same generator again"


def test_inputs_are_not_modified(answer):
    target, other, draft = torch.tensor([[0.0, 1.0], [0.5, 0.5]]), torch.tensor([[0.5, 0.5]]), [0]
    answer.speculative_decode(target, other, torch.tensor(draft), generator())
    assert target.tolist() == [[0.0, 1.0], [0.5, 0.5]], "target_probs, afterwards"
    assert other.tolist() == [[0.5, 0.5]], "draft_probs, afterwards"


@pytest.mark.parametrize(("target_rows", "draft_rows"), [(2, 2), (3, 1), (4, 3)])
def test_numbers_of_rows_must_fit(answer, target_rows, draft_rows):
    target, other = torch.full((target_rows, 4), 0.25), torch.full((draft_rows, 4), 0.25)
    with raises(ValueError):
        answer.speculative_decode(target, other, torch.tensor([1, 2]), generator())


def test_accepts_as_often_as_it_can(answer):
    accepted = [len(tokens) - 1 for tokens in one_position(answer, 2000)]
    expected = torch.tensor([0.5, 0.5])  # rejected, accepted
    close(frequencies(accepted, 2), expected, "share_of_accepted", rtol=0, atol=0.06)


@pytest.mark.timeout(60)
def test_first_token_is_distributed_like_the_target(answer):
    first = [tokens[0].item() for tokens in one_position(answer, 800)]  # shows most mistakes soon
    close(frequencies(first, 5), torch.tensor(TARGET), "share_of_token", rtol=0, atol=0.09)
    first = [tokens[0].item() for tokens in one_position(answer, 20_000)]
    close(frequencies(first, 5), torch.tensor(TARGET), "share_of_token", rtol=0, atol=0.02)
    assert total_variation(first, TARGET) < 0.02


def test_two_tokens_are_distributed_like_the_target(answer):
    # The second token depends on the first: row i of `then` follows token i.
    first, other = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.6, 0.1, 0.3])
    then = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]])
    drafted = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.3, 0.6, 0.1]])
    pairs = two_positions(answer, 1500, first, other, then, drafted)
    close(
        frequencies(pairs, 9), (first[:, None] * then).flatten(), "share_of_pair", rtol=0, atol=0.06
    )
