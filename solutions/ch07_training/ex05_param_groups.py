"""7.5 Which parameters decay   [easy, ~15 min]

Weight decay (7.4) pulls weights towards 0, which keeps matrices from growing without need. A norm's
scale begins at 1 and a bias has nothing to gain: pulling them only hurts. An optimizer takes its
parameters in groups with settings of their own; here they are made, by a rule that needs no names.

Source: `configure_optimizers` in https://github.com/karpathy/nanoGPT, model.py;
https://docs.pytorch.org/docs/stable/optim.html, section "Per-parameter options".
"""

from typing import Any

from torch import nn


def param_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return two parameter groups for an optimizer: those that decay, then those that do not.

    Parameters with two or more axes decay, embedding tables among them, all others do not. In each
    group they stand in the order of `model.parameters()`, every one once, also when it is tied:
    used in several places. Frozen ones (`requires_grad` is False) are in neither, and a group may
    be empty.

    Returns:
        `[{"params": [...], "weight_decay": weight_decay}, {"params": [...], "weight_decay": 0.0}]`
        with the parameters themselves, not copies, in lists.

    >>> model = nn.Sequential(nn.Embedding(9, 4), nn.LayerNorm(4), nn.Linear(4, 9))
    >>> decay, no_decay = param_groups(model, weight_decay=0.1)
    >>> [tuple(p.shape) for p in decay["params"]], decay["weight_decay"]
    ([(9, 4), (9, 4)], 0.1)
    >>> [tuple(p.shape) for p in no_decay["params"]], no_decay["weight_decay"]
    ([(4,), (4,), (9,)], 0.0)
    """
    # solution
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
