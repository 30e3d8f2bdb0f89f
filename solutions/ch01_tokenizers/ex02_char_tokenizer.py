"""1.2 A character tokenizer   [easy, ~10 min]

The opposite of words: every character is a token. The vocabulary is tiny, nothing that is made of
known characters is ever lost, and sequences become long. It is the tokenizer of the tiny
Shakespeare model that you train in chapter 7. What it does not know it refuses: a tokenizer that
drops characters in silence gives you back another text, and nobody notices.

Source: Karpathy (2015), The Unreasonable Effectiveness of Recurrent Neural Networks,
https://karpathy.github.io/2015/05/21/rnn-effectiveness/
"""


class CharTokenizer:
    r"""Turn text into the ids of its characters, and back without loss.

    The vocabulary is made of the distinct characters of the `text` that it is built from, in the
    order in which Python sorts them; the id of a character is its position there, from 0 on.
    A character is what Python iterates over, one Unicode code point. Spaces and line breaks are
    characters like all others, and there are no special tokens.

    >>> tokenizer = CharTokenizer("banana\n")
    >>> tokenizer.vocab_size
    4
    >>> tokenizer.encode("nab\n")
    [3, 1, 2, 0]
    >>> tokenizer.decode([2, 1, 3])
    'ban'
    """

    def __init__(self, text: str) -> None:
        """Build the vocabulary from the characters of `text`."""
        # solution
        self.chars = sorted(set(text))
        self.ids = {char: i for i, char in enumerate(self.chars)}

    @property
    def vocab_size(self) -> int:
        """The number of ids."""
        # solution
        return len(self.chars)

    def encode(self, text: str) -> list[int]:
        """Give the id of each character of `text`.

        Raises:
            ValueError: a character is not in the vocabulary; the message shows that character.
        """
        # solution
        unknown = [char for char in text if char not in self.ids]
        if unknown:
            raise ValueError(f"unknown character {unknown[0]!r}")
        return [self.ids[char] for char in text]

    def decode(self, ids: list[int]) -> str:
        """Give the text whose characters have these `ids`.

        Raises:
            ValueError: an id is not in [0, vocab_size); the message shows that id.
        """
        # solution
        for i in ids:
            if not 0 <= i < self.vocab_size:  # a list would take -1 for its last element
                raise ValueError(f"id {i} is not in [0, {self.vocab_size})")
        return "".join(self.chars[i] for i in ids)
