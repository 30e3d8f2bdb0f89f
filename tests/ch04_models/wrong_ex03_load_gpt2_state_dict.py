import torch
from torch import nn

from kata.wrong import wrong

CONV1D = ("c_attn.weight", "c_proj.weight", "c_fc.weight")


def renamed(state):
    """Without prefix, masks and head."""
    state = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
    masks = (".attn.bias", ".attn.masked_bias", "lm_head.weight")
    return {name: tensor for name, tensor in state.items() if not name.endswith(masks)}


def in_own_layout(state):
    return {n: t.T if n.endswith(CONV1D) else t for n, t in renamed(state).items()}


def check(model, state, hf_state_dict=None):
    """Raise what the docstring asks for."""
    own = dict(model.named_parameters())
    bad = {*own.keys() ^ state.keys()}
    bad |= {n for n in own.keys() & state if own[n].shape != state[n].shape}
    head = (hf_state_dict or {}).get("lm_head.weight")
    if head is not None and not bad and not torch.equal(head, state["wte.weight"]):
        bad = {"lm_head.weight"}
    if bad:
        raise ValueError(f"these do not fit: {sorted(bad)}")


def copy(model, state):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(state[name])


@wrong(
    caught_by=[
        "projections_come_transposed",
        "logits_equal_those_of_gpt2",
        "each_wrong_shape_is_named",
    ]
)
def load_gpt2_state_dict__leaves_square_weights(model, hf_state_dict):
    """`attn.c_proj.weight` was not transposed. It is square, so that it fits both ways: what has to
    be transposed is told by its name, not by its shape."""
    own = dict(model.named_parameters())
    state = renamed(hf_state_dict)
    state = {n: t if n in own and t.shape == own[n].shape else t.T for n, t in state.items()}
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(
    caught_by=["another_head_does_not_fit", "each_wrong_shape_is_named"],
    crashes=[
        "vectors_and_tables_come_as_they_are",
        "projections_come_transposed",
        "logits_equal_those_of_gpt2",
        "prefix_and_head_are_optional",
        "masks_of_old_checkpoints_are_ignored",
        "head_stays_tied",
        "fills_the_parameters_that_are_there",
        "model_keeps_its_dtype_and_device",
        "model_without_values_stays_without",
        "later_changes_of_the_checkpoint_do_not_matter",
        "checkpoint_is_not_modified",
    ],
)
def load_gpt2_state_dict__leaves_every_weight(model, hf_state_dict):
    """The weights of the projections were not transposed: (in, out) in the checkpoint, (out, in) in
    the model."""
    state = renamed(hf_state_dict)
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(
    caught_by=["another_head_does_not_fit"],
    crashes=[
        "vectors_and_tables_come_as_they_are",
        "projections_come_transposed",
        "logits_equal_those_of_gpt2",
        "prefix_and_head_are_optional",
        "masks_of_old_checkpoints_are_ignored",
        "head_stays_tied",
        "fills_the_parameters_that_are_there",
        "model_keeps_its_dtype_and_device",
        "model_without_values_stays_without",
        "later_changes_of_the_checkpoint_do_not_matter",
        "checkpoint_is_not_modified",
    ],
)
def load_gpt2_state_dict__transposes_the_tables(model, hf_state_dict):
    """Every matrix was transposed, the tables `wte` and `wpe` too. Only the projections are stored
    the other way round."""
    state = {n: t.T if t.dim() == 2 else t for n, t in renamed(hf_state_dict).items()}
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(
    caught_by=[
        "projections_come_transposed",
        "logits_equal_those_of_gpt2",
        "each_wrong_shape_is_named",
        "model_keeps_its_dtype_and_device",
    ]
)
def load_gpt2_state_dict__reshapes(model, hf_state_dict):
    """The weights were reshaped to the shape of the model's. That fits, and puts every number in
    the wrong place: rows have to become columns."""
    own = dict(model.named_parameters())
    state = renamed(hf_state_dict)
    fits = [n for n in state if n.endswith(CONV1D) and n in own]
    state |= {n: state[n].reshape(own[n].shape) for n in fits}
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(
    caught_by=[
        "each_missing_tensor_is_named",
        "each_unexpected_tensor_is_named",
        "after_an_error_the_model_is_unchanged",
    ]
)
def load_gpt2_state_dict__is_not_strict(model, hf_state_dict):
    """Missing and unexpected tensors were not noticed: that is what `strict=False` does. A weight
    that was not loaded stays random."""
    state, own = in_own_layout(hf_state_dict), dict(model.named_parameters())
    state = {n: state.get(n, own[n]) for n in own}
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(caught_by=["each_unexpected_tensor_is_named", "after_an_error_the_model_is_unchanged"])
def load_gpt2_state_dict__ignores_what_is_left_over(model, hf_state_dict):
    """Tensors that the model has no place for were not noticed. A checkpoint with more layers is
    not the checkpoint of this model."""
    state = in_own_layout(hf_state_dict)
    state = {n: t for n, t in state.items() if n in dict(model.named_parameters())}
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(caught_by=["each_missing_tensor_is_named", "after_an_error_the_model_is_unchanged"])
def load_gpt2_state_dict__ignores_what_is_missing(model, hf_state_dict):
    """Parameters that the checkpoint lacks were not noticed. They stay random."""
    state, own = in_own_layout(hf_state_dict), dict(model.named_parameters())
    state = {n: p.detach() for n, p in own.items()} | state
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(
    caught_by=[
        "each_missing_tensor_is_named",
        "each_unexpected_tensor_is_named",
        "each_wrong_shape_is_named",
        "after_an_error_the_model_is_unchanged",
    ]
)
def load_gpt2_state_dict__leaves_the_error_to_torch(model, hf_state_dict):
    """`load_state_dict` raised its own error, a RuntimeError, after it had loaded everything that
    fits. Check names and shapes first, and raise a ValueError."""
    state = in_own_layout(hf_state_dict)
    embedding = state.get("wte.weight", torch.empty(0))
    if not torch.equal(hf_state_dict.get("lm_head.weight", embedding), embedding):
        raise ValueError("lm_head.weight differs")
    model.load_state_dict(state | {"lm_head.weight": embedding})


@wrong(caught_by=["after_an_error_the_model_is_unchanged"])
def load_gpt2_state_dict__loads_before_it_checks(model, hf_state_dict):
    """The error came after a part of the checkpoint was in the model. Check everything first, then
    copy: `load_state_dict` itself loads what fits before it complains."""
    state, own = in_own_layout(hf_state_dict), dict(model.named_parameters())
    for name in own.keys() & state:
        if own[name].shape == state[name].shape:
            own[name].data.copy_(state[name])
    check(model, state, hf_state_dict)


@wrong(
    caught_by=[
        "each_missing_tensor_is_named",
        "each_unexpected_tensor_is_named",
        "each_wrong_shape_is_named",
    ]
)
def load_gpt2_state_dict__names_only_the_first(model, hf_state_dict):
    """The message names only one of the tensors that do not fit. Collect all of them before you
    raise."""
    state, own = in_own_layout(hf_state_dict), dict(model.named_parameters())
    for name in [*own, *state]:
        if name not in own or name not in state or own[name].shape != state[name].shape:
            raise ValueError(f"{name} does not fit")
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(
    caught_by=[
        "another_head_does_not_fit",
        "each_missing_tensor_is_named",
        "each_unexpected_tensor_is_named",
        "each_wrong_shape_is_named",
    ]
)
def load_gpt2_state_dict__gives_no_names(model, hf_state_dict):
    """The message does not say which tensors are in question."""
    state = in_own_layout(hf_state_dict)
    try:
        check(model, state, hf_state_dict)
    except ValueError:
        raise ValueError("the checkpoint does not fit the model") from None
    copy(model, state)


@wrong(caught_by=["each_wrong_shape_is_named", "after_an_error_the_model_is_unchanged"])
def load_gpt2_state_dict__broadcasts(model, hf_state_dict):
    """Shapes were not compared. `copy_` broadcasts: a tensor of one number fills a whole vector
    with it."""
    state = in_own_layout(hf_state_dict)
    own = dict(model.named_parameters())
    check(model, {n: own.get(n, t) for n, t in state.items()}, None)
    head = hf_state_dict.get("lm_head.weight", state["wte.weight"])
    if not torch.equal(head, state["wte.weight"]):
        raise ValueError("lm_head.weight differs from wte.weight")
    copy(model, state)


@wrong(caught_by=["head_stays_tied"])
def load_gpt2_state_dict__copies_the_tied_weight(model, hf_state_dict):
    """The head got a parameter of its own with the values of `lm_head.weight`. It is tied: the
    parameter of `wte` serves both."""
    state = in_own_layout(hf_state_dict)
    check(model, state, hf_state_dict)
    copy(model, state)
    head = hf_state_dict.get("lm_head.weight", state["wte.weight"])
    model.lm_head.weight = nn.Parameter(head.clone().to(model.wte.weight))


@wrong(caught_by=["another_head_does_not_fit", "after_an_error_the_model_is_unchanged"])
def load_gpt2_state_dict__accepts_an_untied_head(model, hf_state_dict):
    """`lm_head.weight` was left out without looking at it. Where it differs from `wte.weight`, the
    checkpoint belongs to a model whose head is not tied."""
    state = in_own_layout(hf_state_dict)
    check(model, state)
    copy(model, state)


@wrong(
    caught_by=[
        "each_missing_tensor_is_named",
        "each_unexpected_tensor_is_named",
        "each_wrong_shape_is_named",
    ],
    crashes=[
        "vectors_and_tables_come_as_they_are",
        "projections_come_transposed",
        "logits_equal_those_of_gpt2",
        "prefix_and_head_are_optional",
        "masks_of_old_checkpoints_are_ignored",
        "fills_the_parameters_that_are_there",
        "model_keeps_its_dtype_and_device",
        "model_without_values_stays_without",
        "later_changes_of_the_checkpoint_do_not_matter",
    ],
)
def load_gpt2_state_dict__needs_the_head(model, hf_state_dict):
    """A checkpoint without `lm_head.weight` was refused. As the weight is tied, it may be left
    out: GPT-2's own checkpoint has none."""
    state = in_own_layout(hf_state_dict)
    if "lm_head.weight" not in hf_state_dict:
        raise ValueError("lm_head.weight is missing")
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(
    caught_by=["another_head_does_not_fit", "each_unexpected_tensor_is_named"],
    crashes=[
        "vectors_and_tables_come_as_they_are",
        "projections_come_transposed",
        "logits_equal_those_of_gpt2",
        "prefix_and_head_are_optional",
        "masks_of_old_checkpoints_are_ignored",
        "head_stays_tied",
        "fills_the_parameters_that_are_there",
        "model_keeps_its_dtype_and_device",
        "model_without_values_stays_without",
        "later_changes_of_the_checkpoint_do_not_matter",
        "checkpoint_is_not_modified",
    ],
)
def load_gpt2_state_dict__needs_the_prefix(model, hf_state_dict):
    """Every name was cut as if it had the prefix `transformer.`. It may have none."""
    cut = {n[len("transformer.") :]: t for n, t in hf_state_dict.items() if n != "lm_head.weight"}
    state = in_own_layout(cut)
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(crashes=["prefix_and_head_are_optional", "masks_of_old_checkpoints_are_ignored"])
def load_gpt2_state_dict__knows_no_prefix(model, hf_state_dict):
    """The prefix `transformer.` was not taken off."""
    state = in_own_layout({n.replace("transformer.", "x."): t for n, t in hf_state_dict.items()})
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(crashes=["masks_of_old_checkpoints_are_ignored"])
def load_gpt2_state_dict__knows_no_masks(model, hf_state_dict):
    """The masks of old checkpoints, `attn.bias` and `attn.masked_bias`, were taken for unexpected
    tensors."""
    state = {n.removeprefix("transformer."): t for n, t in hf_state_dict.items()}
    state = {n: t.T if n.endswith(CONV1D) else t for n, t in state.items() if "lm_head" not in n}
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(
    caught_by=["another_head_does_not_fit"],
    crashes=[
        "vectors_and_tables_come_as_they_are",
        "projections_come_transposed",
        "logits_equal_those_of_gpt2",
        "prefix_and_head_are_optional",
        "masks_of_old_checkpoints_are_ignored",
        "head_stays_tied",
        "fills_the_parameters_that_are_there",
        "model_keeps_its_dtype_and_device",
        "model_without_values_stays_without",
        "later_changes_of_the_checkpoint_do_not_matter",
        "checkpoint_is_not_modified",
    ],
)
def load_gpt2_state_dict__drops_a_bias_with_the_masks(model, hf_state_dict):
    """`c_attn.bias` was left out together with the masks, because its name ends in `attn.bias`,
    too. A mask is called `.attn.bias`, with a dot before it."""
    state = {n: t for n, t in in_own_layout(hf_state_dict).items() if not n.endswith("attn.bias")}
    check(model, state, hf_state_dict)
    copy(model, state)


@wrong(
    caught_by=[
        "logits_equal_those_of_gpt2",
        "model_keeps_its_dtype_and_device",
        "later_changes_of_the_checkpoint_do_not_matter",
    ]
)
def load_gpt2_state_dict__takes_the_tensors_over(model, hf_state_dict):
    """The model uses the tensors of the checkpoint itself (`assign=True`, `.data = ...`): their
    dtype, device and memory. Copy the values into the parameters that are there."""
    state = in_own_layout(hf_state_dict)
    check(model, state, hf_state_dict)
    for name, parameter in model.named_parameters():
        if not parameter.is_meta:
            parameter.data = state[name]


@wrong(
    caught_by=[
        "logits_equal_those_of_gpt2",
        "fills_the_parameters_that_are_there",
        "model_keeps_its_dtype_and_device",
        "model_without_values_stays_without",
    ]
)
def load_gpt2_state_dict__makes_new_parameters(model, hf_state_dict):
    """New parameters took the place of the model's. An optimizer that was made before would go on
    training the old ones: copy the values into those."""
    state = in_own_layout(hf_state_dict)
    check(model, state, hf_state_dict)
    state = {n: t.clone() for n, t in state.items()}
    model.load_state_dict(state, strict=False, assign=True)
    model.lm_head.weight = model.wte.weight


@wrong(caught_by=["checkpoint_is_not_modified"])
def load_gpt2_state_dict__empties_the_checkpoint(model, hf_state_dict):
    """The caller's checkpoint was changed (`pop`, `del`). Make a dict of your own first."""
    state = in_own_layout(hf_state_dict)
    check(model, state, hf_state_dict)
    copy(model, state)
    hf_state_dict.pop("lm_head.weight", None)


@wrong(caught_by=["checkpoint_is_not_modified"])
def load_gpt2_state_dict__transposes_in_place(model, hf_state_dict):
    """The caller's tensors were transposed (`t_()` works in place). `t()` and `.T` leave them as
    they are."""
    state = renamed(hf_state_dict)
    state = {n: t.t_() if n.endswith(CONV1D) else t for n, t in state.items()}
    check(model, state, hf_state_dict)
    copy(model, state)
