"""7.12 Loading a corpus   [medium, ~30 min]

Before there is a batch there is a text. Hugging Face's `datasets` reads it from a file, a folder or
the hub, but its defaults are made for tables: a text file becomes a list of lines without their
newlines, and a model trained on that never learns to end a line. Old data sets come as a script,
which is no longer run; and without a network the library tries again and again.

Source: https://huggingface.co/docs/datasets/nlp_load (text files);
https://huggingface.co/docs/datasets/loading (folders and the hub).
"""

from pathlib import Path

from kata.corpus import PATH


def load_corpus(name_or_path: str | Path = "embedded", split: str = "train") -> str:
    r"""Return a text, or a part of it, as one string.

    Nothing is shuffled: "train" is the beginning of the text, its first `len(text) * 9 // 10`
    characters, "validation" is all the rest, and "all" is both.

    Args:
        name_or_path: what is read, the first of these that it is:

            - "embedded": the project's own text, the file `PATH`.
            - A file, of any name: a text in UTF-8. Every character counts: blank lines, spaces at
              the end of a line, a last line with or without a newline. (Only line ends of other
              systems become a newline, as they do wherever Python reads a text.)
            - A folder with the files of a data set (parquet, json ...) in a form that
              `datasets.load_dataset` knows.
            - The name of a data set on the Hugging Face hub.

            Of a data set the text is the column "text" of its split "train": the rows in their
            order, each followed by a newline unless it ends with one.
        split: "train", "validation" or "all".

    Raises:
        ValueError: there is no such split; the data set has no column "text" (the message names the
            columns it has); or it exists only as a loading script, `name.py`. The message then
            says "script", and that "embedded" or a text file can be used instead.
        ConnectionError: it can only be on the hub, and that cannot be reached. This comes at once,
            without a second attempt to reach it: `load_dataset` alone would make six, with growing
            pauses. Where `datasets.config.HF_HUB_OFFLINE` is true (the environment variable
            `HF_HUB_OFFLINE=1` makes it so), there is no attempt at all.

    >>> load_corpus("embedded", "train")[:20]
    'THE HARBOUR OF SELLA'
    """
    # solution
    if split not in ("train", "validation", "all"):
        raise ValueError(f'split must be "train", "validation" or "all", got {split!r}')
    file = PATH if name_or_path == "embedded" else Path(name_or_path)
    text = "".join(read_file(file) if file.is_file() else read_data_set(str(name_or_path)))
    end = len(text) * 9 // 10
    return {"train": text[:end], "validation": text[end:], "all": text}[split]


# solution
# ruff: noqa: E402 (what only the reference needs is imported here, where the exercise is cut off)
import glob
from collections.abc import Iterator


def read_file(file: Path) -> Iterator[str]:
    """Yield the text of a file."""
    from datasets import load_dataset  # takes a second

    # A document is a whole file, and nothing of it is lost. `data_files` is a pattern: without the
    # escape a name with brackets stands for other names. Streaming leaves no copy in a cache.
    options = {"data_files": glob.escape(str(file.absolute())), "sample_by": "document"}
    for row in load_dataset("text", **options, split="train", streaming=True):
        yield row["text"]


def read_data_set(name: str) -> Iterator[str]:
    """Yield the rows of a folder or of a data set on the hub, each with a newline at its end."""
    from datasets import config, load_dataset

    offline = config.HF_HUB_OFFLINE
    try:
        # Offline it takes what an earlier call has left in the cache, or gives up at once.
        config.HF_HUB_OFFLINE = offline or not (Path(name).is_dir() or hub_answers())
        rows = load_dataset(name, split="train")
    except ConnectionError as error:
        advice = 'use "embedded" or the path of a text file'
        message = f"there is no file {name!r}, and the hub cannot be reached: {advice}"
        raise ConnectionError(message) from error
    except RuntimeError as error:
        if "script" not in str(error):
            raise
        advice = 'use "embedded", a text file, or a data set that is stored as parquet or json'
        message = f"{name!r} is a loading script, which `datasets` no longer runs: {advice}"
        raise ValueError(message) from error
    finally:
        config.HF_HUB_OFFLINE = offline
    if "text" not in rows.column_names:
        raise ValueError(f'{name!r} has no column "text", only {rows.column_names}')
    for row in rows["text"]:
        yield row if row.endswith("\n") else row + "\n"


def hub_answers() -> bool:
    """Ask the hub once, and wait a few seconds at most."""
    import requests
    from huggingface_hub.constants import ENDPOINT

    try:
        requests.head(ENDPOINT, timeout=5)
    except requests.RequestException:
        return False
    return True
