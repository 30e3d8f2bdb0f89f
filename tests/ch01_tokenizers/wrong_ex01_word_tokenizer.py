from kata.wrong import wrong
from solutions.ch01_tokenizers.ex01_word_tokenizer import WordTokenizer


@wrong(caught_by=["numbers_the_words_in_sorted_order", "vocabulary_counts_each_word_once"])
class WordTokenizer__counts_every_occurrence(WordTokenizer):
    """A word that occurs twice took two places in the vocabulary. Each word has one id."""

    @classmethod
    def build(cls, corpus):
        words = sorted(word for text in corpus for word in text.split())
        if not words:
            raise ValueError("no words")
        return cls(words)


@wrong(caught_by=["vocabulary_counts_each_word_once"])
class WordTokenizer__leaves_pad_and_unk_out_of_the_size(WordTokenizer):
    """`vocab_size` counts the words only. Padding and unknown words have ids too: with a table of
    `vocab_size` rows the last two words would have none."""

    @property
    def vocab_size(self):
        return len(self.ids)


@wrong(
    caught_by=[
        "any_whitespace_separates_words",
        "corpus_without_words_is_an_error",
        "words_survive_the_round_trip",
        "agrees_with_the_library",
    ]
)
class WordTokenizer__splits_on_single_spaces(WordTokenizer):
    """The text was split at each single space. Two spaces then make an empty word, and a tab or a
    line break stays inside a word: `split()` and `split(" ")` are not the same."""

    @classmethod
    def build(cls, corpus):
        words = sorted({word for text in corpus for word in text.split(" ")})
        if not words:
            raise ValueError("no words")
        return cls(words)

    def encode(self, text):
        return [self.ids.get(word, self.unk_id) for word in text.split(" ")]


@wrong(
    caught_by=[
        "decode_writes_words_and_unk",
        "decode_leaves_padding_out",
        "words_survive_the_round_trip",
    ]
)
class WordTokenizer__decodes_to_a_list(WordTokenizer):
    """`decode` gave a list of words. It must give one text, with a space between the words."""

    def decode(self, ids):
        return [self.tokens[i] for i in ids if i != self.pad_id]


@wrong(caught_by=["words_survive_the_round_trip", "agrees_with_the_library"])
class WordTokenizer__lowercases(WordTokenizer):
    """The text was put into lower case. `The` and `the` are two words, and `decode` must give back
    what was written."""

    @classmethod
    def build(cls, corpus):
        return super().build([text.lower() for text in corpus])

    def encode(self, text):
        return super().encode(text.lower())


@wrong(
    caught_by=[
        "unknown_words_become_unk",
        "two_tokenizers_share_nothing",
        "agrees_with_the_library",
    ]
)
class WordTokenizer__drops_unknown_words(WordTokenizer):
    """Unknown words were left out, so the ids no longer tell that a word stood there. Each one
    becomes `unk_id`."""

    def encode(self, text):
        return [self.ids[word] for word in text.split() if word in self.ids]


@wrong(
    caught_by=[
        "numbers_the_words_in_sorted_order",
        "unknown_words_become_unk",
        "decode_writes_words_and_unk",
        "decode_leaves_padding_out",
    ]
)
class WordTokenizer__numbers_words_as_they_come(WordTokenizer):
    """The words were numbered in the order of the corpus. Sort them first, so that the order of
    the texts does not matter."""

    @classmethod
    def build(cls, corpus):
        words = list(dict.fromkeys(word for text in corpus for word in text.split()))
        if not words:
            raise ValueError("no words")
        return cls(words)


@wrong(caught_by=["decode_leaves_padding_out"])
class WordTokenizer__writes_padding(WordTokenizer):
    """Padding was written into the text. It only fills up a row of a batch: `decode` leaves it
    out."""

    def decode(self, ids):
        return " ".join(self.tokens[i] for i in ids)


@wrong(caught_by=["corpus_without_words_is_an_error"])
class WordTokenizer__looks_for_texts_instead_of_words(WordTokenizer):
    """Only a corpus without texts was refused. A corpus whose texts hold no word is just as
    empty: look at what is left after splitting."""

    @classmethod
    def build(cls, corpus):
        if not corpus:
            raise ValueError("the corpus is empty")
        return cls(sorted({word for text in corpus for word in text.split()}))


@wrong(caught_by=["two_tokenizers_share_nothing"])
class WordTokenizer__shares_its_vocabulary(WordTokenizer):
    """All tokenizers share one vocabulary, because it belongs to the class. What is set in
    `__init__` on `self` belongs to one tokenizer."""

    ids = {}  # noqa: RUF012
    tokens = ["<pad>", "<unk>"]  # noqa: RUF012

    def __init__(self, words):
        for word in words:
            if word not in self.ids:
                self.ids[word] = len(self.tokens)
                self.tokens.append(word)
