import torch

from kata.wrong import wrong
from solutions.ch04_models.ex08_count_parameters import COMPONENTS, gpt2_parameters

COMPONENT_OF = {part: key for key, parts in COMPONENTS.items() for part in parts}
OF_TRANSFORMERS = ["counts_gpt2_small", "total_is_that_of_all_parameters"]
OF_FORMULA = ["formula_by_hand", "formula_gives_the_published_sizes"]


def component(name):
    known = [COMPONENT_OF[part] for part in name.split(".") if part in COMPONENT_OF]
    if not known:
        raise ValueError(f"unknown component: {name}")
    return known[-1]


def counted(named, component=component):
    counts = dict.fromkeys(COMPONENTS, 0)
    for name, tensor in named:
        counts[component(name)] += tensor.numel()
    return counts | {"total": sum(counts.values())}


def with_total(counts):
    counts.pop("total")
    return counts | {"total": sum(counts.values())}


@wrong(caught_by=["tied_head_counts_once", *OF_TRANSFORMERS])
def count_parameters__counts_a_tied_head_twice(model):
    """A parameter that is registered at two places was counted at both. A tied head is the token
    table once more, and needs no memory of its own."""
    return counted(model.named_parameters(remove_duplicate=False))


@wrong(caught_by=["tied_head_counts_once", "buffers_do_not_count", *OF_TRANSFORMERS])
def count_parameters__counts_the_state_dict(model):
    """The state dict was counted. It holds buffers too, and a shared parameter under each of its
    names."""
    return counted(model.state_dict().items())


@wrong(caught_by=["frozen_parameters_count"])
def count_parameters__counts_only_what_is_trained(model):
    """Parameters that need no gradient were left out. They are as much a part of the model."""
    return counted((name, p) for name, p in model.named_parameters() if p.requires_grad)


@wrong(
    caught_by=[
        "counts_by_hand",
        "tied_head_counts_once",
        "equal_values_are_still_two_parameters",
        "frozen_parameters_count",
        "buffers_do_not_count",
        "last_listed_part_of_the_name_decides",
        *OF_TRANSFORMERS,
    ]
)
def count_parameters__counts_matrices_only(model):
    """Biases and norms were left out: parameters with one axis count too."""
    return counted((name, p) for name, p in model.named_parameters() if p.dim() > 1)


@wrong(caught_by=["counts_by_hand", *OF_TRANSFORMERS])
def count_parameters__tells_shared_ones_by_their_address(model):
    """Parameters with one `data_ptr()` were taken for the same. On the meta device nothing has an
    address, and all are 0: compare the parameters themselves."""
    kept = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        kept.setdefault(parameter.data_ptr(), (name, parameter))
    return counted(kept.values())


@wrong(
    caught_by=[
        "counts_by_hand",
        "tied_head_counts_once",
        "equal_values_are_still_two_parameters",
        "frozen_parameters_count",
        "buffers_do_not_count",
    ]
)
def count_parameters__takes_equal_values_for_shared(model):
    """Parameters of equal values were counted once. Shared is what is one and the same parameter:
    two fresh norms are equal, and still two."""
    kept = []
    for name, parameter in model.named_parameters():
        if not any(same(parameter, other) for _, other in kept):
            kept.append((name, parameter))
    return counted(kept)


def same(one, other):
    return one is other or (not one.is_meta and torch.equal(one, other))


@wrong(caught_by=["last_listed_part_of_the_name_decides", "unknown_part_is_refused"])
def count_parameters__looks_for_letters_in_the_name(model):
    """A listed name was searched anywhere in the dotted name: `attn` is in `ln_cross_attn` as well,
    which is a norm. Cut the name at its dots and compare whole parts."""

    def component(name):
        found = [COMPONENT_OF[part] for part in COMPONENT_OF if part in name]
        if not found:
            raise ValueError(f"unknown component: {name}")
        return found[0]

    return counted(model.named_parameters(), component)


@wrong(caught_by=["last_listed_part_of_the_name_decides"])
def count_parameters__takes_the_first_listed_part(model):
    """The first listed part decided. What a parameter is, its innermost part tells: T5 has a table
    of positions inside of an attention layer."""

    def component(name):
        found = [COMPONENT_OF[part] for part in name.split(".") if part in COMPONENT_OF]
        if not found:
            raise ValueError(f"unknown component: {name}")
        return found[0]

    return counted(model.named_parameters(), component)


@wrong(caught_by=["unknown_part_is_refused"])
def count_parameters__drops_unknown_parameters(model):
    """A parameter that belongs to no component was left out silently, and the sum is too small:
    raise a ValueError with its name."""
    names = [(name, p) for name, p in model.named_parameters()]
    return counted((name, p) for name, p in names if COMPONENT_OF.keys() & set(name.split(".")))


@wrong(caught_by=OF_FORMULA)
def gpt2_parameters__forgets_the_biases(vocab_size, n_positions, n_embd, n_layer):
    """The biases are missing: every linear layer of GPT-2 but the head has one, with a number per
    output."""
    counts = gpt2_parameters(vocab_size, n_positions, n_embd, n_layer)
    counts["attention"] = n_layer * 4 * n_embd**2
    counts["mlp"] = n_layer * 8 * n_embd**2
    return with_total(counts)


@wrong(caught_by=OF_FORMULA)
def gpt2_parameters__forgets_the_positions(vocab_size, n_positions, n_embd, n_layer):
    """The table of positions is missing: GPT-2 learns a vector for each of its positions."""
    return with_total(gpt2_parameters(vocab_size, n_positions, n_embd, n_layer) | {"positions": 0})


@wrong(caught_by=OF_FORMULA)
def gpt2_parameters__counts_the_tied_head(vocab_size, n_positions, n_embd, n_layer):
    """The head was counted as well: it is tied, so that its parameter is that of the token
    table."""
    head = {"head": vocab_size * n_embd}
    return with_total(gpt2_parameters(vocab_size, n_positions, n_embd, n_layer) | head)


@wrong(caught_by=OF_FORMULA)
def gpt2_parameters__forgets_the_last_norm(vocab_size, n_positions, n_embd, n_layer):
    """One layer norm is missing: there is another one after the last block."""
    norm = {"norm": 2 * n_layer * 2 * n_embd}
    return with_total(gpt2_parameters(vocab_size, n_positions, n_embd, n_layer) | norm)


@wrong(caught_by=OF_FORMULA)
def gpt2_parameters__forgets_the_output_projection(vocab_size, n_positions, n_embd, n_layer):
    """Attention has a fourth matrix besides those of queries, keys and values: it mixes what the
    heads found."""
    attention = {"attention": n_layer * (3 * n_embd**2 + 3 * n_embd)}
    return with_total(gpt2_parameters(vocab_size, n_positions, n_embd, n_layer) | attention)
