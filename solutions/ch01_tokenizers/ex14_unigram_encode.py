"""1.14 The unigram model   [hard, ~30 min]

T5, XLNet and other SentencePiece models choose among *all* ways to cut a text: every piece has a
probability, pieces are taken to be independent, and the most likely cut wins. A text of n
characters has 2^(n-1) cuts, but the best cut up to one position is the best cut up to some earlier
position and one more piece. That leaves n positions with a few candidates each.

Source: Kudo (2018), https://arxiv.org/abs/1804.10959, section 3.2
"""


def unigram_encode(text: str, log_probs: dict[str, float]) -> list[str]:
    """Cut `text` into the pieces whose log probabilities have the largest sum.

    The keys of `log_probs` are the pieces; there is at least one, and none is empty. A character
    that is not itself a key may always stand alone, as an unknown character, and then counts
    `min(log_probs.values()) - 10`. The pieces joined give `text` again; the empty text has none.

    Of two cuts with equal sums, the one with the longer last piece wins, however many pieces it
    has; where the last pieces agree, the one with the longer piece before it, and so on. A text of
    thousands of characters must be no problem.

    >>> unigram_encode("abcd?", {"abc": -2.0, "ab": -1.0, "cd": -1.5, "d": -3.0})
    ['ab', 'cd', '?']
    """
    # solution
    unknown = min(log_probs.values()) - 10
    longest = max(map(len, log_probs))
    best = [(0.0, "")]  # for each end: the best sum so far, and the last piece
    for end in range(1, len(text) + 1):
        best.append((float("-inf"), ""))
        for start in range(max(0, end - longest), end):  # long pieces first, so they win ties
            piece = text[start:end]
            score = best[start][0] + log_probs.get(piece, unknown)
            if (piece in log_probs or len(piece) == 1) and score > best[end][0]:
                best[end] = score, piece
    pieces, end = [], len(text)
    while end > 0:
        pieces.append(best[end][1])
        end -= len(pieces[-1])
    return pieces[::-1]
