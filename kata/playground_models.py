"""The language models that the playground can use: the learner's own, and others."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kata.corpus import PATH
from kata.course import Course
from kata.data import RealData
from kata.parts import Parts
from kata.serve import MODELS
from kata.show import NotReady, tiny
from kata.show.story import load_model
from kata.show.weights import FOLDER, find_checkpoint

LETTERS = "letter triples (counted, not trained)"
SECONDS = 5  # to wait for the hub
SMOOTHING = 0.002  # of a count


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to use: `model` maps ids to logits, both on the CPU."""

    model: Callable[[Tensor], Tensor]
    tokenizer: Any
    context: int | None = None
    eos_id: int | None = None


Loader = Callable[[], Loaded]


def find(parts: Parts, course: Course, tree: Path, more: Sequence[str] = ()) -> dict[str, Loader]:
    """Everything that can be had without asking, by name, and what `more` and MODELS name.

    Args:
        parts: the exercises that the learner's own models are made of.
        course: the catalogue.
        tree: the learner's folder of exercises.
        more: what else there is to be, as `named` takes it.
    """
    found: dict[str, Loader] = {}
    for name in (*more, *os.environ.get(MODELS, "").split(os.pathsep)):
        if name.strip():
            found[label(name, found)] = named(parts, name)
    return found | dict(_found(parts, course, tree))


def label(name: str, taken: Container[str]) -> str:
    """What a model is called on the page: a file or folder by its last name if that is free."""
    path = Path(name).expanduser()
    return path.name if path.exists() and path.name and path.name not in taken else name


def _found(parts: Parts, course: Course, tree: Path) -> Iterator[tuple[str, Loader]]:
    try:
        trained = tiny.trained(tree, course.root / ".kata" / "show")
        yield "your tiny LM (7.10)", lambda: tiny_lm(parts, trained)
    except NotReady:
        pass
    folder = RealData().find(FOLDER)
    if folder is not None:
        yield f"{FOLDER}, in your Llama (4.4)", lambda: story_model(parts, folder)
    yield LETTERS, lambda: letters(parts)


def named(parts: Parts, name: str) -> Loader:
    """A loader for a file of 7.10, for a folder in Hugging Face's layout, or a name on the hub."""
    path = Path(name).expanduser()
    if path.suffix == ".pt":
        return lambda: tiny_lm(parts, path)
    return lambda: hugging_face(name, path)


def tiny_lm(parts: Parts, path: Path) -> Loaded:
    """What 7.10 has saved; ids that stand for no text are never drawn.

    Raises:
        NotReady: there is no such file, or 7.10 cannot read it.
    """
    if not path.is_file():
        raise NotReady(f"there is no file {path}")
    with parts.blame("7.10"):
        lm = parts["7.10"].TinyLM.load(path)
        size = lm.tokenizer.vocab_size
    return Loaded(lambda ids: lm.model(ids)[..., :size], lm.tokenizer, lm.config.context)


@dataclass(frozen=True)
class Codec:
    """A tokenizer in the form that the exercises want."""

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]


def story_model(parts: Parts, folder: Path) -> Loaded:
    """The story model of 260 thousand parameters, in the Llama of 4.4.

    Raises:
        NotReady: 4.4 or 4.9 failed.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    checkpoint = find_checkpoint(RealData())
    model = load_model(parts, checkpoint)
    codec = Codec(lambda text: tokenizer.encode(text).ids, tokenizer.decode)
    context = checkpoint.config.get("max_position_embeddings")
    return Loaded(model, codec, context, min(checkpoint.ends, default=None))


def letters(parts: Parts) -> Loaded:
    """How often each character follows two others in the project's own text: nothing is learned."""
    text = PATH.read_text("utf-8")
    with parts.blame("1.2"):
        tokenizer = parts["1.2"].CharTokenizer(text)
        ids, size = torch.tensor(tokenizer.encode(text)), tokenizer.vocab_size
    triples = (ids[:-2] * size + ids[1:-1]) * size + ids[2:]
    counts = triples.bincount(minlength=size**3).view(size, size, size).float()
    pairs = counts.sum(0)  # where the text has never had the first two
    logits = (counts + SMOOTHING * pairs + SMOOTHING**2).log()

    def model(ids: Tensor) -> Tensor:
        following: Tensor = logits[ids.roll(1, -1), ids]
        return following

    return Loaded(model, tokenizer)


def hugging_face(name: str, path: Path) -> Loaded:
    """A causal language model of transformers, on the GPU where there is one.

    Raises:
        NotReady: it cannot be had, and why.
    """
    where = str(path) if path.is_dir() else name
    if not path.is_dir():
        if path.is_absolute() or name.startswith("."):
            raise NotReady(f"there is no folder {path}")
        _ask_for(name)
    from transformers import AutoModelForCausalLM, AutoTokenizer  # seconds

    try:
        tokenizer = AutoTokenizer.from_pretrained(where)
        inner: Any = AutoModelForCausalLM.from_pretrained(where)
    except Exception as error:  # whatever the files and the libraries in between raise
        raise NotReady(f"{name} cannot be loaded: {_first_line(error)}") from error
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    inner.to(device).eval()

    def model(ids: Tensor) -> Tensor:
        logits: Tensor = inner(ids.to(device)).logits
        return logits.cpu()

    def decode(ids: list[int]) -> str:
        return str(tokenizer.decode(ids, skip_special_tokens=True))

    sizes = ("max_position_embeddings", "n_positions", "n_ctx")
    context = next((size for s in sizes if (size := getattr(inner.config, s, None))), None)
    return Loaded(model, Codec(tokenizer.encode, decode), context, tokenizer.eos_token_id)


def _ask_for(name: str) -> None:
    """One short look at the hub: its own client tries for minutes where there is no network."""
    from huggingface_hub import constants, get_session, hf_hub_download, hf_hub_url

    try:
        hf_hub_download(name, "config.json", local_files_only=True)
        return
    except Exception:  # not in the cache, or no name that a repository could have
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else ""
    try:
        if not why:
            status = get_session().head(hf_hub_url(name, "config.json"), timeout=SECONDS)
            why = f"the answer is {status.status_code}" if status.status_code >= 400 else ""
    except Exception as error:  # whatever the network and the libraries in between raise
        why = _first_line(error)
    if why:
        raise NotReady(f"{name} is no folder, and could not be had from huggingface.co ({why})")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
