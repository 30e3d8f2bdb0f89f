from kata.wrong import wrong
from solutions.ch01_tokenizers.ex02_char_tokenizer import CharTokenizer


@wrong(
    caught_by=[
        "numbers_the_characters_in_sorted_order",
        "whitespace_has_ids_of_its_own",
        "unknown_id_is_an_error",
        "ids_are_positions_in_the_vocabulary",
    ],
    crashes=["decode_gives_text"],
)
class CharTokenizer__counts_ids_from_one(CharTokenizer):
    """The ids begin at 1. The id of a character is its position in the sorted vocabulary, and
    positions begin at 0."""

    def __init__(self, text):
        self.chars = sorted(set(text))
        self.ids = {char: i for i, char in enumerate(self.chars, start=1)}

    def decode(self, ids):
        return super().decode([i - 1 for i in ids])


@wrong(
    caught_by=[
        "numbers_the_characters_in_sorted_order",
        "decode_gives_text",
        "whitespace_has_ids_of_its_own",
        "ids_are_positions_in_the_vocabulary",
    ]
)
class CharTokenizer__keeps_the_order_of_the_text(CharTokenizer):
    """The characters were numbered in the order of the text. Sort them, so that two texts with the
    same characters give the same ids."""

    def __init__(self, text):
        self.chars = list(dict.fromkeys(text))
        self.ids = {char: i for i, char in enumerate(self.chars)}


@wrong(
    caught_by=[
        "numbers_the_characters_in_sorted_order",
        "vocabulary_counts_each_character_once",
        "decode_gives_text",
        "unknown_id_is_an_error",
        "ids_are_positions_in_the_vocabulary",
    ]
)
class CharTokenizer__counts_every_occurrence(CharTokenizer):
    """A character that occurs twice took two places in the vocabulary. Each character has one
    id."""

    def __init__(self, text):
        self.chars = sorted(text)
        self.ids = {char: i for i, char in enumerate(self.chars)}


@wrong(
    caught_by=[
        "whitespace_has_ids_of_its_own",
        "printable_characters_and_emoji_come_back",
        "ids_are_positions_in_the_vocabulary",
    ]
)
class CharTokenizer__takes_space_for_padding(CharTokenizer):
    """Whitespace is missing from the vocabulary, and got the id 0 of another character. A space
    and a line break are characters like all others."""

    def __init__(self, text):
        super().__init__("".join(text.split()))
        self.ids |= {char: 0 for char in text if char.isspace()}


@wrong(caught_by=["unknown_character_is_an_error"])
class CharTokenizer__drops_unknown_characters(CharTokenizer):
    """Unknown characters were left out in silence, so `decode` gives another text than the one
    that went in. Raise a ValueError that shows the character."""

    def encode(self, text):
        return [self.ids[char] for char in text if char in self.ids]


@wrong(caught_by=["unknown_character_is_an_error"])
class CharTokenizer__leaks_a_key_error(CharTokenizer):
    """A missing character ended in the KeyError of a dict. Say what is wrong in a ValueError: a
    caller knows characters, not your dict."""

    def encode(self, text):
        return [self.ids[char] for char in text]


@wrong(caught_by=["unknown_id_is_an_error"])
class CharTokenizer__lets_negative_ids_wrap(CharTokenizer):
    """The id -1 gave the last character, because a Python list counts backwards from its end.
    Only 0 to vocab_size - 1 are ids."""

    def decode(self, ids):
        if any(i >= self.vocab_size for i in ids):
            raise ValueError(f"id {max(ids)} is too large")
        return "".join(self.chars[i] for i in ids)


@wrong(caught_by=["decode_gives_text", "printable_characters_and_emoji_come_back"])
class CharTokenizer__decodes_to_a_list(CharTokenizer):
    """`decode` gave a list of characters. It must give one text."""

    def decode(self, ids):
        return list(super().decode(ids))
