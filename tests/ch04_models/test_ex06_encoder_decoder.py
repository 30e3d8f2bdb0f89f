import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kata.check import close, raises
from kata.tensors import generator, gradients, normal, project, randomise

VOCAB, D_MODEL, N_HEADS = 30, 12, 4
SRC_MASK = [[1, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
LABELS = [[7, 4, 9, 5, 8], [6, -100, 3, -100, -100]]


def ids(seq, seed=0):
    """Two texts of random tokens."""
    return torch.randint(3, VOCAB, (2, seq), generator=generator(seed))


def expanded(mask, queries, keys, n_heads=N_HEADS):
    """A mask that is broadcastable to (batch, n_heads, queries, keys), in full."""
    if mask.dtype != torch.bool:
        raise TypeError(f"the mask must be boolean, got {mask.dtype}")
    return mask.expand(len(queries), n_heads, queries.shape[1], keys.shape[1])


def average(values, queries, mask):
    """For each query the mean of the values to which it may attend."""
    mask = expanded(mask, queries, values, 1)[:, 0]
    weights = torch.ones(mask.shape).masked_fill(~mask, 0.0)
    return weights @ values / weights.sum(-1, keepdim=True)


def averaging():
    """Parts so simple that one can work out by hand who saw whom: the vectors are one-hot."""
    return {
        "embed_src": lambda ids: 4.0 * F.one_hot(ids, 4),
        "encoder": lambda x, mask: x + 2 * average(x, x, mask),
        "embed_tgt": lambda ids: 2.0 * F.one_hot(ids, 4),
        "decoder": lambda y, mask, memory, memory_mask: (
            average(y, y, mask) + 10 * average(memory, y, memory_mask)
        ),
        "head": lambda y: 100 - y,
    }


class Translator(nn.Module):
    """torch's own encoder-decoder model, with random parameters, and its parts."""

    def __init__(self):
        super().__init__()
        self.src, self.tgt = nn.Embedding(VOCAB, D_MODEL), nn.Embedding(VOCAB, D_MODEL)
        self.core = nn.Transformer(D_MODEL, N_HEADS, 2, 3, 20, dropout=0.0, batch_first=True)
        self.head = nn.Linear(D_MODEL, VOCAB)
        randomise(self)

    def forward(self, src, tgt_in, src_mask):
        padding = src_mask == 0  # in torch's module True means "ignore"
        options = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
        later = torch.ones(tgt_in.shape[1], tgt_in.shape[1], device=src.device).bool().triu(1)
        return self.head(self.core(self.src(src), self.tgt(tgt_in), tgt_mask=later, **options))

    def parts(self):
        def forbidden(mask, queries, keys):
            return ~expanded(mask, queries, keys).flatten(0, 1)

        def decoder(y, mask, memory, memory_mask):
            masks = forbidden(mask, y, y), forbidden(memory_mask, y, memory)
            return self.core.decoder(y, memory, *masks)

        return {
            "embed_src": self.src,
            "encoder": lambda x, mask: self.core.encoder(x, forbidden(mask, x, x)),
            "embed_tgt": self.tgt,
            "decoder": decoder,
            "head": self.head,
        }


def all_gradients(model, logits):
    """The gradients of the model's parameters, by name."""
    model.zero_grad()
    project(logits).backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in model.named_parameters()
    }


def t5s(**options):
    """A tiny T5 of Hugging Face, with random parameters."""
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"vocab_size": VOCAB, "d_model": D_MODEL, "num_heads": N_HEADS, "d_kv": 5, "d_ff": 20}
    sizes |= {"num_layers": 2, "num_decoder_layers": 3, "decoder_start_token_id": 0}
    config = T5Config(**sizes, **options, attn_implementation="sdpa")
    return randomise(T5ForConditionalGeneration(config)).eval()


def parts_of_t5(t5, head):
    """Its parts. The stacks of T5 end with a norm, and take masks of all four axes."""

    def decoder(y, mask, memory, memory_mask):
        masks = expanded(mask, y, y), expanded(memory_mask, y, memory)
        options = {"encoder_hidden_states": memory, "encoder_attention_mask": masks[1]}
        return t5.decoder(inputs_embeds=y, attention_mask=masks[0], **options)[0]

    return {
        "embed_src": t5.shared,
        "encoder": lambda x, mask: t5.encoder(inputs_embeds=x, attention_mask=expanded(mask, x, x))[
            0
        ],
        "embed_tgt": t5.shared,
        "decoder": decoder,
        "head": head,
    }


def barts():
    """A tiny BART of Hugging Face, with random parameters and a random bias of the logits."""
    from transformers import BartConfig, BartForConditionalGeneration

    sizes = {"vocab_size": VOCAB, "d_model": D_MODEL, "max_position_embeddings": 9}
    sizes |= {"encoder_layers": 2, "encoder_attention_heads": N_HEADS, "encoder_ffn_dim": 20}
    sizes |= {"decoder_layers": 3, "decoder_attention_heads": N_HEADS, "decoder_ffn_dim": 28}
    bart = randomise(BartForConditionalGeneration(BartConfig(**sizes, attn_implementation="sdpa")))
    bart.final_logits_bias.copy_(normal(1, VOCAB))
    return bart.eval()


def parts_of_bart(bart, embedding, head):
    """Its parts, with the learner's embedding of ids; the layers of BART end with a norm each."""
    encoder, decoder = bart.model.encoder, bart.model.decoder

    def embed(ids, stack):
        tables = stack.embed_tokens.weight, stack.embed_positions.weight
        return embedding(ids, *tables, stack.layernorm_embedding)

    def encode(x, mask):
        for layer in encoder.layers:
            x = layer(x, expanded(mask, x, x))
        return x

    def decode(y, mask, memory, memory_mask):
        masks = expanded(mask, y, y), expanded(memory_mask, y, memory)
        for layer in decoder.layers:
            y = layer(y, masks[0], memory, masks[1])
        return y

    return {
        "embed_src": lambda ids: embed(ids, encoder),
        "encoder": encode,
        "embed_tgt": lambda ids: embed(ids, decoder),
        "decoder": decode,
        "head": head,
    }


def test_labels_move_one_place_to_the_right(answer):
    expected = torch.tensor([[2, 7, 4, 9, 5], [2, 6, 1, 3, 1]])
    close(answer.shift_right(torch.tensor(LABELS), start_id=2, pad_id=1), expected, "batch seq")


@pytest.mark.parametrize(
    ("shape", "place"),
    [((3, 1), "cpu"), ((0, 4), "cpu"), ((2, 5), "meta")],
    ids=["one label", "empty batch", "meta device"],
)
def test_shifts_keep_shape_dtype_and_device(answer, shape, place):
    expected = torch.full(shape, 2, dtype=torch.int32, device=place)
    labels = torch.full(shape, 9, dtype=torch.int32, device=place)
    close(answer.shift_right(labels, start_id=2, pad_id=1), expected, "batch seq")


def test_labels_are_not_modified(answer):
    labels = torch.tensor(LABELS)
    answer.shift_right(labels, start_id=2, pad_id=1)
    close(labels, torch.tensor(LABELS), "batch seq")


def test_who_sees_whom_by_hand(answer):
    src, src_mask, tgt_in = [[0, 1, 2]], [[1, 1, 0]], [[3, 2]]
    given = [torch.tensor(x) for x in (src, tgt_in, src_mask)]
    # Memory of the two real tokens: (4 + 4, 4) and (4, 4 + 4), of which the mean is (6, 6).
    # Target: the first token sees itself, the second one the mean of both.
    expected = 100 - torch.tensor([[[60.0, 60.0, 0.0, 2.0], [60.0, 60.0, 1.0, 1.0]]])
    close(answer.encoder_decoder_forward(*given, **averaging()), expected, "batch query vocab")


@pytest.mark.parametrize("dtype", [torch.long, torch.bool], ids=str)
@pytest.mark.parametrize("t_tgt", [5, 3, 7, 1])
def test_agrees_with_torch(answer, device, t_tgt, dtype):
    model, mask = Translator().to(device), torch.tensor(SRC_MASK, device=device)
    src, tgt_in = ids(5).to(device), ids(t_tgt, seed=1).to(device)
    expected = model(src, tgt_in, mask)
    actual = answer.encoder_decoder_forward(src, tgt_in, mask.to(dtype), **model.parts())
    close(actual, expected, "batch query vocab")


@pytest.mark.parametrize("name", ["src.weight", "tgt.weight", "head.weight"])
def test_every_gradient_of_the_model_agrees(answer, name):
    model, given = Translator(), (ids(5), ids(4, seed=1), torch.tensor(SRC_MASK))
    expected = all_gradients(model, model(*given))
    logits = answer.encoder_decoder_forward(*given, **model.parts())
    close(all_gradients(model, logits)[name], expected[name], "token d_model")


def test_model_stays_on_the_device_of_the_ids(answer):
    model, given = Translator().to("meta"), (ids(5), ids(4, seed=1), torch.tensor(SRC_MASK))
    actual = answer.encoder_decoder_forward(*(x.to("meta") for x in given), **model.parts())
    close(actual, torch.empty(2, 4, VOCAB, device="meta"), "batch query vocab")


def test_first_position_of_bart_is_row_two(answer):
    tokens, positions = torch.eye(2), torch.arange(5.0)[:, None] * torch.tensor([10.0, 100.0])
    expected = -torch.tensor([[[21.0, 200.0], [30.0, 301.0], [40.0, 401.0]]])
    actual = answer.bart_embedding(torch.tensor([[0, 1, 1]]), tokens, positions, torch.neg)
    close(actual, expected, "batch seq d_model")


def test_text_beyond_the_positions_is_refused(answer):
    with raises(ValueError):
        answer.bart_embedding(ids(5), normal(VOCAB, D_MODEL), normal(6, D_MODEL), torch.neg)


@pytest.mark.parametrize("i", [0, 1], ids=["tokens", "positions"])
def test_gradients_of_both_tables_agree(answer, device, i):
    text, tables = ids(4).to(device), [normal(n, D_MODEL).to(device) for n in (VOCAB, 8)]
    rows = torch.arange(2, 6, device=device)
    expected = gradients(lambda x, y: torch.tanh(F.embedding(text, x) + y[rows]), *tables)[i]
    actual = gradients(lambda x, y: answer.bart_embedding(text, x, y, torch.tanh), *tables)[i]
    close(actual, expected, "row d_model")


def test_embedding_stays_on_the_device_of_the_ids(answer):
    text, *tables = (x.to("meta") for x in (ids(4), normal(VOCAB, D_MODEL), normal(8, D_MODEL)))
    actual = answer.bart_embedding(text, *tables, torch.neg)
    close(actual, torch.empty(2, 4, D_MODEL, device="meta"), "batch seq d_model")


@pytest.mark.parametrize("bias", [[], [VOCAB]], ids=["no bias", "bias"])
@pytest.mark.parametrize(
    ("rescale", "scale"), [(False, 1.0), (True, 12**-0.5)], ids=["as it is", "rescaled"]
)
@pytest.mark.parametrize("shape", [(D_MODEL,), (2, 5, D_MODEL)], ids=["one vector", "batch"])
def test_logits_are_products_with_the_table(answer, shape, rescale, scale, bias):
    hidden, *head = normal(*shape), normal(VOCAB, D_MODEL, seed=1), *map(normal, bias)
    expected = F.linear(hidden * scale, *head)
    axes = " ".join(["batch", "seq", "vocab"][-expected.dim() :])
    close(answer.tied_logits(hidden, *head, rescale=rescale), expected, axes)


@pytest.mark.parametrize("rescale", [False, True], ids=["as it is", "rescaled"])
@pytest.mark.parametrize(
    ("i", "axes"),
    [(0, "batch seq d_model"), (1, "token d_model"), (2, "token")],
    ids=["hidden", "tokens", "bias"],
)
def test_gradients_of_the_logits_agree(answer, i, axes, rescale):
    inputs, scale = [normal(2, 5, D_MODEL), normal(VOCAB, D_MODEL, seed=1), normal(VOCAB)], 12**-0.5
    expected = gradients(lambda x, y, z: F.linear(x * scale**rescale, y, z), *inputs)[i]
    close(gradients(answer.tied_logits, *inputs, rescale=rescale)[i], expected, axes)


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 1e-12), (torch.bfloat16, 0.1)], ids=["float64", "bfloat16"]
)
def test_logits_keep_the_dtype(answer, dtype, atol):
    hidden, tokens = (normal(*size, D_MODEL, dtype=dtype) for size in ((2, 5), (VOCAB,)))
    expected = (hidden.double() @ tokens.double().T / 12**0.5).to(dtype)
    close(answer.tied_logits(hidden, tokens, rescale=True), expected, "batch seq vocab", atol=atol)


def test_hidden_vectors_are_not_modified(answer):
    hidden = normal(2, 5, D_MODEL)
    answer.tied_logits(hidden, normal(VOCAB, D_MODEL), normal(VOCAB), rescale=True)
    close(hidden, normal(2, 5, D_MODEL), "batch seq d_model")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("first", [True, False], ids=["T5", "T5 v1.1"])
def test_agrees_with_t5(answer, first):
    tgt_in = answer.shift_right(torch.tensor(LABELS), start_id=0, pad_id=0)
    t5, src, mask = t5s(tie_word_embeddings=first), ids(5), torch.tensor(SRC_MASK)
    expected = t5(src, attention_mask=mask, labels=torch.tensor(LABELS)).logits
    parts = parts_of_t5(t5, lambda y: answer.tied_logits(y, t5.lm_head.weight, rescale=first))
    close(answer.encoder_decoder_forward(src, tgt_in, mask, **parts), expected, "batch query vocab")


@pytest.mark.timeout(120)
def test_agrees_with_bart(answer):
    tgt_in = answer.shift_right(torch.tensor(LABELS), start_id=2, pad_id=1)
    bart, src, mask = barts(), ids(5), torch.tensor(SRC_MASK)
    expected = bart(src, attention_mask=mask, labels=torch.tensor(LABELS)).logits
    bias = bart.final_logits_bias[0]
    head = lambda y: answer.tied_logits(y, bart.lm_head.weight, bias)
    parts = parts_of_bart(bart, answer.bart_embedding, head)
    close(answer.encoder_decoder_forward(src, tgt_in, mask, **parts), expected, "batch query vocab")
