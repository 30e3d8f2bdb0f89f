"""The fast references of exercises 1.6 and 1.7 against the slow and obvious way to do the same."""

from collections.abc import Mapping
from itertools import pairwise

from kata.properties import given, settings, st
from solutions.ch01_tokenizers.ex05_merge_pair import merge_pair
from solutions.ch01_tokenizers.ex06_train_bpe import train_on_chunks
from solutions.ch01_tokenizers.ex07_bpe_encode import bpe_encode

Pair = tuple[int, int]

chunks = st.text("ab", max_size=60) | st.text("abcd", max_size=12)
corpora = st.dictionaries(chunks, st.integers(1, 3), min_size=1, max_size=8)


def count_anew(
    chunk_counts: Mapping[bytes, int], vocab_size: int, tie: str
) -> tuple[dict[Pair, int], dict[int, bytes]]:
    """Train by counting all pairs anew for every merge."""
    words = [(list(chunk), n) for chunk, n in chunk_counts.items()]
    merges: dict[Pair, int] = {}
    vocab = {i: bytes([i]) for i in range(256)}
    while len(vocab) < vocab_size:
        counts: dict[Pair, int] = {}
        for ids, n in words:
            for pair in pairwise(ids):
                counts[pair] = counts.get(pair, 0) + n
        if not counts:
            break

        def rank(pair: Pair, counts: dict[Pair, int] = counts) -> tuple[object, ...]:
            names = (vocab[pair[0]], vocab[pair[1]]) if tie == "greatest" else ()
            return counts[pair], *names

        best = max(counts, key=rank)
        merges[best] = new_id = len(vocab)
        vocab[new_id] = vocab[best[0]] + vocab[best[1]]
        words = [(merge_pair(ids, best, new_id), n) for ids, n in words]
    return merges, vocab


@given(corpora, st.sampled_from(["first", "greatest"]))
@settings(max_examples=300)
def test_training_agrees_with_counting_anew(corpus: dict[str, int], tie: str) -> None:
    counts = {chunk.encode() or b"a": n for chunk, n in corpus.items()}
    merges, vocab = train_on_chunks(counts, 290, tie)
    assert (merges, vocab) == count_anew(counts, 290, tie)
    assert list(merges.values()) == list(range(256, len(vocab)))


@given(corpora, chunks)
def test_encoding_agrees_with_replaying_the_merges(corpus: dict[str, int], text: str) -> None:
    merges, _ = train_on_chunks({b"ab": 1} | {c.encode(): n for c, n in corpus.items()}, 290)
    ids = list(text.encode())
    for pair, new_id in merges.items():
        ids = merge_pair(ids, pair, new_id)
    assert bpe_encode(text, merges) == ids


@given(corpora)
def test_a_token_encodes_to_itself(corpus: dict[str, int]) -> None:
    # So no two ids have the same bytes, and a chunk that is a token needs no merging.
    merges, vocab = train_on_chunks({b"ab": 1} | {c.encode(): n for c, n in corpus.items()}, 290)
    assert [bpe_encode(token, merges) for token in vocab.values()] == [[i] for i in vocab]
