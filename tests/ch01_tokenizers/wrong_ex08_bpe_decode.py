from kata.wrong import wrong
from solutions.ch01_tokenizers.ex08_bpe_decode import bpe_decode


@wrong(
    caught_by=[
        "characters_may_be_cut_between_tokens",
        "gives_back_text_however_it_was_cut",
        "agrees_with_tiktoken_on_gpt2_ids",
    ]
)
def bpe_decode__decodes_token_by_token(ids, vocab):
    """Each token was decoded by itself. Join the bytes first: a character may be cut in two."""
    return "".join(bpe_decode([i], vocab) for i in ids)


@wrong(
    crashes=[
        "broken_characters_become_the_replacement_character",
        "agrees_with_tiktoken_on_gpt2_ids",
    ]
)
def bpe_decode__is_strict(ids, vocab):
    """Half a character is no error: a model may generate one. It becomes U+FFFD."""
    bpe_decode(ids, vocab)
    return b"".join(vocab[i] for i in ids).decode()


@wrong(
    caught_by=[
        "broken_characters_become_the_replacement_character",
        "agrees_with_tiktoken_on_gpt2_ids",
    ]
)
def bpe_decode__drops_half_characters(ids, vocab):
    """Bytes that are not valid UTF-8 vanished from the text. They become U+FFFD."""
    bpe_decode(ids, vocab)
    return b"".join(vocab[i] for i in ids).decode(errors="ignore")


@wrong(
    caught_by=[
        "characters_may_be_cut_between_tokens",
        "broken_characters_become_the_replacement_character",
        "gives_back_text_however_it_was_cut",
        "agrees_with_tiktoken_on_gpt2_ids",
    ]
)
def bpe_decode__takes_bytes_for_characters(ids, vocab):
    """Each byte became a character. In UTF-8 a character takes up to four bytes."""
    bpe_decode(ids, vocab)
    return "".join(chr(byte) for i in ids for byte in vocab[i])


@wrong(caught_by=["unknown_id_is_an_error_that_names_it"])
def bpe_decode__skips_unknown_ids(ids, vocab):
    """An unknown id was skipped or replaced silently, which hides a mistake elsewhere: raise."""
    return bpe_decode([i for i in ids if i in vocab], vocab)


@wrong(caught_by=["unknown_id_is_an_error_that_names_it"])
def bpe_decode__lets_the_key_error_out(ids, vocab):
    """An unknown id raises KeyError. The docstring wants a ValueError that contains the id."""
    return b"".join(vocab[i] for i in ids).decode(errors="replace")


@wrong(
    caught_by=[
        "joins_the_bytes_of_the_tokens",
        "characters_may_be_cut_between_tokens",
        "broken_characters_become_the_replacement_character",
        "no_ids_give_an_empty_string",
        "gives_back_text_however_it_was_cut",
        "agrees_with_tiktoken_on_gpt2_ids",
    ]
)
def bpe_decode__returns_bytes(ids, vocab):
    """The result is still bytes. Decode them, for `str` is what the docstring asks for."""
    bpe_decode(ids, vocab)
    return b"".join(vocab[i] for i in ids)
