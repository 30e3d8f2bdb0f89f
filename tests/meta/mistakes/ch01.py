"""Mistakes of chapter 1, written a second time."""

from solutions.ch01_tokenizers.ex06_train_bpe import train_on_chunks
from solutions.ch01_tokenizers.ex07_bpe_encode import bpe_encode
from solutions.ch01_tokenizers.ex08_bpe_decode import bpe_decode
from solutions.ch01_tokenizers.ex09_pretokenize import GPT2_PATTERN, pretokenize
from solutions.ch01_tokenizers.ex15_compare_encodings import PAGE_COLOURS, label
from tests.meta.mistakes import same_as


@same_as("1.1", "WordTokenizer__splits_on_single_spaces")
class WordTokenizer__with_a_separator:
    pad_id = 0
    unk_id = 1

    def __init__(self, words):
        self.word_to_id = {}
        for word in words:
            self.word_to_id[word] = len(self.word_to_id) + 2
        self.id_to_word = {number: word for word, number in self.word_to_id.items()}
        self.id_to_word[self.unk_id] = "<unk>"

    @classmethod
    def build(cls, corpus):
        vocabulary = set()
        for text in corpus:
            vocabulary.update(text.split(" "))
        if len(vocabulary) == 0:
            raise ValueError("empty corpus")
        return cls(sorted(vocabulary))

    @property
    def vocab_size(self):
        return len(self.word_to_id) + 2

    def encode(self, text):
        result = []
        for word in text.split(" "):
            if word in self.word_to_id:
                result.append(self.word_to_id[word])
            else:
                result.append(self.unk_id)
        return result

    def decode(self, ids):
        return " ".join(self.id_to_word[i] for i in ids if i != self.pad_id)


@same_as("1.2", "CharTokenizer__lets_negative_ids_wrap")
class CharTokenizer__catches_index_errors:
    def __init__(self, text):
        self.alphabet = "".join(sorted(set(text)))

    @property
    def vocab_size(self):
        return len(self.alphabet)

    def encode(self, text):
        ids = []
        for character in text:
            position = self.alphabet.find(character)
            if position == -1:
                raise ValueError(f"{character!r} is not in the vocabulary")
            ids.append(position)
        return ids

    def decode(self, ids):
        text = ""
        for i in ids:
            try:
                text += self.alphabet[i]
            except IndexError:
                raise ValueError(f"there is no id {i}") from None
        return text


@same_as("1.3", "SpecialTokens__removes_specials_from_the_text")
class SpecialTokens__with_a_regular_expression:
    pad_id, unk_id, bos_id, eos_id = range(4)

    def __init__(self, characters):
        self.itos = dict(enumerate(["<pad>", "<unk>", "<bos>", "<eos>", *sorted(set(characters))]))
        self.stoi = {s: i for i, s in self.itos.items()}

    @property
    def vocab_size(self):
        return len(self.itos)

    def encode(self, text, add_bos=False, add_eos=False):
        ids = [self.bos_id] if add_bos else []
        for c in text:
            ids.append(self.stoi.get(c, self.unk_id))
        if add_eos:
            ids.append(self.eos_id)
        return ids

    def decode(self, ids, skip_special=False):
        import re

        text = ""
        for i in ids:
            if i not in self.itos:
                raise ValueError(f"unknown id {i}")
            text += self.itos[i]
        if skip_special:
            text = re.sub("<(pad|unk|bos|eos)>", "", text)
        return text


@same_as("1.4", "get_pair_counts__keeps_the_counts_of_earlier_calls")
def get_pair_counts__with_zip(ids, counts={}):  # noqa: B006
    from itertools import pairwise

    for left, right in pairwise(ids):
        if (left, right) not in counts:
            counts[left, right] = 0
        counts[left, right] += 1
    return counts


@same_as("1.5", "merge_pair__loses_the_last_symbol")
def merge_pair__with_a_flag(ids, pair, new_id):
    result = []
    skip = False
    for i in range(len(ids) - 1):
        if skip:
            skip = False
        elif (ids[i], ids[i + 1]) == pair:
            result.append(new_id)
            skip = True
        else:
            result.append(ids[i])
    return result


@same_as("1.6", "train_on_chunks__takes_the_last_of_equals")
def train_on_chunks__sorts_the_pairs(chunk_counts, vocab_size, tie="first"):
    from .ex05_merge_pair import merge_pair

    if vocab_size < 256 or tie not in ("first", "greatest"):
        raise ValueError(f"bad argument: {vocab_size}, {tie}")
    words = [list(chunk) for chunk in chunk_counts]
    weights = list(chunk_counts.values())
    if sum(map(len, words)) == 0:
        raise ValueError("empty corpus")
    vocab = {byte: bytes([byte]) for byte in range(256)}
    merges = {}
    for new_id in range(256, vocab_size):
        stats = {}
        for word, weight in zip(words, weights, strict=True):
            for i in range(len(word) - 1):
                pair = word[i], word[i + 1]
                stats[pair] = stats.get(pair, 0) + weight
        if not stats:
            break
        if tie == "first":
            best = sorted(stats.items(), key=lambda item: item[1])[-1][0]
        else:
            best = max(stats, key=lambda p: (stats[p], vocab[p[0]], vocab[p[1]]))
        merges[best] = new_id
        vocab[new_id] = vocab[best[0]] + vocab[best[1]]
        words = [merge_pair(word, best, new_id) for word in words]
    return merges, vocab


@same_as("1.7", "bpe_encode__merges_from_the_left")
def bpe_encode__with_a_stack(text, merges):
    data = text.encode("utf-8") if isinstance(text, str) else text
    stack = []
    for byte in data:
        stack.append(byte)
        while len(stack) >= 2 and (stack[-2], stack[-1]) in merges:
            right = stack.pop()
            left = stack.pop()
            stack.append(merges[left, right])
    return stack


@same_as("1.8", "bpe_decode__decodes_token_by_token")
def bpe_decode__in_a_loop(ids, vocab):
    text = ""
    for token in ids:
        if vocab.get(token) is None:
            raise ValueError(f"unknown token {token}")
        text += str(vocab[token], encoding="utf-8", errors="replace")
    return text


@same_as("1.9", "RegexBPETokenizer__counts_every_chunk_once")
class RegexBPETokenizer__collects_words:
    def __init__(self, pattern=GPT2_PATTERN):
        self.pattern = pattern
        self.merges = {}
        self.vocab = {byte: bytes([byte]) for byte in range(256)}

    def train(self, text, vocab_size):
        words = []
        for chunk in pretokenize(text, self.pattern):
            word = chunk.encode("utf-8")
            if word not in words:
                words.append(word)
        self.merges, self.vocab = train_on_chunks(dict.fromkeys(words, 1), vocab_size)

    def encode(self, text):
        ids = []
        for chunk in pretokenize(text, self.pattern):
            ids.extend(bpe_encode(chunk, self.merges))
        return ids

    def decode(self, ids):
        return bpe_decode(ids, self.vocab)


@same_as("1.10", "encode_with_special__takes_the_first_that_fits")
def encode_with_special__scans_the_text(text, encode, special_tokens, allowed_special="none_raise"):
    if allowed_special == "all":
        allowed = list(special_tokens)
    elif allowed_special in ("none", "none_raise"):
        allowed = []
    elif isinstance(allowed_special, str):
        raise ValueError(f"unknown mode {allowed_special}")
    else:
        allowed = [token for token in special_tokens if token in allowed_special]
    if allowed_special != "none":
        for token in special_tokens:
            if token in text and token not in allowed:
                raise ValueError(f"{token} is not allowed")
    ids = []
    start = i = 0
    while i < len(text):
        for token in allowed:
            if text.startswith(token, i):
                ids.extend(encode(text[start:i]))
                ids.append(special_tokens[token])
                i = start = i + len(token)
                break
        else:
            i += 1
    ids.extend(encode(text[start:]))
    return ids


@same_as("1.11", "bytes_to_unicode__adds_256")
def bytes_to_unicode__compares_characters():
    table = {}
    for byte in range(256):
        char = chr(byte)
        visible = "!" <= char <= "~" or "¡" <= char <= "¬" or "®" <= char <= "ÿ"
        table[byte] = char if visible else chr(byte + 256)
    return table


@same_as("1.12", "pad_batch__masks_every_pad_id")
def pad_batch__reads_the_mask_off(seqs, pad_id, side="right", max_len=None):
    if side != "right" and side != "left":
        raise ValueError("side must be right or left")
    if max_len is not None and max_len <= 0:
        raise ValueError("max_len must be positive")
    rows = []
    for seq in seqs:
        row = list(seq)
        while max_len is not None and len(row) > max_len:
            row.pop(-1 if side == "right" else 0)
        rows.append(row)
    longest = max((len(row) for row in rows), default=0)
    for row in rows:
        while len(row) < longest:
            row.insert(len(row) if side == "right" else 0, pad_id)
    mask = [[0 if token == pad_id else 1 for token in row] for row in rows]
    return rows, mask


@same_as("1.13", "wordpiece_encode__unk_for_one_piece")
def wordpiece_encode__shortens_the_rest(word, vocab, unk="[UNK]", max_chars=100):
    if len(word) > max_chars:
        return [unk]
    pieces = []
    while word:
        piece = word
        while piece and (f"##{piece}" if pieces else piece) not in vocab:
            piece = piece[:-1]
        if piece == "":
            pieces.append(unk)
            break
        pieces.append(f"##{piece}" if pieces else piece)
        word = word[len(piece) :]
    return pieces


@same_as("1.14", "unigram_encode__takes_the_longest_piece")
def unigram_encode__sorts_the_vocabulary(text, log_probs):
    vocabulary = sorted(log_probs, key=len, reverse=True)
    pieces = []
    while text:
        piece = next((p for p in vocabulary if text.startswith(p)), text[0])
        pieces.append(piece)
        text = text[len(piece) :]
    return pieces


@same_as("1.15", "tokens_to_html__escapes_the_ampersand_last")
def tokens_to_html__has_a_table_of_entities(pieces):
    entities = {"<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;", "&": "&amp;"}
    page = ""
    for number, (text, n_tokens) in enumerate(pieces):
        shown = label(text, n_tokens)
        for char, entity in entities.items():
            shown = shown.replace(char, entity)
        colour = PAGE_COLOURS[number % len(PAGE_COLOURS)]
        page += f'<span style="background:{colour};color:#000;white-space:pre-wrap">{shown}</span>'
    return page
