import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex07_rms_norm import RMSNorm
from solutions.ch03_attention.ex01_causal_mask import causal_mask
from solutions.ch03_attention.ex02_scaled_dot_product_attention import scaled_dot_product_attention
from solutions.ch03_attention.ex03_split_heads import merge_heads, split_heads
from solutions.ch03_attention.ex08_rope import apply_rope, rope_cos_sin
from solutions.ch03_attention.ex12_kv_cache import CachedAttention, KVCache
from solutions.ch04_models.ex04_llama_model import LlamaBlock, LlamaModel


class OwnAttention(CachedAttention):
    """Put together from the parts once more, with one of them missing or too many."""

    turned, causal, interleaved = "qk", True, False

    def forward(self, x, cache=None, mask=None):
        past, t = (0 if cache is None else cache.length), x.shape[-2]
        q = split_heads(self.q_proj(x), self.n_heads)
        k = split_heads(self.k_proj(x), self.n_kv_heads)
        v = split_heads(self.v_proj(x), self.n_kv_heads)
        turn = rope_cos_sin(torch.arange(past, past + t, device=x.device), self.head_dim, self.base)
        q, k, v = (
            apply_rope(part, *turn, interleaved=self.interleaved) if name in self.turned else part
            for name, part in zip("qkv", (q, k, v), strict=True)
        )
        if cache is not None:
            k, v = cache.update(k, v)
        group = self.n_heads // self.n_kv_heads
        k, v = k.repeat_interleave(group, dim=-3), v.repeat_interleave(group, dim=-3)
        if self.causal:
            causal = causal_mask(t, past + t, offset=past, device=x.device)
            mask = causal if mask is None else mask & causal
        return self.o_proj(merge_heads(scaled_dot_product_attention(q, k, v, mask)))


def with_own_attention(block, config, **changes):
    heads = config.num_attention_heads, config.num_key_value_heads
    block.self_attn = OwnAttention(config.hidden_size, *heads, base=config.rope_theta)
    vars(block.self_attn).update(changes)


@wrong(
    caught_by=[
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "padding_on_the_left_changes_nothing",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__turns_the_values_too(LlamaBlock):
    """RoPE was applied to the values as well. Only queries and keys are turned: their product
    should depend on the distance, but what a token hands over should not."""

    def __init__(self, config):
        super().__init__(config)
        with_own_attention(self, config, turned="qkv")


@wrong(
    caught_by=[
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "padding_on_the_left_changes_nothing",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__turns_the_queries_only(LlamaBlock):
    """RoPE was applied to the queries, but not to the keys. The product then depends on where the
    query stands, not on how far away the key is."""

    def __init__(self, config):
        super().__init__(config)
        with_own_attention(self, config, turned="q")


@wrong(
    caught_by=[
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__uses_the_interleaved_layout(LlamaBlock):
    """The pairs of RoPE are neighbouring features. These weights are for the half-rotated layout:
    feature i goes with i + head_dim / 2."""

    def __init__(self, config):
        super().__init__(config)
        with_own_attention(self, config, interleaved=True)


@wrong(
    caught_by=[
        "later_tokens_have_no_influence",
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "pieces_give_the_logits_of_the_whole",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__is_not_causal(LlamaBlock):
    """Tokens see later ones: the attention has no causal mask."""

    def __init__(self, config):
        super().__init__(config)
        with_own_attention(self, config, causal=False)


@wrong(
    caught_by=[
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__ignores_rope_theta(LlamaBlock):
    """The base of RoPE is always 10 000, whatever `rope_theta` says."""

    def __init__(self, config):
        super().__init__(config)
        self.self_attn.base = 10_000.0


@wrong(
    caught_by=[
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__ignores_the_eps(LlamaBlock):
    """The norms have the default eps of RMSNorm, whatever `rms_norm_eps` says."""

    def __init__(self, config):
        super().__init__(config)
        self.input_layernorm = RMSNorm(config.hidden_size)
        self.post_attention_layernorm = RMSNorm(config.hidden_size)


@wrong(
    caught_by=[
        "block_of_one_token_by_hand",
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__normalises_after_the_sum(LlamaBlock):
    """The norms come after the sums, as in BERT. In Llama they come before the attention and before
    the MLP, and the stream itself is never normalised."""

    def forward(self, x, cache=None, mask=None):
        x = self.input_layernorm(x + self.self_attn(x, cache, mask))
        return self.post_attention_layernorm(x + self.mlp(x))


@wrong(
    caught_by=[
        "block_of_one_token_by_hand",
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__normalises_what_is_added(LlamaBlock):
    """The norms were applied to what the attention and the MLP give. They come before these two, to
    what goes in."""

    def forward(self, x, cache=None, mask=None):
        x = x + self.input_layernorm(self.self_attn(x, cache, mask))
        return x + self.post_attention_layernorm(self.mlp(x))


@wrong(
    caught_by=[
        "block_of_one_token_by_hand",
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__adds_to_the_normalised_input(LlamaBlock):
    """What attention brings was added to the normalised tokens. Add it to the tokens as they came
    in: keep them, and give the normalised ones to the attention only."""

    def forward(self, x, cache=None, mask=None):
        x = self.input_layernorm(x)
        x = x + self.self_attn(x, cache, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


@wrong(
    caught_by=[
        "block_of_one_token_by_hand",
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__adds_to_normalised_tokens_twice(LlamaBlock):
    """What attention and the MLP bring was added to normalised tokens (`x = norm(x)`), so that the
    stream itself was normalised. Only the two of them read the normalised tokens."""

    def forward(self, x, cache=None, mask=None):
        x = self.input_layernorm(x)
        x = x + self.self_attn(x, cache, mask)
        x = self.post_attention_layernorm(x)
        return x + self.mlp(x)


@wrong(
    caught_by=[
        "block_of_one_token_by_hand",
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__leaves_out_a_sum(LlamaBlock):
    """The output of the attention replaced the tokens. It has to be added to them: without the sum
    each layer forgets what was there before."""

    def forward(self, x, cache=None, mask=None):
        x = self.self_attn(self.input_layernorm(x), cache, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


@wrong(
    caught_by=[
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__runs_both_parts_side_by_side(LlamaBlock):
    """The MLP read the input of the block. It reads what is there after the attention was added."""

    def forward(self, x, cache=None, mask=None):
        after = x + self.self_attn(self.input_layernorm(x), cache, mask)
        return after + self.mlp(self.post_attention_layernorm(x))


@wrong(
    caught_by=[
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaBlock__uses_one_norm_twice(LlamaBlock):
    """`input_layernorm` was used before the MLP too. The MLP has a norm of its own, with other
    weights: `post_attention_layernorm`."""

    def forward(self, x, cache=None, mask=None):
        x = x + self.self_attn(self.input_layernorm(x), cache, mask)
        return x + self.mlp(self.input_layernorm(x))


@wrong(
    caught_by=[
        "has_the_parameters_of_llama",
        "only_a_tied_head_is_the_table",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ],
    crashes=["agrees_with_transformers"],
)
class LlamaBlock__has_a_key_head_per_query_head(LlamaBlock):
    """The attention has as many key and value heads as query heads, whatever
    `num_key_value_heads` says."""

    def __init__(self, config):
        super().__init__(config)
        heads = config.num_attention_heads
        self.self_attn = CachedAttention(config.hidden_size, heads, heads, config.rope_theta)


@wrong(
    caught_by=[
        "new_caches_have_room_for_max_len",
        "pieces_give_the_logits_of_the_whole",
        "the_past_counts_towards_the_longest_text",
    ]
)
class LlamaBlock__ignores_the_cache(LlamaBlock):
    """The cache was not handed on to the attention: every piece of a text is read as if it were the
    beginning."""

    def forward(self, x, cache=None, mask=None):
        return super().forward(x, None, mask)


@wrong(caught_by=["padding_on_the_left_changes_nothing"])
class LlamaBlock__ignores_the_mask(LlamaBlock):
    """The mask was not handed on to the attention: padding is read like text."""

    def forward(self, x, cache=None, mask=None):
        return super().forward(x, cache)


@wrong(
    caught_by=[
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaModel__forgets_the_last_norm(LlamaModel):
    """The head reads the sum of all layers as it is. There is a norm between the last block and the
    head."""

    def forward(self, ids, caches=None, mask=None):
        norm, self.norm = self.norm, nn.Identity()
        logits = super().forward(ids, caches, mask)
        self.norm = norm
        return logits


@wrong(caught_by=["only_a_tied_head_is_the_table"])
class LlamaModel__never_ties_the_head(LlamaModel):
    """`tie_word_embeddings` has no effect: the head has a weight of its own, where it should have
    the very parameter of `embed_tokens`."""

    def __init__(self, config):
        super().__init__(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)


@wrong(
    caught_by=[
        "only_a_tied_head_is_the_table",
        "agrees_with_transformers",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "keeps_the_dtype",
    ]
)
class LlamaModel__always_ties_the_head(LlamaModel):
    """The head is the table of embeddings, even if `tie_word_embeddings` is False."""

    def __init__(self, config):
        super().__init__(config)
        self.lm_head.weight = self.embed_tokens.weight


@wrong(
    caught_by=[
        "only_a_tied_head_is_the_table",
        "agrees_with_transformers",
        "agrees_with_the_reference",
    ]
)
class LlamaModel__repeats_one_block(LlamaModel):
    """`[block] * n` is one block n times, with one set of weights. Every layer needs a block of its
    own: make it inside the loop."""

    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.ModuleList([LlamaBlock(config)] * config.num_hidden_layers)


@wrong(caught_by=["gradient_of_each_parameter_agrees"])
class LlamaModel__cuts_the_embedding_off(LlamaModel):
    """The vectors were taken from `embed_tokens.weight.data` (or detached): the table gets no
    gradient from its use at the input."""

    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens.register_forward_hook(lambda module, ids, x: x.detach())


@wrong(
    caught_by=["new_caches_know_nothing_of_old_texts"],
    crashes=[
        "new_caches_have_room_for_max_len",
        "pieces_give_the_logits_of_the_whole",
        "the_past_counts_towards_the_longest_text",
    ],
)
class LlamaModel__shares_one_cache(LlamaModel):
    """All layers got the same cache. Each one has keys and values of its own, and needs the cache
    at its own place of the list."""

    def forward(self, ids, caches=None, mask=None):
        caches = None if caches is None else [caches[0]] * len(self.layers)
        return super().forward(ids, caches, mask)


@wrong(caught_by=["too_long_a_text_is_refused", "the_past_counts_towards_the_longest_text"])
class LlamaModel__accepts_any_length(LlamaModel):
    """A text longer than `max_position_embeddings` was accepted."""

    def forward(self, ids, caches=None, mask=None):
        x = self.embed_tokens(ids)
        for i, layer in enumerate(self.layers):
            x = layer(x, None if caches is None else caches[i], mask)
        return self.lm_head(self.norm(x))


@wrong(caught_by=["the_past_counts_towards_the_longest_text"])
class LlamaModel__counts_the_new_tokens_only(LlamaModel):
    """The length check forgot the tokens that are in the caches already."""

    def forward(self, ids, caches=None, mask=None):
        if ids.shape[-1] > self.config.max_position_embeddings:
            raise ValueError("too long")
        x = self.embed_tokens(ids)
        for i, layer in enumerate(self.layers):
            x = layer(x, None if caches is None else caches[i], mask)
        return self.lm_head(self.norm(x))


@wrong(crashes=["pieces_give_the_logits_of_the_whole", "the_past_counts_towards_the_longest_text"])
class LlamaModel__refuses_the_longest_text(LlamaModel):
    """A text of exactly `max_position_embeddings` tokens was refused. Only longer ones are."""

    def forward(self, ids, caches=None, mask=None):
        past = 0 if caches is None else caches[0].length
        if past + ids.shape[-1] >= self.config.max_position_embeddings:
            raise ValueError("too long")
        return super().forward(ids, caches, mask)


@wrong(caught_by=["keeps_the_dtype"])
class LlamaModel__returns_float32(LlamaModel):
    """The logits were converted with `.float()`. They have the dtype of the parameters."""

    def forward(self, ids, caches=None, mask=None):
        return super().forward(ids, caches, mask).float()


@wrong(crashes=["stays_on_the_device_of_its_input"])
class LlamaModel__makes_a_mask_on_the_cpu(LlamaModel):
    """A mask was made on the CPU for tokens that are elsewhere. The attention is causal already, so
    the model needs no mask of its own; any tensor that it makes goes to `device=ids.device`."""

    def forward(self, ids, caches=None, mask=None):
        past, t = (0 if caches is None else caches[0].length), ids.shape[-1]
        causal = causal_mask(t, past + t, offset=past)
        return super().forward(ids, caches, causal if mask is None else causal & mask)


@wrong(
    caught_by=["new_caches_know_nothing_of_old_texts"],
    crashes=[
        "new_caches_have_room_for_max_len",
        "pieces_give_the_logits_of_the_whole",
        "the_past_counts_towards_the_longest_text",
    ],
)
class LlamaModel__one_cache_for_all_layers(LlamaModel):
    """`[cache] * n` is one cache n times, and every layer wrote its keys into it. Make one per
    layer."""

    def new_caches(self, max_len):
        return [KVCache(max_len)] * len(self.layers)


@wrong(caught_by=["new_caches_have_room_for_max_len"])
class LlamaModel__room_for_the_longest_text(LlamaModel):
    """The caches have room for `max_position_embeddings` tokens. A caller who knows that the text
    will be short asks for less memory: take `max_len`."""

    def new_caches(self, max_len):
        return [KVCache(self.config.max_position_embeddings) for _ in self.layers]


@wrong(
    caught_by=["new_caches_know_nothing_of_old_texts"],
)
class LlamaModel__gives_the_same_caches_again(LlamaModel):
    """The caches of the text before were handed out again, and it was still in them. Each call
    makes new ones."""

    def new_caches(self, max_len):
        if not hasattr(self, "made"):
            self.made = [KVCache(max_len) for _ in self.layers]
        return self.made
