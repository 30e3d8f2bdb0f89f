import torch

from kata.wrong import wrong
from solutions.ch03_attention.ex03_split_heads import split_heads


def checked(x, n_heads):
    """The size of a head."""
    if x.shape[-1] % n_heads:
        raise ValueError(f"{n_heads} heads do not divide {x.shape[-1]}")
    return x.shape[-1] // n_heads


@wrong(
    caught_by=[
        "splits_two_tokens_by_hand",
        "each_head_holds_its_piece_of_the_features",
        "merging_undoes_splitting",
        "other_tokens_do_not_change_a_token",
        "gradient_finds_its_way_back",
        "keeps_the_dtype",
    ]
)
def split_heads__views_without_a_transpose(x, n_heads):
    """`view` or `reshape` went straight to the final shape. That cuts the numbers as they lie in
    memory, so heads mix tokens, later ones too. View as (..., seq, n_heads, head_dim) first, then
    transpose."""
    head_dim = checked(x, n_heads)
    return x.reshape(*x.shape[:-2], n_heads, x.shape[-2], head_dim)


@wrong(
    caught_by=[
        "splits_two_tokens_by_hand",
        "each_head_holds_its_piece_of_the_features",
        "merging_undoes_splitting",
        "other_tokens_do_not_change_a_token",
        "gradient_finds_its_way_back",
        "keeps_the_dtype",
        "stays_on_the_device_of_the_input",
    ]
)
def split_heads__leaves_the_tokens_first(x, n_heads):
    """The heads were cut but left behind the tokens: (..., seq, n_heads, head_dim). They come
    before them."""
    return x.unflatten(-1, (n_heads, checked(x, n_heads)))


@wrong(
    caught_by=[
        "splits_two_tokens_by_hand",
        "each_head_holds_its_piece_of_the_features",
        "merging_undoes_splitting",
        "gradient_finds_its_way_back",
        "keeps_the_dtype",
    ]
)
def split_heads__interleaves_the_heads(x, n_heads):
    """Head h got every `n_heads`-th feature. It gets one piece of neighbouring features: in the
    view, the axis of the heads comes before head_dim."""
    return x.unflatten(-1, (checked(x, n_heads), n_heads)).movedim(-1, -3)


@wrong(
    caught_by=[
        "splits_two_tokens_by_hand",
        "each_head_holds_its_piece_of_the_features",
        "stays_on_the_device_of_the_input",
    ]
)
def split_heads__takes_head_dim_for_n_heads(x, n_heads):
    """`n_heads` was used as the size of a head. It is their number."""
    checked(x, n_heads)
    return x.unflatten(-1, (-1, n_heads)).transpose(-3, -2)


@wrong(crashes=["each_head_holds_its_piece_of_the_features"])
def split_heads__wants_one_leading_axis(x, n_heads):
    """Only (batch, seq, d_model) was provided for. Any number of leading axes is allowed: count
    the axes from the end."""
    batch, seq, _ = x.shape
    return x.reshape(batch, seq, n_heads, checked(x, n_heads)).transpose(1, 2)


@wrong(caught_by=["heads_of_unequal_size_are_refused"])
def split_heads__drops_what_is_left_over(x, n_heads):
    """When `n_heads` does not divide d_model the features that were left over disappeared. The
    docstring asks for a ValueError."""
    return split_heads(x[..., : x.shape[-1] // n_heads * n_heads], n_heads)


@wrong(
    caught_by=["splits_two_tokens_by_hand", "keeps_the_dtype"],
    crashes=["stays_on_the_device_of_the_input"],
)
def split_heads__fills_a_new_tensor(x, n_heads):
    """The heads were written into a new `torch.zeros(...)`, which is float32 and on the CPU
    whatever `x` is."""
    size = checked(x, n_heads)
    result = torch.zeros(*x.shape[:-2], n_heads, x.shape[-2], size)
    for h in range(n_heads):
        result[..., h, :, :] = x[..., h * size : (h + 1) * size]
    return result


@wrong(
    caught_by=[
        "merges_two_tokens_by_hand",
        "merging_puts_the_heads_side_by_side",
        "merging_undoes_splitting",
        "gradient_finds_its_way_back",
        "keeps_the_dtype",
    ]
)
def merge_heads__reshapes_without_a_transpose(x):
    """`reshape` went straight to the final shape, without bringing the heads of a token together
    first: transpose heads and tokens back before."""
    *leading, n_heads, seq, head_dim = x.shape
    return x.reshape(*leading, seq, n_heads * head_dim)


@wrong(crashes=["merges_two_tokens_by_hand", "merging_puts_the_heads_side_by_side"])
def merge_heads__views_after_the_transpose(x):
    """A transposed tensor does not lie in memory in the order of its axes, and `view` cannot merge
    them: use `reshape`, `flatten` or `contiguous()`."""
    *leading, n_heads, seq, head_dim = x.shape
    return x.transpose(-3, -2).view(*leading, seq, n_heads * head_dim)


@wrong(
    caught_by=[
        "merges_two_tokens_by_hand",
        "merging_puts_the_heads_side_by_side",
        "merging_undoes_splitting",
        "gradient_finds_its_way_back",
        "keeps_the_dtype",
    ]
)
def merge_heads__interleaves_the_heads(x):
    """The features of the heads were shuffled like cards. All features of head 0 come first, then
    all of head 1: in the transposed tensor, head_dim is the last axis."""
    return x.movedim(-3, -1).flatten(-2)


@wrong(
    caught_by=[
        "merges_two_tokens_by_hand",
        "merging_puts_the_heads_side_by_side",
        "merging_undoes_splitting",
        "gradient_finds_its_way_back",
        "keeps_the_dtype",
        "stays_on_the_device_of_the_input",
    ]
)
def merge_heads__adds_the_heads(x):
    """The heads were added up. They go side by side, so that d_model is n_heads * head_dim."""
    return x.sum(-3)


@wrong(crashes=["gradient_finds_its_way_back"])
def merge_heads__copies_the_numbers_out(x):
    """The result is a new tensor without a history: no gradient comes back through it (`.detach()`,
    `.data`, `no_grad`, `torch.tensor(x)`)."""
    return x.detach().transpose(-3, -2).flatten(-2)
