"""1.3 Special tokens   [easy, ~20 min]

Some tokens are no text: `bos` marks where a sequence begins, `eos` where it ends (a model that
generates stops there), `pad` fills up short rows of a batch, `unk` stands for what the vocabulary
lacks. They live in the same numbering as the text, so the two must be kept apart: a user who
types `<eos>` writes five characters, and must not be able to end the sequence.

Source: the documentation of transformers, "Tokenizer", on special tokens,
https://huggingface.co/docs/transformers/main_classes/tokenizer
"""


class SpecialTokens:
    """A character tokenizer with four special tokens in front of its characters.

    The ids 0 to 3 are special, see below. The distinct characters of `characters` follow from
    4 on, in the order in which Python sorts them. No text encodes to `pad_id`, `bos_id` or
    `eos_id`: `<`, `e`, `o`, `s` and `>` are plain characters, together too.

    >>> tokenizer = SpecialTokens("abc")
    >>> tokenizer.encode("cab?", add_bos=True)
    [2, 6, 4, 5, 1]
    >>> tokenizer.decode([2, 6, 4, 5, 1, 3])
    '<bos>cab<unk><eos>'
    >>> tokenizer.decode([2, 6, 4, 5, 1, 3], skip_special=True)
    'cab'
    """

    pad_id = 0
    unk_id = 1
    bos_id = 2
    eos_id = 3

    def __init__(self, characters: str) -> None:
        """Build the vocabulary: the special tokens, then the distinct characters, sorted."""
        raise NotImplementedError("SpecialTokens.__init__")  # your code here

    @property
    def vocab_size(self) -> int:
        """The number of ids, special ones included."""
        raise NotImplementedError("SpecialTokens.vocab_size")  # your code here

    def encode(self, text: str, add_bos: bool = False, add_eos: bool = False) -> list[int]:
        """Give the id of each character of `text`, and `unk_id` for each one that is unknown.

        Args:
            text: any text.
            add_bos: put one `bos_id` before it.
            add_eos: put one `eos_id` behind it.
        """
        raise NotImplementedError("SpecialTokens.encode")  # your code here

    def decode(self, ids: list[int], skip_special: bool = False) -> str:
        """Give the text of `ids`.

        Args:
            ids: any ids of the vocabulary, special ones anywhere.
            skip_special: leave out all four special tokens (unknown characters too) instead of
                writing them as `<pad>`, `<unk>`, `<bos>` and `<eos>`.

        Raises:
            ValueError: an id is not in [0, vocab_size); the message shows that id. It is a fault
                of the caller, nothing that `<unk>` may hide.
        """
        raise NotImplementedError("SpecialTokens.decode")  # your code here
