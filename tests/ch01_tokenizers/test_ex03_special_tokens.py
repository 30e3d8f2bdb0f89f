import pytest

from kata.check import raises
from kata.properties import example, given, texts


@pytest.mark.parametrize(
    ("add_bos", "add_eos", "expected"),
    [
        (False, False, [6, 4, 5]),
        (True, False, [2, 6, 4, 5]),
        (False, True, [6, 4, 5, 3]),
        (True, True, [2, 6, 4, 5, 3]),
    ],
)
def test_bos_and_eos_only_where_asked_for(answer, add_bos, add_eos, expected):
    tokenizer = answer.SpecialTokens("abc")
    assert tokenizer.encode("cab", add_bos=add_bos, add_eos=add_eos) == expected


def test_unknown_characters_become_unk(answer):
    assert answer.SpecialTokens("abc").encode("a??b") == [4, 1, 1, 5]


def test_typed_special_tokens_stay_text(answer):
    # In sorted order: < > e o s
    assert answer.SpecialTokens("<eos>").encode("<eos>") == [4, 6, 7, 8, 5]


def test_vocabulary_counts_the_special_tokens(answer):
    assert answer.SpecialTokens("abcab").vocab_size == 7


def test_decode_writes_special_tokens_by_name(answer):
    decoded = answer.SpecialTokens("abc").decode([2, 4, 1, 6, 3, 0])
    assert decoded == "<bos>a<unk>c<eos><pad>"


def test_skip_special_leaves_only_text(answer):
    assert answer.SpecialTokens("abc").decode([2, 4, 1, 6, 3, 0, 0], skip_special=True) == "ac"


@pytest.mark.parametrize("skip_special", [False, True])
@pytest.mark.parametrize("wrong_id", [-1, 7])
def test_invalid_id_is_an_error(answer, wrong_id, skip_special):
    tokenizer = answer.SpecialTokens("abc")
    with raises(ValueError, match=str(wrong_id)):
        tokenizer.decode([4, wrong_id], skip_special=skip_special)


@given(text=texts)
@example(text="<eos> is no <bos>")
def test_any_text_survives_the_round_trip(answer, text):
    tokenizer = answer.SpecialTokens(text)
    ids = tokenizer.encode(text, add_bos=True, add_eos=True)
    assert tokenizer.decode(ids, skip_special=True) == text


def test_agrees_with_the_library(answer):
    text = "<bos>to be\nor not to be<eos>"
    expected = library_tokenizer(sorted(set(text))).encode(text + "?!").ids
    assert answer.SpecialTokens(text).encode(text + "?!", add_bos=True, add_eos=True) == expected


def library_tokenizer(characters):
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    special = [("<pad>", 0), ("<unk>", 1), ("<bos>", 2), ("<eos>", 3)]
    vocab = dict(special) | {char: i for i, char in enumerate(characters, 4)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing("<bos> $A <eos>", None, special)
    return tokenizer
