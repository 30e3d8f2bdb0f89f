from kata.wrong import wrong
from solutions.ch01_tokenizers.ex13_wordpiece_encode import wordpiece_encode


def split(word, fits, lengths=lambda n: range(n, 0, -1)):
    """The pieces as (start, end), each the first length that fits; stops where none does."""
    spans, start = [], 0
    while start < len(word):
        for length in lengths(len(word) - start):
            if fits(start, word[start : start + length]):
                spans.append((start, start + length))
                start += length
                break
        else:
            break
    return spans, start == len(word)


@wrong(
    caught_by=[
        "takes_the_longest_piece_first",
        "never_goes_back_to_a_shorter_piece",
        "agrees_with_the_tokenizers_library",
    ]
)
def wordpiece_encode__shortest_piece_first(word, vocab, unk="[UNK]", max_chars=100):
    """The shortest piece that fits was taken. Begin with the longest."""
    spans, whole = split(
        word, lambda i, s: ("##" if i else "") + s in vocab, lambda n: range(1, n + 1)
    )
    if not whole or len(word) > max_chars:
        return [unk]
    return [("##" if i else "") + word[i:j] for i, j in spans]


@wrong(
    caught_by=[
        "a_beginning_is_no_ending",
        "one_missing_piece_makes_the_word_unknown",
        "never_goes_back_to_a_shorter_piece",
        "agrees_with_the_tokenizers_library",
    ]
)
def wordpiece_encode__unk_for_one_piece(word, vocab, unk="[UNK]", max_chars=100):
    """Only the part that no piece fits became `unk`. The whole word must become `unk`."""
    if len(word) > max_chars:
        return [unk]
    spans, whole = split(word, lambda i, s: ("##" if i else "") + s in vocab)
    return [("##" if i else "") + word[i:j] for i, j in spans] + [unk] * (not whole)


@wrong(
    caught_by=[
        "a_beginning_is_no_ending",
        "one_missing_piece_makes_the_word_unknown",
        "never_goes_back_to_a_shorter_piece",
        "agrees_with_the_tokenizers_library",
    ]
)
def wordpiece_encode__drops_what_does_not_fit(word, vocab, unk="[UNK]", max_chars=100):
    """The part of the word that no piece fits was dropped without a trace."""
    if len(word) > max_chars:
        return [unk]
    spans, _ = split(word, lambda i, s: ("##" if i else "") + s in vocab)
    return [("##" if i else "") + word[i:j] for i, j in spans]


@wrong(
    caught_by=[
        "takes_the_longest_piece_first",
        "only_the_first_piece_has_no_marks",
        "a_beginning_is_no_ending",
        "only_words_beyond_the_limit_are_unknown",
        "limit_counts_characters",
        "agrees_with_the_tokenizers_library",
    ]
)
def wordpiece_encode__marks_the_first_piece(word, vocab, unk="[UNK]", max_chars=100):
    """The first piece was looked up with `##` too. Only pieces that continue a word have it."""
    spans, whole = split(word, lambda i, s: "##" + s in vocab)
    if not whole or len(word) > max_chars:
        return [unk]
    return ["##" + word[i:j] for i, j in spans]


@wrong(
    caught_by=[
        "takes_the_longest_piece_first",
        "a_beginning_is_no_ending",
        "agrees_with_the_tokenizers_library",
    ]
)
def wordpiece_encode__continues_without_marks(word, vocab, unk="[UNK]", max_chars=100):
    """Later pieces were looked up without `##`, so the beginnings of words served as endings."""
    spans, whole = split(word, lambda i, s: s in vocab or (i and "##" + s in vocab))
    if not whole or len(word) > max_chars:
        return [unk]
    return [word[i:j] if word[i:j] in vocab else "##" + word[i:j] for i, j in spans]


@wrong(
    caught_by=[
        "takes_the_longest_piece_first",
        "only_the_first_piece_has_no_marks",
        "only_words_beyond_the_limit_are_unknown",
        "limit_counts_characters",
        "agrees_with_the_tokenizers_library",
    ]
)
def wordpiece_encode__returns_pieces_without_marks(word, vocab, unk="[UNK]", max_chars=100):
    """The `##` was looked up, but it is missing in the result."""
    pieces = wordpiece_encode(word, vocab, unk, max_chars)
    return [pieces[i].removeprefix("##") if i else pieces[i] for i in range(len(pieces))]


@wrong(caught_by=["never_goes_back_to_a_shorter_piece", "agrees_with_the_tokenizers_library"])
def wordpiece_encode__goes_back(word, vocab, unk="[UNK]", max_chars=100):
    """A step was taken back when the rest did not fit. WordPiece never does: the word is `unk`."""

    def rest(start):
        if start == len(word):
            return []
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocab and (after := rest(end)) is not None:
                return [piece, *after]
        return None

    return [unk] if len(word) > max_chars or rest(0) is None else rest(0)


@wrong(caught_by=["only_words_beyond_the_limit_are_unknown", "limit_counts_characters"])
def wordpiece_encode__limit_is_one_too_low(word, vocab, unk="[UNK]", max_chars=100):
    """A word of exactly `max_chars` characters is still split; only longer ones are `unk`."""
    return wordpiece_encode(word, vocab, unk, max_chars - 1)


@wrong(caught_by=["limit_counts_characters"])
def wordpiece_encode__limit_counts_bytes(word, vocab, unk="[UNK]", max_chars=100):
    """`max_chars` was compared with the number of bytes. It counts characters."""
    return [unk] if len(word.encode()) > max_chars else wordpiece_encode(word, vocab, unk)


@wrong(caught_by=["only_words_beyond_the_limit_are_unknown"])
def wordpiece_encode__has_no_limit(word, vocab, unk="[UNK]", max_chars=100):
    """`max_chars` was not used: a word with more characters is `unk`."""
    return wordpiece_encode(word, vocab, unk, len(word))


@wrong(caught_by=["one_missing_piece_makes_the_word_unknown"])
def wordpiece_encode__own_name_for_unk(word, vocab, unk="[UNK]", max_chars=100):
    """The answer "[UNK]" was written into the code; the argument `unk` may have another name."""
    return wordpiece_encode(word, vocab, "[UNK]", max_chars)


@wrong(caught_by=["empty_word_has_no_pieces"])
def wordpiece_encode__empty_word_is_unknown(word, vocab, unk="[UNK]", max_chars=100):
    """An empty word has no pieces at all, so the result is an empty list."""
    return wordpiece_encode(word, vocab, unk, max_chars) or [unk]
