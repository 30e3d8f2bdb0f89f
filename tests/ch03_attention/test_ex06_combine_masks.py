import pytest
import torch

from kata.check import close, raises
from kata.properties import example, given, st
from kata.tensors import generator, normal, randomise

AXES = "batch head query key"


def mask_of(rows):
    return torch.tensor(rows, dtype=torch.bool)


def causal(t_q, t_k=None, window=99):
    """The last `t_q` rows of a causal mask in which a query sees at most `window` keys."""
    mask = torch.ones(t_k or t_q, t_k or t_q, dtype=torch.bool).tril().triu(1 - window)
    return mask[-t_q:]


def padding(t_k):
    """Which tokens of three texts are real: one without padding, one on each side."""
    key = torch.arange(t_k)
    return torch.stack([key >= 0, key < t_k - 2, key >= 3])


def test_right_padding_hides_its_keys(answer):
    whole, padded = [[1, 0, 0], [1, 1, 0], [1, 1, 1]], [[1, 0, 0], [1, 1, 0], [1, 1, 0]]
    actual = answer.combine_masks(causal(3), torch.tensor([[1, 1, 1], [1, 1, 0]]))
    close(actual, mask_of([[whole], [padded]]), AXES)


def test_left_padding_leaves_no_row_empty(answer):
    one, two = [[1, 0, 0], [0, 1, 0], [0, 1, 1]], [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    actual = answer.combine_masks(causal(3), torch.tensor([[0, 1, 1], [0, 0, 1]]))
    close(actual, mask_of([[one], [two]]), AXES)


@given(texts=st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=2, max_size=3))
@example(texts=[[0, 0, 0, 0], [1, 0, 1, 0]])  # only padding, and padding in the middle
def test_agrees_with_the_rule_key_by_key(answer, texts):
    seen = [
        [[k for k in range(q + 1) if text[k]] or range(q + 1) for q in range(4)] for text in texts
    ]
    expected = mask_of([[[[k in keys for k in range(4)] for keys in rows]] for rows in seen])
    close(answer.combine_masks(causal(4), torch.tensor(texts)), expected, AXES)


@pytest.mark.parametrize(("t_q", "t_k", "window"), [(6, 6, 99), (6, 6, 2), (2, 7, 99), (1, 5, 3)])
def test_agrees_with_the_reference(answer, reference, device, t_q, t_k, window):
    inputs = [causal(t_q, t_k, window).to(device), padding(t_k).to(device)]
    expected = reference.combine_masks(*(x.clone() for x in inputs))
    close(answer.combine_masks(*inputs), expected, AXES)


def test_no_softmax_meets_an_empty_row(answer):
    mask = answer.combine_masks(causal(5), torch.tensor([[1, 1, 1, 1, 1], [0, 0, 0, 1, 1]]))
    weights = normal(2, 3, 5, 5).masked_fill(mask.logical_not(), -torch.inf).softmax(-1)
    close(weights.sum(-1), torch.ones(2, 3, 5), "batch head query")


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.int64], ids=str)
def test_padding_may_be_numbers_or_booleans(answer, reference, dtype):
    expected = reference.combine_masks(causal(5), padding(5))
    close(answer.combine_masks(causal(5), padding(5).to(dtype)), expected, AXES)


def test_inputs_are_not_modified(answer):
    inputs = causal(5), padding(5).long()
    answer.combine_masks(*inputs)
    close(inputs[0], causal(5), "query key")
    close(inputs[1], padding(5).long(), "batch key")


def test_stays_on_the_device_of_the_inputs(answer):
    expected = torch.empty(3, 1, 5, 5, dtype=torch.bool, device="meta")
    close(answer.combine_masks(causal(5).to("meta"), padding(5).to("meta")), expected, AXES)


@pytest.mark.parametrize("t_k", [1, 4, 6])
def test_padding_of_another_length_is_refused(answer, t_k):
    with raises(ValueError):
        answer.combine_masks(causal(5), torch.ones(2, t_k, dtype=torch.long))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("first_real", [0, 2], ids=["padded on the right", "padded on the left"])
def test_real_tokens_get_the_logits_of_the_unpadded_text(answer, first_real):
    is_real = torch.ones(2, 5, dtype=torch.bool)
    is_real[1] = (torch.arange(5) >= first_real) & (torch.arange(5) < first_real + 3)
    mask = answer.combine_masks(causal(5), is_real.clone())
    model, ids = tiny_gpt2(), torch.randint(17, (2, 5), generator=generator())
    alone = [model(row[real][None]).logits[0] for row, real in zip(ids, is_real, strict=True)]
    positions = (is_real.cumsum(-1) - 1).clamp(min=0)
    logits = model(ids, attention_mask=mask, position_ids=positions).logits
    close(logits[is_real], torch.cat(alone), "token vocab")


def tiny_gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_layer": 2, "n_head": 3, "n_embd": 12, "vocab_size": 17, "n_positions": 8}
    return randomise(GPT2LMHeadModel(GPT2Config(**sizes, attn_implementation="sdpa"))).eval()
