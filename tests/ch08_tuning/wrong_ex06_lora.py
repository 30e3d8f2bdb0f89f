from collections import Counter
from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional as F

from kata.wrong import wrong
from solutions.ch08_tuning.ex06_lora import LoRALinear, add_lora


def replace(model, layers, r, alpha):
    """Put a LoRALinear into the place of each of these layers."""
    for name in layers:
        parent, _, child = name.rpartition(".")
        linear = model.get_submodule(name)
        setattr(model.get_submodule(parent), child, LoRALinear(linear, r, alpha))
    return model


def fitting(model, names):
    """The full names of the modules that are meant."""
    paths = [path for path, _ in model.named_modules()]
    return [path for path in paths if any(f".{path}".endswith(f".{name}") for name in names)]


# ------------------------------------------------------------------------------------ what it does


@wrong(
    caught_by=[
        "two_numbers_by_hand",
        "A_and_B_are_added_to_the_weight",
        "gradients_pass_to_A_B_and_the_input",
        "keeps_the_dtype",
        "merged_layer_has_it_all_in_its_weight",
        "merging_leaves_the_layer_alone",
        "what_was_learned_is_in_the_model",
    ]
)
class LoRALinear__multiplies_by_alpha(LoRALinear):
    """A and B were counted `alpha` times. It is alpha / r: of a greater rank each part counts
    less."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.scale = alpha


@wrong(
    caught_by=[
        "two_numbers_by_hand",
        "A_and_B_are_added_to_the_weight",
        "gradients_pass_to_A_B_and_the_input",
        "keeps_the_dtype",
        "merged_layer_has_it_all_in_its_weight",
        "merging_leaves_the_layer_alone",
        "what_was_learned_is_in_the_model",
    ]
)
class LoRALinear__ignores_alpha(LoRALinear):
    """`alpha` has no effect. A and B count alpha / r times."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.scale = 1.0


@wrong(
    caught_by=[
        "two_numbers_by_hand",
        "A_and_B_are_added_to_the_weight",
        "gradients_pass_to_A_B_and_the_input",
        "keeps_the_dtype",
        "merging_leaves_the_layer_alone",
        "what_was_learned_is_in_the_model",
    ]
)
class LoRALinear__scales_twice(LoRALinear):
    """The scale was applied twice, once to what A makes of `x` and once to what B makes of that."""

    def forward(self, x):
        return self.linear(x) + self.scale * (self.scale * (x @ self.A.T)) @ self.B.T


@wrong(
    caught_by=[
        "two_numbers_by_hand",
        "new_layer_computes_what_it_was_given",
        "A_and_B_are_added_to_the_weight",
        "keeps_the_dtype",
        "merging_leaves_the_layer_alone",
        "tuned_model_computes_what_it_did_at_first",
    ]
)
class LoRALinear__loses_the_bias(LoRALinear):
    """The bias of the given layer is missing in the result."""

    def forward(self, x):
        return F.linear(x, self.linear.weight) + self.scale * (x @ self.A.T @ self.B.T)


@wrong(
    caught_by=[
        "two_numbers_by_hand",
        "new_layer_computes_what_it_was_given",
        "A_and_B_are_added_to_the_weight",
        "gradients_pass_to_A_B_and_the_input",
        "keeps_the_dtype",
        "merging_leaves_the_layer_alone",
        "tuned_model_computes_what_it_did_at_first",
        "what_was_learned_is_in_the_model",
    ]
)
class LoRALinear__takes_the_place_of_the_layer(LoRALinear):
    """What the given layer computes is missing. A and B learn only what is to be added to it."""

    def forward(self, x):
        y = self.scale * (x @ self.A.T @ self.B.T)
        return y if self.linear.bias is None else y + self.linear.bias


# ---------------------------------------------------------------------------------- what it learns


@wrong(
    caught_by=["only_A_and_B_learn", "A_and_B_of_the_named_layers_learn", "model_itself_is_changed"]
)
class LoRALinear__trains_the_given_layer(LoRALinear):
    """The parameters of the given layer still require gradients. Only A and B are to learn."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.linear.requires_grad_(True)


@wrong(
    caught_by=["only_A_and_B_learn", "A_and_B_of_the_named_layers_learn", "model_itself_is_changed"]
)
class LoRALinear__freezes_the_weight_only(LoRALinear):
    """The weight of the given layer is frozen, but its bias still requires a gradient."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        if linear.bias is not None:
            self.linear.bias.requires_grad_(True)


@wrong(caught_by=["A_starts_like_the_weight_of_a_linear_layer"])
class LoRALinear__starts_with_two_zeros(LoRALinear):
    """A and B both start with zeros. The gradient of each is a product with the other one, so that
    both stay zero for ever: draw A at random."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        nn.init.zeros_(self.A)


@wrong(
    caught_by=[
        "new_layer_computes_what_it_was_given",
        "B_starts_with_zeros",
        "tuned_model_computes_what_it_did_at_first",
    ]
)
class LoRALinear__starts_with_a_random_B(LoRALinear):
    """B starts with random numbers, so that a new layer does not compute what the given one does:
    the model loses at once what it had learned."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        nn.init.uniform_(self.B, -(r**-0.5), r**-0.5)


@wrong(caught_by=["A_starts_like_the_weight_of_a_linear_layer", "B_starts_with_zeros"])
class LoRALinear__swaps_how_A_and_B_start(LoRALinear):
    """A starts with zeros and B with random numbers. It is the other way round."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        nn.init.zeros_(self.A)
        nn.init.uniform_(self.B, -(r**-0.5), r**-0.5)


@wrong(caught_by=["A_starts_like_the_weight_of_a_linear_layer"])
class LoRALinear__starts_too_large(LoRALinear):
    """A starts with standard normal numbers (`torch.randn`). That is far larger than what a linear
    layer starts with: keep it between -1/sqrt(in_features) and 1/sqrt(in_features)."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        nn.init.normal_(self.A)


@wrong(caught_by=["gradients_pass_to_A_B_and_the_input"])
class LoRALinear__runs_the_layer_without_gradients(LoRALinear):
    """The given layer ran in `torch.no_grad()`. Its own parameters need no gradient, but whatever
    is below it does: the gradient has to pass through to `x`."""

    def forward(self, x):
        with torch.no_grad():
            y = self.linear(x)
        return y + self.scale * (x @ self.A.T @ self.B.T)


@wrong(caught_by=["gradients_pass_to_A_B_and_the_input"])
class LoRALinear__detaches_A(LoRALinear):
    """A gets no gradient (`.data`, `.detach()`): both A and B learn."""

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.A.data.T @ self.B.T)


@wrong(
    caught_by=["parameters_have_their_names", "B_starts_with_zeros"],
    crashes=[
        "two_numbers_by_hand",
        "A_and_B_are_added_to_the_weight",
        "gradients_pass_to_A_B_and_the_input",
        "keeps_the_dtype",
        "merged_layer_has_it_all_in_its_weight",
        "merging_leaves_the_layer_alone",
        "what_was_learned_is_in_the_model",
    ],
)
class LoRALinear__has_its_matrices_transposed(LoRALinear):
    """A and B have their axes in the other order. A is (r, in_features) and B (out_features, r), as
    the weights of two linear layers would be."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.A = nn.Parameter(self.A.detach().T.contiguous())
        self.B = nn.Parameter(self.B.detach().T.contiguous())

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.A @ self.B)


@wrong(caught_by=["A_and_B_are_made_like_the_weight"], crashes=["keeps_the_dtype"])
class LoRALinear__makes_float32_on_the_cpu(LoRALinear):
    """A and B are float32 and on the CPU, whatever the given layer is: make them as its weight
    is."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.A = nn.Parameter(torch.rand(self.A.shape).mul(2).sub(1) * linear.in_features**-0.5)
        self.B = nn.Parameter(torch.zeros(self.B.shape))


@wrong(caught_by=["impossible_rank_is_refused"])
class LoRALinear__accepts_any_rank(LoRALinear):
    """`r` was not checked: a rank below 1 means nothing."""

    def __init__(self, linear, r, alpha):
        super().__init__(linear, max(r, 1), alpha)


# ------------------------------------------------------------------------------------------- merge


@wrong(caught_by=["merged_layer_has_it_all_in_its_weight"])
class LoRALinear__merges_without_the_scale(LoRALinear):
    """`merge` added B A to the weight. It is alpha / r times that, as in `forward`."""

    def merge(self):
        merged = deepcopy(self.linear)
        merged.weight.data += self.B.data @ self.A.data
        return merged


@wrong(caught_by=["merged_layer_has_it_all_in_its_weight"])
class LoRALinear__merges_without_the_bias(LoRALinear):
    """The merged layer has lost the bias."""

    def merge(self):
        weight = super().merge().weight
        merged = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        merged.weight = nn.Parameter(weight.detach())
        return merged


@wrong(caught_by=["merged_layer_has_it_all_in_its_weight"])
class LoRALinear__always_merges_a_bias(LoRALinear):
    """The merged layer has a bias although the given one has none."""

    def merge(self):
        old = super().merge()
        merged = nn.Linear(old.in_features, old.out_features)
        merged.weight = nn.Parameter(old.weight.detach())
        bias = old.weight.new_zeros(old.out_features) if old.bias is None else old.bias.detach()
        merged.bias = nn.Parameter(bias)
        return merged


@wrong(caught_by=["merged_layer_has_it_all_in_its_weight", "merging_leaves_the_layer_alone"])
class LoRALinear__merges_into_itself(LoRALinear):
    """`merge` changed the weight of this layer, which now has B A in it twice: in the weight, and
    beside it. Change a copy."""

    def merge(self):
        self.linear.weight.data += self.scale * (self.B.data @ self.A.data)
        return self.linear


@wrong(caught_by=["merging_leaves_the_layer_alone"])
class LoRALinear__shares_the_bias(LoRALinear):
    """The merged layer has the very bias of this one: to change the one changes the other. Copy
    it."""

    def merge(self):
        merged = super().merge()
        merged.bias = self.linear.bias
        return merged


# ---------------------------------------------------------------------------------------- add_lora


@wrong(
    caught_by=[
        "A_and_B_of_the_named_layers_learn",
        "names_of_no_linear_layer_are_refused",
        "refused_names_change_nothing",
    ],
    crashes=["what_was_learned_is_in_the_model", "model_itself_is_changed"],
)
def add_lora__looks_at_the_top_only(model, names, r, alpha):
    """Only modules directly below the model were looked at (`named_children`). The layers stand
    deeper: `named_modules` gives all of them."""
    children = [name for name, _ in model.named_children()]
    fits = [path for path in fitting(model, names) if path in children]
    if not fits:
        raise ValueError(f"no module has one of the names {names}")
    return replace(model.requires_grad_(False), fits, r, alpha)


@wrong(
    caught_by=["A_and_B_of_the_named_layers_learn"],
    crashes=[
        "tuned_model_computes_what_it_did_at_first",
        "what_was_learned_is_in_the_model",
        "model_itself_is_changed",
    ],
)
def add_lora__wants_the_full_name(model, names, r, alpha):
    """Only full names were found. A name may also be the end of the full one, such as "q_proj"."""
    modules = dict(model.named_modules())
    if not all(isinstance(modules.get(name), nn.Linear) for name in names):
        raise ValueError(f"not every one of {names} is an nn.Linear")
    return replace(model.requires_grad_(False), names, r, alpha)


@wrong(
    crashes=[
        "A_and_B_of_the_named_layers_learn",
        "tuned_model_computes_what_it_did_at_first",
        "what_was_learned_is_in_the_model",
        "model_itself_is_changed",
    ]
)
def add_lora__wants_the_last_part(model, names, r, alpha):
    """Only the last part of each full name was compared. A name may have several parts, such as
    "attn.q_proj"."""
    return add_lora(model, ["no such name" if "." in name else name for name in names], r, alpha)


@wrong(caught_by=["A_and_B_of_the_named_layers_learn", "names_of_no_linear_layer_are_refused"])
def add_lora__takes_any_part_of_a_name(model, names, r, alpha):
    """A name was found in the midst of others (`in`, `endswith`): "up" is not "mix_up". It has to
    begin where the full name does, or behind a dot of it."""
    paths = [path for path, m in model.named_modules() if isinstance(m, nn.Linear)]
    fits = [path for path in paths if any(path.endswith(name) for name in names)]
    add_lora(deepcopy(model), fits, r, alpha)
    if not fits or not all(any(path.endswith(name) for path in paths) for name in names):
        raise ValueError(f"no module has one of the names {names}")
    return replace(model.requires_grad_(False), fits, r, alpha)


@wrong(caught_by=["A_and_B_of_the_named_layers_learn", "model_itself_is_changed"])
def add_lora__leaves_the_others_learning(model, names, r, alpha):
    """Embeddings, norms and other layers still require gradients. Freeze whatever the model had."""
    learning = [p for p in model.parameters() if p.requires_grad]
    linears = [model.get_submodule(path) for path in fitting(model, names)]
    add_lora(model, names, r, alpha)
    for parameter in learning:
        parameter.requires_grad_(True)
    for linear in linears:
        linear.requires_grad_(False)
    return model


@wrong(caught_by=["A_and_B_of_the_named_layers_learn", "model_itself_is_changed"])
def add_lora__freezes_everything(model, names, r, alpha):
    """Nothing requires a gradient. Freeze the model before A and B are in it, not afterwards."""
    return add_lora(model, names, r, alpha).requires_grad_(False)


@wrong(crashes=["what_was_learned_is_in_the_model"])
def add_lora__swaps_r_and_alpha(model, names, r, alpha):
    """`r` and `alpha` were confused."""
    return add_lora(model, names, int(alpha), float(r))


@wrong(caught_by=["A_and_B_of_the_named_layers_learn"])
def add_lora__replaces_the_first_only(model, names, r, alpha):
    """Only the first layer that a name fits was replaced. It stands for all of them."""
    add_lora(deepcopy(model), names, r, alpha)
    first = [next(path for path in fitting(model, [name])) for name in names]
    return add_lora(model, list(dict.fromkeys(first)), r, alpha)


@wrong(crashes=["A_and_B_of_the_named_layers_learn"])
def add_lora__goes_through_the_names(model, names, r, alpha):
    """The layers were replaced name by name. A layer that two names fit is no `nn.Linear` any more
    when the second comes: find all layers first."""
    add_lora(deepcopy(model), names, r, alpha)
    counts = Counter(path for name in names for path in fitting(model, [name]))
    if max(counts.values()) > 1:
        raise ValueError(f"{counts.most_common(1)[0][0]} is not an nn.Linear")
    return add_lora(model, names, r, alpha)


@wrong(caught_by=["model_itself_is_changed"])
def add_lora__changes_a_copy(model, names, r, alpha):
    """The layers were replaced in a copy. The model itself is to be changed: a large one does not
    fit into memory twice."""
    return add_lora(deepcopy(model), names, r, alpha)


@wrong(caught_by=["names_of_no_linear_layer_are_refused", "refused_names_change_nothing"])
def add_lora__passes_over_unknown_names(model, names, r, alpha):
    """A name that no module has was passed over. Whoever misspells one would train nothing and not
    know why."""
    known = [name for name in names if fitting(model, [name])]
    return add_lora(model, known, r, alpha)


@wrong(caught_by=["names_of_no_linear_layer_are_refused"])
def add_lora__passes_over_other_modules(model, names, r, alpha):
    """A name of something else than an `nn.Linear` was passed over. It should have been refused."""
    fits = fitting(model, names)
    if not all(fitting(model, [name]) for name in names):
        raise ValueError(f"no module has one of the names {names}")
    linears = [path for path in fits if isinstance(model.get_submodule(path), nn.Linear)]
    return add_lora(model, linears, r, alpha)


@wrong(caught_by=["refused_names_change_nothing"])
def add_lora__finds_out_too_late(model, names, r, alpha):
    """The error came when the model was changed already. Check all names first."""
    model.requires_grad_(False)
    return add_lora(model, names, r, alpha)
