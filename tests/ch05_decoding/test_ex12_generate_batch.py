import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kata.check import raises
from kata.tensors import generator, randomise

PROMPTS = [[3, 4], [5], [1, 2, 4]]
CALLS = [
    {
        "ids": [[9, 3, 4], [9, 9, 5], [1, 2, 4]],
        "attention_mask": [[0, 1, 1], [0, 0, 1], [1, 1, 1]],
        "position_ids": [[0, 0, 1], [0, 0, 0], [0, 1, 2]],
    },
    {
        "ids": [[9, 3, 4, 8], [9, 9, 5, 5], [1, 2, 4, 9]],
        "attention_mask": [[0, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]],
        "position_ids": [[0, 0, 1, 2], [0, 0, 0, 1], [0, 1, 2, 3]],
    },
]


def copy(prompts):
    return [list(prompt) for prompt in prompts]


class Placed(nn.Module):
    """Its next token is the sum of the real tokens so far and of the position, modulo 11.

    It writes down what it is given, and its mode.
    """

    def __init__(self, fails=False):
        super().__init__()
        self.calls, self.modes, self.fails = [], [], fails

    def forward(self, ids, attention_mask, position_ids):
        given = {"ids": ids, "attention_mask": attention_mask, "position_ids": position_ids}
        self.calls.append({name: tensor.tolist() for name, tensor in given.items()})
        self.modes.append({"training": self.training, "gradients": torch.is_grad_enabled()})
        if self.fails:
            raise OSError("the model fails")
        sums = (ids * attention_mask).cumsum(-1) + position_ids
        sums += 1 - attention_mask  # padding itself says something else
        return F.one_hot(sums % 11, num_classes=11).float()


@torch.no_grad()
def random_gpt2(device):
    """Hugging Face's, whose large tables make the logits depend on tokens and positions."""
    from transformers.models.gpt2.modeling_gpt2 import GPT2Config, GPT2LMHeadModel

    sizes = {"vocab_size": 40, "n_positions": 20, "n_embd": 12, "n_layer": 2, "n_head": 3}
    config = GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)
    gpt2 = randomise(GPT2LMHeadModel(config)).double().eval()
    gpt2.transformer.wte.weight *= 4
    gpt2.transformer.wpe.weight *= 4
    return gpt2.to(device)


def alone(model, prompt, count, device):
    """A prompt by itself, without mask and positions; no token comes twice, as that says little."""
    text = torch.tensor(prompt, device=device)
    for _ in range(count):
        logits = model(text[None]).logits[0, -1].index_fill(0, text, -torch.inf)
        text = torch.cat([text, logits.argmax(-1, keepdim=True)])
    return text[len(prompt) :].tolist()


def test_prompts_by_hand(answer):
    # The first row: 3 + 4 and position 1 give 8; 3 + 4 + 8 and position 2 give 17, which is 6.
    actual = answer.generate_batch(Placed(), copy(PROMPTS), 3, pad_id=0)
    assert actual == [[8, 6, 2], [5, 0, 1], [9, 8, 6]]


@pytest.mark.parametrize("i", [0, 1])
def test_model_is_told_what_is_real(answer, i):
    model = Placed()
    answer.generate_batch(model, copy(PROMPTS), 2, pad_id=9)
    assert model.calls[i] == CALLS[i]


@pytest.mark.parametrize("pad_id", [4, 5, 8])
def test_pad_id_may_be_that_of_a_real_token(answer, pad_id):
    actual = answer.generate_batch(Placed(), copy(PROMPTS), 3, pad_id=pad_id)
    assert actual == [[8, 6, 2], [5, 0, 1], [9, 8, 6]]


@pytest.mark.timeout(120)
def test_each_row_says_what_it_says_alone(answer, device):
    gpt2, prompts = random_gpt2(device), [[3, 4, 1], [7], [12, 0, 5, 5, 8, 2, 2], [9, 10]]
    expected = [alone(gpt2, prompt, 11, device) for prompt in prompts]

    def model(ids, mask, positions):
        return gpt2(ids, attention_mask=mask, position_ids=positions).logits

    config = answer.SamplingConfig(temperature=0.0, no_repeat_ngram_size=1)
    actual = answer.generate_batch(model, prompts, 11, config, pad_id=0, device=device)
    assert actual == expected


def test_each_row_ends_with_its_own_end(answer):
    actual = answer.generate_batch(Placed(), copy(PROMPTS), 3, pad_id=0, eos_id=8)
    assert actual == [[8], [5, 0, 1], [9, 8]]


def test_an_end_in_the_prompt_ends_nothing(answer):
    actual = answer.generate_batch(Placed(), [[8, 3], [1]], 2, pad_id=8, eos_id=8)
    assert actual == [[1, 3], [1, 3]]


@pytest.mark.parametrize(("count", "calls"), [(0, 0), (1, 1), (9, 2)])
def test_model_is_not_called_without_need(answer, count, calls):
    model = Placed()
    answer.generate_batch(model, [[3, 4], [1, 2, 4]], count, pad_id=0, eos_id=8)
    assert len(model.calls) == calls, "calls of the model"


def test_penalties_do_not_see_padding(answer):
    # No token twice: 8 is not in the text of the first row, only in its padding.
    config = answer.SamplingConfig(temperature=0.0, no_repeat_ngram_size=1)
    actual = answer.generate_batch(Placed(), copy(PROMPTS), 1, config, pad_id=8)
    assert actual == [[8], [0], [9]]


def test_draws_come_from_the_generator(answer):
    config = answer.SamplingConfig(temperature=2.0)
    first, again, other = (
        answer.generate_batch(
            Placed(), copy(PROMPTS), 20, config, pad_id=0, generator=generator(seed)
        )
        for seed in (1, 1, 2)
    )
    assert again == first, "the same seed again"
    assert other != first, "another seed gives the same text"


@pytest.mark.parametrize(("prompts", "new"), [([], []), ([[3], [1, 2]], [[], []])])
def test_nothing_to_do_gives_nothing(answer, prompts, new):
    assert answer.generate_batch(Placed(), prompts, 0, pad_id=0) == new


@pytest.mark.parametrize(("prompts", "count"), [([[1, 2], []], 3), ([[1, 2], [3]], -1)])
def test_bad_arguments_are_refused(answer, prompts, count):
    with raises(ValueError):
        answer.generate_batch(Placed(), prompts, count, pad_id=0)


def test_prompts_are_not_modified(answer):
    prompts = copy(PROMPTS)
    answer.generate_batch(Placed(), prompts, 3, pad_id=0)
    assert prompts == PROMPTS, "the lists of the caller, afterwards"


@pytest.mark.parametrize("training", [True, False])
def test_model_works_in_eval_mode_without_gradients(answer, training):
    model = Placed().train(training)
    answer.generate_batch(model, copy(PROMPTS), 2, pad_id=0)
    assert model.modes == [{"training": False, "gradients": False}] * 2, "in each call of the model"
    assert model.training == training, "training, afterwards"


def test_mode_comes_back_after_an_exception(answer):
    model = Placed(fails=True).train()
    with raises(OSError):
        answer.generate_batch(model, copy(PROMPTS), 2, pad_id=0)
    assert {"training": model.training} == {"training": True}, "after the error"
