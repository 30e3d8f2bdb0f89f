"""Finds the weights of a small Llama for the shows of 4 and 5: in a folder, or on the hub."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kata.data import RealData
from kata.show import NotReady

PROMPT = "Once upon a time"
NEW_TOKENS = 127
# https://github.com/karpathy/llama2.c/blob/master/doc/stories260K.md, as far as NEW_TOKENS go.
PUBLISHED = (
    ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw "
    "a big, red ball. She wanted to play with it, but it was too high.\n"
    "Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. She "
    'said, "I want to play with your ball, but I can\'t find it."'
)
# Where it could go on in many ways: a beginning of the published text, for a longer prompt.
OPENING = (
    ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw "
    "a"
)
FOLDER = "stories260K"  # in KATA_DATA
REPOSITORY = "karpathy/tinyllamas"  # on the hub, in the layout of Meta's checkpoints
PROMPT_IDS = [1, 403, 407, 261, 378]  # <s> and the prompt, by that repository's tokenizer
OPENING_IDS = [
    432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401, 396, 267, 337, 410,
    408, 419, 292, 411, 322, 265, 282, 295, 433, 426, 385, 328, 432, 358, 394, 261,
]  # fmt: skip
VARIABLE = "KATA_STORY_MODEL"  # another Llama: a folder, or a repository in Hugging Face's layout
FILES = ("config.json", "model.safetensors", "tokenizer.json")
SECONDS = 5  # to wait for the hub
SIZES = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "rms_norm_eps", "max_position_embeddings", "tie_word_embeddings",
)  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """Weights under Hugging Face's names, and what it takes to use them."""

    source: str
    config: dict[str, Any]
    state: dict[str, Tensor]
    interleaved: bool
    prompt: list[int]
    decode: Callable[[list[int]], str]
    published: str | None = None
    ends: frozenset[int] = frozenset()  # the ids that end a text


def find_checkpoint(data: RealData, opening: str = "") -> Checkpoint:
    """The model that the environment names, else the one of 260 thousand parameters.

    Args:
        data: where to look first.
        opening: what the prompt goes on with after PROMPT: OPENING, or nothing.

    Raises:
        NotReady: there is none, or it is no Llama that 4.4 could be.
    """
    name = os.environ.get(VARIABLE)
    if name:
        return _of_hugging_face(name, _fetch_folder(name), PROMPT + opening)
    folder = data.find(FOLDER)
    if folder is None:
        return _of_tinyllamas(PROMPT_IDS + (OPENING_IDS if opening else []))
    files = _fetch_folder(str(folder))
    return _of_hugging_face(f"KATA_DATA/{FOLDER}", files, PROMPT + opening, PUBLISHED)


def _fetch_folder(name: str) -> dict[str, Path]:
    """The three files of a local folder, or of a repository on the hub."""
    if not Path(name).is_dir():
        return {file: download(name, file) for file in FILES}
    files = {file: Path(name) / file for file in FILES}
    missing = [file for file, path in files.items() if not path.is_file()]
    if missing:
        raise NotReady(f"{name} lacks {', '.join(missing)}")
    return files


def _of_hugging_face(
    source: str, files: Mapping[str, Path], prompt: str, published: str | None = None
) -> Checkpoint:
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    config, weights, vocabulary = (files[name] for name in FILES)
    values = json.loads(config.read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(vocabulary))
    ends = values.get("eos_token_id")
    return Checkpoint(
        source=source,
        config=config_values(values),
        state=load_file(weights),
        interleaved=False,
        prompt=tokenizer.encode(prompt).ids,
        decode=tokenizer.decode,
        published=published,
        ends=frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends]),
    )


def config_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `LlamaConfig` (4.4) from a `config.json`.

    Raises:
        NotReady: it is the configuration of another kind of model.
    """
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    heads, d_model = values.get("num_attention_heads", 1), values.get("hidden_size", 0)
    expected = {
        "model_type": (values.get("model_type"), "llama"),
        "kind of RoPE": (rope.get("rope_type", rope.get("type", "default")), "default"),
        "activation": (values.get("hidden_act", "silu"), "silu"),
        "head_dim": (values.get("head_dim") or d_model // heads, d_model // heads),
        "biases": (values.get("attention_bias") or values.get("mlp_bias") or False, False),
    }
    for what, (got, wanted) in expected.items():
        if got != wanted:
            raise NotReady(f"4.4: the weights are of another model: {what} {got!r}, not {wanted!r}")
    config = {"num_key_value_heads": heads} | {n: values[n] for n in SIZES if n in values}
    theta = rope.get("rope_theta", values.get("rope_theta", 10_000.0))
    return config | {"rope_theta": float(theta)}


def _of_tinyllamas(prompt: list[int]) -> Checkpoint:
    """The weights as they were first published: Meta's names, and interleaved rows."""
    weights = download(REPOSITORY, f"{FOLDER}/{FOLDER}.pt")
    pieces = _read_pieces(download(REPOSITORY, f"{FOLDER}/tok512.bin"))
    saved = torch.load(weights, map_location="cpu", weights_only=True)
    args = saved["model_args"]
    state = {hugging_face_name(name): tensor for name, tensor in saved["model"].items()}
    config = {
        "vocab_size": args["vocab_size"],
        "hidden_size": args["dim"],
        "intermediate_size": len(state["model.layers.0.mlp.gate_proj.weight"]),
        "num_hidden_layers": args["n_layers"],
        "num_attention_heads": args["n_heads"],
        "num_key_value_heads": args["n_kv_heads"],
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        "max_position_embeddings": args["max_seq_len"],
        "tie_word_embeddings": True,
    }

    def decode(ids: list[int]) -> str:
        text = b"".join(pieces[i] for i in ids if i > 2)  # 0 to 2 are <unk>, <s> and </s>
        return text.decode("utf-8", errors="replace").removeprefix(" ")

    return Checkpoint(REPOSITORY, config, state, True, prompt, decode, PUBLISHED)


_META_NAMES = {
    "tok_embeddings": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
    "attention_norm": "input_layernorm",
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
}


def hugging_face_name(name: str) -> str:
    """The name of a parameter in Hugging Face's layout, given the one in Meta's."""
    stem = name.removeprefix("_orig_mod.").removesuffix(".weight")
    layer = ""
    if stem.startswith("layers."):
        _, number, stem = stem.split(".", 2)
        layer = f"model.layers.{number}."
    return f"{layer}{_META_NAMES.get(stem, stem)}.weight"


def _read_pieces(path: Path) -> list[bytes]:
    """The bytes of each token, from llama2.c's format: (score, length, bytes) after one number."""
    data, at, pieces = path.read_bytes(), 4, []
    while at < len(data):
        _, length = struct.unpack_from("<fI", data, at)
        piece = data[at + 8 : at + 8 + length]
        is_byte = len(piece) == 6 and piece.startswith(b"<0x")
        pieces.append(bytes([int(piece[3:5], 16)]) if is_byte else piece)
        at += 8 + length
    return pieces


def download(repository: str, file: str) -> Path:
    """A file of a repository on the hub, from the local cache where it is there.

    Raises:
        NotReady: it is neither there nor to be had.
    """
    from huggingface_hub import constants, get_session, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, file, local_files_only=True))
    except LocalEntryNotFoundError:
        if constants.HF_HUB_OFFLINE:
            raise _nothing_to_load(repository, "HF_HUB_OFFLINE is set") from None
    except ValueError:
        raise NotReady(f"{VARIABLE}={repository} is no folder and no repository") from None
    try:
        # The hub's own client tries for long where there is no network: one short look first.
        status = get_session().head(hf_hub_url(repository, file), timeout=SECONDS).status_code
        if status >= 400:
            raise _nothing_to_load(repository, f"the answer for {file} is {status}")
        return Path(hf_hub_download(repository, file))
    except NotReady:
        raise
    except Exception as error:  # whatever the network and the libraries in between raise
        words = str(error).partition("\n")[0] or type(error).__name__
        raise _nothing_to_load(repository, words) from None


def _nothing_to_load(repository: str, why: str) -> NotReady:
    return NotReady(
        f"there are no weights to load. Set KATA_DATA to a folder that holds {FOLDER}/ with "
        f"{', '.join(FILES)}, or {VARIABLE} to another Llama. {repository} could not be had from "
        f"huggingface.co ({why})"
    )
