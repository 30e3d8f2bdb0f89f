import torch
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from kata.wrong import wrong
from solutions.ch07_training.ex02_lm_loss import lm_loss
from solutions.ch08_tuning.ex04_sft_step import sft_loss, sft_step


def parts(model, batch):
    """The logits of all tokens that predict one, and what each of them should predict."""
    return model(batch["input_ids"])[:, :-1], batch["labels"][:, 1:]


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "loss_is_the_mean_over_response_tokens",
        "no_gradient_reaches_other_logits",
        "first_labels_never_count",
        "step_returns_the_loss_before_it",
        "three_steps_agree_with_torch",
        "whole_gradient_is_clipped",
    ]
)
def sft_loss__learns_the_prompt(model, batch):
    """The loss was taken over the ids, prompt and padding too. Only what has a label counts."""
    return lm_loss(model(batch["input_ids"]), batch["input_ids"])


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "loss_is_the_mean_over_response_tokens",
        "no_gradient_reaches_other_logits",
        "first_labels_never_count",
        "step_returns_the_loss_before_it",
        "three_steps_agree_with_torch",
        "whole_gradient_is_clipped",
    ]
)
def sft_loss__hides_the_padding_only(model, batch):
    """The loss was taken over all that is not padding, the prompt too. Only what has a label
    counts."""
    hidden = batch["attention_mask"] == 0
    return lm_loss(model(batch["input_ids"]), batch["input_ids"].masked_fill(hidden, -100))


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "loss_is_the_mean_over_response_tokens",
        "no_gradient_reaches_other_logits",
        "first_labels_never_count",
        "step_returns_the_loss_before_it",
        "three_steps_agree_with_torch",
        "whole_gradient_is_clipped",
    ]
)
def sft_loss__shifts_twice(model, batch):
    """Logits and labels were shifted, and `lm_loss` shifts once more: the model learns to predict
    the token after the next one."""
    logits, labels = parts(model, batch)
    return lm_loss(logits, labels)


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "loss_is_the_mean_over_response_tokens",
        "no_gradient_reaches_other_logits",
        "first_labels_never_count",
        "step_returns_the_loss_before_it",
        "three_steps_agree_with_torch",
        "whole_gradient_is_clipped",
    ]
)
def sft_loss__does_not_shift(model, batch):
    """The label of a token was compared with what the model says after it has read that token: it
    learns to repeat it."""
    logits = model(batch["input_ids"])
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "loss_is_the_mean_over_response_tokens",
        "no_gradient_reaches_other_logits",
        "first_labels_never_count",
        "step_returns_the_loss_before_it",
        "three_steps_agree_with_torch",
        "whole_gradient_is_clipped",
    ]
)
def sft_loss__averages_rows(model, batch):
    """Each row was averaged first, then the rows. Every token of every response counts the same."""
    logits, labels = parts(model, batch)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = F.cross_entropy(logits.mT, labels, reduction="none")  # (batch, seq)
    return (losses.sum(-1) / (labels != -100).sum(-1)).mean()


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "loss_is_the_mean_over_response_tokens",
        "no_gradient_reaches_other_logits",
        "first_labels_never_count",
        "step_returns_the_loss_before_it",
        "three_steps_agree_with_torch",
        "whole_gradient_is_clipped",
    ]
)
def sft_loss__divides_by_all_tokens(model, batch):
    """The sum over the responses was divided by the number of all tokens. Divide by the number of
    those that count."""
    logits, labels = parts(model, batch)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    return losses / labels.numel()


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "loss_is_the_mean_over_response_tokens",
        "no_gradient_reaches_other_logits",
        "first_labels_never_count",
        "step_returns_the_loss_before_it",
        "three_steps_agree_with_torch",
        "whole_gradient_is_clipped",
    ]
)
def sft_loss__sums(model, batch):
    """The losses of all tokens were summed. Take their mean, or long batches take long steps."""
    logits, labels = parts(model, batch)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")


@wrong(caught_by=["loss_is_the_mean_over_response_tokens"])
def sft_loss__stays_in_half_precision(model, batch):
    """The loss was computed in half precision. Convert the logits to float32 first, as 7.2 does."""
    logits, labels = parts(model, batch)
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


@wrong(crashes=["loss_runs_on_the_meta_device"])
def sft_loss__picks_with_a_mask(model, batch):
    """The tokens that count were picked with a boolean mask. How many there are is not known on the
    meta device, and a GPU has to be waited for: let `ignore_index` do it."""
    logits, labels = parts(model, batch)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    counts = labels != -100
    return F.cross_entropy(logits[counts], labels[counts])


def step(model, optimizer, batch, max_norm, *order):
    """What a step consists of, in the given order; returns the loss."""
    loss = sft_loss(model, batch)
    for part in order:
        if part == "clear":
            optimizer.zero_grad()
        elif part == "backward":
            loss.backward()
        elif part == "clip" and max_norm is not None:
            clip_grad_norm_(model.parameters(), max_norm)
        elif part == "step":
            optimizer.step()
    return loss.item()


def check(batch):
    """Raise the error of a batch without labels."""
    if not (batch["labels"][:, 1:] != -100).any():
        raise ValueError("no labels")


@wrong(caught_by=["three_steps_agree_with_torch", "whole_gradient_is_clipped"])
def sft_step__keeps_old_gradients(model, optimizer, batch, max_norm=None):
    """Gradients were never cleared (`zero_grad`), so those of earlier batches are added to each
    step."""
    check(batch)
    return step(model, optimizer, batch, max_norm, "backward", "clip", "step")


@wrong(caught_by=["three_steps_agree_with_torch", "whole_gradient_is_clipped"])
def sft_step__leaves_the_weights(model, optimizer, batch, max_norm=None):
    """The weights do not move: `optimizer.step()` is missing, or `zero_grad` came right before it
    and left nothing to step along."""
    check(batch)
    return step(model, optimizer, batch, max_norm, "backward", "clear", "clip", "step")


@wrong(caught_by=["whole_gradient_is_clipped"])
def sft_step__never_clips(model, optimizer, batch, max_norm=None):
    """The step was taken with a gradient that was not clipped: `max_norm` was ignored, or used too
    late, or before there was a gradient."""
    return sft_step(model, optimizer, batch)


@wrong(caught_by=["three_steps_agree_with_torch"])
def sft_step__clips_unasked(model, optimizer, batch, max_norm=None):
    """The gradient was clipped to the norm 1 although `max_norm` is None, which means: not at
    all."""
    return sft_step(model, optimizer, batch, 1.0 if max_norm is None else max_norm)


@wrong(caught_by=["three_steps_agree_with_torch", "whole_gradient_is_clipped"])
def sft_step__clears_afterwards(model, optimizer, batch, max_norm=None):
    """`zero_grad` came behind the step only. Gradients that were there before the call had their
    part in the first one."""
    check(batch)
    return step(model, optimizer, batch, max_norm, "backward", "clip", "step", "clear")


@wrong(caught_by=["step_returns_the_loss_before_it"])
def sft_step__returns_the_loss_after_the_step(model, optimizer, batch, max_norm=None):
    """The loss was computed again after the step. Return the one that the step was made of: the
    second pass costs time."""
    sft_step(model, optimizer, batch, max_norm)
    return sft_loss(model, batch).item()


@wrong(caught_by=["step_returns_the_loss_before_it"])
def sft_step__returns_a_tensor(model, optimizer, batch, max_norm=None):
    """The loss came back as a tensor, which keeps its whole graph in memory. Return a float."""
    check(batch)
    optimizer.zero_grad()
    loss = sft_loss(model, batch)
    loss.backward()
    if max_norm is not None:
        clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss


@wrong(caught_by=["batches_without_labels_are_refused"])
def sft_step__counts_first_labels(model, optimizer, batch, max_norm=None):
    """A label of the first token of a row was counted. Nothing predicts that token, so a batch with
    no other labels has a loss of NaN."""
    if not (batch["labels"] != -100).any():
        raise ValueError("no labels")
    return step(model, optimizer, batch, max_norm, "clear", "backward", "clip", "step")


@wrong(caught_by=["batches_without_labels_are_refused"])
def sft_step__steps_along_nan(model, optimizer, batch, max_norm=None):
    """A batch without labels was not refused. Its loss is NaN, and after the step so is every
    weight."""
    return step(model, optimizer, batch, max_norm, "clear", "backward", "clip", "step")


@wrong(caught_by=["mode_of_the_model_stays"])
def sft_step__switches_to_train_mode(model, optimizer, batch, max_norm=None):
    """The model was put into train mode. Its mode is the caller's affair."""
    model.train()
    return sft_step(model, optimizer, batch, max_norm)
