import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kata.check import close, raises
from kata.tensors import normal

PIECES = ["the ", "cat ", "The ", "a", "b", "ab", " ", "\n"]
END = 7
CERTAIN = 1 - math.log(math.e + 7)  # of a token that `Script` writes
# One of each kind, and one twice.
SETTINGS = [
    ("greedy", {}),
    ("temperature", {"temperature": 1.5}),
    ("top_k", {"k": 3, "temperature": 2.0}),
    ("top_p", {"p": 0.5}),
    ("temperature", {"temperature": 1.5}),
    ("min_p", {}),
    ("typical", {"p": 0.6}),
    ("repetition_penalty", {"penalty": 2.0}),
    ("beam", {"beams": 2, "length_penalty": 0.5}),
]
# Probabilities .4 .3 .2 .1 and the text 0 1: setting, and what becomes of the three likeliest.
NEXT = [
    ("temperature", {}, [0.4, 0.3, 0.2]),
    ("greedy", {}, [1.0, 0.0, 0.0]),
    ("temperature", {"temperature": 0.5}, [0.16 / 0.3, 0.09 / 0.3, 0.04 / 0.3]),
    ("top_k", {"k": 2}, [4 / 7, 3 / 7, 0.0]),
    ("top_p", {"p": 0.8}, [4 / 9, 3 / 9, 2 / 9]),
    ("min_p", {"p": 0.7}, [4 / 7, 3 / 7, 0.0]),
    ("top_p", {"p": 0.5, "temperature": 0.5}, [1.0, 0.0, 0.0]),
]


def longest_first(text):
    """The ids of a text, each the longest piece that the rest begins with."""
    if not text:
        return []
    piece = max((piece for piece in PIECES if text.startswith(piece)), key=len)
    return [PIECES.index(piece), *longest_first(text[len(piece) :])]


class Words:
    """A tokenizer; what it decodes, it may encode in another way."""

    encode = staticmethod(longest_first)

    def decode(self, ids):
        return "".join(PIECES[token] for token in ids)


WORDS = Words()


class Adding(nn.Module):
    """A model that looks at the sum of all tokens; it keeps how it was called."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.table, self.calls = nn.Parameter(2 * normal(8, 8).to(dtype)), []

    def forward(self, ids):
        state = {"training": self.training, "gradients": torch.is_grad_enabled()}
        self.calls.append(state | {"length": ids.shape[1]})
        return self.table[ids.cumsum(-1) % 8]


class Script:
    """A model that writes these ids one after the other, behind a prompt of one id."""

    def __init__(self, ids):
        self.ids, self.calls = torch.tensor(ids), 0

    def __call__(self, ids):
        self.calls += 1
        steps = torch.arange(ids.shape[1]).clamp(max=len(self.ids) - 1)
        return F.one_hot(self.ids[steps], num_classes=8).float()[None]


def compare(module, model, settings, **options):
    options = {"max_new_tokens": 12, "seed": 3} | options
    return module.compare_strategies(model, WORDS, "The cat ", settings, **options)


def rounded(rows):
    """The rows with four digits of their numbers."""
    if not isinstance(rows, list):
        return rows
    return [
        {name: round(x, 4) if isinstance(x, float) else x for name, x in row.items()}
        for row in rows
    ]


def tensor(number):
    return torch.tensor(number) if isinstance(number, float) else number


def says(probs, device="cpu"):
    """A model that always says this."""
    return lambda ids: torch.tensor(probs, device=device).log().repeat(*ids.shape, 1)


def bars(figure):
    """The bars of each setting by its name: where they stand, as (left, right, height)."""
    groups = figure.axes[0].containers
    boxes = {str(group.get_label()): [bar.get_bbox() for bar in group] for group in groups}
    return {
        name: [(float(b.x0), float(b.x1), float(b.height)) for b in group]
        for name, group in boxes.items()
    }


# ------------------------------------------------------------------------------ mean_log_prob


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_log_probs_are_those_of_the_next_ids(answer, device, dtype):
    model, text = Adding(dtype), [1, 2, 3, 5, 6, 4, 3]
    logits = model(torch.tensor([text]))[0, 2:-1].detach().float()
    expected = -F.cross_entropy(logits, torch.tensor(text[3:]))
    actual = answer.mean_log_prob(model.to(device), text[:3], text[3:])
    close(tensor(actual), expected)


def test_log_probs_see_the_context_only(answer):
    model, text = Adding(), [1, 2, 3, 5, 6, 4, 3]
    seen = [
        model(torch.tensor([text[max(0, i - 4) : i]]))[0, -1].log_softmax(-1) for i in (3, 4, 5, 6)
    ]
    expected = torch.stack([row[i] for row, i in zip(seen, text[3:], strict=True)]).detach().mean()
    close(tensor(answer.mean_log_prob(model, text[:3], text[3:], context=4)), expected)


@pytest.mark.parametrize("training", [True, False])
def test_models_are_left_as_they_were(answer, training):
    model = Adding().train(training)
    answer.mean_log_prob(model, [1, 2], [3, 4])
    answer.next_token_distribution(model, [1, 2], [("greedy", {})], top=3)
    inside = {name: any(call[name] for call in model.calls) for name in ("training", "gradients")}
    assert inside == {"training": False, "gradients": False}, "in any call of the model"
    after = {"training": model.training, "gradients": torch.is_grad_enabled()}
    assert after == {"training": training, "gradients": True}, "afterwards"


# ------------------------------------------------------------------------- compare_strategies


def test_a_row_by_hand(answer):
    model = Script([1, 2, 0, 1, END])
    rows = answer.compare_strategies(model, WORDS, "the ", [("greedy", {})], eos_id=END)
    row = {"name": "greedy", "settings": {}, "text": "cat The the cat ", "distinct": 0.75}
    assert rounded(rows) == rounded([row | {"log_prob": CERTAIN}])


def test_rows_say_all_their_settings(answer):
    settings = [("top_k", {"k": 2}), ("greedy", {}), ("top_k", {"temperature": 0.5})]
    rows = compare(answer, Adding(), settings)
    assert [row["name"] for row in rows] == ["top_k", "greedy", "top_k"]
    full = [{"k": 2, "temperature": 1.0}, {}, {"k": 40, "temperature": 0.5}]
    assert [row["settings"] for row in rows] == full


def test_every_row_has_the_same_luck(answer):
    alone = [compare(answer, Adding(), [setting])[0]["text"] for setting in SETTINGS]
    torch.manual_seed(1)
    assert [row["text"] for row in compare(answer, Adding(), SETTINGS)] == alone


@pytest.mark.parametrize("options", [{}, {"seed": 8}, {"eos_id": END}, {"context": 3}], ids=str)
def test_rows_equal_those_of_the_reference(answer, reference, options):
    expected = rounded(compare(reference, Adding(), SETTINGS, **options))
    assert rounded(compare(answer, Adding(), SETTINGS, **options)) == expected


def test_log_probs_are_those_of_the_written_ids(answer):
    model = Script([3, 4, 3])  # "a", "b", "a", of which the tokenizer would make "ab", "a"
    rows = answer.compare_strategies(model, WORDS, "the ", [("greedy", {})], max_new_tokens=3)
    row = {"name": "greedy", "settings": {}, "text": "aba", "distinct": 1.0}
    assert rounded(rows) == rounded([row | {"log_prob": CERTAIN}])


@pytest.mark.parametrize(
    ("ids", "text", "log_prob"), [([END], "", None), ([6, 6, END], "  ", CERTAIN)]
)
def test_a_text_without_words(answer, ids, text, log_prob):
    rows = answer.compare_strategies(Script(ids), WORDS, "the ", [("greedy", {})], eos_id=END)
    row = {"name": "greedy", "settings": {}, "text": text, "distinct": None}
    assert rounded(rows) == rounded([row | {"log_prob": log_prob}])


@pytest.mark.parametrize("bad", [("top-p", {}), ("greedy", {"k": 3})], ids=str)
def test_all_settings_are_checked_first(answer, bad):
    model = Script([1])
    with raises(ValueError):
        answer.compare_strategies(model, WORDS, "the ", [("temperature", {}), bad])
    assert model.calls == 0, "calls of the model"


# -------------------------------------------------------------------- next_token_distribution


@pytest.mark.parametrize(("strategy", "params", "expected"), NEXT)
def test_next_token_by_hand(answer, device, strategy, params, expected):
    model = nn.Module()
    model.probs = nn.Parameter(torch.tensor([0.1, 0.4, 0.2, 0.3]))
    model.forward = lambda ids: model.probs.log().repeat(*ids.shape, 1)
    ids, probs = answer.next_token_distribution(
        model.to(device), [0, 1], [(strategy, params)], top=3
    )
    close(ids, torch.tensor([1, 3, 2]), "top")
    close(probs, torch.tensor([expected]), "setting top")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_next_token_of_every_setting(answer, reference, dtype):
    model, settings = Adding(dtype), SETTINGS[:-1]
    expected = reference.next_token_distribution(model, [1, 2, 3], settings, top=5)
    ids, probs = answer.next_token_distribution(model, [1, 2, 3], settings, top=5)
    close(ids, expected[0], "top")
    close(probs, expected[1], "setting top")


def test_penalties_see_all_and_the_model_the_context(answer):
    model, settings = Adding(), [("repetition_penalty", {"penalty": 1e9, "temperature": 0.01})]
    model.table.data = torch.arange(8.0, 0.0, -1.0).repeat(8, 1)
    probs = answer.next_token_distribution(model, [0, 1, 2, 4], settings, top=5, context=2)[1]
    close(probs, torch.tensor([[0.0, 0.0, 0.0, 1.0, 0.0]]), "setting top")
    assert [call["length"] for call in model.calls] == [2], "ids that the model saw"


def test_there_may_be_fewer_tokens_than_asked_for(answer):
    ids, probs = answer.next_token_distribution(says([0.25, 0.75]), [1], [("temperature", {})])
    close(ids, torch.tensor([1, 0]), "top")
    close(probs, torch.tensor([[0.75, 0.25]]), "setting top")


def test_beam_search_has_no_next_token(answer):
    with raises(ValueError):
        answer.next_token_distribution(Adding(), [1], [("greedy", {}), ("beam", {})])


# ----------------------------------------------------------------------------- plot_next_token


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_each_setting_has_its_bars(answer, dtype):
    probs = torch.tensor([[0.5, 0.25, 0.125], [0.75, 0.25, 0.0]], dtype=dtype)
    found = bars(answer.plot_next_token([" the", "a", "a"], probs, ["all", "k=2"]))
    assert {name: [height for *_, height in found[name]] for name in found} == {
        "all": [0.5, 0.25, 0.125],
        "k=2": [0.75, 0.25, 0.0],
    }


@pytest.mark.parametrize("count", [1, 2, 5])
def test_bars_stand_side_by_side(answer, count):
    names = [f"setting {i}" for i in range(count)]
    found = bars(answer.plot_next_token(["a", "b", "a"], normal(count, 3).softmax(-1), names))
    row = [(f"{name} of token {i}", *found[name][i]) for i in range(3) for name in names]
    in_order = [bar[0] for bar in sorted(row, key=lambda bar: round(bar[1], 6))]
    assert in_order == [bar[0] for bar in row], "the bars from left to right"
    overlaps = [f"{x[0]} and {y[0]}" for x, y in pairwise(row) if x[2] > y[1] + 1e-6]
    assert overlaps == [], "bars that overlap"
    shifts = [(found[names[0]][i][0] + found[names[-1]][i][1]) / 2 - i for i in range(3)]
    sides = ["around" if abs(x) < 0.1 else "left of" if x < 0 else "right of" for x in shifts]
    assert sides == ["around"] * 3, "where the bars of each token stand, seen from its tick"


def test_ticks_show_the_tokens_literally(answer):
    tokens = [" the", "\n", "$x$", "'"]
    axes = answer.plot_next_token(tokens, normal(2, 4).softmax(-1), ["a", "b"]).axes[0]
    assert axes.get_xticks().tolist() == [0, 1, 2, 3]
    assert [label.get_text() for label in axes.get_xticklabels()] == [repr(t) for t in tokens]
    formulas = [label.get_text() for label in axes.get_xticklabels() if label.get_parse_math()]
    assert formulas == [], "labels that matplotlib reads as formulas"


def test_the_picture_explains_itself(answer):
    from matplotlib.legend import Legend

    figure = answer.plot_next_token(["a", "b"], normal(3, 2).softmax(-1), ["x", "y", "z"])
    axes = figure.axes[0]
    legend = [text.get_text() for box in axes.findobj(Legend) for text in box.get_texts()]
    assert legend == ["x", "y", "z"], "the names in the legend"
    assert axes.get_ylabel() == "probability"
    assert float(axes.get_ylim()[0]) == 0, "where the vertical axis begins"
    made_by = "pyplot" if figure.canvas.manager else "matplotlib.figure.Figure"
    assert made_by == "matplotlib.figure.Figure", "what made the figure"


@pytest.mark.parametrize("shape", [(3, 2), (2, 2), (3, 3), (6,)], ids=str)
def test_each_bar_needs_a_name_and_a_token(answer, shape):
    with raises(ValueError):
        answer.plot_next_token(["a", "b", "c"], torch.full(shape, 0.25), ["x", "y"])
