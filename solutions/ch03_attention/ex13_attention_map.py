"""3.13 Attention maps   [easy, ~20 min]

The weights of an attention head say where each token looked, and a picture says it best: a row per
query, a column per key. Many heads have a pattern that can be read off (the token before, the first
token, the last time this word occurred), and mistakes in a mask can be seen at once. `kata show 3`
draws the heads of a real model with your function.

Source: Vaswani et al. (2017), https://arxiv.org/abs/1706.03762, figures 3 to 5; Clark et al.
(2019), What Does BERT Look At?, https://arxiv.org/abs/1906.04341, figure 1;
https://matplotlib.org/stable/api/figure_api.html.
"""

from collections.abc import Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor


def attention_map(
    weights: Float[Tensor, "n_heads t_q t_k"],
    tokens: Sequence[str],
    query_tokens: Sequence[str] | None = None,
) -> Figure:
    r"""Draw the attention weights of each head as a picture, one panel per head.

    The panels stand in `figure.axes` in the order of the heads, titled "head 0", "head 1" and so
    on; the only other axes may be those of colour bars. A panel has one image, made by `imshow`
    from the weights as they are: keys from left to right, queries from top to bottom. All share
    one colour scale, from 0 to 1, so that they can be compared.

    Every row and column has a tick with its token as the label. A label shows the token exactly as
    it is: leading spaces are kept, dollar signs are dollar signs (matplotlib would set `$x$` as a
    formula), and only a newline is written as the two characters `\n`.

    Args:
        weights: of any floating-point dtype, on any device, with or without gradient.
        tokens: the token of each key; neither it nor `weights` is modified.
        query_tokens: the token of each query; the last `t_q` of `tokens` unless given.

    Returns:
        A new `matplotlib.figure.Figure`, made without `pyplot`, which would open a window and keep
        every figure in memory.

    Raises:
        ValueError: `weights` does not have three axes, or there is not one token per row and
            column.

    >>> import torch
    >>> figure = attention_map(torch.eye(2)[None], ["a", "b"])
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['a', 'b']
    """
    # solution
    if weights.dim() != 3:
        raise ValueError(f"expected weights of (heads, queries, keys), got {tuple(weights.shape)}")
    n_heads, t_q, t_k = weights.shape
    if query_tokens is None:
        query_tokens = tokens[max(0, len(tokens) - t_q) :]
    if (len(query_tokens), len(tokens)) != (t_q, t_k):
        got = f"{len(query_tokens)} and {len(tokens)} tokens"
        raise ValueError(f"{got} for {t_q} queries and {t_k} keys")
    rows = round(n_heads**0.5)
    columns = -(-n_heads // rows)
    size = 0.8 + 0.17 * t_k, 0.8 + 0.17 * t_q  # of a panel in inches: room for each label
    figure = Figure(figsize=(columns * size[0] + 0.6, rows * size[1]), layout="constrained")
    pictures = weights.detach().float().cpu().numpy()  # numpy has no bfloat16
    for head in range(n_heads):
        panel = figure.add_subplot(rows, columns, head + 1, title=f"head {head}")
        image = panel.imshow(pictures[head], vmin=0, vmax=1, cmap="Blues")
        style = {"parse_math": False, "fontsize": 8}
        panel.set_xticks(range(t_k), [one_line(t) for t in tokens], rotation=90, **style)
        panel.tick_params(length=0)
        panel.set_yticks(range(t_q), [one_line(t) for t in query_tokens], **style)
    figure.colorbar(image, ax=figure.axes, label="weight", shrink=0.5)
    return figure


# solution
def one_line(token: str) -> str:
    """Write a token as a label of one line."""
    return token.replace("\n", "\\n")
