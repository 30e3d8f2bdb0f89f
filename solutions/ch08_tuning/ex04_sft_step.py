"""8.4 A step of instruction tuning   [easy, ~20 min]

It is a step of chapter 7 with other labels: the mean over the tokens of all responses, the end
tokens included. A long response weighs more than a short one, as it has more tokens. No mask is
needed: padding stands on the right, where causal attention never looks, and has no labels.
Builds on `lm_loss` (7.2), which does the shift, and `clip_grad_norm` (7.7).

Source: Ouyang et al. (2022), https://arxiv.org/abs/2203.02155, section 3.5;
https://huggingface.co/docs/trl/sft_trainer.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..ch07_training.ex02_lm_loss import lm_loss
from ..ch07_training.ex07_clip_grad_norm import clip_grad_norm

IGNORED = -100  # a label that counts for nothing

Batch = Mapping[str, Int[Tensor, "batch seq"]]
"""What `sft_collate` (8.3) makes, on the device of the model."""


def sft_loss(
    model: Callable[[Int[Tensor, "batch seq"]], Float[Tensor, "batch seq vocab"]], batch: Batch
) -> Float[Tensor, ""]:
    """Return the mean of -log p(label) over all tokens of the batch that have a label.

    The model is called once, with `batch["input_ids"]` and nothing else. `batch["labels"]` are not
    shifted: the label of a token is compared with what the model says one token earlier, so the
    first label of a row never counts, nor does any `IGNORED`. The result is NaN when none counts.

    Half precision is converted to float32 first, as in 7.2. Nothing depends on the values in a
    tensor (no `.item()`, no boolean mask as index), so that it runs on the meta device.

    >>> batch = {"input_ids": torch.tensor([[3, 0, 1]]), "labels": torch.tensor([[-100, -100, 1]])}
    >>> sft_loss(lambda ids: torch.zeros(1, 3, 4), batch)  # log 4
    tensor(1.3863)
    """
    # solution
    return lm_loss(model(batch["input_ids"]), batch["labels"])


def sft_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    max_norm: float | None = None,
) -> float:
    """Take one step of the optimizer on `sft_loss`, and return the loss as it was before the step.

    Args:
        model: as for `sft_loss`. Its mode stays as it is, and gradients from before the call have
            no influence.
        optimizer: holds the parameters that learn, which need not be all.
        batch: not modified.
        max_norm: the gradient of all parameters of the model is clipped to this norm (7.7) before
            the step, unless it is None.

    Raises:
        ValueError: no label counts. It is raised before the model is called: a loss of NaN would
            make every weight NaN.
    """
    # solution
    if not (batch["labels"][:, 1:] != IGNORED).any():
        raise ValueError(f"no token of {len(batch['labels'])} examples has a label that counts")
    optimizer.zero_grad()
    loss = sft_loss(model, batch)
    loss.backward()
    if max_norm is not None:
        clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()
