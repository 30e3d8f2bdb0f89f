import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kata.check import close, raises
from kata.tensors import generator, randomise
from solutions.ch04_models.ex04_llama_model import LlamaConfig, LlamaModel

GREEDY = {"temperature": 0.0}
PENALTY = GREEDY | {"repetition_penalty": 5.0, "no_repeat_ngram_size": 2}
OPTIONS = {
    "no options": (GREEDY, {}),
    "an end, then padding": (GREEDY, {"eos_id": 6, "pad_id": 2}),
    "an end, filled with itself": (GREEDY, {"eos_id": 6}),
    "no end before 5 tokens": (GREEDY, {"eos_id": 6, "min_new_tokens": 5}),
    "with the prompt": (GREEDY, {"return_prompt": True}),
    "penalties for the whole text": (PENALTY, {}),
}
PROMPT = [[6, 2, 4], [0, 1, 0]]
BAD = {
    "an empty prompt": (torch.zeros(2, 0, dtype=torch.int64), 4, {}),
    "less than no tokens": (torch.tensor(PROMPT), -1, {}),
    "a minimum above the maximum": (torch.tensor(PROMPT), 4, {"eos_id": 6, "min_new_tokens": 5}),
}


class Summing:
    """Its next token is the sum of all tokens so far, modulo 7. It writes down how it is used."""

    def __init__(self):
        self.rooms, self.shapes, self.sums = [], [], []

    def new_caches(self, max_len):
        self.rooms.append(max_len)
        self.sums.append(0)
        return [len(self.sums) - 1]  # the caches of a text say where its sum is kept

    def __call__(self, ids, caches):
        self.shapes.append(tuple(ids.shape))
        sums = self.sums[caches[0]] + ids.cumsum(-1)
        self.sums[caches[0]] = sums[:, -1:]
        return F.one_hot(sums % 7, num_classes=7).float()


class Watched(nn.Module):
    """The same as a module. It writes down its mode, and fails after some calls."""

    def __init__(self, calls):
        super().__init__()
        self.summing, self.calls, self.seen = Summing(), calls, []
        self.new_caches = self.summing.new_caches

    def forward(self, ids, caches):
        self.seen.append({"training": self.training, "gradients": torch.is_grad_enabled()})
        if len(self.seen) > self.calls:
            raise OSError("the model fails")
        return self.summing(ids, caches)


def llama(device="cpu"):
    """A random Llama; in float64 rounding decides about no token."""
    sizes = {"num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2}
    config = LlamaConfig(50, 24, 20, **sizes, rope_theta=50.0, max_position_embeddings=24)
    return randomise(LlamaModel(config), seed=1).double().eval().to(device)


def random_ids(*shape, seed=0):
    return torch.randint(50, shape, generator=generator(seed))


def test_a_text_by_hand(answer):
    new = answer.generate_cached(Summing(), torch.tensor(PROMPT), 4)
    assert new.tolist() == [[5, 3, 6, 5], [1, 2, 4, 1]]


def test_reads_the_prompt_once_then_single_tokens(answer):
    model = Summing()
    answer.generate_cached(model, torch.tensor(PROMPT), 4)
    assert model.shapes == [(2, 3), (2, 1), (2, 1), (2, 1)], "shapes of what the model read"


def test_stops_reading_when_every_row_has_ended(answer):
    model, prompt = Summing(), torch.tensor([[6, 2, 4], [1, 1, 1]])
    new = answer.generate_cached(model, prompt, 9, eos_id=6, pad_id=0)
    assert new.tolist() == [[5, 3, 6], [3, 6, 0]]
    assert model.shapes == [(2, 3), (2, 1), (2, 1)], "shapes of what the model read"


def test_nothing_to_write_reads_nothing(answer):
    model = Summing()
    assert answer.generate_cached(model, torch.tensor(PROMPT), 0).tolist() == [[], []]
    assert model.shapes == [], "shapes of what the model read"


def test_caches_are_made_once_with_room_for_all(answer):
    model = Summing()
    answer.generate_cached(model, torch.tensor(PROMPT), 4)
    assert model.rooms == [7], "room in the caches, each time that some were made"


@pytest.mark.parametrize(("settings", "options"), OPTIONS.values(), ids=OPTIONS)
def test_ids_are_those_without_a_cache(answer, reference, device, settings, options):
    model, prompt = llama(device), random_ids(3, 5).to(device)
    expected = reference.generate(
        model, prompt, 19, reference.SamplingConfig(**settings), **options
    )
    config = answer.SamplingConfig(**settings)
    actual = answer.generate_cached(model, prompt.clone(), 19, config, **options)
    close(actual, expected, "batch new")


@pytest.mark.parametrize("seed", [1, 2])
def test_same_draws_as_without_a_cache(answer, reference, seed):
    model, prompt = llama(), random_ids(3, 5)
    config = reference.SamplingConfig(top_k=7)
    expected = reference.generate(model, prompt, 19, config, generator=generator(seed))
    config = answer.SamplingConfig(top_k=7)
    actual = answer.generate_cached(model, prompt, 19, config, generator=generator(seed))
    close(actual, expected, "batch new")


def test_a_second_call_begins_a_new_text(answer, reference):
    model, prompt = llama(), random_ids(3, 5, seed=1)
    expected = reference.generate(model, prompt, 8)
    answer.generate_cached(model, random_ids(3, 4), 6)
    close(answer.generate_cached(model, prompt, 8), expected, "batch new")


@pytest.mark.parametrize("context", [2, 3, 6])
def test_too_long_a_text_is_refused_at_once(answer, context):
    model = Summing()
    with raises(ValueError):
        answer.generate_cached(model, torch.tensor(PROMPT), 4, context=context)
    assert model.shapes == [], "shapes of what the model read"


def test_a_text_as_long_as_the_context_fits(answer):
    new = answer.generate_cached(Summing(), torch.tensor(PROMPT), 4, context=7)
    assert new.tolist() == [[5, 3, 6, 5], [1, 2, 4, 1]]


@pytest.mark.parametrize(("prompt", "count", "options"), BAD.values(), ids=BAD)
def test_bad_arguments_are_refused_at_once(answer, prompt, count, options):
    model = Summing()
    with raises(ValueError):
        answer.generate_cached(model, prompt.clone(), count, **options)
    assert model.shapes == [], "shapes of what the model read"


@pytest.mark.parametrize("training", [True, False])
def test_model_works_in_eval_mode_without_gradients(answer, training):
    model = Watched(calls=9).train(training)
    answer.generate_cached(model, torch.tensor(PROMPT), 3)
    inside = {name: any(call[name] for call in model.seen) for name in ("training", "gradients")}
    assert inside == {"training": False, "gradients": False}, "in any call of the model"
    assert model.training == training, "training, afterwards"


def test_mode_comes_back_after_an_exception(answer):
    model = Watched(calls=2).train()
    with raises(OSError):
        answer.generate_cached(model, torch.tensor(PROMPT), 3)
    assert {"training": model.training} == {"training": True}, "after the error"


@pytest.mark.real
def test_tells_the_published_story(answer, real):
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    from kata.show.weights import PROMPT, PUBLISHED
    from solutions.ch04_models.ex09_load_llama_state_dict import load_llama_state_dict

    folder = real.path("stories260K")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    values = json.loads((folder / "config.json").read_text("utf-8"))
    fields = LlamaConfig.__dataclass_fields__
    model = LlamaModel(LlamaConfig(**{k: v for k, v in values.items() if k in fields}))
    load_llama_state_dict(model, load_file(folder / "model.safetensors"))
    ids = torch.tensor([tokenizer.encode(PROMPT).ids])
    text = answer.generate_cached(model, ids, 127, return_prompt=True)
    assert tokenizer.decode(text[0].tolist()) == PROMPT + PUBLISHED
