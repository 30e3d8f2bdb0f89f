import torch

from kata.wrong import wrong
from solutions.ch03_attention.ex01_causal_mask import causal_mask
from solutions.ch03_attention.ex02_scaled_dot_product_attention import scaled_dot_product_attention
from solutions.ch03_attention.ex03_split_heads import merge_heads, split_heads
from solutions.ch03_attention.ex08_rope import apply_rope, rope_cos_sin
from solutions.ch03_attention.ex12_kv_cache import CachedAttention, KVCache

# ---------------------------------------------------------------------------------- the cache


@wrong(caught_by=["an_update_does_not_copy_the_past"])
class KVCache__joins_with_cat(KVCache):
    """Old and new were joined by `torch.cat`, which makes room for everything again and copies the
    whole past at each update. Set room for `max_len` tokens aside once, and write into it."""

    def update(self, k, v):
        if self.length + k.shape[-2] > self.max_len:
            raise ValueError("the cache is full")
        if self.length:
            k, v = torch.cat((self.k, k), dim=-2), torch.cat((self.v, v), dim=-2)
        self.k, self.v, self.length = k, v, k.shape[-2]
        return k, v


@wrong(
    caught_by=[
        "returns_all_tokens_in_order",
        "caches_share_nothing",
        "cache_has_dtype_and_device_of_the_keys",
    ],
    crashes=[
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "cache_holds_the_shared_heads_only",
        "mask_is_added_to_causality",
        "stays_on_the_device_of_its_input",
        "decoding_does_not_wait_for_the_device",
    ],
)
class KVCache__returns_the_whole_room(KVCache):
    """All `max_len` places came back, with those that nothing was written to yet. Return the first
    `length` of them."""

    def update(self, k, v):
        super().update(k, v)
        return self.k, self.v


@wrong(
    caught_by=[
        "a_refused_update_changes_nothing",
        "cache_has_dtype_and_device_of_the_keys",
        "caches_share_nothing",
        "decoding_does_not_wait_for_the_device",
        "pieces_agree_with_the_whole_text",
        "returns_all_tokens_in_order",
    ],
    crashes=[
        "a_new_cache_is_a_new_text",
        "cache_holds_the_shared_heads_only",
        "each_layer_has_a_cache_of_its_own",
        "keeps_the_dtype",
        "mask_is_added_to_causality",
        "stays_on_the_device_of_its_input",
    ],
)
class KVCache__returns_the_new_tokens_only(KVCache):
    """What came back are the new tokens alone, without those that were in the cache."""

    def update(self, k, v):
        super().update(k, v)
        return k, v


@wrong(
    caught_by=[
        "returns_all_tokens_in_order",
        "a_refused_update_changes_nothing",
        "caches_share_nothing",
        "cache_has_dtype_and_device_of_the_keys",
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "mask_is_added_to_causality",
        "decoding_does_not_wait_for_the_device",
    ]
)
class KVCache__writes_to_the_start(KVCache):
    """Every update was written to the first places, over the past. New tokens come after the
    `length` that are there."""

    def update(self, k, v):
        keys, values = super().update(k, v)
        keys[..., : k.shape[-2], :] = k
        values[..., : v.shape[-2], :] = v
        return keys, values


@wrong(
    caught_by=[
        "returns_all_tokens_in_order",
        "a_refused_update_changes_nothing",
        "caches_share_nothing",
        "an_update_does_not_copy_the_past",
        "cache_has_dtype_and_device_of_the_keys",
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "mask_is_added_to_causality",
    ]
)
class KVCache__puts_the_new_tokens_first(KVCache):
    """The new tokens were put before the past. The oldest token is the first."""

    def update(self, k, v):
        keys, values = super().update(k, v)
        t = k.shape[-2]
        return keys.roll(t, dims=-2), values.roll(t, dims=-2)


@wrong(
    caught_by=[
        "returns_all_tokens_in_order",
        "length_counts_tokens",
        "a_full_cache_refuses_tokens",
        "a_refused_update_changes_nothing",
        "caches_share_nothing",
        "cache_has_dtype_and_device_of_the_keys",
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "cache_holds_the_shared_heads_only",
        "decoding_does_not_wait_for_the_device",
    ],
    crashes=["mask_is_added_to_causality"],
)
class KVCache__counts_updates(KVCache):
    """`length` counts the updates. It has to count the tokens, and an update can bring several."""

    def update(self, k, v):
        if self.length + k.shape[-2] > self.max_len:
            raise ValueError("the cache is full")
        if self.length == 0:
            room = (*k.shape[:-2], self.max_len, k.shape[-1])
            self.k, self.v = k.new_zeros(room), v.new_zeros(room)
        end = self.length + k.shape[-2]
        self.k[..., self.length : end, :] = k
        self.v[..., self.length : end, :] = v
        self.length += 1
        return self.k[..., :end, :], self.v[..., :end, :]


@wrong(caught_by=["a_full_cache_refuses_tokens", "a_refused_update_changes_nothing"])
class KVCache__loses_tokens_when_full(KVCache):
    """A full cache accepted a token and lost it without a word: a slice beyond the end of a tensor
    is empty. The docstring asks for a ValueError."""

    def update(self, k, v):
        if self.length == 0:
            room = (*k.shape[:-2], self.max_len, k.shape[-1])
            self.k, self.v = k.new_zeros(room), v.new_zeros(room)
        end = min(self.length + k.shape[-2], self.max_len)
        self.k[..., self.length : end, :] = k[..., : end - self.length, :]
        self.v[..., self.length : end, :] = v[..., : end - self.length, :]
        self.length = end
        return self.k[..., :end, :], self.v[..., :end, :]


@wrong(caught_by=["a_refused_update_changes_nothing"])
class KVCache__counts_what_it_refused(KVCache):
    """An update that was refused still changed `length`. Check before anything is changed."""

    def update(self, k, v):
        try:
            return super().update(k, v)
        except ValueError:
            self.length += k.shape[-2]
            raise


@wrong(
    caught_by=[
        "returns_all_tokens_in_order",
        "cache_has_dtype_and_device_of_the_keys",
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "mask_is_added_to_causality",
        "decoding_does_not_wait_for_the_device",
    ]
)
class KVCache__stores_the_keys_twice(KVCache):
    """The values that came back are the keys."""

    def update(self, k, v):
        return super().update(k, k)


@wrong(
    caught_by=[
        "returns_all_tokens_in_order",
        "a_refused_update_changes_nothing",
        "caches_share_nothing",
        "cache_has_dtype_and_device_of_the_keys",
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "mask_is_added_to_causality",
        "decoding_does_not_wait_for_the_device",
    ]
)
class KVCache__keeps_the_first_text_only(KVCache):
    """All texts of the batch got the keys and values of the first one."""

    def update(self, k, v):
        return super().update(k[:1].expand_as(k), v[:1].expand_as(v))


@wrong(caught_by=["caches_share_nothing", "each_layer_has_a_cache_of_its_own"])
class KVCache__writes_into_one_room(KVCache):
    """All caches write into the same room, because it belongs to the class (or to the module):
    another layer or a new text overwrites what is there. It has to belong to `self`."""

    rooms = {}  # noqa: RUF012

    def update(self, k, v):
        start, end = self.length, self.length + k.shape[-2]
        if end > self.max_len:
            raise ValueError("the cache is full")
        room = (*k.shape[:-2], self.max_len, k.shape[-1])
        kind = (room, k.dtype, k.device)
        if kind not in self.rooms:
            self.rooms[kind] = k.new_zeros(room), v.new_zeros(room)
        keys, values = self.rooms[kind]
        keys[..., start:end, :], values[..., start:end, :] = k, v
        self.length = end
        return keys[..., :end, :], values[..., :end, :]


@wrong(
    caught_by=["caches_share_nothing", "an_update_does_not_copy_the_past"],
    crashes=["each_layer_has_a_cache_of_its_own", "a_new_cache_is_a_new_text"],
)
class KVCache__collects_in_a_list_of_the_class(KVCache):
    """The tokens were collected in a list that belongs to the class, so that a new cache begins
    with the tokens of the last one. Make what a cache holds in `__init__`."""

    keys, values = [], []

    def update(self, k, v):
        if self.length + k.shape[-2] > self.max_len:
            raise ValueError("the cache is full")
        self.keys.append(k)
        self.values.append(v)
        self.length += k.shape[-2]
        return torch.cat(self.keys, dim=-2), torch.cat(self.values, dim=-2)


@wrong(
    caught_by=["cache_has_dtype_and_device_of_the_keys"],
    crashes=["keeps_the_dtype", "stays_on_the_device_of_its_input"],
)
class KVCache__makes_room_in_float32(KVCache):
    """The room is float32 and on the CPU (`torch.zeros(...)`), whatever the keys are."""

    def update(self, k, v):
        if self.length + k.shape[-2] > self.max_len:
            raise ValueError("the cache is full")
        if self.length == 0:
            room = (*k.shape[:-2], self.max_len, k.shape[-1])
            self.k, self.v = torch.zeros(room), torch.zeros(room)
        end = self.length + k.shape[-2]
        self.k[..., self.length : end, :] = k
        self.v[..., self.length : end, :] = v
        self.length = end
        return self.k[..., :end, :], self.v[..., :end, :]


# ------------------------------------------------------------------------------ the attention


def projected(layer, x):
    """Queries, keys and values, one axis for the heads."""
    q = split_heads(layer.q_proj(x), layer.n_heads)
    k = split_heads(layer.k_proj(x), layer.n_kv_heads)
    v = split_heads(layer.v_proj(x), layer.n_kv_heads)
    return q, k, v


def turned(layer, start, heads):
    """The heads of tokens that stand at `start` and after it."""
    positions = torch.arange(start, start + heads.shape[-2], device=heads.device)
    return apply_rope(heads, *rope_cos_sin(positions, layer.head_dim, layer.base))


def shared(layer, heads):
    """Each key or value head as often as it is used."""
    return heads.repeat_interleave(layer.n_heads // layer.n_kv_heads, dim=1)


def attended(layer, q, k, v, mask):
    k, v = shared(layer, k), shared(layer, v)
    return layer.o_proj(merge_heads(scaled_dot_product_attention(q, k, v, mask)))


def allowed(x, past, mask):
    causal = causal_mask(x.shape[-2], past + x.shape[-2], device=x.device)
    return causal if mask is None else causal & mask


def length(cache):
    return 0 if cache is None else cache.length


def updated(cache, k, v):
    return (k, v) if cache is None else cache.update(k, v)


@wrong(
    caught_by=[
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "mask_is_added_to_causality",
        "decoding_does_not_wait_for_the_device",
    ]
)
class CachedAttention__restarts_the_positions(CachedAttention):
    """Every piece got the positions 0, 1, 2, ... again. The positions go on after the tokens in the
    cache."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, 0, q), turned(self, 0, k)
        k, v = updated(cache, k, v)
        return attended(self, q, k, v, allowed(x, past, mask))


@wrong(
    caught_by=[
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "mask_is_added_to_causality",
        "decoding_does_not_wait_for_the_device",
    ]
)
class CachedAttention__counts_the_new_tokens_as_past(CachedAttention):
    """`cache.length` was read after the update, so that the new tokens were counted as their own
    past: every piece stands too far back. Read it before."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        start = past if cache is None else past + x.shape[-2]
        q, k = turned(self, start, q), turned(self, start, k)
        k, v = updated(cache, k, v)
        return attended(self, q, k, v, allowed(x, past, mask))


@wrong(
    caught_by=[
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "mask_is_added_to_causality",
        "decoding_does_not_wait_for_the_device",
    ]
)
class CachedAttention__rotates_the_past_again(CachedAttention):
    """The keys that came out of the cache were rotated once more. What is rotated before it goes in
    has its position already."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q), turned(self, past, k)
        k, v = updated(cache, k, v)
        if past:
            k = turned(self, 0, k)
        return attended(self, q, k, v, allowed(x, past, mask))


@wrong(
    caught_by=[
        "without_a_cache_agrees_with_llama",
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "nothing_is_remembered_without_a_cache",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "decoding_does_not_wait_for_the_device",
    ]
)
class CachedAttention__rotates_the_values(CachedAttention):
    """The values were rotated as well. Positions matter for the comparison of queries and keys; the
    values stay as they are."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k, v = (turned(self, past, heads) for heads in (q, k, v))
        k, v = updated(cache, k, v)
        return attended(self, q, k, v, allowed(x, past, mask))


@wrong(
    caught_by=[
        "without_a_cache_agrees_with_llama",
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "nothing_is_remembered_without_a_cache",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "decoding_does_not_wait_for_the_device",
    ]
)
class CachedAttention__leaves_out_the_rotation(CachedAttention):
    """Queries and keys were not rotated: tokens do not know where they stand."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        k, v = updated(cache, k, v)
        return attended(self, q, k, v, allowed(x, past, mask))


@wrong(
    caught_by=[
        "without_a_cache_agrees_with_llama",
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "nothing_is_remembered_without_a_cache",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "decoding_does_not_wait_for_the_device",
    ]
)
class CachedAttention__ignores_base(CachedAttention):
    """The base of RoPE is always 10000, whatever `base` says."""

    def __init__(self, d_model, n_heads, n_kv_heads, base=10_000.0):
        super().__init__(d_model, n_heads, n_kv_heads)


@wrong(
    caught_by=[
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "mask_is_added_to_causality",
    ]
)
class CachedAttention__masks_without_a_past_only(CachedAttention):
    """There is no mask after a cache. A single token needs none, but in a chunk of several the
    first ones must not see the last."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q), turned(self, past, k)
        k, v = updated(cache, k, v)
        return attended(self, q, k, v, mask if past else allowed(x, past, mask))


@wrong(
    caught_by=[
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "mask_is_added_to_causality",
        "decoding_does_not_wait_for_the_device",
    ]
)
class CachedAttention__hides_the_end_of_the_past(CachedAttention):
    """The causal mask was made as if the chunk stood at the start of the text (offset 0), which
    hides most of the past and the chunk itself. Its first query stands at position `length`."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q), turned(self, past, k)
        k, v = updated(cache, k, v)
        causal = causal_mask(x.shape[-2], k.shape[-2], offset=0, device=x.device)
        return attended(self, q, k, v, causal if mask is None else causal & mask)


@wrong(
    caught_by=[
        "without_a_cache_agrees_with_llama",
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "nothing_is_remembered_without_a_cache",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "decoding_does_not_wait_for_the_device",
    ]
)
class CachedAttention__is_not_causal(CachedAttention):
    """Tokens see later ones: there is no causal mask."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q), turned(self, past, k)
        k, v = updated(cache, k, v)
        return attended(self, q, k, v, mask)


@wrong(caught_by=["mask_is_added_to_causality"])
class CachedAttention__ignores_the_mask(CachedAttention):
    """The mask that was given has no effect."""

    def forward(self, x, cache=None, mask=None):
        return super().forward(x, cache)


@wrong(caught_by=["mask_is_added_to_causality"])
class CachedAttention__replaces_the_causal_mask(CachedAttention):
    """With a mask given, causality was forgotten. A token attends only where both allow it."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q), turned(self, past, k)
        k, v = updated(cache, k, v)
        return attended(self, q, k, v, allowed(x, past, None) if mask is None else mask)


@wrong(
    caught_by=[
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "mask_is_added_to_causality",
        "decoding_does_not_wait_for_the_device",
    ]
)
class CachedAttention__forgets_to_use_the_cache(CachedAttention):
    """The new tokens were added to the cache, but attention saw only them: use what `update`
    returns."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q), turned(self, past, k)
        updated(cache, k, v)
        mask = None if mask is None else mask[..., past:]
        return attended(self, q, k, v, allowed(x, 0, mask))


@wrong(crashes=["cache_holds_the_shared_heads_only"])
class CachedAttention__stores_every_head_repeated(CachedAttention):
    """The keys and values were repeated for all query heads before they went into the cache. That
    gives up what sharing them is for: store `n_kv_heads` heads, and repeat what comes out."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q), turned(self, past, k)
        k, v = updated(cache, shared(self, k), shared(self, v))
        heads = scaled_dot_product_attention(q, k, v, allowed(x, past, mask))
        return self.o_proj(merge_heads(heads))


@wrong(
    caught_by=[
        "without_a_cache_agrees_with_llama",
        "pieces_agree_with_the_whole_text",
        "keeps_the_dtype",
        "each_layer_has_a_cache_of_its_own",
        "a_new_cache_is_a_new_text",
        "nothing_is_remembered_without_a_cache",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "decoding_does_not_wait_for_the_device",
    ]
)
class CachedAttention__repeats_all_heads_in_turn(CachedAttention):
    """The key and value heads were repeated as a whole (0 1 0 1 0 1). The query heads of a group
    stand next to each other (0 0 0 1 1 1), see 3.7."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q), turned(self, past, k)
        k, v = updated(cache, k, v)
        k, v = (heads.repeat(1, self.n_heads // self.n_kv_heads, 1, 1) for heads in (k, v))
        heads = scaled_dot_product_attention(q, k, v, allowed(x, past, mask))
        return self.o_proj(merge_heads(heads))


@wrong(caught_by=["nothing_is_remembered_without_a_cache"])
class CachedAttention__remembers_without_a_cache(CachedAttention):
    """The layer made a cache of its own and kept it (in `self`, or in the default of the argument):
    the next text sees the one before. Without a cache nothing may be remembered."""

    def __init__(self, d_model, n_heads, n_kv_heads, base=10_000.0):
        super().__init__(d_model, n_heads, n_kv_heads, base)
        self.own = KVCache(64)

    def forward(self, x, cache=None, mask=None):
        return super().forward(x, cache or self.own, mask)


@wrong(caught_by=["gradient_of_the_input_agrees", "gradient_of_each_weight_agrees"])
class CachedAttention__learns_no_keys(CachedAttention):
    """Keys and values were cut off from the gradient (`.detach()`, `.data`, `no_grad`): `k_proj`
    and `v_proj` would never learn."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q), turned(self, past, k)
        k, v = updated(cache, k.detach(), v.detach())
        return attended(self, q, k, v, allowed(x, past, mask))


@wrong(caught_by=["keeps_the_dtype"])
class CachedAttention__computes_in_float32(CachedAttention):
    """The heads were converted to float32 and not back: the last projection meets another dtype."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q.float()), turned(self, past, k.float())
        k, v = updated(cache, k, v.float())
        heads = merge_heads(
            scaled_dot_product_attention(
                q, shared(self, k), shared(self, v), allowed(x, past, mask)
            )
        )
        return heads @ self.o_proj.weight.float().T


@wrong(crashes=["stays_on_the_device_of_its_input"])
class CachedAttention__makes_positions_on_the_cpu(CachedAttention):
    """The positions were made on the CPU for tokens that are elsewhere: give `torch.arange` the
    `device=x.device`."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        positions = torch.arange(past, past + x.shape[-2])
        cos, sin = rope_cos_sin(positions, self.head_dim, self.base)
        k, v = updated(cache, apply_rope(k, cos, sin), v)
        return attended(self, apply_rope(q, cos, sin), k, v, allowed(x, past, mask))


@wrong(crashes=["stays_on_the_device_of_its_input"])
class CachedAttention__looks_into_the_mask(CachedAttention):
    """A value was read back from the device: `if mask.all():` has to wait until it is computed, and
    on a GPU everything stops for that, at every token. Decide by shapes and ints."""

    def forward(self, x, cache=None, mask=None):
        past, (q, k, v) = length(cache), projected(self, x)
        q, k = turned(self, past, q), turned(self, past, k)
        k, v = updated(cache, k, v)
        mask = allowed(x, past, mask)
        return attended(self, q, k, v, None if mask.all() else mask)
