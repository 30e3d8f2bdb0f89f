"""4.3 Loading GPT-2's weights   [medium, ~25 min]

The model of 4.2 computes what GPT-2 computes, so it can take over GPT-2's weights. Only the boxes
differ: GPT-2's projections keep their weights transposed, some checkpoints put a prefix before
every name, and old ones carry masks along. Loading is where mistakes stay silent: a square matrix
fits both ways, a weight that was not loaded is still a weight, and the text is just a bit worse.

Source: https://github.com/openai/gpt-2/blob/master/src/model.py (`conv1d`, whose weight is
(in, out)); https://huggingface.co/openai-community/gpt2 (the checkpoint).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from .ex02_gpt2_model import GPT2Config, GPT2Model  # noqa: F401 (the config is for the example)


def load_gpt2_state_dict(model: GPT2Model, hf_state_dict: Mapping[str, Tensor]) -> None:
    """Give `model` the weights of a Hugging Face GPT-2 checkpoint; return nothing.

    The names of the checkpoint are those of the model, apart from what follows. Each may have the
    prefix `transformer.` or not.

        attn.c_attn, attn.c_proj, mlp.c_fc, mlp.c_proj: their `weight` is (in, out) in the
            checkpoint, and (out, in) in the model.
        lm_head.weight: may be absent. If it is there, it equals `wte.weight`, as the weights are
            tied; in the model they stay one parameter.
        h.<layer>.attn.bias, h.<layer>.attn.masked_bias: masks of old checkpoints; ignored.

    Values are copied into the parameters that the model has, which keep their dtype and device and
    share no memory with the checkpoint. The checkpoint is not modified.

    Raises:
        ValueError: a parameter of the model is missing in the checkpoint; the checkpoint has a
            tensor that the model has no place for; a shape does not fit exactly; or
            `lm_head.weight` differs from `wte.weight`. The message contains every name in question.
            The model is then unchanged: it is never loaded in part.

    >>> model = GPT2Model(GPT2Config(vocab_size=5, n_positions=4, n_embd=6, n_layer=1, n_head=2))
    >>> checkpoint = {"transformer.wte.weight": torch.zeros(5, 6)}
    >>> load_gpt2_state_dict(model, checkpoint)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: missing: h.0.attn.c_attn.bias, h.0.attn.c_attn.weight, ...
    """
    # solution
    state = in_own_layout(hf_state_dict)
    head = state.pop("lm_head.weight", state.get("wte.weight"))
    own = dict(model.named_parameters())  # lists a tied weight once, as wte.weight
    misfits = [n for n in own if n in state and own[n].shape != state[n].shape]
    lists = {"missing": own.keys() - state, "unexpected": state.keys() - own, "shape": misfits}
    problems = [f"{what}: {', '.join(sorted(names))}" for what, names in lists.items() if names]
    if not problems and not torch.equal(head, state["wte.weight"]):
        problems = ["lm_head.weight differs from wte.weight, and this model's head is tied"]
    if problems:
        raise ValueError("; ".join(problems))
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])


# solution
CONV1D = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def in_own_layout(hf_state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the model's names, weights as (out, in), without the masks."""
    state = {key.removeprefix("transformer."): tensor for key, tensor in hf_state_dict.items()}
    masks = (".attn.bias", ".attn.masked_bias")  # with the dot: c_attn.bias is no mask
    return {
        name: tensor.T if name.endswith(CONV1D) else tensor
        for name, tensor in state.items()
        if not name.endswith(masks)
    }
