import torch

from kata.wrong import wrong
from solutions.ch04_models.ex10_attention_kind import call_in_eval_mode, influence


def noise_like(x):
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x)


def measured(forward, inputs, which, change, moved, refuses_noise=True):
    """The reference, in which one step can be replaced."""
    with torch.no_grad():
        before = call_in_eval_mode(forward, *inputs)
        if refuses_noise and not torch.equal(call_in_eval_mode(forward, *inputs), before):
            raise ValueError("two calls differ")
        columns = []
        for j in range(inputs[which].shape[1]):
            changed = change(inputs[which].clone(), j)
            after = call_in_eval_mode(forward, *inputs[:which], changed, *inputs[which + 1 :])
            columns.append(moved(before, after))
    return torch.stack(columns, dim=-1)


def add_noise(x, j):
    x[:, j] += noise_like(x[:, j])
    return x


def any_feature(before, after):
    return ((after - before).abs() > 1e-5).any(dim=-1).any(dim=0)


def square(depends):
    if depends.shape[0] != depends.shape[1]:
        raise ValueError("there must be as many outputs as tokens")
    return depends


def kind(looks_back, looks_ahead):
    if looks_back and looks_ahead:
        return "bidirectional"
    return "causal" if looks_back else "anti-causal" if looks_ahead else "none"


@wrong(
    caught_by=[
        "only_the_chosen_input_is_changed",
        "finds_a_hidden_dependence",
        "cross_attention_by_hand",
        "kinds_of_real_models",
        "decoders_are_causal_and_read_the_source",
    ]
)
def influence__adds_a_constant(forward, *inputs, which=0):
    """The same number was added to all features of a token. A layer norm subtracts it again, and
    nothing is seen behind it: add noise, which differs from feature to feature."""

    def change(x, j):
        x[:, j] += 1
        return x

    return measured(forward, inputs, which, change, any_feature)


@wrong(caught_by=["finds_a_hidden_dependence", "cross_attention_by_hand"])
def influence__scales_the_token(forward, *inputs, which=0):
    """The token was multiplied by a factor. A norm divides by it again, and zeros stay zeros: add
    noise."""

    def change(x, j):
        x[:, j] *= 3
        return x

    return measured(forward, inputs, which, change, any_feature)


@wrong(
    caught_by=[
        "influence_by_hand",
        "influence_is_what_was_mixed",
        "only_the_chosen_input_is_changed",
        "finds_a_hidden_dependence",
        "neighbours_and_rounding_are_no_dependence",
        "noise_has_the_dtype_of_the_input",
        "module_runs_without_dropout",
        "kind_by_hand",
        "kinds_of_real_models",
        "decoders_are_causal_and_read_the_source",
    ]
)
def influence__goes_on_from_the_last_change(forward, *inputs, which=0):
    """The tokens that were changed before were still changed. Start each time from the inputs as
    they were given."""
    running = inputs[which].clone()

    def change(_, j):
        return add_noise(running, j).clone()

    return measured(forward, inputs, which, change, any_feature)


@wrong(
    caught_by=[
        "influence_by_hand",
        "influence_is_what_was_mixed",
        "only_the_chosen_input_is_changed",
        "finds_a_hidden_dependence",
        "neighbours_and_rounding_are_no_dependence",
        "inputs_are_not_modified",
        "noise_has_the_dtype_of_the_input",
        "module_runs_without_dropout",
        "kind_by_hand",
        "kinds_of_real_models",
        "decoders_are_causal_and_read_the_source",
    ]
)
def influence__writes_into_the_input(forward, *inputs, which=0):
    """The noise was written into the caller's tensor: clone it first."""

    def change(_, j):
        return add_noise(inputs[which], j)

    return measured(forward, inputs, which, change, any_feature)


@wrong(
    caught_by=[
        "influence_by_hand",
        "influence_is_what_was_mixed",
        "only_the_chosen_input_is_changed",
        "finds_a_hidden_dependence",
        "neighbours_and_rounding_are_no_dependence",
        "noise_has_the_dtype_of_the_input",
        "module_runs_without_dropout",
        "kind_by_hand",
        "kinds_of_real_models",
        "decoders_are_causal_and_read_the_source",
    ]
)
def influence__changes_whole_texts(forward, *inputs, which=0):
    """The first axis was taken for the tokens, but it has the texts of the batch: token j of all
    texts is `x[:, j]`."""

    def change(x, j):
        x[j % len(x)] += noise_like(x[0])
        return x

    return measured(forward, inputs, which, change, any_feature)


@wrong(caught_by=["finds_a_hidden_dependence"])
def influence__looks_at_the_first_text_only(forward, *inputs, which=0):
    """Only the first text of the batch was looked at. A token counts if it moves something in any
    text."""

    def moved(before, after):
        return any_feature(before[:1], after[:1])

    return measured(forward, inputs, which, add_noise, moved)


@wrong(caught_by=["finds_a_hidden_dependence"])
def influence__looks_at_one_feature_only(forward, *inputs, which=0):
    """Only the first feature of each output was looked at. A token counts if it moves any
    feature."""

    def moved(before, after):
        return any_feature(before[..., :1], after[..., :1])

    return measured(forward, inputs, which, add_noise, moved)


@wrong(caught_by=["finds_a_hidden_dependence"])
def influence__wants_large_changes(forward, *inputs, which=0):
    """Small changes were not counted. Attention to one of many tokens moves an output by little:
    the border is 1e-5."""

    def moved(before, after):
        return ((after - before).abs() > 1e-2).any(dim=-1).any(dim=0)

    return measured(forward, inputs, which, add_noise, moved)


@wrong(caught_by=["neighbours_and_rounding_are_no_dependence"])
def influence__takes_rounding_for_a_change(forward, *inputs, which=0):
    """Every difference was counted. The last bits of a sum depend on everything that was ever added
    and subtracted: up to 1e-5 it is rounding."""

    def moved(before, after):
        return (after != before).any(dim=-1).any(dim=0)

    return measured(forward, inputs, which, add_noise, moved)


@wrong(caught_by=["only_the_chosen_input_is_changed", "cross_attention_by_hand"])
def influence__always_changes_the_first_input(forward, *inputs, which=0):
    """`which` was ignored: the tokens to change are those of `inputs[which]`."""
    return influence(forward, *inputs)


@wrong(
    caught_by=[
        "influence_by_hand",
        "influence_is_what_was_mixed",
        "only_the_chosen_input_is_changed",
        "finds_a_hidden_dependence",
        "noise_has_the_dtype_of_the_input",
        "kind_by_hand",
        "kinds_of_real_models",
        "decoders_are_causal_and_read_the_source",
    ]
)
def influence__has_tokens_before_outputs(forward, *inputs, which=0):
    """The two axes are swapped: row i belongs to output i, column j to token j."""
    return influence(forward, *inputs, which=which).T


@wrong(crashes=["module_runs_without_dropout", "every_module_keeps_its_mode"])
def influence__leaves_dropout_on(forward, *inputs, which=0):
    """The module ran in training mode, where dropout moves everything: call it in eval mode."""
    return influence(lambda *inputs: forward(*inputs), *inputs, which=which)


@wrong(caught_by=["every_module_keeps_its_mode"])
def influence__stays_in_eval_mode(forward, *inputs, which=0):
    """The module was left in eval mode: somebody who trains it would go on without dropout."""
    found = influence(forward, *inputs, which=which)
    if isinstance(forward, torch.nn.Module):
        forward.eval()
    return found


@wrong(caught_by=["every_module_keeps_its_mode"])
def influence__gives_all_modules_one_mode(forward, *inputs, which=0):
    """All modules were put in the mode of the outermost. A part can be in eval mode on purpose
    while the rest is trained: note the mode of each."""
    found = influence(forward, *inputs, which=which)
    if isinstance(forward, torch.nn.Module):
        forward.train(forward.training)
    return found


@wrong(caught_by=["random_outputs_are_refused"])
def influence__trusts_a_random_forward(forward, *inputs, which=0):
    """The outputs differ from call to call even if nothing is changed: call `forward` twice with
    the same inputs, and raise a ValueError if the results differ."""
    return measured(forward, inputs, which, add_noise, any_feature, refuses_noise=False)


@wrong(caught_by=["kind_by_hand", "one_token_looks_at_no_other"])
def attention_kind__asks_for_the_future_only(forward, *inputs):
    """It was asked only whether outputs depend on later tokens. Whether they depend on earlier ones
    is a question of its own, and without both nothing is bidirectional."""
    depends = square(influence(forward, *inputs))
    return "bidirectional" if depends.triu(1).any() else "causal"


@wrong(caught_by=["kind_by_hand"])
def attention_kind__changes_the_last_token_only(forward, *inputs):
    """Only the last token was changed. A model may look ahead at some places and not at others, as
    in a prefix: every token counts."""
    depends = square(influence(forward, *inputs))
    back, ahead = depends[-1, :-1].any(), depends[:-1, -1].any()
    return kind(back, ahead)


@wrong(caught_by=["kind_by_hand"])
def attention_kind__expects_a_full_triangle(forward, *inputs):
    """Causal was only what depends on all earlier tokens, and bidirectional on all tokens. One
    dependence is enough: a sliding window is causal, too."""
    depends = square(influence(forward, *inputs))
    full = torch.ones_like(depends)
    shapes = {"none": full.tril().triu(), "causal": full.tril(), "anti-causal": full.triu()}
    kinds = (kind for kind, shape in shapes.items() if torch.equal(depends, shape))
    return next(kinds, "bidirectional" if depends.all() else "none")


@wrong(
    caught_by=[
        "kind_by_hand",
        "one_token_looks_at_no_other",
        "kinds_of_real_models",
        "decoders_are_causal_and_read_the_source",
    ]
)
def attention_kind__counts_the_token_itself(forward, *inputs):
    """The diagonal was counted: that an output depends on the token at its own place needs no
    attention."""
    depends = square(influence(forward, *inputs))
    return kind(depends.tril().any(), depends.triu().any())


@wrong(caught_by=["kind_needs_one_output_per_token"])
def attention_kind__takes_any_number_of_outputs(forward, *inputs):
    """There were fewer outputs than tokens, so that output i and token i are not at the same place:
    raise a ValueError."""
    depends = influence(forward, *inputs)
    back, ahead = depends.tril(-1).any(), depends.triu(1).any()
    return kind(back, ahead)


@wrong(caught_by=["cross_attention_by_hand"])
def has_cross_attention__changes_the_target(forward, x, source):
    """The tokens of `x` were changed, not those of `source`."""
    return bool(influence(forward, x, source).any())


@wrong(caught_by=["cross_attention_by_hand"])
def has_cross_attention__changes_the_first_token_only(forward, x, source):
    """Only the first token of the source was changed. Each of them may be the one that is read."""
    return bool(influence(forward, x, source, which=1)[:, 0].any())


@wrong(caught_by=["cross_attention_by_hand"])
def has_cross_attention__looks_at_the_last_output_only(forward, x, source):
    """Only the last output was looked at. Each of them may be the one that reads the source."""
    return bool(influence(forward, x, source, which=1)[-1].any())
