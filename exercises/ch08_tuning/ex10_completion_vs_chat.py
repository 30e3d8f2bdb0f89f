"""8.10 Completion against chat   [medium, ~30 min]

A base model goes on with a text; it may answer a question with three more questions. A chat model
was tuned to answer, but only in the form that it was tuned on. To see what tuning has changed, give
both the same prompts, each in its own form, and the same luck: the same seed and settings. They can
be your own model before and after 8.4, or two models of the hub.

Source: https://huggingface.co/docs/transformers/chat_templating, "add_generation_prompt".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..ch05_decoding.ex09_sample_next import SamplingConfig
from ..ch05_decoding.ex10_generate import GREEDY, generate


@dataclass(frozen=True)
class TextModel:
    """A language model, and what it takes to use it with text."""

    model: Callable[[Int[Tensor, "batch seq"]], Float[Tensor, "batch seq vocab"]]
    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    # Called as template(messages, add_generation_prompt=True) it gives ids; the `encode_chat` of
    # 8.1 does so as functools.partial(encode_chat, encode=..., special_ids=...).
    template: Callable[..., list[int]] | None = None
    end_id: int | None = None  # a text ends with this token
    context: int | None = None  # the most tokens that the model can read
    device: str = "cpu"  # where the model is


def completion_vs_chat(
    prompts: Sequence[str],
    base: TextModel,
    chat: TextModel,
    max_new_tokens: int = 60,
    config: SamplingConfig = GREEDY,
    seed: int = 0,
) -> list[dict[str, str]]:
    """Let two models continue each prompt, and return what they write side by side.

    `base` is given the prompt as it is, by its own `encode`, even if it has a template. `chat` is
    given a conversation in its own template, with the generation prompt: a single message of the
    user, with the prompt as its content. Prompts know nothing of each other.

    Both write with `generate` (5.10), `max_new_tokens` and `config`, each with its own end token,
    context and device. Every text has a new generator on the CPU that starts at `seed`, so that it
    depends on its own prompt and model alone, and not on what was written before.

    Returns:
        For each prompt, in their order, a dict of three texts: "prompt", "completion" (of `base`)
        and "chat". The last two are what the model's `decode` makes of the new tokens alone, up to
        the end token, which is left out. Nothing else may be cut off: `decode` need not give a
        prompt back character by character.

    Raises:
        ValueError: `chat` has no template. It is raised before any model is called.

    >>> counting = lambda ids: torch.nn.functional.one_hot((ids + 1) % 128, 128).float()
    >>> utf8 = lambda text: list(text.encode()), lambda ids: bytes(ids).decode()
    >>> chat = TextModel(counting, *utf8, template=lambda messages, **_: [87], end_id=90)
    >>> completion_vs_chat(["abc"], TextModel(counting, *utf8), chat, max_new_tokens=4)
    [{'prompt': 'abc', 'completion': 'defg', 'chat': 'XY'}]
    """
    raise NotImplementedError("completion_vs_chat")  # your code here


def load_text_model(name: str, device: str = "cpu") -> TextModel:
    """Load a causal language model of transformers, in eval mode, and its tokenizer.

    Load both with `from_pretrained` below, and use no template but the tokenizer's own. The fields:

        model: gives the logits alone, as a tensor.
        encode: the tokenizer's, with the special tokens that it adds to a text by default.
        decode: the tokenizer's, which skips special tokens.
        template: the tokenizer's `apply_chat_template`, as a list of ids; None if the tokenizer's
            `chat_template` is None.
        end_id: the tokenizer's `eos_token_id`.
        context: `max_position_embeddings` of the model's config; None if it has no such attribute.

    Args:
        name: a folder that `save_pretrained` has filled, or a model of the hub, such as
            "openai-community/gpt2" or "Qwen/Qwen2.5-0.5B-Instruct".
        device: where the model shall be.
    """
    raise NotImplementedError("load_text_model")  # your code here


def from_pretrained(kind: Any, name: str) -> Any:
    """Call `kind.from_pretrained(name)`; `kind` is a class of transformers such as `AutoTokenizer`.

    Folders and the cache come first. The hub is asked once whether it is there: transformers alone
    would try for a minute.

    Raises:
        OSError: there is no such model, or it is on the hub and that cannot be reached.
    """
    from huggingface_hub import constants, get_session

    try:
        return kind.from_pretrained(name, local_files_only=True)
    except (OSError, ValueError):
        if constants.HF_HUB_OFFLINE or Path(name).exists():
            raise
    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception as error:
        raise OSError(f"{name!r} is not on this machine, and the hub cannot be reached") from error
    return kind.from_pretrained(name)
