"""2.11 The MLP of GPT-2   [easy, ~15 min]

Two thirds of the weights of a GPT-2 block are in this little network: it widens each token's vector
(by a factor of 4), bends it, and brings it back, for every token on its own. It is made of parts
that you have: `Linear` (2.1), `gelu` (2.8) and `Dropout` (2.10).

Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, section 2.3; the
names are those of https://github.com/openai/gpt-2/blob/master/src/model.py.
"""

from jaxtyping import Float
from torch import Tensor, nn

from .ex01_linear import Linear
from .ex08_gelu import gelu
from .ex10_dropout import Dropout


class GPT2MLP(nn.Module):
    """Widen from `d_model` to `d_ff`, apply GELU in its tanh form, and come back to `d_model`.

    Parameters, all of them, in the (out, in) layout of `Linear` (GPT-2's checkpoints keep the
    transposed weights):
        c_fc.weight: (d_ff, d_model), with c_fc.bias: (d_ff,).
        c_proj.weight: (d_model, d_ff), with c_proj.bias: (d_model,).

    `dropout` is the probability with which an element of the output, the last thing of all, is
    dropped in training mode. There is no residual connection in here: a block adds that.

    >>> mlp = GPT2MLP(d_model=4, d_ff=16)
    >>> {name: tuple(parameter.shape) for name, parameter in mlp.named_parameters()}
    {'c_fc.weight': (16, 4), 'c_fc.bias': (16,), 'c_proj.weight': (4, 16), 'c_proj.bias': (4,)}
    """

    def __init__(self, d_model: int, d_ff: int, dropout: float = 0.0) -> None:
        super().__init__()
        raise NotImplementedError("GPT2MLP.__init__")  # your code here

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Transform the last axis of `x`; every other axis stays as it is."""
        raise NotImplementedError("GPT2MLP.forward")  # your code here
