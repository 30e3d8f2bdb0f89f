import torch
from torch.nn import functional as F

from kata.wrong import wrong
from solutions.ch07_training.ex07_clip_grad_norm import clip_grad_norm
from solutions.ch07_training.ex11_autocast_step import autocast_step


def forward(model, batch, dtype):
    """The loss in float32, of logits in half precision."""
    x, y = batch
    with torch.autocast(x.device.type, dtype=dtype):
        logits = model(x).flatten(0, 1)
    return F.cross_entropy(logits.float(), y.flatten())


def finish(model, optimizer, loss, max_norm, scaler):
    """Backward pass, clipping and step."""
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    scaler.scale(loss).backward()
    if max_norm is not None:
        scaler.unscale_(optimizer)
        clip_grad_norm(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.detach()


@wrong(
    caught_by=[
        "weights_stay_float32_and_make_the_step",
        "scale_does_not_change_the_steps",
        "second_step_starts_anew",
    ],
    crashes=["infinite_gradients_make_no_step"],
)
def autocast_step__casts_the_weights(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """The model itself was converted to half precision. There a small update is rounded away: leave
    the weights in float32, `torch.autocast` makes the copies that it needs."""
    return autocast_step(model.to(dtype), optimizer, batch, max_norm, dtype, scaler)


@wrong(
    caught_by=[
        "loss_is_float32_of_half_precision_logits",
        "loss_is_without_the_scale",
        "weights_stay_float32_and_make_the_step",
        "scale_does_not_change_the_steps",
        "second_step_starts_anew",
        "infinite_gradients_make_no_step",
        "step_does_not_wait_for_the_device",
    ]
)
def autocast_step__stays_in_float32(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """The forward pass was in float32: the model was called outside of `torch.autocast`."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())
    return finish(model, optimizer, loss, max_norm, scaler)


@wrong(
    caught_by=[
        "loss_is_float32_of_half_precision_logits",
        "loss_is_without_the_scale",
        "weights_stay_float32_and_make_the_step",
        "scale_does_not_change_the_steps",
        "second_step_starts_anew",
        "infinite_gradients_make_no_step",
        "step_does_not_wait_for_the_device",
    ]
)
def autocast_step__is_for_cuda_only(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """`torch.autocast("cuda", ...)` changes nothing on the CPU or on an Apple GPU. The device type
    is that of `x`."""
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=dtype, enabled=torch.cuda.is_available()):
        logits = model(batch[0]).flatten(0, 1)
    loss = F.cross_entropy(logits.float(), batch[1].flatten())
    return finish(model, optimizer, loss, max_norm, scaler)


@wrong(caught_by=["loss_is_float32_of_half_precision_logits", "infinite_gradients_make_no_step"])
def autocast_step__is_always_bfloat16(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """`dtype` was not used: the forward pass is in bfloat16, whatever was asked for."""
    return autocast_step(model, optimizer, batch, max_norm, torch.bfloat16, scaler)


@wrong(
    caught_by=[
        "loss_is_float32_of_half_precision_logits",
        "loss_is_without_the_scale",
        "weights_stay_float32_and_make_the_step",
        "scale_does_not_change_the_steps",
        "second_step_starts_anew",
        "step_does_not_wait_for_the_device",
    ]
)
def autocast_step__has_a_loss_in_half_precision(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """The loss was computed in half precision, which has two or three digits: convert the logits
    with `.float()` before."""
    x, y = batch
    optimizer.zero_grad()
    with torch.autocast(x.device.type, dtype=dtype):
        logits = model(x).flatten(0, 1)
    loss = F.cross_entropy(logits, y.flatten())
    return finish(model, optimizer, loss, max_norm, scaler)


@wrong(caught_by=["scale_does_not_change_the_steps"])
def autocast_step__clips_scaled_gradients(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """The gradient was clipped while it was still multiplied by the scale, thousands of times too
    long: next to nothing was left. Call `scaler.unscale_(optimizer)` before."""
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    optimizer.zero_grad()
    loss = forward(model, batch, dtype)
    scaler.scale(loss).backward()
    if max_norm is not None:
        clip_grad_norm(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.detach()


@wrong(caught_by=["weights_stay_float32_and_make_the_step", "scale_does_not_change_the_steps"])
def autocast_step__does_not_clip(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """`max_norm` was not used: the gradient was not clipped."""
    return autocast_step(model, optimizer, batch, None, dtype, scaler)


@wrong(caught_by=["scale_does_not_change_the_steps", "infinite_gradients_make_no_step"])
def autocast_step__steps_past_the_scaler(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """`optimizer.step()` was called with a scaler in use: the gradient may still be multiplied by
    the scale, and a step with infinite gradients is not left out. Call `scaler.step(optimizer)`."""
    optimizer.zero_grad()
    loss = forward(model, batch, dtype)
    (loss if scaler is None else scaler.scale(loss)).backward()
    if max_norm is not None:
        if scaler is not None:
            scaler.unscale_(optimizer)
        clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return loss.detach()


@wrong(caught_by=["infinite_gradients_make_no_step"], crashes=["scale_does_not_change_the_steps"])
def autocast_step__never_updates_the_scaler(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """`scaler.update()` is missing at the end. It makes the scale smaller after an infinite
    gradient, and prepares the scaler for the next step."""
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    optimizer.zero_grad()
    loss = forward(model, batch, dtype)
    scaler.scale(loss).backward()
    if max_norm is not None:
        scaler.unscale_(optimizer)
        clip_grad_norm(model.parameters(), max_norm)
    scaler.step(optimizer)
    return loss.detach()


@wrong(caught_by=["loss_is_without_the_scale"])
def autocast_step__returns_the_scaled_loss(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """The loss was returned with the scale in it. The scale is for the backward pass only."""
    scale = 1.0 if scaler is None else scaler.get_scale()
    return autocast_step(model, optimizer, batch, max_norm, dtype, scaler) * scale


@wrong(caught_by=["loss_has_no_graph"])
def autocast_step__returns_the_graph(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """The loss still has its graph. Who keeps it in a list keeps the graph of every step as well:
    return `loss.detach()`."""
    optimizer.zero_grad()
    loss = forward(model, batch, dtype)
    finish(model, optimizer, loss, max_norm, scaler)
    return loss


@wrong(caught_by=["scale_does_not_change_the_steps", "second_step_starts_anew"])
def autocast_step__keeps_the_old_gradient(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """`zero_grad` is missing: the gradient of the step before is added to this one."""
    loss = forward(model, batch, dtype)
    return finish(model, optimizer, loss, max_norm, scaler)


@wrong(
    caught_by=[
        "loss_of_three_tokens_by_hand",
        "loss_is_float32_of_half_precision_logits",
        "loss_is_without_the_scale",
        "weights_stay_float32_and_make_the_step",
        "scale_does_not_change_the_steps",
        "second_step_starts_anew",
        "step_does_not_wait_for_the_device",
    ]
)
def autocast_step__shifts_the_targets(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    """The targets were shifted once more. In the batches of 7.1, `y` is the next token already."""
    x, y = batch
    optimizer.zero_grad()
    with torch.autocast(x.device.type, dtype=dtype):
        logits = model(x)[:, :-1].flatten(0, 1)
    loss = F.cross_entropy(logits.float(), y[:, 1:].flatten())
    return finish(model, optimizer, loss, max_norm, scaler)
