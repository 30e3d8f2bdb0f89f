import torch

from kata.wrong import wrong
from solutions.ch04_models.ex09_load_llama_state_dict import (
    half_rotated_rows,
    hf_name,
    load_llama_state_dict,
)


def copied(model, hf_state_dict, changed=lambda name, weight: weight):
    """The reference on a checkpoint in which some tensors were exchanged."""
    state = {name: changed(name, weight) for name, weight in hf_state_dict.items()}
    load_llama_state_dict(model, state)


def renamed(model, hf_state_dict):
    """The tensors of the checkpoint that have a place in the model, under the model's names."""
    names = {hf_name(name): name for name in model.state_dict()}
    return {names[n]: tensor for n, tensor in hf_state_dict.items() if n in names}


def checked(model, hf_state_dict):
    """Raise what the reference raises, and leave the model as it is."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_llama_state_dict(model, hf_state_dict)
    model.load_state_dict(before)


def in_halves(name, weight, config, key_heads=None):
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    if key_heads:
        heads["k_proj"] = key_heads
    projection = name.split(".")[-2]
    return half_rotated_rows(weight, heads[projection]) if projection in heads else weight


# ------------------------------------------------------------------------------ rows of RoPE


@wrong(
    caught_by=[
        "rows_by_hand",
        "each_pair_is_turned_by_the_same_angle",
        "interleaved_keys_become_half_rotated",
        "interleaved_queries_become_half_rotated",
    ]
)
def half_rotated_rows__goes_the_other_way(weight, n_heads):
    """That is the way back: half-rotated rows became interleaved ones. Here the rows 2i and 2i + 1
    come in next to each other, and go out half a head apart."""
    halves = weight.unflatten(0, (n_heads, 2, -1))
    return halves.transpose(1, 2).flatten(0, 2)


@wrong(
    caught_by=[
        "rows_by_hand",
        "each_pair_is_turned_by_the_same_angle",
        "interleaved_keys_become_half_rotated",
        "interleaved_queries_become_half_rotated",
    ]
)
def half_rotated_rows__mixes_the_heads(weight, n_heads):
    """All even rows came first, then all odd ones. The rows move inside their head only: half a
    head apart, not half a matrix."""
    return torch.cat([weight[::2], weight[1::2]])


@wrong(
    caught_by=[
        "rows_by_hand",
        "each_pair_is_turned_by_the_same_angle",
        "interleaved_keys_become_half_rotated",
        "interleaved_queries_become_half_rotated",
    ]
)
def half_rotated_rows__leaves_the_rows(weight, n_heads):
    """The rows came out as they went in."""
    return weight.clone()


# ---------------------------------------------------------------------------------- loading


@wrong(
    caught_by=[
        "each_weight_finds_its_place",
        "logits_equal_those_of_transformers",
        "model_keeps_its_dtype_and_device",
        "tells_the_published_story",
    ]
)
def load_llama_state_dict__swaps_gate_and_up(model, hf_state_dict, interleaved=False):
    """gate_proj and up_proj changed places. They have the same shape, so nothing complains; the
    gate, which goes through SiLU, is w1."""
    load_llama_state_dict(model, hf_state_dict, interleaved)
    for layer in model.layers:
        gate, up = layer.mlp.w1.weight.detach().clone(), layer.mlp.w3.weight.detach().clone()
        layer.mlp.load_state_dict({"w1.weight": up, "w3.weight": gate}, strict=False)


@wrong(
    caught_by=["interleaved_keys_become_half_rotated", "interleaved_queries_become_half_rotated"]
)
def load_llama_state_dict__ignores_interleaved(model, hf_state_dict, interleaved=False):
    """`interleaved` has no effect: the rows of q_proj and k_proj have to be reordered then."""
    load_llama_state_dict(model, hf_state_dict)


@wrong(
    caught_by=[
        "each_weight_finds_its_place",
        "logits_equal_those_of_transformers",
        "tells_the_published_story",
    ]
)
def load_llama_state_dict__always_reorders(model, hf_state_dict, interleaved=False):
    """The rows of q_proj and k_proj were reordered although `interleaved` is False: a checkpoint of
    Hugging Face's is half-rotated already."""
    load_llama_state_dict(model, hf_state_dict, interleaved=True)


@wrong(caught_by=["interleaved_keys_become_half_rotated"])
def load_llama_state_dict__reorders_the_queries_only(model, hf_state_dict, interleaved=False):
    """Of the two projections that RoPE turns only q_proj was reordered. k_proj is in the same
    layout."""

    def changed(name, weight):
        return in_halves(name, weight, model.config) if "q_proj" in name else weight

    copied(model, hf_state_dict, changed if interleaved else lambda name, weight: weight)


@wrong(caught_by=["only_queries_and_keys_are_reordered"])
def load_llama_state_dict__reorders_the_values_too(model, hf_state_dict, interleaved=False):
    """v_proj was reordered as well. RoPE does not turn the values, so their rows stay."""

    def changed(name, weight):
        if "v_proj" in name:
            return half_rotated_rows(weight, model.config.num_key_value_heads)
        return in_halves(name, weight, model.config)

    copied(model, hf_state_dict, changed if interleaved else lambda name, weight: weight)


@wrong(caught_by=["interleaved_keys_become_half_rotated"])
def load_llama_state_dict__counts_too_many_key_heads(model, hf_state_dict, interleaved=False):
    """The rows of k_proj were cut into `num_attention_heads` heads. It has only
    `num_key_value_heads` of them."""
    heads = model.config.num_attention_heads

    def changed(name, weight):
        return in_halves(name, weight, model.config, key_heads=heads)

    copied(model, hf_state_dict, changed if interleaved else lambda name, weight: weight)


@wrong(
    caught_by=[
        "each_missing_tensor_is_named",
        "each_unexpected_tensor_is_named",
        "each_wrong_shape_is_named",
        "after_an_error_the_model_is_unchanged",
    ]
)
def load_llama_state_dict__leaves_the_rest_to_torch(model, hf_state_dict, interleaved=False):
    """torch's own `load_state_dict` did the checking. It copies all that fits before it complains,
    so after an error the model is half loaded, and it raises a RuntimeError. Check all names and
    shapes first."""
    with_places = {hf_name(name): name for name in model.state_dict()}
    state = {
        with_places.get(n, n): weight
        for n, weight in hf_state_dict.items()
        if not n.endswith("inv_freq")
    }
    if interleaved:
        state = {n: in_halves(n, w, model.config) for n, w in state.items()}
    if model.config.tie_word_embeddings:
        state.setdefault("lm_head.weight", state["embed_tokens.weight"])
        if not torch.equal(state["lm_head.weight"], state["embed_tokens.weight"]):
            raise ValueError("lm_head.weight is another one")
    model.load_state_dict(state)


@wrong(caught_by=["each_missing_tensor_is_named", "after_an_error_the_model_is_unchanged"])
def load_llama_state_dict__hides_what_is_missing(model, hf_state_dict, interleaved=False):
    """A parameter that the checkpoint lacks kept its random value, and nobody was told
    (`strict=False` does that). Missing names are an error."""
    state = {hf_name(n): weight.clone() for n, weight in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight")
    load_llama_state_dict(model, state | dict(hf_state_dict), interleaved)


@wrong(caught_by=["each_unexpected_tensor_is_named", "after_an_error_the_model_is_unchanged"])
def load_llama_state_dict__hides_what_is_left_over(model, hf_state_dict, interleaved=False):
    """Tensors that the model has no place for were left out silently. A layer too many, or a bias,
    means that this is the checkpoint of another model: an error."""
    places = {hf_name(name) for name in model.state_dict()}
    state = {name: weight for name, weight in hf_state_dict.items() if name in places}
    load_llama_state_dict(model, state, interleaved)


@wrong(
    caught_by=[
        "each_missing_tensor_is_named",
        "each_unexpected_tensor_is_named",
        "each_wrong_shape_is_named",
    ]
)
def load_llama_state_dict__names_one_of_many(model, hf_state_dict, interleaved=False):
    """The message names one tensor only. Whoever reads it wants the whole list."""
    try:
        load_llama_state_dict(model, hf_state_dict, interleaved)
    except ValueError as error:
        first = str(error).partition(",")[0]
        raise ValueError(first) from None


@wrong(caught_by=["each_wrong_shape_is_named"])
def load_llama_state_dict__lets_small_shapes_spread(model, hf_state_dict, interleaved=False):
    """`copy_` spreads a tensor of size 1 over a larger parameter: a wrong shape came in unnoticed.
    Compare the shapes."""
    own = {hf_name(name): tensor for name, tensor in model.state_dict().items()}

    def changed(name, weight):
        small = name in own and weight.dim() == own[name].dim() and weight.numel() == 1
        return weight.expand_as(own[name]) if small else weight

    state = {name: changed(name, weight) for name, weight in hf_state_dict.items()}
    load_llama_state_dict(model, state, interleaved)


@wrong(caught_by=["after_an_error_the_model_is_unchanged"])
def load_llama_state_dict__copies_before_it_checks(model, hf_state_dict, interleaved=False):
    """After the error some weights were already replaced. Look for everything that does not fit
    first, and copy only when nothing was found."""
    for name, weight in renamed(model, hf_state_dict).items():
        if model.state_dict()[name].shape == weight.shape:
            model.state_dict()[name].copy_(weight)
    load_llama_state_dict(model, hf_state_dict, interleaved)


@wrong(caught_by=["tied_head_is_optional_and_stays_tied"])
def load_llama_state_dict__copies_the_tied_head(model, hf_state_dict, interleaved=False):
    """The head got a parameter of its own. In a tied model it is the very parameter of
    `embed_tokens`: load the table, and leave the head alone."""
    load_llama_state_dict(model, hf_state_dict, interleaved)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())


@wrong(
    caught_by=["each_missing_tensor_is_named"],
    crashes=["tied_head_is_optional_and_stays_tied", "tells_the_published_story"],
)
def load_llama_state_dict__wants_a_tied_head_twice(model, hf_state_dict, interleaved=False):
    """`lm_head.weight` was called missing. With a tied head a checkpoint may leave it out, and most
    do: it is the table of embeddings."""
    if "lm_head.weight" not in hf_state_dict:
        raise ValueError("missing: lm_head.weight")
    load_llama_state_dict(model, hf_state_dict, interleaved)


@wrong(caught_by=["each_missing_tensor_is_named"])
def load_llama_state_dict__fills_the_head_with_the_table(model, hf_state_dict, interleaved=False):
    """Without `lm_head.weight` the table of embeddings was taken. That is right for a tied model
    only; for any other one it is missing."""
    state = dict(hf_state_dict)
    if "model.embed_tokens.weight" in state:
        state.setdefault("lm_head.weight", state["model.embed_tokens.weight"])
    load_llama_state_dict(model, state, interleaved)


@wrong(caught_by=["another_head_does_not_fit_a_tied_model"])
def load_llama_state_dict__drops_another_head(model, hf_state_dict, interleaved=False):
    """The checkpoint has a head that differs from its table, and the model is tied: the head was
    dropped silently. Such a model would write nonsense: an error."""
    state = dict(hf_state_dict)
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    load_llama_state_dict(model, state, interleaved)


@wrong(crashes=["frequencies_of_old_checkpoints_are_ignored"])
def load_llama_state_dict__stumbles_over_frequencies(model, hf_state_dict, interleaved=False):
    """`rotary_emb.inv_freq` was called unexpected. Old checkpoints have these numbers; the model
    computes them, so they are ignored."""
    left_over = [name for name in hf_state_dict if name.endswith("inv_freq")]
    if left_over:
        raise ValueError(f"unexpected: {left_over}")
    load_llama_state_dict(model, hf_state_dict, interleaved)


@wrong(caught_by=["model_keeps_its_dtype_and_device", "fills_the_parameters_that_are_there"])
def load_llama_state_dict__takes_the_tensors_over(model, hf_state_dict, interleaved=False):
    """The tensors of the checkpoint became the parameters (`assign=True`): another dtype and device
    came in, and an optimizer holds the old parameters. Copy the values."""
    checked(model, hf_state_dict)
    state = renamed(model, hf_state_dict)
    if interleaved:
        state = {n: in_halves(n, w, model.config) for n, w in state.items()}
    if model.config.tie_word_embeddings:
        state["lm_head.weight"] = state["embed_tokens.weight"]
    model.load_state_dict(state, assign=True)
    if model.config.tie_word_embeddings:
        model.lm_head.weight = model.embed_tokens.weight


@wrong(caught_by=["checkpoint_is_not_modified"])
def load_llama_state_dict__empties_the_checkpoint(model, hf_state_dict, interleaved=False):
    """The caller's dictionary was changed (`pop`, `del`). Work on a copy of it."""
    load_llama_state_dict(model, hf_state_dict, interleaved)
    hf_state_dict.pop("lm_head.weight", None)


# ------------------------------------------------------------------------------------ story


@wrong(
    caught_by=[
        "story_goes_on_from_the_whole_text",
        "the_most_likely_token_is_taken",
        "tells_the_published_story",
    ]
)
def greedy_story__returns_the_prompt_too(model, ids, max_new_tokens):
    """The ids of the prompt came back too. Only the new ones are asked for."""
    text = ids
    for _ in range(max_new_tokens):
        text = torch.cat([text, model(text[None])[0, -1].argmax(-1, keepdim=True)])
    return text


@wrong(caught_by=["story_goes_on_from_the_whole_text", "tells_the_published_story"])
def greedy_story__reads_the_first_position(model, ids, max_new_tokens):
    """The logits after the first token were used. The next token follows the last one."""
    text = ids
    for _ in range(max_new_tokens):
        text = torch.cat([text, model(text[None])[0, 0].argmax(-1, keepdim=True)])
    return text[len(ids) :]


@wrong(caught_by=["story_goes_on_from_the_whole_text", "tells_the_published_story"])
def greedy_story__shows_the_last_token_only(model, ids, max_new_tokens):
    """The model saw the newest token only. It remembers nothing: show it the whole text at every
    step."""
    text = ids
    for _ in range(max_new_tokens):
        text = torch.cat([text, model(text[None, -1:])[0, -1].argmax(-1, keepdim=True)])
    return text[len(ids) :]


@wrong(caught_by=["story_goes_on_from_the_whole_text", "tells_the_published_story"])
def greedy_story__forgets_its_own_tokens(model, ids, max_new_tokens):
    """Every step continued the prompt anew. Add each new token to the text before the next step."""
    new = [model(ids[None])[0, -1].argmax(-1, keepdim=True) for _ in range(max_new_tokens)]
    return torch.cat([ids[:0], *new])


@wrong(
    caught_by=[
        "story_goes_on_from_the_whole_text",
        "the_most_likely_token_is_taken",
        "tells_the_published_story",
    ]
)
def greedy_story__adds_one_too_many(model, ids, max_new_tokens):
    """There is one token too many."""
    text = ids
    for _ in range(max_new_tokens + 1):
        text = torch.cat([text, model(text[None])[0, -1].argmax(-1, keepdim=True)])
    return text[len(ids) :]


@wrong(
    caught_by=[
        "story_goes_on_from_the_whole_text",
        "the_most_likely_token_is_taken",
        "tells_the_published_story",
    ]
)
def greedy_story__draws_the_token(model, ids, max_new_tokens):
    """The next token was drawn at random. Greedy means: always the most likely one."""
    text, rng = ids, torch.Generator(ids.device).manual_seed(0)
    for _ in range(max_new_tokens):
        probs = model(text[None])[0, -1].softmax(-1)
        text = torch.cat([text, torch.multinomial(probs, 1, generator=rng)])
    return text[len(ids) :]
