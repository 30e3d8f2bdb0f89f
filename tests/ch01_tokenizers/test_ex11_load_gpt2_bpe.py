import json

import pytest

from kata.check import raises
from kata.properties import example, given, texts

HEADER = "#version: 0.2"
MERGES = ["l o", "lo w", "Ġ low", "e r", "Ċ Ċ", "Ã ©"]


def write(folder, reference, lines, drop=""):
    """Write the two files. The ids fall from merge to merge, so that none is a rank."""
    alphabet = list(reference.bytes_to_unicode().values())
    tokens = [*alphabet, *(line.replace(" ", "") for line in lines if line.count(" ") == 1)]
    encoder = {token: 600 - i for i, token in enumerate(tokens) if token not in ("", drop)}
    files = folder / "encoder.json", folder / "vocab.bpe"
    files[0].write_text(json.dumps(encoder), "utf-8")
    files[1].write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return files, encoder


def train(folder, text):
    """Let the library train on a text, write its two files and encode the text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    oracle = Tokenizer(models.BPE())
    oracle.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    oracle.train_from_iterator([text], trainer)
    return oracle.model.save(str(folder)), oracle.encode(text).ids


@pytest.fixture
def small(reference, tmp_path):
    """The two files with MERGES, and what is in the first."""
    return write(tmp_path, reference, [HEADER, *MERGES])


@pytest.mark.parametrize(
    ("data", "text"), [(b"a!~", "a!~"), (b"\xa1\xae\xff", "¡®ÿ"), (b" \n\0\x7f\xa0\xad", "ĠĊĀġłŃ")]
)
def test_bytes_are_written_as_visible_characters(answer, data, text):
    table = answer.bytes_to_unicode()
    assert {byte: table.get(byte) for byte in data} == dict(zip(data, text, strict=True))


def test_the_characters_are_those_of_the_library(answer):
    from tokenizers.pre_tokenizers import ByteLevel

    expected = sorted(ByteLevel.alphabet())
    table = answer.bytes_to_unicode()
    assert sorted(table) == list(range(256)), "the keys, sorted"
    assert sorted(table.values()) == expected, "the characters, sorted"


def test_ids_are_those_of_encoder_json(answer, small):
    files, encoder = small
    ids = [encoder[token] for token in ["low", "Ġlow", "er", "Ċ", "Ã©", "t"]]
    assert answer.load_gpt2_bpe(*files).encode("low lower\nét") == ids


@pytest.mark.parametrize(
    ("lines", "tokens"),
    [
        (["a b", "b c"], ["ab", "c", "d"]),
        (["b c", "a b", "ab c", "c d"], ["a", "bc", "d"]),
    ],
)
def test_the_first_line_is_merged_first(answer, reference, tmp_path, lines, tokens):
    files, encoder = write(tmp_path, reference, [HEADER, *lines])
    ids = [encoder[token] for token in tokens]
    assert answer.load_gpt2_bpe(*files).encode("abcd") == ids


@pytest.mark.parametrize("header", [[HEADER], []])
def test_only_a_header_is_no_merge(answer, reference, tmp_path, header):
    files, encoder = write(tmp_path, reference, [*header, "a b", "# #", "## #"])
    ids = [encoder["ab"], encoder["###"]]
    assert answer.load_gpt2_bpe(*files).encode("ab###") == ids


@pytest.mark.parametrize("line", ["lo", "l o w", "xy z", "l o", "o w"])
def test_a_line_that_is_no_merge_is_an_error(answer, reference, tmp_path, line):
    files, _ = write(tmp_path, reference, [HEADER, "l o", "e r", line, "lo w"], drop="ow")
    with raises(ValueError, match="vocab.bpe:4"):
        answer.load_gpt2_bpe(*files)


def test_a_byte_without_an_id_is_an_error(answer, reference, tmp_path):
    files, _ = write(tmp_path, reference, [HEADER, *MERGES], drop="Ń")
    with raises(ValueError, match="encoder.json"):
        answer.load_gpt2_bpe(*files)


@given(texts)
@example("Hello, flowers!\n\n\tcafé 🚀\x00\x7f\xad ")
def test_decoding_gives_the_text_back(answer, small, text):
    files, _ = small
    tokenizer = answer.load_gpt2_bpe(*files)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_half_a_character_becomes_a_replacement(answer, small):
    files, encoder = small
    assert answer.load_gpt2_bpe(*files).decode([encoder["Ã"], encoder["low"]]) == "\ufffdlow"


@pytest.mark.parametrize("unknown", [601, -1])
def test_an_unknown_id_is_an_error(answer, small, unknown):
    files, encoder = small
    tokenizer = answer.load_gpt2_bpe(*files)
    with raises(ValueError, match=str(unknown)):
        tokenizer.decode([encoder["low"], unknown])


def test_half_a_surrogate_pair_is_an_error(answer, small):
    files, _ = small
    tokenizer = answer.load_gpt2_bpe(*files)
    with raises(ValueError):
        tokenizer.encode("low \ud83d")


def test_agrees_with_a_trained_tokenizer(answer, tmp_path):
    text = "def café(x):\n    return x  # größer 東京 🚀🚀, it's 3½\n\n" * 2
    files, expected = train(tmp_path, text)
    assert answer.load_gpt2_bpe(*files).encode(text) == expected


@pytest.mark.real
def test_agrees_with_tiktoken_on_the_files_of_gpt2(answer, real):
    text = "def f(x):\n\treturn x ** 2  ### größer\r\n\n  It's 'we'll'\n \n👩‍💻<|endoftext|>"
    files = real.path("gpt2/vocab.json"), real.path("gpt2/merges.txt")
    expected = real.encoding("gpt2").encode_ordinary(text)
    assert answer.load_gpt2_bpe(*files).encode(text) == expected


@pytest.mark.real
def test_reads_and_writes_like_gpt2(answer, real):
    tokenizer = answer.load_gpt2_bpe(real.path("gpt2/vocab.json"), real.path("gpt2/merges.txt"))
    ids = [3118, 6667, 11203, 540, 11241, 1634, 5635, 0, 12520, 248, 222]
    assert tokenizer.encode("Unbelievable tokenization powers! 🚀") == ids
    assert tokenizer.decode([*ids, 50256]) == "Unbelievable tokenization powers! 🚀<|endoftext|>"
