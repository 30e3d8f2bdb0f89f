"""1.13 WordPiece   [medium, ~20 min]

BERT splits a word without any merges: from the left, it takes the longest piece that its vocabulary
has, and goes on after it. A piece that continues a word is written with `##` in front, so that
`able` the word and `##able` the ending are two entries. One look-up per length, no ranks.

Source: Schuster and Nakajima (2012), Japanese and Korean voice search; the greedy rule as BERT has
it, https://github.com/google-research/bert/blob/master/tokenization.py
"""


def wordpiece_encode(
    word: str, vocab: set[str], unk: str = "[UNK]", max_chars: int = 100
) -> list[str]:
    """Split one word into pieces of `vocab`, the longest possible piece first.

    The first piece is an entry of `vocab` as it stands; every later piece is an entry that starts
    with `##`, which is kept in the result. Each step takes the longest entry that fits, and no step
    is ever taken back. When no entry fits, or the word has more than `max_chars` characters, the
    whole word is `[unk]`, whatever pieces were found before. The empty word has no pieces.

    >>> wordpiece_encode("unaffable", {"un", "##aff", "##able", "##a"})
    ['un', '##aff', '##able']
    """
    raise NotImplementedError("wordpiece_encode")  # your code here
