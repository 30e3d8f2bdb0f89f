import math

import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch07_training.ex03_evaluate_perplexity import evaluate_perplexity

VALUES = [
    "hesitates_among_all_tokens",
    "two_batches_by_hand",
    "batches_of_a_generator_are_added_up",
    "ignored_targets_do_not_count",
    "half_precision_is_raised",
]


class Changed(nn.Module):
    """A model with a function around it, in the same mode."""

    def __init__(self, model, around):
        super().__init__()
        self.model, self.around = model, around
        self.training = getattr(model, "training", False)

    def forward(self, x):
        return self.around(self.model, x)


def each(model, batches, device):
    """The perplexity and the number of targets of each batch that has any."""
    result = []
    for x, y in batches:
        count = int((y != -100).sum())
        result += [(evaluate_perplexity(model, [(x, y)], device), count)] if count else []
    if not result:
        raise ValueError("no token")
    return result


@wrong(
    caught_by=[
        "two_batches_by_hand",
        "batches_of_a_generator_are_added_up",
        "ignored_targets_do_not_count",
    ]
)
def evaluate_perplexity__averages_the_means(model, batches, device=None):
    """The mean losses of the batches were averaged. A batch with few tokens counts as much as one
    with many then: add up losses and tokens, and divide once."""
    losses = [math.log(perplexity) for perplexity, _ in each(model, batches, device)]
    return math.exp(sum(losses) / len(losses))


@wrong(
    caught_by=[
        "two_batches_by_hand",
        "batches_of_a_generator_are_added_up",
        "ignored_targets_do_not_count",
    ]
)
def evaluate_perplexity__averages_perplexities(model, batches, device=None):
    """The perplexities of the batches were averaged. The mean belongs inside of the exponential,
    and there it goes over all tokens."""
    perplexities = each(model, batches, device)
    return sum(p * count for p, count in perplexities) / sum(count for _, count in perplexities)


@wrong(
    caught_by=[
        "two_batches_by_hand",
        "batches_of_a_generator_are_added_up",
        "ignored_targets_do_not_count",
    ]
)
def evaluate_perplexity__looks_at_one_batch(model, batches, device=None):
    """Only the first batch was looked at. Is the `return` inside of the loop?"""
    return each(model, batches, device)[0][0]


@wrong(caught_by=["ignored_targets_do_not_count", "nothing_to_predict_is_refused"])
def evaluate_perplexity__counts_ignored_targets(model, batches, device=None):
    """The sum was divided by the number of all targets. Those of -100 do not count there
    either."""
    nll, tokens = 0.0, 0
    for x, y in batches:
        count = int((y != -100).sum())
        if count:
            nll += count * math.log(evaluate_perplexity(model, [(x, y)], device))
        tokens += y.numel()
    if tokens == 0:
        raise ValueError("no token")
    return math.exp(nll / tokens)


@wrong(
    caught_by=[
        "two_batches_by_hand",
        "batches_of_a_generator_are_added_up",
        "ignored_targets_do_not_count",
        "half_precision_is_raised",
    ]
)
def evaluate_perplexity__shifts_the_targets(model, batches, device=None):
    """The targets were shifted (is it `lm_loss`, 7.2?). Those of a batch (x, y) are shifted
    already."""
    return evaluate_perplexity(
        Changed(model, lambda model, x: model(x)[:, :-1]),
        ((x, y[:, 1:]) for x, y in batches),
        device,
    )


@wrong(caught_by=VALUES)
def evaluate_perplexity__forgets_the_exponential(model, batches, device=None):
    """The result is the mean loss. Perplexity is its exponential."""
    return math.log(evaluate_perplexity(model, batches, device))


@wrong(caught_by=VALUES)
def evaluate_perplexity__returns_a_tensor(model, batches, device=None):
    """The result is a tensor. `.item()` makes a number of it."""
    perplexity = evaluate_perplexity(model, batches, device)
    return torch.tensor(perplexity, dtype=torch.float64)


@wrong(caught_by=["model_is_in_eval_mode_meanwhile"])
def evaluate_perplexity__stays_in_training_mode(model, batches, device=None):
    """The model was not in eval mode: with dropout at work it looks worse than it is."""
    return evaluate_perplexity(lambda x: model(x), batches, device)


@wrong(caught_by=["model_is_in_eval_mode_meanwhile", "mode_is_restored_after_an_error"])
def evaluate_perplexity__leaves_the_model_in_eval_mode(model, batches, device=None):
    """The model was in training mode before, and is in eval mode now: the training goes on without
    dropout."""
    if isinstance(model, nn.Module):
        model.eval()
    return evaluate_perplexity(model, batches, device)


@wrong(caught_by=["model_is_in_eval_mode_meanwhile", "mode_is_restored_after_an_error"])
def evaluate_perplexity__leaves_the_model_in_training_mode(model, batches, device=None):
    """The model came in eval mode and went in training mode. Remember in which mode it was."""
    try:
        return evaluate_perplexity(model, batches, device)
    finally:
        if isinstance(model, nn.Module):
            model.train()


@wrong(caught_by=["mode_is_restored_after_an_error"])
def evaluate_perplexity__stays_in_eval_mode_after_an_error(model, batches, device=None):
    """After an exception the model stays in eval mode. `try: ... finally: ...` restores the mode
    whatever happens."""
    try:
        return evaluate_perplexity(model, batches, device)
    except Exception:
        if isinstance(model, nn.Module):
            model.eval()
        raise


@wrong(
    crashes=[*VALUES, "huge_loss_is_infinite"],
    caught_by=["device_is_obeyed", "nothing_to_predict_is_refused"],
)
def evaluate_perplexity__expects_a_module(model, batches, device=None):
    """The model was asked for its mode, and has none. Not only an `nn.Module` may come, but any
    function that maps ids to logits."""
    training = model.training
    model.eval()
    try:
        return evaluate_perplexity(model, batches, device)
    finally:
        model.train(training)


@wrong(caught_by=["no_gradients_are_recorded"])
def evaluate_perplexity__records_gradients(model, batches, device=None):
    """Gradients were recorded: all that the model computed stays in memory, for nothing. Use
    `torch.no_grad()`."""

    def recorded(model, x):
        with torch.enable_grad():
            return model(x)

    return evaluate_perplexity(Changed(model, recorded), batches, device)


@wrong(crashes=["batches_of_a_generator_are_added_up"])
def evaluate_perplexity__asks_for_the_number_of_batches(model, batches, device=None):
    """`len(batches)` was asked for. Batches may come from a generator, which has no length: count
    in the loop."""
    if len(batches) == 0:
        raise ValueError("no batch")
    return evaluate_perplexity(model, batches, device)


@wrong(caught_by=["batches_of_a_generator_are_added_up"])
def evaluate_perplexity__goes_through_the_batches_twice(model, batches, device=None):
    """The batches were gone through twice, to count the tokens first. A generator is empty the
    second time: add up losses and tokens in one loop."""
    tokens = sum(int((y != -100).sum()) for _, y in batches)
    if tokens == 0:
        raise ValueError("no token")
    perplexities = each(model, batches, device) if isinstance(batches, list) else []
    return math.exp(sum(count * math.log(p) for p, count in perplexities) / tokens)


@wrong(caught_by=["device_is_obeyed"])
def evaluate_perplexity__ignores_the_device(model, batches, device=None):
    """The batches stay where they are: the argument `device` has no effect."""
    return evaluate_perplexity(model, batches)


@wrong(caught_by=["half_precision_is_raised"])
def evaluate_perplexity__stays_in_half_precision(model, batches, device=None):
    """The loss of half precision logits was computed in half precision, with two or three digits.
    Convert them to float32."""
    log_probs = Changed(model, lambda model, x: model(x).log_softmax(-1))
    return evaluate_perplexity(log_probs, batches, device)


@wrong(crashes=["huge_loss_is_infinite"])
def evaluate_perplexity__overflows(model, batches, device=None):
    """`math.exp` raises an OverflowError above 709. The result is infinite there, as
    `torch.exp` has it."""
    perplexity = evaluate_perplexity(model, batches, device)
    return math.exp(1000) if perplexity == math.inf else perplexity


@wrong(caught_by=["nothing_to_predict_is_refused"])
def evaluate_perplexity__praises_the_empty_text(model, batches, device=None):
    """With no token to predict the result is 1, the best there is (is it `max(tokens, 1)`?). There
    is no answer: raise a ValueError."""
    try:
        return evaluate_perplexity(model, batches, device)
    except ValueError:
        return 1.0
