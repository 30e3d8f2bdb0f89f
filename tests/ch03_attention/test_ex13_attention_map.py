import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal

KEYS = ["The", " cat", " sat", " on", " it"]
QUERIES = ["Il", " s'assit", "!"]


def weights_of(n_heads=2, t_q=3, t_k=5):
    return normal(n_heads, t_q, t_k).softmax(-1)


def panels(figure, n_heads=2):
    found = [axes for axes in figure.axes if axes.images]  # a colour bar has no image
    assert len(found) == n_heads, "the number of panels with an image"
    return found


def data(panel):
    return torch.tensor(panel.images[0].get_array().tolist())


def shown(labels):
    """What a reader sees. A pair of dollar signs makes a formula, unless told otherwise."""
    return [as_shown(label.get_text(), label.get_parse_math()) for label in labels]


def as_shown(text, parse_math):
    from matplotlib.cbook import is_math_text

    if parse_math and is_math_text(text):
        return f"formula {text}"
    return text.replace(r"\$", "$") if parse_math else text


@pytest.mark.parametrize("head", [0, 1, 2])
def test_each_panel_shows_the_weights_of_its_head(answer, device, head):
    expected = weights_of(3)[head]
    figure = answer.attention_map(weights_of(3).to(device), KEYS)
    close(data(panels(figure, 3)[head]), expected, "query key")


@pytest.mark.parametrize("n_heads", [1, 2, 7])
def test_there_is_one_titled_panel_per_head(answer, n_heads):
    figure = answer.attention_map(weights_of(n_heads), KEYS)
    titles = [panel.get_title() for panel in panels(figure, n_heads)]
    assert titles == [f"head {i}" for i in range(n_heads)]


def test_keys_are_labelled_from_left_to_right(answer):
    panel = panels(answer.attention_map(weights_of(), KEYS, QUERIES))[1]
    assert list(map(float, panel.get_xticks())) == [0, 1, 2, 3, 4], "the ticks of the columns"
    assert shown(panel.get_xticklabels()) == KEYS


def test_queries_are_labelled_from_top_to_bottom(answer):
    panel = panels(answer.attention_map(weights_of(), KEYS, QUERIES))[1]
    bottom, top = panel.get_ylim()
    first = "top" if bottom > top else "bottom"
    assert first == "top", "where the first query is"
    assert list(map(float, panel.get_yticks())) == [0, 1, 2], "the ticks of the rows"
    assert shown(panel.get_yticklabels()) == QUERIES


def test_queries_are_the_last_tokens_unless_given(answer):
    panel = panels(answer.attention_map(weights_of(), KEYS))[0]
    assert shown(panel.get_yticklabels()) == [" sat", " on", " it"]


def test_all_panels_share_the_scale_from_0_to_1(answer):
    figure = answer.attention_map(weights_of() * 0.5, KEYS)
    scales = [panel.images[0].get_clim() for panel in panels(figure)]
    assert scales == [(0, 1), (0, 1)], "the colour scale of each panel"


@pytest.mark.parametrize("token", ["$x$", "costs $5 or $6", "$", "\n", " a\n\n", "   ", "_^{"])
def test_a_label_shows_its_token_literally(answer, token):
    expected = token.replace("\n", "\\n")
    panel = panels(answer.attention_map(weights_of(2, 3, 4), [token, "a", "b", token]))[0]
    assert shown(panel.get_xticklabels()) == [expected, "a", "b", expected]
    assert shown(panel.get_yticklabels()) == ["a", "b", expected]


def test_weights_that_require_a_gradient(answer):
    figure = answer.attention_map(weights_of().requires_grad_(), KEYS)
    close(data(panels(figure)[1]), weights_of()[1], "query key")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_weights_of_any_dtype(answer, dtype):
    figure = answer.attention_map(weights_of().to(dtype), KEYS)
    close(data(panels(figure)[1]), weights_of()[1].to(dtype).float(), "query key")


def test_the_figure_belongs_to_no_window(answer):
    figure = answer.attention_map(weights_of(), KEYS)
    keeper = "pyplot" if figure.canvas.manager else "nobody"
    assert keeper == "nobody", "who keeps the figure in memory"


def test_weights_and_tokens_are_not_modified(answer):
    weights, tokens = weights_of(), ["a\n", "$b$", " c", "d", "e"]
    answer.attention_map(weights, tokens)
    close(weights, weights_of(), "head query key")
    assert tokens == ["a\n", "$b$", " c", "d", "e"]


@pytest.mark.parametrize(
    ("shape", "tokens", "query_tokens"),
    [
        ((3, 5), KEYS, None),
        ((2, 2, 3, 5), KEYS, None),
        ((2, 3, 5), KEYS[:4], None),
        ((2, 3, 5), [*KEYS, "?"], None),
        ((2, 3, 5), KEYS, QUERIES[:2]),
        ((2, 3, 5), KEYS, KEYS),
        ((2, 6, 5), KEYS, None),
    ],
    ids=str,
)
def test_what_does_not_fit_is_an_error(answer, shape, tokens, query_tokens):
    with raises(ValueError):
        answer.attention_map(normal(*shape).softmax(-1), tokens, query_tokens)
