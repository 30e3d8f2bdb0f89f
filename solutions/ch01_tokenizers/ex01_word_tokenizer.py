"""1.1 A word tokenizer   [easy, ~15 min]

A language model reads numbers, so text has to become numbers first. The oldest way: every word
that occurs in a corpus gets an id, and all other words share the id of `<unk>`. You will see what
that costs: the vocabulary grows with the corpus, `cat` and `cats` have nothing in common, and
what was unknown cannot be written again. The rest of this chapter repairs these three.

Source: Jurafsky and Martin, Speech and Language Processing, chapter 2,
https://web.stanford.edu/~jurafsky/slp3/2.pdf
"""


class WordTokenizer:
    """Turn text into the ids of its words, and ids into text.

    A word is a run of characters between whitespace (spaces, tabs, line breaks, any number of
    them). Case and punctuation belong to it: `The`, `the` and `the,` are three words.
    Id 0 is padding, id 1 stands for every unknown word, the words of the corpus follow from 2 on.

    >>> tokenizer = WordTokenizer.build(["the cat sat", "the mat"])
    >>> tokenizer.vocab_size
    6
    >>> tokenizer.encode("the dog sat")
    [5, 1, 4]
    >>> tokenizer.decode([5, 1, 4, 0, 0])
    'the <unk> sat'
    """

    pad_id = 0
    unk_id = 1

    def __init__(self, words: list[str]) -> None:
        """Keep the vocabulary that `build` has found, in whatever form you like."""
        # solution
        self.tokens = ["<pad>", "<unk>", *words]
        self.ids = {word: i for i, word in enumerate(words, start=2)}

    @classmethod
    def build(cls, corpus: list[str]) -> "WordTokenizer":
        """Make a tokenizer that knows every word in the texts of `corpus`.

        Each distinct word gets one id: 2, 3, 4, ... in the order in which Python sorts strings.

        Raises:
            ValueError: there is no word in `corpus`.
        """
        # solution
        words = sorted({word for text in corpus for word in text.split()})
        if not words:
            raise ValueError("there is no word in the corpus")
        return cls(words)

    @property
    def vocab_size(self) -> int:
        """The number of ids, those of padding and of unknown words included."""
        # solution
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Give the id of each word of `text`, and `unk_id` for a word that is not known."""
        # solution
        return [self.ids.get(word, self.unk_id) for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        """Write the words of `ids` with one space between them.

        `unk_id` is written as `<unk>`, padding is left out. Every id is in [0, vocab_size).
        """
        # solution
        return " ".join(self.tokens[i] for i in ids if i != self.pad_id)
