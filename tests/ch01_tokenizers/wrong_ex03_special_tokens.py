import re

from kata.wrong import wrong
from solutions.ch01_tokenizers.ex03_special_tokens import SpecialTokens


@wrong(caught_by=["bos_and_eos_only_where_asked_for", "agrees_with_the_library"])
class SpecialTokens__ends_twice(SpecialTokens):
    """With `add_bos` and `add_eos` together there are two `eos`. A sequence ends once."""

    def encode(self, text, add_bos=False, add_eos=False):
        ids = super().encode(text)
        if add_bos:
            ids = [self.bos_id, *ids, self.eos_id] if add_eos else [self.bos_id, *ids]
        if add_eos:
            ids = [*ids, self.eos_id]
        return ids


@wrong(
    caught_by=[
        "bos_and_eos_only_where_asked_for",
        "unknown_characters_become_unk",
        "typed_special_tokens_stay_text",
        "any_text_survives_the_round_trip",
        "agrees_with_the_library",
    ]
)
class SpecialTokens__numbers_characters_from_zero(SpecialTokens):
    """The first four characters got the ids of the special tokens. One id must mean one thing:
    the characters begin at 4."""

    def __init__(self, characters):
        super().__init__(characters)
        self.ids = {char: i - 4 for char, i in self.ids.items()}


@wrong(caught_by=["unknown_characters_become_unk", "agrees_with_the_library"])
class SpecialTokens__drops_unknown_characters(SpecialTokens):
    """Unknown characters were left out in silence. Each one becomes `unk_id`."""

    def encode(self, text, add_bos=False, add_eos=False):
        return super().encode("".join(c for c in text if c in self.ids), add_bos, add_eos)


@wrong(
    caught_by=[
        "typed_special_tokens_stay_text",
        "any_text_survives_the_round_trip",
        "agrees_with_the_library",
    ]
)
class SpecialTokens__obeys_the_text(SpecialTokens):
    """The text `<eos>` became the special token. Whoever writes the text could then end the
    sequence: it must stay five characters."""

    def encode(self, text, add_bos=False, add_eos=False):
        ids = []
        for part in re.split("(<pad>|<bos>|<eos>)", text):
            special = part in self.tokens[:4]
            ids += [self.tokens.index(part)] if special else super().encode(part)
        return [self.bos_id] * add_bos + ids + [self.eos_id] * add_eos


@wrong(caught_by=["skip_special_leaves_only_text", "any_text_survives_the_round_trip"])
class SpecialTokens__never_skips(SpecialTokens):
    """The special tokens were written although `skip_special` was set."""

    def decode(self, ids, skip_special=False):
        return super().decode(ids)


@wrong(caught_by=["decode_writes_special_tokens_by_name"])
class SpecialTokens__always_skips(SpecialTokens):
    """The special tokens were left out although nobody asked for it. Without `skip_special` they
    are written by their names."""

    def decode(self, ids, skip_special=False):
        return super().decode(ids, skip_special=True)


@wrong(caught_by=["skip_special_leaves_only_text"])
class SpecialTokens__skips_only_bos_and_eos(SpecialTokens):
    """Padding and `<unk>` stayed in the text. `skip_special` leaves out all four special
    tokens."""

    def decode(self, ids, skip_special=False):
        skipped = (self.bos_id, self.eos_id) if skip_special else ()
        return super().decode([i for i in ids if i not in skipped])


@wrong(caught_by=["any_text_survives_the_round_trip"])
class SpecialTokens__removes_specials_from_the_text(SpecialTokens):
    """The names of the special tokens were removed after the text was put together, and with them
    characters that a user has typed. Choose by id, before there is text."""

    def decode(self, ids, skip_special=False):
        text = super().decode(ids)
        return re.sub("<(pad|unk|bos|eos)>", "", text) if skip_special else text


@wrong(caught_by=["invalid_id_is_an_error"])
class SpecialTokens__writes_unk_for_an_invalid_id(SpecialTokens):
    """An id that does not exist was written as `<unk>`. That hides a fault in the code that made
    the id: raise a ValueError that shows it."""

    def decode(self, ids, skip_special=False):
        valid = range(self.vocab_size)
        return super().decode([i if i in valid else self.unk_id for i in ids], skip_special)


@wrong(caught_by=["vocabulary_counts_the_special_tokens"])
class SpecialTokens__leaves_specials_out_of_the_size(SpecialTokens):
    """`vocab_size` counts the characters only. The four special tokens have ids too."""

    @property
    def vocab_size(self):
        return len(self.ids)
