"""What a worker may do to the objects that a test hands over, and whose classes are whose."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kata.grading import proxies
from kata.load import PREFIX

LIBRARY_NAMES = {
    "torch.optim.optimizer.Optimizer": (
        "step zero_grad state_dict load_state_dict param_groups state defaults add_param_group"
    ),
    "torch.optim.lr_scheduler.LRScheduler": (
        "step get_last_lr state_dict load_state_dict last_epoch base_lrs"
    ),
    "torch.amp.grad_scaler.GradScaler": (
        "scale unscale_ step update get_scale is_enabled state_dict load_state_dict"
    ),
    "builtins.generator": "close",
}


def may(operation: Any, target: Any, name: str) -> bool:
    """Whether an answer may do this to an object that a test handed over.

    It may call a function and a module, and read and call the public names that a class of a test
    or of the course defines; of a module also plain values, such as `model.n_layers`. Other
    attributes of an object stay hidden: the double of a model, say, knows what it will answer.
    What a library defines (`save_pretrained`, say) is out of reach, but for a few names of
    optimizers. Nothing can be set.
    """
    if name and name not in proxies.SPECIAL and (name.startswith("_") or not name.isidentifier()):
        return False
    if operation == "copy":
        return isinstance(target, nn.Module)
    if operation not in ("call", "get"):
        return False
    if operation == "call" and name in ("", "__call__"):
        return True
    for cls in type(target).__mro__:
        known = LIBRARY_NAMES.get(f"{cls.__module__}.{cls.__qualname__}", "")
        if name in known.split():
            return True
    if isinstance(target, type) or inspect.isroutine(target):
        return False
    if name in proxies.SPECIAL:
        return operation == "call" and hasattr(type(target), name)
    owners = [cls for cls in type(target).__mro__ if name in vars(cls)]
    if owners:
        return is_ours(owners[0])
    if not isinstance(target, nn.Module) or not is_ours(type(target)):
        return False
    return not isinstance(vars(target).get(name, []), (list, dict, set, Tensor))


def is_ours(cls: type) -> bool:
    """Whether a class is one of the course or of a test, not of a library."""
    root = cls.__module__.split(".")[0]
    if root in ("kata", "solutions") or root.startswith(PREFIX):
        return True
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file is not None and not is_library(root)


def is_library(root: str) -> bool:
    """Whether a top-level module belongs to Python, or is installed beside it."""
    if root in sys.builtin_module_names or root in sys.stdlib_module_names:
        return root != "__main__"
    module = sys.modules.get(root)
    places = [*getattr(module, "__path__", []), getattr(module, "__file__", None) or ""]
    folders = {"site-packages", "dist-packages"}  # the second one where Debian installs
    return any(folders & set(Path(place).parts) for place in places)
