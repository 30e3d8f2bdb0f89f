from contextlib import contextmanager

import pytest
import torch

from kata.check import close, raises
from kata.tensors import Watch, gradients, normal, parameter_gradients, randomise

NAMES = ["q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight"]
SIZES = {"d_model": 24, "n_heads": 6, "n_kv_heads": 2, "base": 100.0}
CHUNK = [4, 1, 3]  # the prompt, a single token, and a chunk of three


def keys_and_values(t, dtype=torch.float32, device="cpu"):
    return [normal(2, 3, t, 4, seed=seed, dtype=dtype).to(device) for seed in (1, 2)]


def updates(cache, pieces, **options):
    """What the cache returns after each piece of the same keys and values."""
    k, v = keys_and_values(sum(pieces), **options)
    parts = zip(k.split(pieces, dim=2), v.split(pieces, dim=2), strict=True)
    return [cache.update(*part) for part in parts]


def twins(answer, reference, dtype=torch.float32, seed=0):
    """The learner's layer and the reference, with the same random weights."""
    expected = randomise(reference.CachedAttention(**SIZES), seed).to(dtype)
    layer = answer.CachedAttention(**SIZES).to(dtype)
    layer.load_state_dict(expected.state_dict())
    return layer, expected


@torch.no_grad()
def decode(layer, cache, x, pieces):
    """The text in pieces, each after the ones before."""
    return torch.cat([layer(piece, cache) for piece in x.split(pieces, dim=1)], dim=1)


@contextmanager
def no_waiting(device):
    """Reading a value back from an NVIDIA GPU, for which the program would wait, is an error."""
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")


# ---------------------------------------------------------------------------------- the cache


@pytest.mark.parametrize(("i", "end"), [(0, 3), (1, 4), (2, 6)])
def test_returns_all_tokens_in_order(answer, i, end):
    k, v = keys_and_values(6)
    keys, values = updates(answer.KVCache(7), [3, 1, 2])[i]
    close(keys, k[:, :, :end], "batch head token head_dim")
    close(values, v[:, :, :end], "batch head token head_dim")


def test_length_counts_tokens(answer):
    cache = answer.KVCache(7)
    lengths = [cache.length, *((updates(cache, [t]), cache.length)[1] for t in (3, 1, 2))]
    assert lengths == [0, 3, 4, 6], "length of the cache at the start and after each update"


@pytest.mark.parametrize(("held", "more"), [(3, 2), (4, 1), (1, 9)])
def test_a_full_cache_refuses_tokens(answer, held, more):
    cache = answer.KVCache(4)
    updates(cache, [held])
    with raises(ValueError):
        cache.update(*keys_and_values(more))


def test_a_refused_update_changes_nothing(answer):
    cache = answer.KVCache(4)
    updates(cache, [3])
    with raises(ValueError):
        cache.update(*keys_and_values(2))
    assert cache.length == 3, "length of the cache"
    keys, _ = cache.update(*keys_and_values(1))
    close(keys[:, :, :3], keys_and_values(3)[0], "batch head token head_dim")


def test_caches_share_nothing(answer):
    cache, other = answer.KVCache(7), answer.KVCache(7)
    cache.update(*keys_and_values(4))
    other.update(*(-x for x in keys_and_values(5)))
    keys, _ = cache.update(*keys_and_values(2))
    expected = torch.cat([keys_and_values(4)[0], keys_and_values(2)[0]], dim=2)
    close(keys, expected, "batch head token head_dim")


def test_an_update_does_not_copy_the_past(answer, device):
    cache = answer.KVCache(7)
    updates(cache, [3, 2], device=device)
    k, v = (x.to(device) for x in keys_and_values(1))
    with Watch() as watch:
        cache.update(k, v)
    allowed = k.numel() + v.numel()  # the new token, not the five before it
    assert watch.copied <= allowed, "the number of elements that were written into new memory"


@pytest.mark.parametrize(
    ("dtype", "place"), [(torch.float64, "cpu"), (torch.bfloat16, "cpu"), (torch.float32, "meta")]
)
def test_cache_has_dtype_and_device_of_the_keys(answer, dtype, place):
    k, v = keys_and_values(6, dtype, place)
    keys, values = updates(answer.KVCache(7), [5, 1], dtype=dtype, device=place)[-1]
    close(keys, k, "batch head token head_dim")
    close(values, v, "batch head token head_dim")


# ------------------------------------------------------------------------------ the attention


@pytest.mark.timeout(120)
def test_without_a_cache_agrees_with_llama(answer):
    from transformers.models.llama import modeling_llama as llama

    sizes = {"hidden_size": 24, "num_attention_heads": 6, "num_key_value_heads": 2}
    rope = {"rope_type": "default", "rope_theta": 100.0}
    config = llama.LlamaConfig(rope_parameters=rope, attn_implementation="sdpa", **sizes)
    expected = randomise(llama.LlamaAttention(config, layer_idx=0)).eval()
    layer, x = answer.CachedAttention(**SIZES), normal(2, 7, 24)
    layer.load_state_dict(expected.state_dict())
    cos_sin = llama.LlamaRotaryEmbedding(config)(x, torch.arange(7)[None])
    close(layer(x.clone()), expected(x, cos_sin)[0], "batch seq d_model")


@pytest.mark.parametrize("pieces", [[8], [5, 1, 1, 1], CHUNK, [1, 3, 2, 2]], ids=str)
def test_pieces_agree_with_the_whole_text(answer, reference, device, pieces):
    layer, expected = (m.to(device) for m in twins(answer, reference))
    x = normal(2, 8, 24).to(device)
    actual = decode(layer, answer.KVCache(9), x.clone(), pieces)
    close(actual, expected(x), "batch seq d_model")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, reference, dtype):
    layer, expected = twins(answer, reference, dtype)
    x = normal(2, 8, 24, dtype=dtype)
    actual = decode(layer, answer.KVCache(8), x.clone(), CHUNK)
    close(actual, expected(x), "batch seq d_model")


def test_each_layer_has_a_cache_of_its_own(answer, reference):
    (lower, below), (upper, above) = (twins(answer, reference, seed=seed) for seed in (0, 1))
    a, b, x = answer.KVCache(8), answer.KVCache(8), normal(2, 8, 24)
    actual = decode(lambda piece, _: upper(lower(piece, a), b), None, x.clone(), CHUNK)
    close(actual, above(below(x)), "batch seq d_model")


def test_a_new_cache_is_a_new_text(answer, reference):
    layer, expected = twins(answer, reference)
    decode(layer, answer.KVCache(8), normal(2, 8, 24), CHUNK)
    x = normal(3, 8, 24, seed=1)
    actual = decode(layer, answer.KVCache(8), x.clone(), CHUNK)
    close(actual, expected(x), "batch seq d_model")


def test_nothing_is_remembered_without_a_cache(answer, reference):
    layer, expected = twins(answer, reference)
    layer(normal(2, 5, 24, seed=1))
    close(layer(normal(2, 8, 24)), expected(normal(2, 8, 24)), "batch seq d_model")


def test_cache_holds_the_shared_heads_only(answer):
    cache = answer.KVCache(9)
    decode(answer.CachedAttention(**SIZES), cache, normal(2, 8, 24), CHUNK)
    keys, _ = cache.update(torch.zeros(2, 2, 1, 4), torch.zeros(2, 2, 1, 4))
    assert tuple(keys.shape) == (2, 2, 9, 4), "(batch, n_kv_heads, length, head_dim) of the keys"


def test_mask_is_added_to_causality(answer, reference):
    layer, expected = twins(answer, reference)
    x, mask = normal(2, 8, 24), torch.ones(2, 1, 1, 8, dtype=torch.bool)
    mask[1, ..., :3] = False  # three tokens of padding before the second text
    cache = answer.KVCache(8)
    with torch.no_grad():
        parts = [layer(x[:, :5], cache, mask[..., :5]), layer(x[:, 5:], cache, mask.clone())]
    close(torch.cat(parts, dim=1), expected(x, mask=mask), "batch seq d_model")


def test_gradient_of_the_input_agrees(answer, reference):
    layer, expected = twins(answer, reference)
    x = normal(2, 5, 24)
    close(gradients(layer, x)[0], gradients(expected, x)[0], "batch seq d_model")


@pytest.mark.parametrize("name", NAMES)
def test_gradient_of_each_weight_agrees(answer, reference, name):
    layer, expected = twins(answer, reference)
    actual = parameter_gradients(layer, normal(2, 5, 24))[name]
    close(actual, parameter_gradients(expected, normal(2, 5, 24))[name], "out in")


def test_stays_on_the_device_of_its_input(answer):
    layer, x = answer.CachedAttention(**SIZES).to("meta"), normal(2, 8, 24).to("meta")
    actual = decode(layer, answer.KVCache(8), x, CHUNK)
    close(actual, torch.empty(2, 8, 24, device="meta"), "batch seq d_model")


def test_decoding_does_not_wait_for_the_device(answer, reference, device):
    layer, expected = (m.to(device) for m in twins(answer, reference))
    x, cache = normal(2, 8, 24).to(device), answer.KVCache(8)
    with no_waiting(device):
        actual = decode(layer, cache, x, [3, *[1] * 5])
    close(actual, expected(x), "batch seq d_model")
