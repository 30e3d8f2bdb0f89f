"""4.10 Who looks at whom?   [medium, ~30 min]

A decoder must not see the future: one wrong mask, and a model learns to copy the answer. Whether it
looks ahead can be measured from outside, without knowing anything about its inside: change one
token and see which outputs move. The same experiment tells encoders from decoders, and whether a
decoder reads its source. It needs care with what is changed: the norms of a model remove a constant
that is added to a whole vector, and a factor as well.

Source: Vaswani et al. (2017), Attention Is All You Need, https://arxiv.org/abs/1706.03762,
section 3.2.3.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

Forward = Callable[..., Float[Tensor, "batch t_out features"]]


@torch.no_grad()
def influence(
    forward: Forward, *inputs: Float[Tensor, "batch t_in d_model"], which: int = 0
) -> Bool[Tensor, "t_out t_in"]:
    """Return which outputs depend on which tokens of `inputs[which]`.

    Entry (i, j) is True if output i moves when standard normal noise is added to token j and to no
    other: if in any text of the batch any feature of it moves by more than 1e-5. What is smaller is
    rounding. The noise goes to all texts at once. The result is on the device of the outputs.

    Args:
        forward: any function that takes `inputs`, texts of one vector (an embedding) per token, and
            returns one vector per output. If it is an `nn.Module` it is called in eval mode, and
            afterwards each of its modules has the mode (`training`) again that it had before.
        inputs: what `forward` is given, zeros perhaps. They are not modified.
        which: the input whose tokens are changed.

    Raises:
        ValueError: two calls with the same inputs differ in any output, as with dropout.

    >>> influence(lambda x: x.cumsum(dim=1), torch.zeros(2, 3, 5))
    tensor([[ True, False, False],
            [ True,  True, False],
            [ True,  True,  True]])
    """
    # solution
    before = call_in_eval_mode(forward, *inputs)
    if not torch.equal(call_in_eval_mode(forward, *inputs), before):
        raise ValueError("two calls with the same inputs differ: is there dropout?")
    columns, rng = [], torch.Generator().manual_seed(0)
    for j in range(inputs[which].shape[1]):
        changed = inputs[which].clone()
        changed[:, j] += torch.randn(changed[:, j].shape, generator=rng).to(changed)
        after = call_in_eval_mode(forward, *inputs[:which], changed, *inputs[which + 1 :])
        columns.append(((after - before).abs() > 1e-5).any(dim=-1).any(dim=0))  # (t_out,)
    return torch.stack(columns, dim=-1)


def attention_kind(forward: Forward, *inputs: Float[Tensor, "batch seq d_model"]) -> str:
    """Say how the outputs of `forward` depend on the tokens of its first input.

    Returns:
        "none": no output depends on any token but the one at its own place, if at all.
        "causal": some output depends on an earlier token, and none on a later one.
        "anti-causal": some output depends on a later token, and none on an earlier one.
        "bidirectional": there are dependences of both sorts, be they few.

    Raises:
        ValueError: there are not as many outputs as tokens.

    >>> attention_kind(lambda x: x + x.mean(dim=1, keepdim=True), torch.zeros(2, 3, 5))
    'bidirectional'
    """
    # solution
    depends = influence(forward, *inputs)
    t_out, t_in = depends.shape
    if t_out != t_in:
        raise ValueError(f"{t_out} outputs for {t_in} tokens")
    looks_back, looks_ahead = depends.tril(-1).any(), depends.triu(1).any()
    if looks_back and looks_ahead:
        return "bidirectional"
    return "causal" if looks_back else "anti-causal" if looks_ahead else "none"


def has_cross_attention(
    forward: Forward,
    x: Float[Tensor, "batch t_q d_model"],
    source: Float[Tensor, "batch t_k d_source"],
) -> bool:
    """Return whether any output of `forward(x, source)` depends on any token of `source`.

    >>> x, source = torch.zeros(2, 3, 5), torch.zeros(2, 4, 5)
    >>> has_cross_attention(lambda x, source: x + source[:, -1:], x, source)
    True
    """
    # solution
    return bool(influence(forward, x, source, which=1).any())


# solution
def call_in_eval_mode(forward: Forward, *inputs: Tensor) -> Tensor:
    """Call `forward`; if it is a module, in eval mode, and give each part its own mode back."""
    modules = forward.modules() if isinstance(forward, nn.Module) else ()
    modes = {module: module.training for module in modules}
    for module in modes:
        module.training = False
    try:
        return forward(*inputs)
    finally:
        for module, mode in modes.items():
            module.training = mode
