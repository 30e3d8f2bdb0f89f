from functools import cache

from kata.wrong import wrong
from solutions.ch01_tokenizers.ex14_unigram_encode import unigram_encode


def viterbi(text, score, better):
    """The pieces of the best cut; `score` gives None for text that is no piece."""
    best = [(0.0, 0, [])]
    for end in range(1, len(text) + 1):
        options = []
        for start in range(max(0, end - 9), end):
            value = score(text[start:end])
            if value is not None and best[start] is not None:
                total, count, pieces = best[start]
                options.append((total + value, count + 1, [*pieces, text[start:end]]))
        best.append(better(options) if options else None)
    return best[-1][2]


def with_unknown(log_probs, value):
    """What a piece counts, when an unknown character counts `value`."""
    return lambda piece: log_probs.get(piece, value if len(piece) == 1 else None)


@wrong(
    caught_by=[
        "a_shorter_piece_can_be_better",
        "several_likely_pieces_beat_a_rare_one",
        "equal_sums_prefer_a_longer_last_piece",
        "fewer_pieces_do_not_win_a_tie",
        "unknown_is_ten_below_the_rarest",
        "long_text_is_no_problem",
        "finds_the_best_of_all_cuts",
        "agrees_with_the_tokenizers_library",
    ]
)
def unigram_encode__takes_the_longest_piece(text, log_probs):
    """The longest piece was taken at each step. A shorter one can leave a likelier rest."""
    pieces = []
    while text:
        lengths = [n for n in range(len(text), 1, -1) if text[:n] in log_probs] or [1]
        pieces.append(text[: lengths[0]])
        text = text[lengths[0] :]
    return pieces


@wrong(
    caught_by=[
        "several_likely_pieces_beat_a_rare_one",
        "fewer_pieces_do_not_win_a_tie",
        "long_text_is_no_problem",
        "finds_the_best_of_all_cuts",
        "agrees_with_the_tokenizers_library",
    ]
)
def unigram_encode__takes_the_fewest_pieces(text, log_probs):
    """The cut with the fewest pieces was chosen; the largest sum of log probabilities wins."""
    score = with_unknown(log_probs, min(log_probs.values()) - 10)
    return viterbi(text, score, lambda options: min(options, key=lambda o: o[1]))


@wrong(
    caught_by=[
        "equal_sums_prefer_a_longer_last_piece",
        "fewer_pieces_do_not_win_a_tie",
        "finds_the_best_of_all_cuts",
        "agrees_with_the_tokenizers_library",
    ]
)
def unigram_encode__gives_ties_to_the_short_piece(text, log_probs):
    """Of two equal sums the cut with the shorter last piece won: look at `>` and `>=`."""
    score = with_unknown(log_probs, min(log_probs.values()) - 10)
    return viterbi(text, score, lambda options: max(reversed(options), key=lambda o: o[0]))


@wrong(
    caught_by=[
        "fewer_pieces_do_not_win_a_tie",
        "finds_the_best_of_all_cuts",
        "agrees_with_the_tokenizers_library",
    ]
)
def unigram_encode__gives_ties_to_fewer_pieces(text, log_probs):
    """Of two equal sums the cut with fewer pieces won; the longer last piece decides."""
    score = with_unknown(log_probs, min(log_probs.values()) - 10)
    return viterbi(text, score, lambda options: max(options, key=lambda o: (o[0], -o[1])))


@wrong(
    crashes=[
        "a_shorter_piece_can_be_better",
        "equal_sums_prefer_a_longer_last_piece",
        "fewer_pieces_do_not_win_a_tie",
        "unknown_characters_stand_alone",
        "a_letter_of_a_piece_can_be_unknown",
        "unknown_is_ten_below_the_rarest",
        "finds_the_best_of_all_cuts",
    ]
)
def unigram_encode__looks_every_character_up(text, log_probs):
    """A character that is not in `log_probs` raised an error. It can stand alone as unknown."""
    for character in text:
        log_probs[character]
    return unigram_encode(text, log_probs)


@wrong(
    caught_by=["unknown_is_ten_below_the_rarest", "finds_the_best_of_all_cuts"],
    crashes=["a_letter_of_a_piece_can_be_unknown"],
)
def unigram_encode__knows_the_letters_of_pieces(text, log_probs):
    """A letter of some piece was taken for known; it is known only if it is a piece by itself."""
    letters = set("".join(log_probs))
    unknown = min(log_probs.values()) - 10
    score = with_unknown(log_probs, unknown)
    return viterbi(
        text,
        lambda piece: None if piece in letters - log_probs.keys() else score(piece),
        lambda options: max(options, key=lambda o: o[0]),
    )


@wrong(
    caught_by=[
        "unknown_characters_stand_alone",
        "a_letter_of_a_piece_can_be_unknown",
        "unknown_is_ten_below_the_rarest",
        "finds_the_best_of_all_cuts",
    ]
)
def unigram_encode__drops_unknown_characters(text, log_probs):
    """Unknown characters are missing in the result. Each stands alone as a piece."""
    return [
        piece for piece in unigram_encode(text, log_probs) if len(piece) > 1 or piece in log_probs
    ]


@wrong(caught_by=["unknown_characters_stand_alone", "finds_the_best_of_all_cuts"])
def unigram_encode__joins_unknown_characters(text, log_probs):
    """Unknown characters side by side became one piece. Each stands alone."""
    joined, open_ended = [], False
    for piece in unigram_encode(text, log_probs):
        unknown = piece not in log_probs
        if unknown and open_ended:
            joined[-1] += piece
        else:
            joined.append(piece)
        open_ended = unknown
    return joined


@wrong(caught_by=["unknown_is_ten_below_the_rarest", "finds_the_best_of_all_cuts"])
def unigram_encode__counts_unknown_as_the_rarest(text, log_probs):
    """An unknown character counted as much as the rarest piece. It counts 10 less."""
    score = with_unknown(log_probs, min(log_probs.values()))
    return viterbi(text, score, lambda options: max(options, key=lambda o: o[0]))


@wrong(caught_by=["unknown_is_ten_below_the_rarest", "finds_the_best_of_all_cuts"])
def unigram_encode__uses_unknown_as_a_last_resort(text, log_probs):
    """An unknown character counted so little that no other cut could ever lose against it."""
    score = with_unknown(log_probs, -1e9)
    return viterbi(text, score, lambda options: max(options, key=lambda o: o[0]))


@wrong(
    caught_by=[
        "a_shorter_piece_can_be_better",
        "several_likely_pieces_beat_a_rare_one",
        "equal_sums_prefer_a_longer_last_piece",
        "fewer_pieces_do_not_win_a_tie",
        "unknown_characters_stand_alone",
        "a_letter_of_a_piece_can_be_unknown",
        "unknown_is_ten_below_the_rarest",
        "finds_the_best_of_all_cuts",
        "agrees_with_the_tokenizers_library",
    ]
)
def unigram_encode__forgets_to_reverse(text, log_probs):
    """The pieces were collected from the end of the text and not put into order."""
    return unigram_encode(text, log_probs)[::-1]


@wrong(crashes=["long_text_is_no_problem"])
def unigram_encode__recurses_once_per_piece(text, log_probs):
    """One call inside another per piece: a long text is deeper than Python lets calls go."""
    unknown = min(log_probs.values()) - 10

    @cache
    def best(end):
        options = [(0.0, [])] if end == 0 else []
        for start in range(max(0, end - max(map(len, log_probs))), end):
            piece = text[start:end]
            if piece in log_probs or len(piece) == 1:
                total, pieces = best(start)
                options.append((total + log_probs.get(piece, unknown), [*pieces, piece]))
        return max(options, key=lambda o: o[0])

    return best(len(text))[1]


@wrong(caught_by=["empty_text_has_no_pieces", "finds_the_best_of_all_cuts"])
def unigram_encode__gives_an_empty_piece(text, log_probs):
    """The empty text gave one empty piece. It has no pieces at all."""
    return unigram_encode(text, log_probs) or [""]
