from itertools import pairwise

from kata.wrong import wrong
from solutions.ch01_tokenizers.ex05_merge_pair import merge_pair
from solutions.ch01_tokenizers.ex06_train_bpe import train_bpe, train_on_chunks


def count(words):
    counts = {}
    for ids, n in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + n
    return counts


def first(counts, vocab):
    return max(counts, key=counts.get)


def greatest(counts, vocab):
    return max(counts, key=lambda pair: (counts[pair], vocab[pair[0]], vocab[pair[1]]))


def join(vocab, a, b):
    return vocab[a] + vocab[b]


def learn(words, size, best, count=count, join=join, is_over=lambda counts: not counts):
    """A right trainer that counts anew for each merge; a wrong version hands in a wrong part."""
    merges, vocab = {}, {i: bytes([i]) for i in range(256)}
    for new_id in range(256, size):
        counts = count(words)
        if is_over(counts):
            break
        pair = best(counts, vocab)
        merges[pair], vocab[new_id] = new_id, join(vocab, *pair)
        words = [(merge_pair(ids, pair, new_id), n) for ids, n in words]
    return merges, vocab


def checked(chunk_counts, vocab_size, tie):
    """The words to learn from and the rule for ties, if the arguments are right."""
    train_on_chunks(chunk_counts, min(vocab_size, 256), tie)
    return [(list(chunk), n) for chunk, n in chunk_counts.items()], globals()[tie]


@wrong(
    caught_by=[
        "learns_the_hand_worked_merges",
        "vocab_holds_the_bytes_of_every_id",
        "vocab_size_counts_the_bytes",
        "overlapping_pairs_all_count",
        "learns_from_bytes",
        "breaks_ties_as_asked",
        "pairs_stay_inside_their_chunk",
        "a_chunk_counts_as_often_as_it_occurs",
        "agrees_with_the_reference",
    ]
)
def train_on_chunks__makes_one_id_too_many(chunk_counts, vocab_size, tie="first"):
    """One merge too many: the last id is `vocab_size - 1`, because the first one is 0."""
    words, best = checked(chunk_counts, vocab_size, tie)
    return learn(words, vocab_size + 1, best)


@wrong(
    caught_by=[
        "learns_the_hand_worked_merges",
        "vocab_holds_the_bytes_of_every_id",
        "stops_when_no_pair_is_left",
        "breaks_ties_as_asked",
        "agrees_with_the_reference",
    ]
)
def train_on_chunks__counts_before_the_first_merge_only(chunk_counts, vocab_size, tie="first"):
    """The pairs were counted once. Every merge makes new pairs and ends others: count again."""
    words, best = checked(chunk_counts, vocab_size, tie)
    counts = count(words)

    def still_to_do(words):
        return counts

    def take_out(counts, vocab):
        pair = best(counts, vocab)
        del counts[pair]
        return pair

    return learn(words, vocab_size, take_out, still_to_do)


@wrong(crashes=["stops_when_no_pair_is_left", "agrees_with_the_reference"])
def train_on_chunks__crashes_without_pairs(chunk_counts, vocab_size, tie="first"):
    """When each chunk has become one symbol there is no pair to choose from: training is over."""
    words, best = checked(chunk_counts, vocab_size, tie)
    return learn(words, vocab_size, best, is_over=lambda counts: False)


@wrong(
    caught_by=["stops_when_no_pair_is_left", "breaks_ties_as_asked", "agrees_with_the_reference"]
)
def train_on_chunks__leaves_pairs_that_occur_once(chunk_counts, vocab_size, tie="first"):
    """Training stopped too early: a pair that occurs only once is merged too."""
    words, best = checked(chunk_counts, vocab_size, tie)
    return learn(
        words, vocab_size, best, is_over=lambda counts: max(counts.values(), default=0) < 2
    )


@wrong(caught_by=["overlapping_pairs_all_count", "agrees_with_the_reference"])
def train_on_chunks__counts_an_overlap_once(chunk_counts, vocab_size, tie="first"):
    """Overlapping pairs all count, although not all of them can be merged: `aaa` holds two."""
    words, best = checked(chunk_counts, vocab_size, tie)

    def count_without_overlap(words):
        return count([(merged, n) for ids, n in words for merged in single_pairs(ids)])

    def single_pairs(ids):
        used = -1
        for place, pair in enumerate(pairwise(ids)):
            if pair[0] != pair[1] or place > used:
                used = place + 1
                yield pair

    return learn(words, vocab_size, best, count_without_overlap)


@wrong(
    caught_by=[
        "learns_the_hand_worked_merges",
        "vocab_holds_the_bytes_of_every_id",
        "breaks_ties_as_asked",
        "agrees_with_the_reference",
    ]
)
def train_on_chunks__breaks_ties_by_age(chunk_counts, vocab_size, tie="first"):
    """Of equally frequent pairs the one counted first in an earlier round won, for example because
    one dict was kept for all rounds. "first" looks at where the pairs stand now.
    """
    words, best = checked(chunk_counts, vocab_size, tie)
    kept = {}

    def count_into_kept(words):
        now = count(words)
        kept.update(now)
        return {pair: now[pair] for pair in kept if pair in now}

    return learn(words, vocab_size, best, count_into_kept)


@wrong(
    caught_by=[
        "learns_the_hand_worked_merges",
        "vocab_holds_the_bytes_of_every_id",
        "stops_when_no_pair_is_left",
        "breaks_ties_as_asked",
        "agrees_with_the_reference",
    ]
)
def train_on_chunks__takes_the_last_of_equals(chunk_counts, vocab_size, tie="first"):
    """Of equally frequent pairs the last one was taken (a `>=` in the search, or the end of a
    sorted list). `tie="first"` wants the first.
    """
    words, best = checked(chunk_counts, vocab_size, tie)

    def last(counts, vocab):
        return max(reversed(counts), key=counts.get)

    return learn(words, vocab_size, last if tie == "first" else best)


@wrong(caught_by=["breaks_ties_as_asked", "agrees_with_the_reference"])
def train_on_chunks__ignores_tie(chunk_counts, vocab_size, tie="first"):
    """`tie` makes no difference: "greatest" has to compare the bytes of equally frequent pairs."""
    words, _ = checked(chunk_counts, vocab_size, tie)
    return learn(words, vocab_size, first)


@wrong(caught_by=["breaks_ties_as_asked", "agrees_with_the_reference"])
def train_on_chunks__compares_ids(chunk_counts, vocab_size, tie="first"):
    """Ids were compared. "greatest" compares byte strings: b"b" is greater than b"ab", id 256."""
    words, best = checked(chunk_counts, vocab_size, tie)

    def greatest_ids(counts, vocab):
        return max(counts, key=lambda pair: (counts[pair], pair))

    return learn(words, vocab_size, greatest_ids if tie == "greatest" else best)


@wrong(caught_by=["pairs_stay_inside_their_chunk", "agrees_with_the_reference"])
def train_on_chunks__joins_the_chunks(chunk_counts, vocab_size, tie="first"):
    """A pair was found that reaches from one chunk into the next. Count chunk by chunk."""
    _, best = checked(chunk_counts, vocab_size, tie)
    text = b"".join(chunk * n for chunk, n in chunk_counts.items())
    return learn([(list(text), 1)], vocab_size, best)


@wrong(caught_by=["a_chunk_counts_as_often_as_it_occurs", "agrees_with_the_reference"])
def train_on_chunks__counts_each_chunk_once(chunk_counts, vocab_size, tie="first"):
    """A chunk that occurs `n` times adds `n` to the count of each of its pairs, not 1."""
    words, best = checked(chunk_counts, vocab_size, tie)
    return learn([(ids, 1) for ids, _ in words], vocab_size, best)


@wrong(
    crashes=[
        "learns_the_hand_worked_merges",
        "vocab_holds_the_bytes_of_every_id",
        "vocab_size_counts_the_bytes",
        "stops_when_no_pair_is_left",
        "breaks_ties_as_asked",
        "agrees_with_the_reference",
    ]
)
def train_on_chunks__makes_bytes_of_ids(chunk_counts, vocab_size, tie="first"):
    """`bytes(pair)` is right only for two single bytes. Join what `vocab` holds for the two ids."""
    words, best = checked(chunk_counts, vocab_size, tie)
    return learn(words, vocab_size, best, join=lambda vocab, a, b: bytes([a, b]))


@wrong(
    caught_by=[
        "vocab_holds_the_bytes_of_every_id",
        "vocab_size_counts_the_bytes",
        "agrees_with_the_reference",
    ]
)
def train_on_chunks__leaves_the_bytes_out(chunk_counts, vocab_size, tie="first"):
    """`vocab` has to hold the 256 single bytes too: without them nothing can be decoded."""
    merges, vocab = train_on_chunks(chunk_counts, vocab_size, tie)
    return merges, {i: token for i, token in vocab.items() if i > 255}


@wrong(caught_by=["bad_arguments_are_errors"])
def train_on_chunks__checks_nothing(chunk_counts, vocab_size, tie="first"):
    """A bad argument was accepted silently. The docstring says which ones raise ValueError."""
    words = [(list(chunk), n) for chunk, n in chunk_counts.items()]
    return learn(words, vocab_size, greatest if tie == "greatest" else first)


@wrong(caught_by=["learns_from_bytes"])
def train_bpe__learns_from_characters(text, vocab_size, tie="first"):
    """The symbols are bytes, not characters: é has one code point and two bytes in UTF-8."""
    train_bpe(text, min(vocab_size, 256), tie)
    chars = [ord(char) for char in text] if isinstance(text, str) else list(text)
    return learn([(chars, 1)], vocab_size, globals()[tie])


@wrong(caught_by=["bad_arguments_are_errors"])
def train_bpe__replaces_surrogates(text, vocab_size, tie="first"):
    """A lone surrogate was replaced or dropped. Text that has no UTF-8 form is an error."""
    data = text.encode(errors="replace") if isinstance(text, str) else text
    return train_bpe(data, vocab_size, tie)
