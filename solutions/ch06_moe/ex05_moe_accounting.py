"""6.5 What a Mixture-of-Experts costs   [easy, ~20 min]

"8x7B" has not 56 billion parameters, and computes with far fewer than it has: only the experts are
there eight times. The sizes in a model's configuration tell how much memory it takes (all of its
parameters) and how much work a token is (the ones that are used). Compare `count_parameters` (4.8).

Source: Jiang et al. (2024), Mixtral of Experts, https://arxiv.org/abs/2401.04088, table 1; 2 FLOPs
per parameter: Kaplan et al. (2020), https://arxiv.org/abs/2001.08361, section 2.1.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class MoEConfig:
    """The sizes of a model, under the names of Mixtral's config.json."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    num_local_experts: int
    num_experts_per_tok: int
    tie_word_embeddings: bool = False


def moe_accounting(config: MoEConfig) -> dict[str, int]:
    """Return the keys "total", "active" and "flops_per_token" for a model of these sizes.

    The model is the Llama of 4.4 with the `MoELayer` of 6.2 in the place of the MLP in every block.
    No layer has a bias. It consists of: a token table; in each block two RMSNorms, attention with
    `num_attention_heads` query heads of hidden_size / num_attention_heads features that share
    `num_key_value_heads` heads of keys and values, a router, and the experts, each a SwiGLU with
    `intermediate_size` units inside; a last RMSNorm; a head over the vocabulary, which is the token
    table once more if `tie_word_embeddings`.

        total: all parameters. A tied head adds none.
        active: the same without the experts that a token does not choose: it goes through
            `num_experts_per_tok` of them in each block. The whole table counts.
        flops_per_token: 2, a multiplication and an addition, for every entry of every matrix that a
            token is multiplied with: in attention, the router, the chosen experts and the head,
            tied or not. Not counted are the table, in which a row is looked up, the norms, and the
            products of queries, keys and values, which depend on the length of the text.

    Raises:
        ValueError: `num_experts_per_tok` is less than 1 or greater than `num_local_experts`.

    >>> moe_accounting(MoEConfig(10, 4, 3, 1, 2, 1, 5, 2))
    {'total': 340, 'active': 232, 'flops_per_token': 360}
    """
    # solution
    chosen, experts = config.num_experts_per_tok, config.num_local_experts
    if not 1 <= chosen <= experts:
        raise ValueError(f"num_experts_per_tok must be from 1 to {experts}, got {chosen}")
    d = config.hidden_size
    d_kv = d // config.num_attention_heads * config.num_key_value_heads
    table = config.vocab_size * d
    expert = 3 * d * config.intermediate_size
    attention = 2 * d * d + 2 * d * d_kv  # q and o, k and v
    used = config.num_hidden_layers * (attention + experts * d + chosen * expert)
    norms = (2 * config.num_hidden_layers + 1) * d
    active = table + used + norms + (0 if config.tie_word_embeddings else table)
    return {
        "total": active + config.num_hidden_layers * (experts - chosen) * expert,
        "active": active,
        "flops_per_token": 2 * (used + table),
    }
