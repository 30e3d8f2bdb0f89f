from dataclasses import asdict

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kata.check import raises
from kata.tensors import generator, normal, randomise

END = 8
# Strategy, parameters, and what is not as in SamplingConfig().
CONFIGS = [
    ("greedy", {}, {"temperature": 0.0}),
    ("temperature", {"temperature": 0.7}, {"temperature": 0.7}),
    ("top_k", {"k": 3, "temperature": 2.0}, {"top_k": 3, "temperature": 2.0}),
    ("top_p", {"p": 0.3, "temperature": 1.5}, {"top_p": 0.3, "temperature": 1.5}),
    ("min_p", {"p": 0.2}, {"min_p": 0.2}),
    ("typical", {"p": 0.4}, {"typical_p": 0.4}),
    ("repetition_penalty", {"penalty": 1.7}, {"repetition_penalty": 1.7}),
]
# Strategy, parameters, and what the message must say.
STRANGE = [
    ("top-p", {}, "did you mean top_p"),
    ("Greedy", {}, "did you mean greedy"),
    ("nucleus", {}, "repetition_penalty"),
    ("", {}, "typical"),
    ("greedy", {"temperature": 0.5}, "temperature"),
    ("top_p", {"temprature": 0.5}, "did you mean temperature"),
    ("top_p", {"k": 5}, "temperature"),
    ("top_k", {"p": 0.5}, "temperature"),
    ("beam", {"temperature": 0.5}, "length_penalty"),
]
REFUSED = {
    "empty prompt": {"ids": []},
    "negative count": {"max_new_tokens": -1},
    "no context": {"context": 0},
    "no context for beam search": {"strategy": "beam", "context": 0},
    "negative temperature": {"strategy": "temperature", "temperature": -1.0},
    "p above 1": {"strategy": "typical", "p": 2.0},
    "no beams": {"strategy": "beam", "beams": 0},
}
# The stop strings, what is left of the text, and how often the model is called.
STOPPED = {
    "none": ((), " é\nné STOP! ", 14),
    "of four tokens": (["STOP"], " é\nné ", 12),
    "the second of two": (["x", "é\n"], " ", 4),
    "nowhere": (["STEP"], " é\nné STOP! ", 14),
}
# Strategy, parameters, and what the same is called in transformers.
LIKE_TRANSFORMERS = [
    ("greedy", {}, {"do_sample": False}),
    ("temperature", {"temperature": 1.7}, {"temperature": 1.7}),
    ("top_k", {"k": 5, "temperature": 0.8}, {"top_k": 5, "temperature": 0.8}),
    ("top_p", {"p": 0.7, "temperature": 1.3}, {"top_p": 0.7, "temperature": 1.3}),
    ("min_p", {"p": 0.2}, {"min_p": 0.2}),
    ("typical", {"p": 0.6}, {"typical_p": 0.6}),
    ("repetition_penalty", {"penalty": 2.5}, {"repetition_penalty": 2.5}),
    ("beam", {"beams": 3}, {"num_beams": 3, "do_sample": False}),
]


class Tokenizer:
    def __init__(self, encode, decode):
        self.encode, self.decode = encode, decode


# A text of numbers. Spaces at its ends, and more than one in a row, are lost.
NUMBERS = Tokenizer(
    encode=lambda text: [int(word) for word in text.split()],
    decode=lambda ids: " ".join(str(token) for token in ids),
)
UTF8 = Tokenizer(
    encode=lambda text: list(text.encode()),
    decode=lambda ids: bytes(ids).decode("utf-8", errors="replace"),
)


class Bigrams(nn.Module):
    """A model that looks at the last token only; it keeps the state of torch at each call."""

    def __init__(self, size=9):
        super().__init__()
        self.table, self.calls = nn.Parameter(normal(size, size)), []

    def forward(self, ids):
        state = {"training": self.training, "gradients": torch.is_grad_enabled()}
        self.calls.append(state | {"length": ids.shape[1]})
        return self.table[ids]


class Script:
    """A model that writes this text after a prompt of one byte; it counts its calls."""

    def __init__(self, text):
        self.bytes, self.calls = text.encode(), 0

    def __call__(self, ids):
        self.calls += 1
        byte = self.bytes[min(ids.shape[1], len(self.bytes)) - 1]
        return F.one_hot(torch.full_like(ids, byte), 256).float()


class Elsewhere(nn.Module):
    """A model on the meta device; it breaks at the first call, and keeps where its ids were."""

    def __init__(self):
        super().__init__()
        self.table, self.seen = nn.Parameter(normal(9, 9).to("meta")), []

    def forward(self, ids):
        self.seen.append(ids.device.type)
        raise KeyError("broken")


def counting(ids):
    """Says that the next number follows, modulo 9."""
    return F.one_hot((ids + 1) % 9, num_classes=9).float()


def tempting(ids):
    """After 0 comes 1 or 2; what follows 2 is certain, and what follows 1 is not."""
    probs = torch.tensor([0.2, *[0.1] * 8]).repeat(9, 1)
    probs[0] = torch.tensor([0, 0.6, 0.4, 0, 0, 0, 0, 0, 0])
    probs[2] = F.one_hot(torch.tensor(3), num_classes=9)
    return probs.log()[ids]


def tiny_gpt2():
    """A random model with 80 tokens, which all have a chance."""
    from transformers.models.gpt2.modeling_gpt2 import GPT2Config, GPT2LMHeadModel

    sizes = {"vocab_size": 80, "n_positions": 40, "n_embd": 16, "n_layer": 1, "n_head": 2}
    ends = {"bos_token_id": None, "eos_token_id": None, "tie_word_embeddings": False}
    return randomise(GPT2LMHeadModel(GPT2Config(**sizes, **ends)), seed=2).eval()


def of_transformers(model, ids, seed, options):
    """The 20 ids that transformers' own `generate` adds."""
    torch.manual_seed(seed)
    sampling = {"do_sample": True, "top_k": 0, "max_new_tokens": 20} | options
    text = torch.tensor([ids])
    return model.generate(text, attention_mask=torch.ones_like(text), **sampling)[0, len(ids) :]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_only_the_new_text_comes_back(answer, device, count):
    model = Bigrams()
    model.table.data = counting(torch.arange(9))
    options = {"max_new_tokens": count, "seed": 1}
    actual = answer.generate_text(model.to(device), NUMBERS, "  1  2  3 ", **options)
    assert actual == "4 5 6"[: max(0, 2 * count - 1)]


@pytest.mark.parametrize(("strategy", "params", "changes"), CONFIGS)
def test_nothing_is_set_that_was_not_asked_for(answer, strategy, params, changes):
    expected = asdict(answer.SamplingConfig()) | changes
    assert asdict(answer.sampling_config(strategy, params)) == expected


def test_defaults_fill_the_gaps(answer):
    params = {"k": 3}
    assert answer.settings_of("top_k", params) == {"k": 3, "temperature": 1.0}
    assert params == {"k": 3}
    assert answer.settings_of("top_k", {}) == {"k": 40, "temperature": 1.0}


@pytest.mark.parametrize(("strategy", "params", "message"), STRANGE)
def test_strange_names_are_refused(answer, strategy, params, message):
    with raises(ValueError, match=message):
        answer.generate_text(counting, NUMBERS, "1 2", strategy, max_new_tokens=2, **params)


def test_beam_search_has_no_config(answer):
    with raises(ValueError):
        answer.sampling_config("beam", {})


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_senseless_values_are_refused(answer, changes):
    with raises(ValueError):
        list(answer.generate_ids(counting, **{"ids": [1, 2]} | changes))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("strategy", "params", "options"), LIKE_TRANSFORMERS)
def test_agrees_with_transformers(answer, strategy, params, options):
    model = tiny_gpt2()
    expected = " ".join(map(str, of_transformers(model, [3, 1, 4], 5, options).tolist()))
    settings = {"max_new_tokens": 20, "seed": 5} | params
    actual = answer.generate_text(
        lambda ids: model(ids).logits, NUMBERS, "3 1 4", strategy, **settings
    )
    assert actual == expected


def test_each_seed_has_its_own_text(answer):
    model, options = Bigrams(30), {"strategy": "temperature", "max_new_tokens": 20}
    expected = torch.rand(1, generator=generator(1)).item()
    torch.manual_seed(1)
    texts = [answer.generate_text(model, NUMBERS, "3", seed=s, **options) for s in (5, 6, 5)]
    equal = {"with the same seed": texts[0] == texts[2], "with another": texts[0] == texts[1]}
    assert equal == {"with the same seed": True, "with another": False}, "equal texts"
    assert torch.rand(1).item() == expected, "the next number of torch's global generator"


def test_without_a_seed_torch_decides(answer):
    model, options = Bigrams(30), {"strategy": "temperature", "max_new_tokens": 20}
    torch.manual_seed(1)
    texts = [answer.generate_text(model, NUMBERS, "3", **options) for _ in range(2)]
    torch.manual_seed(1)
    texts.append(answer.generate_text(model, NUMBERS, "3", **options))
    equal = {"after manual_seed again": texts[0] == texts[2], "without": texts[0] == texts[1]}
    assert equal == {"after manual_seed again": True, "without": False}, "equal texts"


@pytest.mark.parametrize(("stop", "text", "calls"), STOPPED.values(), ids=STOPPED)
def test_text_ends_before_a_stop_string(answer, stop, text, calls):
    model = Script(" é\nné STOP! ")
    actual = answer.generate_text(model, UTF8, "a", stop=stop, max_new_tokens=14)
    assert actual == text
    assert model.calls == calls, "calls of the model"


def test_chunks_come_while_the_model_writes(answer):
    model, seen = Script("né STOP"), []
    for chunk in answer.stream_generate(model, UTF8, "a", stop=["STOP"], max_new_tokens=9):
        seen.append((chunk, model.calls))
    assert seen == [("n", 1), ("é", 3), (" ", 4)], "chunks, and calls of the model so far"


@pytest.mark.parametrize("strategy", ["greedy", "temperature", "beam"])
def test_text_ends_before_the_end_token(answer, strategy):
    options = {"max_new_tokens": 5, "eos_id": END, "seed": 1}
    model = lambda ids: 99 * counting(ids)
    assert list(answer.generate_ids(model, [END, 6], strategy, **options)) == [7]


@pytest.mark.parametrize(("beams", "expected"), [(1, [1, 0]), (2, [2, 3])])
def test_beam_search_finds_the_likelier_text(answer, beams, expected):
    options = {"max_new_tokens": 2, "beams": beams}
    assert list(answer.generate_ids(tempting, [5, 0], "beam", **options)) == expected


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
def test_model_sees_the_last_tokens(answer, strategy):
    model = Bigrams()
    list(answer.generate_ids(model, [1, 2, 3], strategy, max_new_tokens=3, context=4))
    assert [call["length"] for call in model.calls] == [3, 4, 4], "ids that the model saw"


def test_penalties_see_the_whole_text(answer):
    # Tokens 0 to 8 are wanted in this order; each is written once, the prompt's not at all.
    wish = torch.arange(9.0, 0.0, -1.0)
    options = {"penalty": 1e6, "temperature": 0.0, "max_new_tokens": 5, "context": 2}
    model = lambda ids: wish.repeat(*ids.shape, 1)
    ids = list(answer.generate_ids(model, [0, 2, 5], "repetition_penalty", **options))
    assert ids == [1, 3, 4, 6, 7]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("strategy", ["greedy", "beam"])
def test_the_caller_notices_nothing(answer, strategy, training):
    model, outside = Bigrams().train(training), []
    for _ in answer.generate_ids(model, [1, 2], strategy, max_new_tokens=3):
        outside.append({"training": model.training, "gradients": torch.is_grad_enabled()})
    assert outside == [{"training": training, "gradients": True}] * 3, "outside, at each id"
    inside = [{name: call[name] for name in ("training", "gradients")} for call in model.calls]
    assert inside == [{"training": False, "gradients": False}] * 3, "in each call of the model"


def test_beam_search_runs_where_the_model_is(answer):
    model = Elsewhere()
    with raises(KeyError, match="broken"):
        list(answer.generate_ids(model, [1, 2], "beam", max_new_tokens=3))
    assert model.seen == ["meta"], "where the ids for the model are"
