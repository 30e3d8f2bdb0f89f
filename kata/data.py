"""Real files that a test may use when they are there: found through the environment only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import tiktoken

# Where tiktoken itself gets each encoding; its cache names a file by the SHA-1 of the address.
_BLOBS = "https://openaipublic.blob.core.windows.net"
ENCODING_FILES = {
    "gpt2": [f"{_BLOBS}/gpt-2/encodings/main/{file}" for file in ("vocab.bpe", "encoder.json")],
    "cl100k_base": [f"{_BLOBS}/encodings/cl100k_base.tiktoken"],
    "o200k_base": [f"{_BLOBS}/encodings/o200k_base.tiktoken"],
}


class RealData:
    """The folders of real data that the environment points to."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def path(self, name: str) -> Path:
        """A file or folder below `KATA_DATA`; without it the test is skipped as not run."""
        found = self.find(name)
        if found is None:
            pytest.skip(f"not run: no {name} (set KATA_DATA to the folder that holds it)")
        return found

    def find(self, name: str) -> Path | None:
        """The same, or None where there is none."""
        folder = self._environ.get("KATA_DATA", "")  # empty is the same as not set
        path = Path(folder, name)
        return path if folder and path.exists() else None

    def encoding(self, name: str) -> tiktoken.Encoding:
        """A real encoding from tiktoken's cache; without it the test is skipped as not run."""
        if not self.has_encoding(name):
            pytest.skip(f"not run: no {name} (set TIKTOKEN_CACHE_DIR to tiktoken's cache)")
        import tiktoken

        return tiktoken.get_encoding(name)

    def has_encoding(self, name: str) -> bool:
        """Whether tiktoken's cache holds an encoding, so that loading it needs no network."""
        cache = self._environ.get("TIKTOKEN_CACHE_DIR", "")
        files = [hashlib.sha1(url.encode()).hexdigest() for url in ENCODING_FILES[name]]
        return bool(cache) and all(Path(cache, file).is_file() for file in files)
