"""2.12 GPT-2's initial weights   [medium, ~20 min]

A deep network learns only if it starts with signals of a sensible size. GPT-2 draws its matrices
from a narrow normal distribution. Every block adds the output of two layers, both called `c_proj`,
to the residual stream: the sum of 2 L random terms is sqrt(2 L) times as large as one of them, so
these layers start smaller by that factor and a deep model starts out like a shallow one.

Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, section 2.3,
https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf.
"""

import math

import torch
from torch import nn


def init_gpt2_weights_(model: nn.Module, n_layer: int, std: float = 0.02) -> None:
    """Overwrite every parameter of `model` with GPT-2's initial values; return nothing.

    What a parameter is, is told by its number of axes and by its name in
    `model.named_parameters()`, never by the class of its layer, so that your own layers count too:

        two or more axes, a matrix or an embedding: normal, mean 0, standard deviation `std`;
        the same, in a layer called `c_proj`: normal, standard deviation std / sqrt(2 n_layer).
            The name is `c_proj.weight`, or ends in `.c_proj.weight`;
        one axis, the last part of the name is `bias`: 0, in every layer, norms included;
        one axis, the last part of the name is `weight`, the scale of a norm: 1;
        anything else: left as it is.

    The values change in place: the parameters stay the same objects, with their dtype and device,
    so that tied weights stay tied and an optimizer keeps them. The random numbers come from torch's
    global generator.

    Raises:
        ValueError: `n_layer` is less than 1.

    >>> model = nn.ModuleDict({"c_fc": nn.Linear(300, 400), "c_proj": nn.Linear(400, 300)})
    >>> init_gpt2_weights_(model, n_layer=8)
    >>> [round(layer.weight.std().item(), 3) for layer in model.values()]
    [0.02, 0.005]
    """
    # solution
    if n_layer < 1:
        raise ValueError(f"n_layer must be at least 1, got {n_layer}")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            layer, kind = ("." + name).split(".")[-2:]
            if parameter.dim() >= 2:
                residual = (layer, kind) == ("c_proj", "weight")
                parameter.normal_(0.0, std / math.sqrt(2 * n_layer) if residual else std)
            elif parameter.dim() == 1 and kind in ("bias", "weight"):
                parameter.fill_(1.0 if kind == "weight" else 0.0)
