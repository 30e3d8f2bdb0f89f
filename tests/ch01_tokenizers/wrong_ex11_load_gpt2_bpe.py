import json
import re
from itertools import pairwise
from pathlib import Path

from kata.wrong import wrong
from solutions.ch01_tokenizers.ex07_bpe_encode import bpe_encode
from solutions.ch01_tokenizers.ex09_pretokenize import pretokenize
from solutions.ch01_tokenizers.ex11_load_gpt2_bpe import (
    GPT2Tokenizer,
    bytes_to_unicode,
    load_gpt2_bpe,
)

VISIBLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]


@wrong(
    caught_by=[
        "bytes_are_written_as_visible_characters",
        "the_characters_are_those_of_the_library",
        "a_byte_without_an_id_is_an_error",
    ],
    crashes=[
        "ids_are_those_of_encoder_json",
        "the_first_line_is_merged_first",
        "only_a_header_is_no_merge",
        "decoding_gives_the_text_back",
        "half_a_character_becomes_a_replacement",
        "an_unknown_id_is_an_error",
        "half_a_surrogate_pair_is_an_error",
        "agrees_with_a_trained_tokenizer",
        "agrees_with_tiktoken_on_the_files_of_gpt2",
        "reads_and_writes_like_gpt2",
    ],
)
def bytes_to_unicode__forgets_68_bytes():
    """Only the 188 visible bytes were mapped. The other 68, such as the space, need a character."""
    return {byte: chr(byte) for byte in VISIBLE}


@wrong(
    caught_by=[
        "bytes_are_written_as_visible_characters",
        "the_characters_are_those_of_the_library",
        "a_line_that_is_no_merge_is_an_error",
    ],
    crashes=[
        "ids_are_those_of_encoder_json",
        "the_first_line_is_merged_first",
        "only_a_header_is_no_merge",
        "decoding_gives_the_text_back",
        "half_a_character_becomes_a_replacement",
        "an_unknown_id_is_an_error",
        "half_a_surrogate_pair_is_an_error",
        "agrees_with_a_trained_tokenizer",
        "agrees_with_tiktoken_on_the_files_of_gpt2",
        "reads_and_writes_like_gpt2",
    ],
)
def bytes_to_unicode__adds_256():
    """A byte that is not visible became the character 256 places on. They are counted instead."""
    return {byte: chr(byte if byte in VISIBLE else 256 + byte) for byte in range(256)}


@wrong(
    caught_by=[
        "bytes_are_written_as_visible_characters",
        "the_characters_are_those_of_the_library",
        "a_line_that_is_no_merge_is_an_error",
    ],
    crashes=[
        "ids_are_those_of_encoder_json",
        "the_first_line_is_merged_first",
        "only_a_header_is_no_merge",
        "decoding_gives_the_text_back",
        "half_a_character_becomes_a_replacement",
        "an_unknown_id_is_an_error",
        "half_a_surrogate_pair_is_an_error",
        "agrees_with_a_trained_tokenizer",
        "agrees_with_tiktoken_on_the_files_of_gpt2",
        "reads_and_writes_like_gpt2",
    ],
)
def bytes_to_unicode__takes_the_soft_hyphen_for_visible():
    """Byte 0xAD, the soft hyphen, was left as it is. It is not visible."""
    visible = [*VISIBLE, 0xAD]
    others = [byte for byte in range(256) if byte not in visible]
    return {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(others)}


class TableTokenizer(GPT2Tokenizer):
    """Encodes each chunk by a rule of its own."""

    def __init__(self, encoder, merges):
        super().__init__(encoder, merges)
        self.encoder, self.pairs = encoder, set(map(tuple, merges))

    def encode(self, text):
        chars = bytes_to_unicode()
        chunks = ("".join(chars[b] for b in chunk.encode()) for chunk in pretokenize(text))
        return [self.encoder[token] for chunk in chunks for token in self.tokens(chunk)]


@wrong(
    caught_by=[
        "ids_are_those_of_encoder_json",
        "the_first_line_is_merged_first",
        "only_a_header_is_no_merge",
        "agrees_with_a_trained_tokenizer",
        "agrees_with_tiktoken_on_the_files_of_gpt2",
        "reads_and_writes_like_gpt2",
    ],
    crashes=["decoding_gives_the_text_back"],
)
class GPT2Tokenizer__numbers_tokens_by_rank(GPT2Tokenizer):
    """The ids were counted: bytes, then merges. They must be those of encoder.json."""

    def encode(self, text):
        return [n for chunk in pretokenize(text) for n in bpe_encode(chunk, self._merges)]


@wrong(caught_by=["the_first_line_is_merged_first", "agrees_with_tiktoken_on_the_files_of_gpt2"])
class GPT2Tokenizer__takes_the_longest_token(TableTokenizer):
    """A chunk was cut into the longest tokens of the table. The merges decide, in their order."""

    def tokens(self, chunk):
        while chunk:
            end = next(n for n in range(len(chunk), 0, -1) if chunk[:n] in self.encoder)
            yield chunk[:end]
            chunk = chunk[end:]


@wrong(caught_by=["the_first_line_is_merged_first"])
class GPT2Tokenizer__merges_in_the_order_of_ids(TableTokenizer):
    """The merge with the smallest id came first. The first line of the merges comes first."""

    def tokens(self, chunk):
        tokens = list(chunk)
        while joined := [a + b for a, b in pairwise(tokens) if (a, b) in self.pairs]:
            i = [a + b for a, b in pairwise(tokens)].index(min(joined, key=self.encoder.get))
            tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
        return tokens


@wrong(
    caught_by=["ids_are_those_of_encoder_json", "half_a_surrogate_pair_is_an_error"],
    crashes=[
        "decoding_gives_the_text_back",
        "agrees_with_a_trained_tokenizer",
        "agrees_with_tiktoken_on_the_files_of_gpt2",
        "reads_and_writes_like_gpt2",
    ],
)
class GPT2Tokenizer__writes_characters_not_bytes(GPT2Tokenizer):
    """Only spaces and newlines were rewritten. Every byte of the UTF-8 text becomes a character."""

    def encode(self, text):
        byte_of = {char: byte for byte, char in bytes_to_unicode().items()}
        text = text.replace(" ", "Ġ").replace("\n", "Ċ")
        chunks = (bytes(byte_of[c] for c in chunk) for chunk in pretokenize(text))
        return [self._ids[n] for chunk in chunks for n in bpe_encode(chunk, self._merges)]


@wrong(
    caught_by=[
        "decoding_gives_the_text_back",
        "half_a_character_becomes_a_replacement",
        "reads_and_writes_like_gpt2",
    ]
)
class GPT2Tokenizer__leaves_the_characters(GPT2Tokenizer):
    """Tokens were joined as the file writes them. Each of their characters stands for a byte."""

    def __init__(self, encoder, merges):
        super().__init__(encoder, merges)
        self.token = {i: token for token, i in encoder.items()}

    def decode(self, ids):
        super().decode(ids)
        return "".join(self.token[i] for i in ids).replace("Ġ", " ")


@wrong(crashes=["half_a_character_becomes_a_replacement"])
class GPT2Tokenizer__takes_half_a_character_for_an_error(GPT2Tokenizer):
    """Bytes that are not UTF-8 raised an error. They become U+FFFD."""

    def decode(self, ids):
        super().decode(ids)
        return b"".join(self._vocab[i] for i in ids).decode()


@wrong(caught_by=["an_unknown_id_is_an_error"])
class GPT2Tokenizer__skips_unknown_ids(GPT2Tokenizer):
    """An id without a token was skipped. It is an error."""

    def decode(self, ids):
        return super().decode([i for i in ids if i in self._vocab])


@wrong(caught_by=["an_unknown_id_is_an_error"])
class GPT2Tokenizer__counts_negative_ids_from_the_end(GPT2Tokenizer):
    """A negative id was counted from the end of a list. No token has such an id."""

    def decode(self, ids):
        return super().decode([i + len(self._vocab) if i < 0 else i for i in ids])


@wrong(caught_by=["half_a_surrogate_pair_is_an_error"])
class GPT2Tokenizer__replaces_half_a_pair(GPT2Tokenizer):
    """Half of a surrogate pair was replaced, and the text changed in silence. It is an error."""

    def encode(self, text):
        return super().encode(text.encode("utf-8", errors="replace").decode())


@wrong(
    crashes=[
        "ids_are_those_of_encoder_json",
        "the_first_line_is_merged_first",
        "only_a_header_is_no_merge",
        "decoding_gives_the_text_back",
        "half_a_character_becomes_a_replacement",
        "an_unknown_id_is_an_error",
        "half_a_surrogate_pair_is_an_error",
        "agrees_with_a_trained_tokenizer",
    ]
)
def load_gpt2_bpe__reads_the_header_as_a_merge(encoder_json, vocab_bpe):
    """The header `#version: 0.2` was read as a merge."""
    tokenizer = load_gpt2_bpe(encoder_json, vocab_bpe)
    if Path(vocab_bpe).read_text("utf-8").startswith("#version:"):
        raise ValueError(f"{vocab_bpe}:1: there are no tokens '#version:' and '0.2'")
    return tokenizer


@wrong(caught_by=["only_a_header_is_no_merge", "reads_and_writes_like_gpt2"])
def load_gpt2_bpe__always_skips_a_line(encoder_json, vocab_bpe):
    """The first line was skipped although it was a merge: not every file has a header."""
    tokenizer = load_gpt2_bpe(encoder_json, vocab_bpe)
    if not Path(vocab_bpe).read_text("utf-8").startswith("#version:"):
        del tokenizer._merges[next(iter(tokenizer._merges))]
    return tokenizer


@wrong(caught_by=["only_a_header_is_no_merge", "agrees_with_tiktoken_on_the_files_of_gpt2"])
def load_gpt2_bpe__skips_every_hash(encoder_json, vocab_bpe):
    """Every line that starts with `#` was skipped. Only a header is; `# #` is a merge."""
    tokenizer = load_gpt2_bpe(encoder_json, vocab_bpe)
    hashes = {n for n, i in tokenizer._ids.items() if tokenizer._vocab[i].startswith(b"#")}
    tokenizer._merges = {p: n for p, n in tokenizer._merges.items() if p[0] not in hashes}
    return tokenizer


@wrong(caught_by=["a_line_that_is_no_merge_is_an_error"])
def load_gpt2_bpe__skips_what_it_cannot_use(encoder_json, vocab_bpe):
    """A line that is no merge was skipped. It is an error: the file is damaged."""
    encoder = json.loads(Path(encoder_json).read_text("utf-8"))
    made, merges = set(bytes_to_unicode().values()), []
    if made - encoder.keys():
        raise ValueError(f"{encoder_json} lacks the character of a byte")
    for line in Path(vocab_bpe).read_text("utf-8").splitlines():
        pair, token = line.split(), line.replace(" ", "")
        if len(pair) == 2 and made.issuperset(pair) and token in encoder and token not in made:
            merges.append(tuple(pair))
            made.add(token)
    return GPT2Tokenizer(encoder, merges)


@wrong(caught_by=["a_line_that_is_no_merge_is_an_error"])
def load_gpt2_bpe__counts_lines_from_zero(encoder_json, vocab_bpe):
    """The line number in the message was off: the first line, header or not, is line 1."""
    try:
        return load_gpt2_bpe(encoder_json, vocab_bpe)
    except ValueError as error:
        message = re.sub(r"bpe:(\d+)", lambda found: f"bpe:{int(found[1]) - 1}", str(error))
        raise ValueError(message) from None


@wrong(caught_by=["a_byte_without_an_id_is_an_error"])
def load_gpt2_bpe__does_not_check_the_bytes(encoder_json, vocab_bpe):
    """The character of a byte was not looked for in encoder.json until it was needed."""
    encoder = json.loads(Path(encoder_json).read_text("utf-8"))
    if missing := set(bytes_to_unicode().values()) - encoder.keys():
        raise KeyError(min(missing))
    return load_gpt2_bpe(encoder_json, vocab_bpe)
