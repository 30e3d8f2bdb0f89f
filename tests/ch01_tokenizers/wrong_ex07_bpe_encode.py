from itertools import pairwise

from kata.wrong import wrong
from solutions.ch01_tokenizers.ex05_merge_pair import merge_pair
from solutions.ch01_tokenizers.ex07_bpe_encode import bpe_encode


def bytes_of(text):
    return list(text.encode() if isinstance(text, str) else text)


def lowest(pairs, merges):
    return min(pairs, key=lambda pair: merges.get(pair, 10**9))


def encode(ids, merges, choose):
    """Merge the pair that `choose` takes, everywhere, until none is left in `merges`."""
    while known := [pair for pair in pairwise(ids) if pair in merges]:
        pair = choose(known, merges)
        ids = merge_pair(ids, pair, merges[pair])
    return ids


@wrong(caught_by=["lowest_new_id_goes_first", "agrees_with_tiktoken"])
def bpe_encode__takes_the_longest_token(text, merges):
    """From the left, the longest token was taken. Merge in the order of the new ids instead."""
    vocab = {i: bytes([i]) for i in range(256)}
    for (a, b), new_id in sorted(merges.items(), key=lambda merge: merge[1]):
        vocab[new_id] = vocab[a] + vocab[b]
    rest, ids = bytes(bytes_of(text)), []
    while rest:
        ids.append(
            max((i for i in vocab if rest.startswith(vocab[i])), key=lambda i: len(vocab[i]))
        )
        rest = rest[len(vocab[ids[-1]]) :]
    return ids


@wrong(
    caught_by=[
        "lowest_new_id_goes_first",
        "a_pair_on_the_left_may_have_to_wait",
        "agrees_with_tiktoken",
    ]
)
def bpe_encode__merges_from_the_left(text, merges):
    """The leftmost pair was merged first. The lowest new id goes first, wherever it stands."""
    ids = bytes_of(text)
    while known := [i for i, pair in enumerate(pairwise(ids)) if pair in merges]:
        ids[known[0] : known[0] + 2] = [merges[ids[known[0]], ids[known[0] + 1]]]
    return ids


@wrong(
    caught_by=[
        "lowest_new_id_goes_first",
        "a_pair_on_the_left_may_have_to_wait",
        "agrees_with_tiktoken",
    ]
)
def bpe_encode__takes_the_highest_id(text, merges):
    """The highest new id went first. What was learned first goes first: the lowest new id."""
    return encode(bytes_of(text), merges, lambda known, merges: max(known, key=merges.get))


@wrong(
    caught_by=[
        "encodes_the_hand_worked_example",
        "a_pair_on_the_left_may_have_to_wait",
        "goes_on_until_nothing_can_be_merged",
        "agrees_with_tiktoken",
    ]
)
def bpe_encode__stops_after_one_pass(text, merges):
    """The symbols were gone through only once. What a merge makes can be merged again."""
    ids = bytes_of(text)
    for pair in sorted(set(pairwise(ids)) & set(merges), key=merges.get):
        ids = merge_pair(ids, pair, merges[pair])
    return ids


@wrong(caught_by=["lowest_new_id_goes_first"])
def bpe_encode__follows_the_dict(text, merges):
    """The merges were made in the order of the dict. Their order is that of the new ids."""
    ids = bytes_of(text)
    for pair, new_id in merges.items():
        ids = merge_pair(ids, pair, new_id)
    return ids


@wrong(
    caught_by=[
        "encodes_the_hand_worked_example",
        "goes_on_until_nothing_can_be_merged",
        "equal_symbols_merge_from_the_left",
        "agrees_with_tiktoken",
    ]
)
def bpe_encode__merges_each_pair_once(text, merges):
    """Only one occurrence of each pair was merged: look for it again until there is none."""
    ids = bytes_of(text)
    for pair in sorted(merges, key=merges.get):
        if pair in pairwise(ids):
            place = list(pairwise(ids)).index(pair)
            ids[place : place + 2] = [merges[pair]]
    return ids


@wrong(
    caught_by=[
        "encodes_the_hand_worked_example",
        "lowest_new_id_goes_first",
        "a_pair_on_the_left_may_have_to_wait",
        "goes_on_until_nothing_can_be_merged",
        "equal_symbols_merge_from_the_left",
        "short_texts_encode_too",
        "bytes_need_not_be_utf8",
        "agrees_with_tiktoken",
    ]
)
def bpe_encode__does_not_merge(text, merges):
    """The result is nothing but the bytes: `merges` was not used."""
    return bytes_of(text)


@wrong(caught_by=["without_merges_gives_utf8_bytes", "agrees_with_tiktoken"])
def bpe_encode__starts_from_characters(text, merges):
    """The first symbols are bytes, not characters: é has one code point and two bytes in UTF-8."""
    bpe_encode(text, {})
    chars = [ord(char) for char in text] if isinstance(text, str) else list(text)
    return encode(chars, merges, lowest)


@wrong(caught_by=["bytes_need_not_be_utf8"])
def bpe_encode__takes_strings_only(text, merges):
    """`text` may be bytes too, and they need not be UTF-8: do not decode them."""
    return bpe_encode(text if isinstance(text, str) else text.decode(errors="replace"), merges)


@wrong(
    crashes=[
        "a_pair_on_the_left_may_have_to_wait",
        "short_texts_encode_too",
        "agrees_with_tiktoken",
    ]
)
def bpe_encode__crashes_without_neighbours(text, merges):
    """`min` of nothing: an empty text, or one that has become a single symbol, has no pairs."""
    ids = bytes_of(text)
    while True:
        pair = lowest(pairwise(ids), merges)
        if pair not in merges:
            return ids
        ids = merge_pair(ids, pair, merges[pair])


@wrong(caught_by=["lone_surrogate_is_an_error"])
def bpe_encode__drops_surrogates(text, merges):
    """A lone surrogate was dropped silently. Text that has no UTF-8 form is an error."""
    return bpe_encode(text.encode(errors="ignore") if isinstance(text, str) else text, merges)
