import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch04_models.ex07_inspect_model import find_positions, head_count, inspect_model

EVERYWHERE = ["describes_each_family", "names_and_configuration_prove_nothing"]


def table(model):
    return next(module for module in model.modules() if isinstance(module, nn.Embedding))


@wrong(caught_by=["names_and_configuration_prove_nothing", "kind_is_what_a_model_does"])
def inspect_model__believes_the_class_name(model):
    """The kind was told by the name of the class. A class can be called anything, and some of the
    models called BERT are decoders: see what the model does."""
    name = type(model).__name__
    kinds = {"Bert": "encoder", "Bart": "encoder-decoder", "T5": "encoder-decoder"}
    kind = next((kinds[part] for part in kinds if part in name), "decoder")
    return inspect_model(model) | {"kind": kind}


@wrong(caught_by=["names_and_configuration_prove_nothing", "counts_the_blocks_that_are_left"])
def inspect_model__believes_the_configuration(model):
    """The number of blocks was read from `model.config`. It says how the model was once made, not
    what is there now: count the blocks."""
    found = inspect_model(model)
    config = next(module.config for module in model.modules() if hasattr(module, "config"))
    numbers = [config.num_hidden_layers]
    if found["kind"] == "encoder-decoder":
        numbers.append(config.to_dict().get("num_decoder_layers", 0) or config.decoder_layers)
    return found | {"n_layer": numbers}


@wrong(
    caught_by=[
        *EVERYWHERE,
        "order_of_registration_means_nothing",
        "head_with_equal_values_is_not_tied",
    ]
)
def find_stacks__counts_lists_inside_of_blocks(model):
    """An `nn.ModuleList` inside of another one was taken for a stack. Blocks of T5 keep their
    layers in a list."""
    return [module for module in model.modules() if isinstance(module, nn.ModuleList)]


@wrong(caught_by=["order_of_registration_means_nothing"])
def find_stacks__takes_the_first_for_the_encoder(model):
    """The stack that is registered first was taken for the encoder. The decoder's stack is the one
    whose blocks have two attention layers."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    nested = {inner for outer in lists for inner in outer.modules() if inner is not outer}
    return [module for module in lists if module not in nested]


@wrong(
    caught_by=[
        *EVERYWHERE,
        "kind_is_what_a_model_does",
        "dropout_does_not_matter",
        "head_with_equal_values_is_not_tied",
    ]
)
def is_causal__looks_at_the_last_output_too(model):
    """The output of the changed token itself was compared too. It changes in every model: only the
    outputs before it tell whether somebody looks ahead."""
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]], device=next(model.parameters()).device)
    with torch.no_grad():
        text, other = model(input_ids=ids)[0]
    return torch.allclose(text, other, atol=1e-5)


@wrong(caught_by=[*EVERYWHERE, "kind_is_what_a_model_does"])
def is_causal__changes_the_first_token(model):
    """The first token was changed, and the last output looked at: everybody may look back. Change
    a later token, and look at the outputs before it."""
    ids = torch.tensor([[5, 6, 7, 8], [9, 6, 7, 8]], device=next(model.parameters()).device)
    modes = {module: module.training for module in model.modules()}
    with torch.no_grad():
        text, other = model.eval()(input_ids=ids)[0]
    for module, mode in modes.items():
        module.training = mode
    return not torch.allclose(text[1:], other[1:], atol=1e-5)


@wrong(caught_by=["kind_is_what_a_model_does"])
def is_causal__takes_token_types_for_an_encoder(model):
    """A third table was taken for the sign of an encoder, as BERT has one. A decoder can have the
    very same modules: only what the model does tells them apart."""
    tables = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    return len(tables) < 3


@wrong(caught_by=["dropout_does_not_matter"])
def is_causal__leaves_dropout_on(model):
    """The two passes differ by their dropout, whatever the tokens are: put the model in eval mode
    for them."""
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]], device=next(model.parameters()).device)
    with torch.no_grad():
        text, other = model(input_ids=ids)[0]
    return torch.allclose(text[:-1], other[:-1], atol=1e-5)


@wrong(caught_by=["every_module_keeps_its_mode"])
def is_causal__stays_in_eval_mode(model):
    """The model was left in eval mode: somebody who trains it would go on without dropout."""
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]], device=next(model.parameters()).device)
    with torch.no_grad():
        text, other = model.eval()(input_ids=ids)[0]
    return torch.allclose(text[:-1], other[:-1], atol=1e-5)


@wrong(caught_by=["every_module_keeps_its_mode"])
def is_causal__gives_all_modules_one_mode(model):
    """All modules were put in the mode of the model. A part can be in eval mode on purpose while
    the rest is trained: note the mode of each module."""
    mode = model.training
    result = is_causal__stays_in_eval_mode(model)
    model.train(mode)
    return result


@wrong(
    caught_by=[
        *EVERYWHERE,
        "order_of_registration_means_nothing",
        "head_with_equal_values_is_not_tied",
    ]
)
def find_positions__counts_the_token_table_again(model):
    """The token table was taken for a table of positions. T5 registers it three times: tables are
    the same if their weights are one parameter."""
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    outside = [other for other in tables if other.embedding_dim == tables[0].embedding_dim]
    if len(outside) == 1:
        return find_positions(model)
    table = max(outside[1:], key=lambda other: other.num_embeddings)
    unused = getattr(table, "offset", 0)
    return {"positions": "learned", "n_positions": table.num_embeddings - unused}


@wrong(caught_by=[*EVERYWHERE, "order_of_registration_means_nothing"])
def find_positions__counts_the_unused_rows(model):
    """All rows of the table were counted. The first ones of BART's are for no position: see the
    attribute `offset`."""
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    offset = max(getattr(module, "offset", 0) for module in tables)
    found = find_positions(model)
    return found | {"n_positions": found["n_positions"] and found["n_positions"] + offset}


@wrong(caught_by=EVERYWHERE)
def find_positions__takes_the_token_types(model):
    """The last table was taken for that of the positions. BERT's last one is of token types, and
    smaller."""
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    found = find_positions(model)
    last = tables[-1].num_embeddings - getattr(tables[-1], "offset", 0)
    return found | {"n_positions": found["n_positions"] and last}


@wrong(
    caught_by=[
        *EVERYWHERE,
        "order_of_registration_means_nothing",
        "head_with_equal_values_is_not_tied",
    ]
)
def inspect_model__multiplies_heads_and_head_size(model):
    """The number of features was taken from the attention. The heads of T5 and Llama need not add
    up to it: take the width of the token table."""
    attention = next(module for module in model.modules() if head_count(module))
    linear = [module for module in attention.modules() if isinstance(module, nn.Linear)]
    width = linear[0].out_features if linear else table(model).embedding_dim
    return inspect_model(model) | {"d_model": width}


@wrong(caught_by=["head_with_equal_values_is_not_tied"])
def inspect_model__compares_values(model):
    """The head and the token table were compared by their values. Equal values are two parameters
    still, and drift apart at the first step of training."""
    heads = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    tied = any(torch.equal(head, table(model).weight) for head in heads)
    return inspect_model(model) | {"tied": tied}


@wrong(caught_by=["head_with_equal_values_is_not_tied", "only_a_head_can_be_tied"])
def inspect_model__takes_any_shared_parameter(model):
    """Some parameter is shared, but not by the head: the encoder and the decoder of T5 share the
    token table with each other."""
    every = list(model.named_parameters(remove_duplicate=False))
    return inspect_model(model) | {"tied": len(every) > len(list(model.parameters()))}


@wrong(caught_by=["lone_stack_can_have_cross_attention"])
def inspect_model__wants_an_encoder_for_cross_attention(model):
    """Cross-attention was expected only where there is an encoder. A decoder alone can have it too,
    for something that it is given from outside: count the attention layers of a block."""
    found = inspect_model(model)
    return found | {"has_cross": found["kind"] == "encoder-decoder"}


@wrong(caught_by=["biases_of_other_layers_make_no_layer_norm"])
def inspect_model__looks_for_any_bias(model):
    """Some parameter is called a bias, but not of a norm: look at the modules whose parameters all
    have one axis."""
    biases = [name for name, _ in model.named_parameters() if name.endswith(".bias")]
    return inspect_model(model) | {"norm": "layer_norm" if biases else "rms_norm"}
