import re

import regex

from kata.wrong import wrong
from solutions.ch01_tokenizers.ex06_train_bpe import train_on_chunks
from solutions.ch01_tokenizers.ex07_bpe_encode import bpe_encode
from solutions.ch01_tokenizers.ex09_pretokenize import (
    GPT2_PATTERN,
    Known,
    RegexBPETokenizer,
    pretokenize,
)


@wrong(
    crashes=[
        "words_numbers_and_symbols_take_one_space",
        "endings_are_split_off_in_lower_case",
        "white_space_leaves_a_space_to_the_word",
        "chunks_join_to_the_text",
        "merges_come_from_counted_chunks",
        "tokens_end_where_chunks_end",
        "a_second_training_starts_anew",
        "decoding_gives_the_text_back",
        "agrees_with_tiktoken",
    ]
)
def pretokenize__searches_with_re(text, pattern=GPT2_PATTERN):
    r"""`re` does not know `\p{L}` and `\p{N}`. The package `regex` does."""
    return [match.group() for match in re.finditer(pattern, text)]


@wrong(caught_by=["words_numbers_and_symbols_take_one_space", "agrees_with_tiktoken"])
def pretokenize__knows_ascii_letters_only(text, pattern=GPT2_PATTERN):
    """Letters outside a to z, or digits outside 0 to 9, were taken for symbols."""
    pattern = pattern.replace(r"\p{L}", "a-zA-Z").replace(r"\p{N}", "0-9")
    pattern = pattern.replace(" ?a-zA-Z+", " ?[a-zA-Z]+").replace(" ?0-9+", " ?[0-9]+")
    return [match.group() for match in re.finditer(pattern, text)]


@wrong(caught_by=["words_numbers_and_symbols_take_one_space", "agrees_with_tiktoken"])
def pretokenize__takes_letters_and_digits_together(text, pattern=GPT2_PATTERN):
    r"""`\w` holds letters, digits and the underscore, which GPT-2 keeps apart from each other."""
    pattern = pattern.replace(r" ?\p{L}+| ?\p{N}+", r" ?\w+").replace(r"\p{L}\p{N}", r"\w")
    return [match.group() for match in re.finditer(pattern, text)]


@wrong(
    caught_by=[
        "white_space_leaves_a_space_to_the_word",
        "chunks_join_to_the_text",
        "decoding_gives_the_text_back",
        "agrees_with_tiktoken",
    ]
)
def pretokenize__drops_the_white_space(text, pattern=GPT2_PATTERN):
    """White space was dropped. The chunks joined must give the text back."""
    return [match.group() for match in regex.finditer(pattern, text) if match.group().strip()]


@wrong(
    caught_by=[
        "words_numbers_and_symbols_take_one_space",
        "endings_are_split_off_in_lower_case",
        "white_space_leaves_a_space_to_the_word",
        "another_pattern_gives_other_chunks",
        "merges_come_from_counted_chunks",
        "the_tokenizer_uses_its_pattern",
        "agrees_with_tiktoken",
    ]
)
def pretokenize__makes_each_space_a_chunk(text, pattern=GPT2_PATTERN):
    """The space before a word became a chunk of its own. It belongs to the word."""
    return [
        part
        for match in regex.finditer(pattern, text)
        for part in re.split(r"(\s+)", match.group())
        if part
    ]


@wrong(caught_by=["endings_are_split_off_in_lower_case", "agrees_with_tiktoken"])
def pretokenize__ignores_case(text, pattern=GPT2_PATTERN):
    """Endings in capitals were split off too: GPT-2 knows `'s` and `'t`, not `'S` and `'T`."""
    return [match.group() for match in regex.finditer(pattern, text, regex.IGNORECASE)]


@wrong(caught_by=["another_pattern_gives_other_chunks", "the_tokenizer_uses_its_pattern"])
def pretokenize__ignores_its_pattern(text, pattern=GPT2_PATTERN):
    """The argument `pattern` was not used."""
    return regex.findall(GPT2_PATTERN, text)


@wrong(caught_by=["another_pattern_gives_other_chunks"])
def pretokenize__returns_groups(text, pattern=GPT2_PATTERN):
    """`findall` gives the groups of a pattern that has parentheses, not its whole matches."""
    return regex.findall(pattern, text)


@wrong(
    caught_by=[
        "merges_come_from_counted_chunks",
        "the_tokenizer_uses_its_pattern",
        "agrees_with_tiktoken",
    ]
)
class RegexBPETokenizer__trains_on_the_whole_text(RegexBPETokenizer):
    """Training saw the text as one piece, so that a merge could span two chunks."""

    def train(self, text, vocab_size):
        super().train(text, 256)
        self.merges, self.vocab = train_on_chunks({text.encode(): 1}, vocab_size)
        self._known = Known(self.merges, self.vocab)


@wrong(caught_by=["merges_come_from_counted_chunks", "agrees_with_tiktoken"])
class RegexBPETokenizer__counts_every_chunk_once(RegexBPETokenizer):
    """A chunk counted once, however often it occurs. Each occurrence counts."""

    def train(self, text, vocab_size):
        super().train(text, 256)
        chunks = dict.fromkeys((c.encode() for c in pretokenize(text, self.pattern)), 1)
        self.merges, self.vocab = train_on_chunks(chunks, vocab_size)
        self._known = Known(self.merges, self.vocab)


@wrong(caught_by=["tokens_end_where_chunks_end", "agrees_with_tiktoken"])
class RegexBPETokenizer__encodes_the_whole_text(RegexBPETokenizer):
    """Encoding saw the text as one piece, so that tokens grew across the cuts."""

    def encode(self, text):
        return bpe_encode(text, self.merges)


@wrong(caught_by=["the_tokenizer_uses_its_pattern"])
class RegexBPETokenizer__ignores_its_pattern(RegexBPETokenizer):
    """The tokenizer used GPT2_PATTERN although it was given another pattern."""

    def __init__(self, pattern=GPT2_PATTERN):
        super().__init__()


@wrong(caught_by=["a_second_training_starts_anew"])
class RegexBPETokenizer__remembers_the_old_merges(RegexBPETokenizer):
    """Chunks that were encoded before `train` kept their old ids: its cache must be emptied."""

    def train(self, text, vocab_size):
        known = dict(self._known)
        super().train(text, vocab_size)
        self._known.update(known)


@wrong(caught_by=["decoding_gives_the_text_back"])
class RegexBPETokenizer__decodes_token_by_token(RegexBPETokenizer):
    """Each token was decoded by itself. A character may be spread over several: join first."""

    def decode(self, ids):
        return "".join(self.vocab[i].decode("utf-8", errors="replace") for i in ids)
