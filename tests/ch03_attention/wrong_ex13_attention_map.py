import torch
from matplotlib.figure import Figure

from kata.wrong import wrong


def check(weights, tokens, query_tokens):
    """The right tokens of the queries, or the right error."""
    if weights.dim() != 3:
        raise ValueError("three axes")
    t_q, t_k = weights.shape[1:]
    if query_tokens is None:
        query_tokens = tokens[max(0, len(tokens) - t_q) :]
    if (len(query_tokens), len(tokens)) != (t_q, t_k):
        raise ValueError("tokens")
    return query_tokens


def one_line(token):
    return token.replace("\n", "\\n")


def draw(
    weights, tokens, query_tokens,
    *, figure=None, scale=(0, 1), first=0, label=one_line, x=0, parse_math=False, **image,
):  # fmt: skip
    """A right version with parts that can be replaced; `x` moves the ticks of the keys."""
    figure = figure or Figure()
    for head, picture in enumerate(weights.detach().float().cpu().numpy()):
        panel = figure.add_subplot(len(weights), 1, head + 1, title=f"head {head + first}")
        low, high = scale
        panel.imshow(picture, **{"vmin": low, "vmax": high, **image})
        ticks = [i + x for i in range(len(tokens))]
        panel.set_xticks(ticks, [label(t) for t in tokens], parse_math=parse_math)
        panel.set_yticks(
            range(len(query_tokens)), [label(t) for t in query_tokens], parse_math=parse_math
        )
    return figure


@wrong(
    caught_by=[
        "each_panel_shows_the_weights_of_its_head",
        "keys_are_labelled_from_left_to_right",
        "queries_are_labelled_from_top_to_bottom",
        "queries_are_the_last_tokens_unless_given",
        "a_label_shows_its_token_literally",
        "weights_that_require_a_gradient",
        "weights_of_any_dtype",
    ]
)
def attention_map__transposes_the_picture(weights, tokens, query_tokens=None):
    """The picture is transposed. `imshow` draws the first axis from top to bottom, and the first
    axis of the weights of a head are the queries."""
    queries = check(weights, tokens, query_tokens)
    return draw(weights.mT, queries, tokens)


@wrong(caught_by=["queries_are_labelled_from_top_to_bottom"])
def attention_map__draws_the_first_query_at_the_bottom(weights, tokens, query_tokens=None):
    """The picture is upside down: the first query has to be at the top, as `imshow` has it without
    `origin="lower"`."""
    return draw(weights, tokens, check(weights, tokens, query_tokens), origin="lower")


@wrong(
    caught_by=[
        "each_panel_shows_the_weights_of_its_head",
        "weights_that_require_a_gradient",
        "weights_of_any_dtype",
    ]
)
def attention_map__takes_a_softmax_over_the_queries(weights, tokens, query_tokens=None):
    """A softmax was taken over the queries. The weights are probabilities already: draw them as
    they are."""
    return draw(weights.softmax(-2), tokens, check(weights, tokens, query_tokens))


@wrong(
    caught_by=[
        "each_panel_shows_the_weights_of_its_head",
        "weights_that_require_a_gradient",
        "weights_of_any_dtype",
    ]
)
def attention_map__stretches_the_weights(weights, tokens, query_tokens=None):
    """The weights were divided by the largest one, so that panels cannot be compared. Draw them as
    they are, on a colour scale from 0 to 1."""
    return draw(weights / weights.amax(), tokens, check(weights, tokens, query_tokens))


@wrong(caught_by=["all_panels_share_the_scale_from_0_to_1"])
def attention_map__scales_each_panel_for_itself(weights, tokens, query_tokens=None):
    """Every panel got its own colour scale, so that equal colours do not mean equal weights. Give
    `imshow` both `vmin=0` and `vmax=1`."""
    return draw(weights, tokens, check(weights, tokens, query_tokens), scale=(None, None))


@wrong(
    caught_by=[
        "each_panel_shows_the_weights_of_its_head",
        "weights_that_require_a_gradient",
        "weights_of_any_dtype",
    ]
)
def attention_map__draws_the_first_head_in_every_panel(weights, tokens, query_tokens=None):
    """Every panel shows the same head."""
    return draw(weights[:1].expand_as(weights), tokens, check(weights, tokens, query_tokens))


@wrong(
    caught_by=[
        "each_panel_shows_the_weights_of_its_head",
        "there_is_one_titled_panel_per_head",
        "all_panels_share_the_scale_from_0_to_1",
        "a_label_shows_its_token_literally",
        "keys_are_labelled_from_left_to_right",
        "queries_are_labelled_from_top_to_bottom",
        "queries_are_the_last_tokens_unless_given",
        "weights_of_any_dtype",
        "weights_that_require_a_gradient",
    ]
)
def attention_map__averages_the_heads(weights, tokens, query_tokens=None):
    """The heads were averaged into one panel. Each has its own pattern and needs its own panel."""
    return draw(weights.mean(0, keepdim=True), tokens, check(weights, tokens, query_tokens))


@wrong(caught_by=["there_is_one_titled_panel_per_head"])
def attention_map__counts_heads_from_one(weights, tokens, query_tokens=None):
    """The titles count from 1. The first head is head 0."""
    return draw(weights, tokens, check(weights, tokens, query_tokens), first=1)


@wrong(crashes=["there_is_one_titled_panel_per_head"])
def attention_map__expects_several_heads(weights, tokens, query_tokens=None):
    """With one head `figure.subplots(...)` returns a single panel and no array of panels. Ask for
    `squeeze=False`."""
    queries = check(weights, tokens, query_tokens)
    figure = Figure()
    for panel in figure.subplots(1, len(weights)):
        panel.remove()
    return draw(weights, tokens, queries, figure=figure)


@wrong(caught_by=["keys_are_labelled_from_left_to_right"])
def attention_map__puts_labels_at_the_edges(weights, tokens, query_tokens=None):
    """The ticks are half a column off. `imshow` puts the middle of column i at i."""
    return draw(weights, tokens, check(weights, tokens, query_tokens), x=0.5)


@wrong(caught_by=["keys_are_labelled_from_left_to_right"])
def attention_map__labels_automatic_ticks(weights, tokens, query_tokens=None):
    """The tokens were put on the ticks that matplotlib had chosen, which are not 0, 1, 2 and so on.
    Set the ticks and the labels together."""
    queries = check(weights, tokens, query_tokens)
    figure = draw(weights, tokens, queries)
    for panel in figure.axes:
        panel.set_xticks(
            range(-1, len(tokens) - 1), [one_line(t) for t in tokens], parse_math=False
        )
    return figure


@wrong(
    caught_by=[
        "keys_are_labelled_from_left_to_right",
        "queries_are_labelled_from_top_to_bottom",
        "queries_are_the_last_tokens_unless_given",
        "a_label_shows_its_token_literally",
    ]
)
def attention_map__swaps_the_labels(weights, tokens, query_tokens=None):
    """The tokens of the queries stand at the columns, and those of the keys at the rows."""
    return draw(weights, check(weights, tokens, query_tokens), tokens)


@wrong(caught_by=["queries_are_labelled_from_top_to_bottom"])
def attention_map__ignores_query_tokens(weights, tokens, query_tokens=None):
    """`query_tokens` was not used: the rows have tokens of the keys."""
    check(weights, tokens, query_tokens)
    return draw(weights, tokens, tokens[-weights.shape[1] :])


@wrong(caught_by=["queries_are_the_last_tokens_unless_given", "a_label_shows_its_token_literally"])
def attention_map__labels_the_queries_from_the_first_token_on(weights, tokens, query_tokens=None):
    """With fewer queries than tokens, the queries are the last ones, not the first ones."""
    check(weights, tokens, query_tokens)
    return draw(weights, tokens, query_tokens or tokens[: weights.shape[1]])


@wrong(caught_by=["a_label_shows_its_token_literally"])
def attention_map__reads_formulas(weights, tokens, query_tokens=None):
    """Matplotlib takes what stands between two dollar signs for a formula. Switch that off
    (`parse_math=False`), or write each dollar sign as `\\$`."""
    return draw(weights, tokens, check(weights, tokens, query_tokens), parse_math=True)


@wrong(caught_by=["a_label_shows_its_token_literally"])
def attention_map__breaks_the_line_at_a_newline(weights, tokens, query_tokens=None):
    """A token with a newline became a label of two lines. Write it as a backslash and an n."""
    return draw(weights, tokens, check(weights, tokens, query_tokens), label=str)


@wrong(
    caught_by=[
        "keys_are_labelled_from_left_to_right",
        "queries_are_labelled_from_top_to_bottom",
        "queries_are_the_last_tokens_unless_given",
        "a_label_shows_its_token_literally",
    ]
)
def attention_map__strips_the_spaces(weights, tokens, query_tokens=None):
    """Leading spaces were taken away. They are a part of the token."""
    queries = check(weights, tokens, query_tokens)
    return draw(weights, tokens, queries, label=lambda token: one_line(token).strip(" "))


@wrong(
    caught_by=[
        "keys_are_labelled_from_left_to_right",
        "queries_are_labelled_from_top_to_bottom",
        "queries_are_the_last_tokens_unless_given",
        "a_label_shows_its_token_literally",
    ]
)
def attention_map__shows_the_repr(weights, tokens, query_tokens=None):
    """The labels are Python literals, with quotes around the token."""
    return draw(weights, tokens, check(weights, tokens, query_tokens), label=repr)


@wrong(crashes=["weights_that_require_a_gradient"])
def attention_map__forgets_to_detach(weights, tokens, query_tokens=None):
    """A tensor that requires a gradient cannot become an array: `detach()` it first."""
    queries = check(weights, tokens, query_tokens)
    weights.float().cpu().numpy()
    return draw(weights, tokens, queries)


@wrong(crashes=["weights_of_any_dtype"])
def attention_map__forgets_that_numpy_has_no_bfloat16(weights, tokens, query_tokens=None):
    """numpy has no bfloat16: convert the weights with `float()` first."""
    queries = check(weights, tokens, query_tokens)
    weights.detach().cpu().numpy()
    return draw(weights, tokens, queries)


@wrong(
    caught_by=[
        "each_panel_shows_the_weights_of_its_head",
        "weights_that_require_a_gradient",
        "weights_of_any_dtype",
    ]
)
def attention_map__rounds_to_bytes(weights, tokens, query_tokens=None):
    """The weights were rounded to 256 grey levels. Draw them as they are: `imshow` chooses the
    colours."""
    queries = check(weights, tokens, query_tokens)
    return draw((weights * 255).to(torch.uint8) / 255, tokens, queries)


@wrong(caught_by=["the_figure_belongs_to_no_window"])
def attention_map__goes_through_pyplot(weights, tokens, query_tokens=None):
    """The figure was made by `pyplot`, which keeps it in memory for good and may open a window. Use
    `matplotlib.figure.Figure(...)`."""
    import matplotlib.pyplot as plt

    queries = check(weights, tokens, query_tokens)
    plt.switch_backend("agg")
    plt.close("all")
    return draw(weights, tokens, queries, figure=plt.figure())


@wrong(caught_by=["weights_and_tokens_are_not_modified"])
def attention_map__changes_the_tokens(weights, tokens, query_tokens=None):
    """The caller's list of tokens was changed. Make a new one."""
    queries = [one_line(token) for token in check(weights, tokens, query_tokens)]
    for i, token in enumerate(tokens):
        tokens[i] = one_line(token)
    return draw(weights, tokens, queries)


@wrong(caught_by=["weights_and_tokens_are_not_modified"])
def attention_map__clears_small_weights(weights, tokens, query_tokens=None):
    """The caller's weights were changed: small ones were set to 0, to make the picture clearer."""
    queries = check(weights, tokens, query_tokens)
    figure = draw(weights, tokens, queries)
    with torch.no_grad():
        weights[weights < 0.2] = 0.0
    return figure


@wrong(caught_by=["what_does_not_fit_is_an_error"])
def attention_map__accepts_what_does_not_fit(weights, tokens, query_tokens=None):
    """Tokens and weights that do not fit together were drawn all the same. The docstring asks for a
    ValueError."""
    weights = weights.flatten(0, -3) if weights.dim() > 3 else weights
    weights = weights if weights.dim() == 3 else weights[None]
    return draw(weights, tokens, query_tokens or tokens[-weights.shape[1] :])
