from itertools import pairwise

import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal, randomise

EOS = 0


def chain(*rows):
    """A model whose next token depends on the last one only: a row of probabilities for each."""
    table = torch.tensor(rows).log()
    return lambda ids: table[ids[:, -1]]


def random_model(seed, device="cpu"):
    """A model with 4 tokens that looks at the position and at the last two tokens."""
    table = normal(7, 4, 4, 4, seed=seed).mul(2).log_softmax(-1).to(device)
    return lambda ids: table[ids.shape[1], ids[:, -2], ids[:, -1]]


def exhaustive(model, start, max_new_tokens, eos_id, length_penalty):
    """Every continuation that there is, with its score, best first."""
    found, open_ends = [], [([], 0.0)]
    while open_ends:
        new, total = open_ends.pop()
        if new and (new[-1] == eos_id or len(new) == max_new_tokens):
            found.append((new, total / len(new) ** length_penalty))
            continue
        log_probs = model(torch.tensor([[*start, *new]]))[0].tolist()
        open_ends += [([*new, token], total + x) for token, x in enumerate(log_probs)]
    return sorted(found, key=lambda text: -text[1])


def gpt2(seed):
    """A random GPT-2, the same at each call."""
    from transformers import GPT2Config
    from transformers.models.gpt2.modeling_gpt2 import GPT2LMHeadModel

    sizes = {"vocab_size": 13, "n_positions": 16, "n_embd": 8, "n_layer": 2, "n_head": 2}
    config = GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)
    model = randomise(GPT2LMHeadModel(config), seed).eval()
    model.transformer.wte.weight.data.mul_(0.7)  # flatter predictions, so that more texts compete
    return model


@torch.no_grad()
def last_log_probs(model, ids):
    return model(ids).logits[:, -1].log_softmax(-1)


def transformers_search(model, start, beams, max_new_tokens, eos_id, length_penalty):
    """What `generate` finds, in the form of ours."""
    output = model.generate(
        torch.tensor([start]),
        attention_mask=torch.ones(1, len(start), dtype=torch.long),
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=max_new_tokens,
        length_penalty=length_penalty,
        eos_token_id=eos_id,
        pad_token_id=eos_id,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
    )
    texts = [text[: [*text, eos_id].index(eos_id) + 1] for text in output.sequences[:, 2:].tolist()]
    return list(zip(texts, output.sequences_scores.tolist(), strict=True))


def ids_of(found):
    return [ids for ids, _ in found]


def scores(found):
    return torch.tensor([score for _, score in found])


def test_best_text_begins_with_a_less_likely_token(answer):
    model = chain([0.0, 0.6, 0.4], [0.4, 0.3, 0.3], [0.0, 0.1, 0.9])
    found = answer.beam_search(model, [0], 2, 2)
    assert ids_of(found) == [[2, 2], [1, 0]]
    close(scores(found), torch.tensor([0.4 * 0.9, 0.6 * 0.4]).log() / 2, "text")


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 3.0, -1.0])
def test_score_counts_every_new_token(answer, length_penalty):
    model = chain([1.0, 0.0, 0.0], [0.25, 0.0, 0.75], [0.5, 0.5, 0.0])
    expected = [(0.75 * 0.5, 2), (0.75 * 0.5 * 0.75, 3), (0.25, 1), (0.75 * 0.5 * 0.25, 3)]
    logs = [torch.tensor(p).log() / length**length_penalty for p, length in expected]
    found = answer.beam_search(model, [2, 1], 9, 3, eos_id=EOS, length_penalty=length_penalty)
    close(scores(found), torch.stack(logs).sort(descending=True).values, "text")


def test_finished_text_is_not_extended(answer):
    model = chain([0.1, 0.9, 0.0], [0.5, 0.2, 0.3], [0.1, 0.1, 0.8])
    found = answer.beam_search(model, [1], 3, 3, eos_id=EOS)
    assert ids_of(found) == [[2, 2, 2], [0], [1, 2, 2]]


def test_finishes_among_the_best_only(answer):
    model = chain([1.0, 0.0, 0.0], [0.3, 0.5, 0.2], [0.2, 0.2, 0.6])
    found = answer.beam_search(model, [1], 1, 2, eos_id=EOS, length_penalty=-3.0)
    assert ids_of(found) == [[1, 1]]


def test_others_move_up_when_a_beam_ends(answer):
    model = chain([1.0, 0.0, 0.0], [0.5, 0.3, 0.2], [0.1, 0.0, 0.9])
    found = answer.beam_search(model, [1], 2, 2, eos_id=EOS, length_penalty=2.0)
    assert ids_of(found) == [[2, 2], [1, 0]]


def test_goes_on_while_a_better_one_can_follow(answer):
    model = chain([1.0, 0.0, 0.0], [0.3, 0.0, 0.7], [0.1, 0.0, 0.9])
    found = answer.beam_search(model, [1], 2, 4, eos_id=EOS)  # [0] and [2, 0] are finished first
    assert ids_of(found) == [[2, 2, 2, 2], [2, 2, 2, 0]]


def test_is_over_when_nothing_better_runs(answer):
    calls = []
    model = chain([1.0, 0.0, 0.0], [0.7, 0.1, 0.2], [0.9, 0.05, 0.05])
    spy = lambda ids: calls.append(sorted(ids.tolist())) or model(ids)
    answer.beam_search(spy, [1], 2, 9, eos_id=EOS)
    assert calls == [[[1]], [[1, 1], [1, 2]]], "rows of each call of log_prob_fn"


def test_fewer_results_than_beams(answer):
    model = chain([1.0, 0.0, 0.0], [0.25, 0.0, 0.75], [0.6, 0.4, 0.0])
    found = answer.beam_search(model, [1], 5, 2, eos_id=EOS)
    assert ids_of(found) == [[2, 0], [2, 1], [0]]


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 1.5, -0.5])
@pytest.mark.parametrize("eos_id", [None, EOS])
def test_equals_exhaustive_search(answer, device, eos_id, length_penalty):
    expected = exhaustive(random_model(0), [1, 2], 4, eos_id, length_penalty)[:40]
    model = random_model(0, device)
    found = answer.beam_search(model, [1, 2], 256, 4, eos_id, length_penalty)[:40]
    assert ids_of(found) == ids_of(expected)
    close(scores(found), scores(expected), "text")


def test_rows_extend_those_of_the_call_before(answer):
    calls, model = [[[2]]], random_model(1)
    answer.beam_search(lambda ids: calls.append(ids.tolist()) or model(ids), [2, 1], 3, 4)
    orphans = [row for old, new in pairwise(calls) for row in new if row[:-1] not in old]
    assert orphans == [], "rows that continue no row of the call before"
    assert [len({tuple(row) for row in rows}) for rows in calls[1:]] == [1, 3, 3, 3], (
        "different rows"
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("seed", "eos_id"), [(10, None), (4, 1), (6, 0), (8, 2), (10, 8)])
@pytest.mark.parametrize("length_penalty", [1.0, 0.0, 2.0, -0.7])
def test_agrees_with_transformers(answer, length_penalty, seed, eos_id):
    model = gpt2(seed)
    arguments = ([3, 1], 3, 7, eos_id, length_penalty)
    expected = transformers_search(model, *arguments)
    found = answer.beam_search(lambda ids: last_log_probs(model, ids), *arguments)
    assert ids_of(found) == ids_of(expected)
    close(scores(found), scores(expected), "text")


def test_prompt_is_not_modified(answer):
    start = [1, 2]
    answer.beam_search(random_model(2), start, 2, 3)
    assert start == [1, 2], "the list of the caller, afterwards"


@pytest.mark.parametrize(
    ("start", "beams", "max_new"), [([], 2, 3), ([1, 2], 0, 3), ([1, 2], 2, 0)]
)
def test_bad_arguments_raise(answer, start, beams, max_new):
    with raises(ValueError):
        answer.beam_search(random_model(3), start, beams, max_new)
