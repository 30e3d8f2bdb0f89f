"""9.1 The compute of a training run   [easy, ~20 min]

What a training run costs is counted in floating-point operations (FLOPs). The rule of thumb is 6
for each of N parameters and each of D tokens: C = 6 N D, the only formula of chapter 9 that every
other one needs. How good is it? Count the matrix products of GPT-2 (4.2) one by one and see what
6 N D leaves out: the part of attention that grows with the square of the length.

Source: Kaplan et al. (2020), https://arxiv.org/abs/2001.08361, section 2.1 and table 1; Hoffmann et
al. (2022), https://arxiv.org/abs/2203.15556, appendix F.
"""

from ..ch04_models.ex02_gpt2_model import GPT2Config


def train_flops(n_params: float, n_tokens: float) -> float:
    """Estimate the FLOPs of training a model with `n_params` parameters on `n_tokens` tokens.

    A parameter takes part in one multiplication and one addition per token on the way forward, and
    the backward pass costs twice as much as the forward pass.

    Raises:
        ValueError: `n_params` or `n_tokens` is negative.

    >>> train_flops(n_params=70e9, n_tokens=1.4e12)  # Chinchilla
    5.88e+23
    """
    # solution
    if n_params < 0 or n_tokens < 0:
        raise ValueError(f"neither may be negative, got {n_params} and {n_tokens}")
    return 6 * n_params * n_tokens


def forward_flops(config: GPT2Config, seq: int) -> int:
    """Count the FLOPs of the matrix products in one forward pass over one text of `seq` tokens.

    The model is that of 4.2: in each block the attention of 3.4 and an MLP with 4 * n_embd features
    inside (2.11), and at the end a head that gives logits at every position. A multiplication and
    an addition are 2 FLOPs.

    Attention computes the scores and the weighted sums for all pairs of positions: the mask hides
    half of them, but saves nothing. Not counted is what is no matrix product: looking rows up in
    the two tables, biases, norms, GELU, softmax, scaling, and adding the branches.

    Raises:
        ValueError: `seq` is not from 1 to `config.n_positions`.

    >>> forward_flops(GPT2Config(), seq=1024)
    291648307200
    >>> forward_flops(GPT2Config(vocab_size=3, n_embd=2, n_layer=1, n_head=1), seq=1)
    116
    """
    # solution
    if not 1 <= seq <= config.n_positions:
        raise ValueError(f"seq must be from 1 to {config.n_positions}, got {seq}")
    d = config.n_embd
    weights = 12 * d * d  # q, k, v, output: 4 d^2; the MLP: 8 d^2
    pairs = 2 * seq * d  # of one query: its scores, and its weighted sum
    per_token = config.n_layer * (weights + pairs) + d * config.vocab_size
    return 2 * seq * per_token
