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
    raise NotImplementedError("load_corpus")  # your code here
