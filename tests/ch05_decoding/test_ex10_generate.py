import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kata.check import close, raises
from kata.tensors import generator, normal, randomise

PIECES = [b"Once", b" up", b"on E", b"nd", b". ", b"\xc3", b"\xa9", b"!"]
END = 7
# The ids that the model would write, the stop strings, and how many of the ids come out.
STOPPED = {
    "across three tokens": ([0, 1, 2, 3, 4, 0], ["upon End"], 4),
    "inside of a token": ([0, 2, 3, 4, 0, 1], ["n E"], 2),
    "begins and ends in tokens": ([0, 1, 2, 3, 4, 0], ["pon"], 3),
    "character of two tokens": ([5, 6, 5, 6, 0, 1], ["\u00e9"], 2),
    "the second of two": ([0, 4, 1, 3, 4, 0], ["End", "up"], 3),
    "nowhere": ([0, 1, 2, 0, 1, 2], ["End"], 6),
    "in the prompt": ([0, 1, 0, 1, 0, 1], ["."], 6),
    "begins in the prompt": ([3, 0, 1, 0, 1, 0], [".nd", ". nd"], 6),
}
LIKE_TRANSFORMERS = [
    {"eos_token_id": 12, "pad_token_id": 5},
    {"eos_token_id": 12, "pad_token_id": 12, "min_new_tokens": 6, "repetition_penalty": 1.8},
    {"no_repeat_ngram_size": 2},
]
PENALTIES = ("repetition_penalty", "no_repeat_ngram_size")
REFUSED = {
    "empty prompt": {"ids": torch.zeros(2, 0, dtype=torch.int64)},
    "negative count": {"max_new_tokens": -1},
    "more at least than at most": {"min_new_tokens": 6, "eos_id": 1},
    "negative minimum": {"min_new_tokens": -1, "eos_id": 1},
    "no context": {"context": 0},
    "no decode": {"stop": ["End"], "eos_id": 1},
    "nothing to fill with": {"stop": ["End"], "decode": str},
}


def decode(ids):
    return b"".join(PIECES[token] for token in ids).decode("utf-8", errors="replace")


def counting(ids):
    """Says that the next number follows, modulo 9."""
    return F.one_hot((ids + 1) % 9, num_classes=9).float()


def adding(ids):
    """Says that the sum of all tokens follows, modulo 7."""
    return F.one_hot(ids.cumsum(-1) % 7, num_classes=7).float()


def sums(prompt, count, context):
    """What `adding` writes if it sees the last `context` tokens."""
    text = list(prompt)
    for _ in range(count):
        text.append(sum(text[-context:]) % 7)
    return text[len(prompt) :]


class Script:
    """A model that says each row's tokens in turn; next to that it likes the token one above.

    It keeps the shape of every call.
    """

    def __init__(self, rows, prompt=2):
        self.rows, self.prompt, self.calls = torch.tensor(rows), prompt, []

    def __call__(self, ids):
        self.calls.append(tuple(ids.shape))
        token = self.rows[:, min(ids.shape[1] - self.prompt, self.rows.shape[1] - 1)]
        scores = 2 * F.one_hot(token, num_classes=8) + F.one_hot((token + 1) % 8, num_classes=8)
        others = F.one_hot(ids[:, :-1], num_classes=8)
        return torch.cat([others, scores[:, None]], dim=1).float()


class Probe(nn.Module):
    """A model that keeps how it was called, and raises a KeyError at the third call if asked."""

    def __init__(self, breaks=False):
        super().__init__()
        self.table, self.breaks, self.calls = nn.Parameter(normal(5, 5)), breaks, []

    def forward(self, ids):
        self.calls.append({"training": self.training, "gradients": torch.is_grad_enabled()})
        if self.breaks and len(self.calls) == 3:
            raise KeyError("broken")
        return self.table[ids]


def tiny_gpt2():
    """A random model that does not repeat itself at once."""
    from transformers.models.gpt2.modeling_gpt2 import GPT2Config, GPT2LMHeadModel

    sizes = {"vocab_size": 19, "n_positions": 40, "n_embd": 32, "n_layer": 2, "n_head": 2}
    ends = {"bos_token_id": None, "eos_token_id": None, "tie_word_embeddings": False}
    model = randomise(GPT2LMHeadModel(GPT2Config(**sizes, **ends)), seed=2).double().eval()
    model.requires_grad_(False).transformer.wte.weight *= 8
    for name, parameter in model.named_parameters():
        parameter *= 0.1 if name.endswith("bias") else 1.0
    return model


def test_appends_what_the_model_says(answer, device):
    ids = torch.tensor([[3, 4], [0, 1], [7, 7]], device=device)
    expected = torch.tensor([[5, 6, 7], [2, 3, 4], [8, 0, 1]], device=device)
    close(answer.generate(counting, ids, 3), expected, "batch new")


@pytest.mark.parametrize(("context", "visible"), [(None, 99), (1, 1), (4, 4), (12, 12)])
def test_model_sees_the_last_tokens(answer, context, visible):
    prompts = [[1, 2, 3, 5, 6, 4], [6, 0, 2, 4, 1, 1]]
    expected = [sums(prompt, 5, visible) for prompt in prompts]
    assert answer.generate(adding, torch.tensor(prompts), 5, context=context).tolist() == expected


@pytest.mark.parametrize("count", [0, 1, 4])
def test_model_is_called_once_for_each_token(answer, count):
    model = Script([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
    actual = answer.generate(model, torch.zeros(2, 2).long(), count)
    close(actual, model.rows[:, :count], "batch new")
    assert model.calls == [(2, 2 + i) for i in range(count)], "shapes of what the model saw"


@pytest.mark.parametrize(("pad_id", "fill"), [(0, 0), (None, END)])
def test_rows_end_after_eos(answer, pad_id, fill):
    model = Script([[1, END, 3, 4, 5, 6], [1, 2, 3, END, 5, 6], [END, 2, 3, 4, 5, 6]])
    expected = [[1, END, fill, fill], [1, 2, 3, END], [END, fill, fill, fill]]
    actual = answer.generate(model, torch.zeros(3, 2).long(), 6, eos_id=END, pad_id=pad_id)
    assert actual.tolist() == expected
    assert len(model.calls) == 4, "calls of the model"


def test_eos_in_the_prompt_ends_nothing(answer):
    model, ids = Script([[1, 2, 3], [3, END, 1]]), torch.tensor([[END, 1], [2, END]])
    expected = [[1, 2, 3], [3, END, 0]]
    assert answer.generate(model, ids, 3, eos_id=END, pad_id=0).tolist() == expected


@pytest.mark.parametrize(
    ("least", "expected"),
    [(0, [END]), (1, [0, END]), (2, [0, 0, 2, END]), (3, [0, 0, 2, END]), (6, [0, 0, 2, 0, 5, 0])],
)
def test_eos_waits_for_the_minimum(answer, least, expected):
    model, ids = Script([[END, END, 2, END, 5, END]]), torch.tensor([[3, 4]])
    actual = answer.generate(model, ids, 6, eos_id=END, min_new_tokens=least)
    assert actual.tolist() == [expected]


@pytest.mark.parametrize(("new", "stop", "length"), STOPPED.values(), ids=STOPPED)
def test_stop_strings_end_the_text(answer, new, stop, length):
    model, ids = Script([new]), torch.tensor([[2, 4]])  # "on E. "
    actual = answer.generate(model, ids, 6, stop=stop, decode=decode)
    assert actual.tolist() == [new[:length]]
    assert len(model.calls) == length, "calls of the model"


def test_stop_strings_end_their_own_row(answer):
    model = Script([[0, 1, 2, 3, 4, 5], [2, 3, 4, 4, 4, 4], [1, 0, 1, END, 0, 0]])
    expected = [[0, 1, 2, 3], [2, 3, 6, 6], [1, 0, 1, END]]
    ends = {"stop": ["End"], "decode": decode, "eos_id": END, "pad_id": 6, "min_new_tokens": 3}
    assert answer.generate(model, torch.zeros(3, 2).long(), 6, **ends).tolist() == expected


@pytest.mark.parametrize("context", [None, 2])
def test_penalties_see_the_whole_text(answer, context):
    # Tokens 0 to 8 are wanted in this order; each is written once, the prompt's not at all.
    wish = torch.arange(9.0, 0.0, -1.0)
    config = answer.SamplingConfig(temperature=0.0, no_repeat_ngram_size=1)
    ids = torch.tensor([[0, 2, 5], [4, 4, 1]])
    actual = answer.generate(
        lambda ids: wish.repeat(*ids.shape, 1), ids, 5, config, context=context
    )
    assert actual.tolist() == [[1, 3, 4, 6, 7], [0, 2, 3, 5, 6]]


def test_draws_from_the_given_generator(answer):
    table, ids, config = normal(30, 30), torch.tensor([[3, 4]]), answer.SamplingConfig(top_k=20)

    torch.manual_seed(1)  # the global generator, which has no part in it

    def written(seed):
        options = {"config": config, "generator": generator(seed)}
        return answer.generate(lambda ids: table[ids], ids, 20, **options).tolist()

    assert written(5) == written(5), "the same seed again"
    assert written(5) != written(6), "another seed gives the same text"


@pytest.mark.parametrize("training", [True, False])
def test_model_is_in_eval_mode_meanwhile(answer, training):
    model = Probe().train(training)
    answer.generate(model, torch.tensor([[1, 2]]), 3)
    assert [call["training"] for call in model.calls] == [False] * 3, "training, in each call"
    assert model.training == training, "training, afterwards"


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored_after_an_error(answer, training):
    model = Probe(breaks=True).train(training)
    with raises(KeyError, match="broken"):
        answer.generate(model, torch.tensor([[1, 2]]), 5)
    assert model.training == training, "training, after the error"


def test_no_gradients_are_recorded(answer):
    model = Probe()
    answer.generate(model, torch.tensor([[1, 2]]), 3)
    assert [call["gradients"] for call in model.calls] == [False] * 3, "gradients, in each call"


def test_inputs_are_not_modified(answer):
    table, ids = normal(1, 9, 5), torch.tensor([[1, 2]])
    answer.generate(lambda ids: table[:, : ids.shape[1]], ids, 4, eos_id=3, min_new_tokens=4)
    close(table, normal(1, 9, 5), "batch seq logit_of_the_model")
    assert ids.tolist() == [[1, 2]], "the prompt, afterwards"


@pytest.mark.parametrize("count", [0, 3])
def test_prompt_comes_back_when_asked_for(answer, count):
    ids = torch.tensor([[3, 4], [0, 1]])
    expected = torch.tensor([[3, 4, 5, 6, 7], [0, 1, 2, 3, 4]])[:, : 2 + count]
    close(answer.generate(counting, ids, count, return_prompt=True), expected, "batch text")


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_senseless_arguments_are_refused(answer, changes):
    arguments = {"model": counting, "ids": torch.tensor([[1, 2], [3, 4]]), "max_new_tokens": 5}
    with raises(ValueError):
        answer.generate(**(arguments | changes))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("settings", LIKE_TRANSFORMERS, ids=lambda settings: " ".join(settings))
def test_greedy_ids_equal_those_of_transformers(answer, settings):
    model, ids = tiny_gpt2(), torch.arange(12).view(3, 4) ** 2 % 11
    names = {"eos_token_id": "eos_id", "pad_token_id": "pad_id"}
    options = {names.get(name, name): value for name, value in settings.items()}
    penalties = {name: options.pop(name) for name in PENALTIES if name in options}
    expected = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=15, **settings
    )
    config = answer.SamplingConfig(temperature=0.0, **penalties)
    actual = answer.generate(lambda ids: model(ids).logits, ids, 15, config, **options)
    assert actual.tolist() == expected[:, 4:].tolist()


@pytest.mark.real
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("stop", "end"), [([], "can't find it.\""), (["ball. S", "?"], "red ball. She")]
)
def test_tells_the_published_story(answer, real, stop, end):
    folder = real.path("stories260K")
    from tokenizers import Tokenizer
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    from kata.show.weights import PROMPT, PUBLISHED

    expected = (PROMPT + PUBLISHED).partition(end)[0] + end
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model, ids = (
        LlamaForCausalLM.from_pretrained(folder),
        torch.tensor([tokenizer.encode(PROMPT).ids]),
    )
    options = {"stop": stop, "decode": tokenizer.decode, "context": 512, "return_prompt": True}
    text = answer.generate(lambda ids: model(ids).logits, ids, 127, **options)
    assert tokenizer.decode(text[0].tolist()) == expected
