import torch
import torch.nn.functional as F

from kata.wrong import wrong
from solutions.ch03_attention.ex01_causal_mask import causal_mask


@wrong(
    caught_by=[
        "labels_move_one_place_to_the_right",
        "shifts_keep_shape_dtype_and_device",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def shift_right__does_not_shift(labels, start_id, pad_id):
    """The labels were not shifted: the decoder reads the very token that it is to predict."""
    return labels.masked_fill(labels == -100, pad_id)


@wrong(caught_by=["labels_move_one_place_to_the_right", "agrees_with_t5", "agrees_with_bart"])
def shift_right__shifts_to_the_left(labels, start_id, pad_id):
    """The labels moved to the left. The decoder reads what came before, so they move to the right
    and `start_id` comes first."""
    shifted = torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], start_id)], dim=1)
    return shifted.masked_fill(shifted == -100, pad_id)


@wrong(
    caught_by=[
        "labels_move_one_place_to_the_right",
        "shifts_keep_shape_dtype_and_device",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def shift_right__lets_the_last_come_first(labels, start_id, pad_id):
    """The last label came round to the front (`roll`). The first place is for `start_id`."""
    shifted = labels.roll(1, dims=1)
    return shifted.masked_fill(shifted == -100, pad_id)


@wrong(
    caught_by=[
        "labels_move_one_place_to_the_right",
        "shifts_keep_shape_dtype_and_device",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def shift_right__is_one_too_long(labels, start_id, pad_id):
    """`start_id` was put in front and no label left out. The result is as long as the labels, which
    lose the last one."""
    shifted = torch.cat([torch.full_like(labels[:, :1], start_id), labels], dim=1)
    return shifted.masked_fill(shifted == -100, pad_id)


@wrong(
    caught_by=["labels_move_one_place_to_the_right"], crashes=["agrees_with_t5", "agrees_with_bart"]
)
def shift_right__leaves_ignored_labels(labels, start_id, pad_id):
    """-100 was left in. It only tells the loss to look away, and no table of embeddings has such a
    row: it becomes `pad_id`."""
    return torch.cat([torch.full_like(labels[:, :1], start_id), labels[:, :-1]], dim=1)


@wrong(
    caught_by=[
        "labels_move_one_place_to_the_right",
        "shifts_keep_shape_dtype_and_device",
        "agrees_with_bart",
    ]
)
def shift_right__swaps_start_and_padding(labels, start_id, pad_id):
    """`start_id` and `pad_id` changed places."""
    start = torch.full_like(labels[:, :1], pad_id)
    shifted = torch.cat([start, labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == -100, start_id)


@wrong(
    caught_by=[
        "labels_move_one_place_to_the_right",
        "shifts_keep_shape_dtype_and_device",
        "agrees_with_bart",
    ]
)
def shift_right__starts_with_padding(labels, start_id, pad_id):
    """Every text starts with `pad_id`, as it does in T5. In BART the two differ: use `start_id`."""
    shifted = torch.cat([torch.full_like(labels[:, :1], pad_id), labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == -100, pad_id)


@wrong(caught_by=["labels_are_not_modified"])
def shift_right__modifies_the_labels(labels, start_id, pad_id):
    """The labels themselves were changed, and the loss still needs them."""
    labels[labels == -100] = pad_id
    return torch.cat([torch.full_like(labels[:, :1], start_id), labels[:, :-1]], dim=1)


@wrong(caught_by=["shifts_keep_shape_dtype_and_device"])
def shift_right__makes_a_new_tensor(labels, start_id, pad_id):
    """The result was written into a new tensor that is int64 and on the CPU, whatever the labels
    are: `torch.full_like(labels, ...)` asks them."""
    shifted = torch.full(labels.shape, start_id)
    shifted[:, 1:] = labels[:, :-1]
    return shifted.masked_fill(shifted == -100, pad_id)


def forward(
    src,
    tgt_in,
    src_mask,
    *,
    embed_src,
    encoder,
    embed_tgt,
    decoder,
    head,
    encoder_reads=lambda src, tgt_in: src,
    decoder_reads=lambda src, tgt_in: tgt_in,
    allowed=lambda src_mask: src_mask.bool()[:, None, None, :],
    encoder_mask=lambda memory_mask, size: memory_mask,
    decoder_mask=lambda mask, memory_mask: mask,
    cross_mask=lambda mask, memory_mask: memory_mask,
    device=lambda ids: ids.device,
):
    """The reference in steps, each of which a mistake can replace."""
    memory_mask = allowed(src_mask)
    x = embed_src(encoder_reads(src, tgt_in))
    memory = encoder(x, encoder_mask(memory_mask, x.shape[1]))
    y = embed_tgt(decoder_reads(src, tgt_in))
    mask = causal_mask(y.shape[1], device=device(tgt_in))
    masks = decoder_mask(mask, memory_mask), cross_mask(mask, memory_mask)
    return head(decoder(y, masks[0], memory, masks[1]))


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__has_a_causal_encoder(*inputs, **parts):
    """The encoder got a causal mask. The whole source is known from the start: every token sees all
    real ones."""

    def encoder_mask(memory_mask, size):
        return memory_mask & causal_mask(size, device=memory_mask.device)

    return forward(*inputs, **parts, encoder_mask=encoder_mask)


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__does_not_mask_the_encoder(*inputs, **parts):
    """In the encoder real tokens attend to padding."""

    def encoder_mask(memory_mask, size):
        return torch.ones_like(memory_mask)

    return forward(*inputs, **parts, encoder_mask=encoder_mask)


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__does_not_mask_the_memory(*inputs, **parts):
    """The target attends to the padding of the source. What the encoder made of padding is still in
    `memory`."""

    def cross_mask(mask, memory_mask):
        return torch.ones_like(memory_mask)

    return forward(*inputs, **parts, cross_mask=cross_mask)


@wrong(
    caught_by=["agrees_with_torch", "agrees_with_t5", "agrees_with_bart"],
    crashes=[
        "who_sees_whom_by_hand",
        "every_gradient_of_the_model_agrees",
        "model_stays_on_the_device_of_the_ids",
    ],
)
def encoder_decoder_forward__has_a_causal_cross_attention(*inputs, **parts):
    """Attention to the memory got the target's causal mask. Its keys are the source, of which every
    target token may see all real tokens: the mask comes from `src_mask`."""

    def cross_mask(mask, memory_mask):
        return mask

    return forward(*inputs, **parts, cross_mask=cross_mask)


@wrong(
    caught_by=["agrees_with_torch", "agrees_with_t5", "agrees_with_bart"],
    crashes=[
        "who_sees_whom_by_hand",
        "every_gradient_of_the_model_agrees",
        "model_stays_on_the_device_of_the_ids",
    ],
)
def encoder_decoder_forward__swaps_the_masks_of_the_decoder(*inputs, **parts):
    """The decoder's two masks changed places: first the one for self-attention, which is causal,
    then the one for the memory."""

    def decoder_mask(mask, memory_mask):
        return memory_mask

    def cross_mask(mask, memory_mask):
        return mask

    return forward(*inputs, **parts, decoder_mask=decoder_mask, cross_mask=cross_mask)


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__has_no_causal_mask(*inputs, **parts):
    """The decoder is not causal: target tokens see later ones, which are what they are to
    predict."""

    def decoder_mask(mask, memory_mask):
        return torch.ones_like(mask)

    return forward(*inputs, **parts, decoder_mask=decoder_mask)


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__inverts_the_source_mask(*inputs, **parts):
    """`src_mask` was read the other way round: 1 is a real token, and True means "may attend"."""
    return forward(*inputs, **parts, allowed=lambda mask: (mask == 0)[:, None, None, :])


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__inverts_the_causal_mask(*inputs, **parts):
    """The causal mask was inverted, as `nn.Transformer` wants it. Here True means "may attend"."""

    def decoder_mask(mask, memory_mask):
        return ~mask | torch.eye(len(mask), dtype=torch.bool, device=mask.device)

    return forward(*inputs, **parts, decoder_mask=decoder_mask)


@wrong(
    crashes=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "model_stays_on_the_device_of_the_ids",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__passes_integers_on(*inputs, **parts):
    """The 0s and 1s of `src_mask` went on as they are. The parts want boolean masks: `.bool()`."""
    return forward(*inputs, **parts, allowed=lambda mask: mask[:, None, None, :])


@wrong(
    crashes=[
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "model_stays_on_the_device_of_the_ids",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__forgets_the_axis_of_the_heads(*inputs, **parts):
    """The source mask lines up with the wrong axes: it needs two axes of size 1 between batch and
    keys, for heads and queries."""
    return forward(*inputs, **parts, allowed=lambda mask: mask.bool()[:, None, :])


@wrong(
    caught_by=["agrees_with_torch", "agrees_with_t5", "agrees_with_bart"],
    crashes=[
        "who_sees_whom_by_hand",
        "every_gradient_of_the_model_agrees",
        "model_stays_on_the_device_of_the_ids",
    ],
)
def encoder_decoder_forward__runs_the_encoder_on_the_target(*inputs, **parts):
    """The encoder read the target. It reads the source."""
    return forward(*inputs, **parts, encoder_reads=lambda src, tgt_in: tgt_in)


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "model_stays_on_the_device_of_the_ids",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__runs_the_decoder_on_the_source(*inputs, **parts):
    """The decoder read the source. It reads `tgt_in`, and sees the source only through `memory`."""
    return forward(*inputs, **parts, decoder_reads=lambda src, tgt_in: src)


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__shifts_again(*inputs, **parts):
    """`tgt_in` was shifted once more. It is what the decoder reads, shifted already."""

    def decoder_reads(src, tgt_in):
        return torch.cat([tgt_in[:, :1], tgt_in[:, :-1]], dim=1)

    return forward(*inputs, **parts, decoder_reads=decoder_reads)


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__skips_the_encoder(*inputs, **parts):
    """The embeddings of the source became the memory: the encoder was not called."""
    return forward(*inputs, **(parts | {"encoder": lambda x, mask: x}))


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__embeds_both_alike(*inputs, **parts):
    """The target was embedded with the source's function. Even BART, with one table of tokens for
    both, has positions and a norm for each."""
    return forward(*inputs, **(parts | {"embed_tgt": parts["embed_src"]}))


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__scales_the_embeddings(*inputs, **parts):
    """The embeddings were multiplied by sqrt(d_model), as in the first transformer. If a model does
    that, it is part of its embedding functions."""

    def scaled(embed):
        return lambda ids: embed(ids) * embed(ids).shape[-1] ** 0.5

    both = {name: scaled(parts[name]) for name in ("embed_src", "embed_tgt")}
    return forward(*inputs, **(parts | both))


@wrong(
    caught_by=[
        "who_sees_whom_by_hand",
        "agrees_with_torch",
        "every_gradient_of_the_model_agrees",
        "model_stays_on_the_device_of_the_ids",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def encoder_decoder_forward__forgets_the_head(*inputs, **parts):
    """The decoder's vectors were returned. The head turns them into logits."""
    return forward(*inputs, **(parts | {"head": lambda y: y}))


@wrong(caught_by=["every_gradient_of_the_model_agrees"])
def encoder_decoder_forward__detaches_the_memory(*inputs, **parts):
    """The memory was cut off from the gradient (`.detach()`, `no_grad`): the encoder would never
    learn."""
    encoder = parts["encoder"]
    return forward(*inputs, **(parts | {"encoder": lambda x, mask: encoder(x, mask).detach()}))


@wrong(crashes=["model_stays_on_the_device_of_the_ids"])
def encoder_decoder_forward__makes_the_causal_mask_on_the_cpu(*inputs, **parts):
    """The causal mask was made on the CPU, while the ids are elsewhere: pass their device."""
    return forward(*inputs, **parts, device=lambda ids: "cpu")


@wrong(
    caught_by=[
        "first_position_of_bart_is_row_two",
        "gradients_of_both_tables_agree",
        "agrees_with_bart",
    ]
)
def bart_embedding__forgets_the_offset(ids, tokens, positions, norm):
    """The first token got row 0 of `positions`. In BART positions start at row 2."""
    if ids.shape[1] > len(positions) - 2:
        raise ValueError(f"{ids.shape[1]} tokens are too many")
    return norm(tokens[ids] + positions[: ids.shape[1]])


@wrong(
    caught_by=[
        "first_position_of_bart_is_row_two",
        "gradients_of_both_tables_agree",
        "agrees_with_bart",
    ]
)
def bart_embedding__counts_from_one(ids, tokens, positions, norm):
    """The first token got row 3 of `positions`: count from 0, then add the offset of 2."""
    if ids.shape[1] > len(positions) - 2:
        raise ValueError(f"{ids.shape[1]} tokens are too many")
    rows = torch.arange(1, ids.shape[1] + 1, device=ids.device) + 2
    return norm(tokens[ids] + positions[rows % len(positions)])


@wrong(
    caught_by=[
        "first_position_of_bart_is_row_two",
        "gradients_of_both_tables_agree",
        "agrees_with_bart",
    ]
)
def bart_embedding__takes_ids_for_positions(ids, tokens, positions, norm):
    """The rows of `positions` were chosen by the ids of the tokens, not by where they stand."""
    if ids.shape[1] > len(positions) - 2:
        raise ValueError(f"{ids.shape[1]} tokens are too many")
    return norm(tokens[ids] + positions[(ids + 2) % len(positions)])


@wrong(
    caught_by=[
        "first_position_of_bart_is_row_two",
        "gradients_of_both_tables_agree",
        "agrees_with_bart",
    ]
)
def bart_embedding__forgets_the_norm(ids, tokens, positions, norm):
    """`norm` was not applied. BART normalises embeddings, T5 does not."""
    if ids.shape[1] > len(positions) - 2:
        raise ValueError(f"{ids.shape[1]} tokens are too many")
    return tokens[ids] + positions[2 : ids.shape[1] + 2]


@wrong(
    caught_by=[
        "first_position_of_bart_is_row_two",
        "gradients_of_both_tables_agree",
        "agrees_with_bart",
    ]
)
def bart_embedding__normalises_before_it_adds(ids, tokens, positions, norm):
    """Only the tokens were normalised. `norm` applies to the sum of token and position."""
    if ids.shape[1] > len(positions) - 2:
        raise ValueError(f"{ids.shape[1]} tokens are too many")
    return norm(tokens[ids]) + positions[2 : ids.shape[1] + 2]


@wrong(caught_by=["text_beyond_the_positions_is_refused"])
def bart_embedding__counts_the_unused_rows(ids, tokens, positions, norm):
    """The limit counts all rows of `positions`, but two of them are never used."""
    if ids.shape[1] > len(positions):
        raise ValueError(f"{ids.shape[1]} tokens are too many")
    return norm(tokens[ids] + positions[2 : ids.shape[1] + 2])


@wrong(caught_by=["text_beyond_the_positions_is_refused"])
def bart_embedding__has_no_limit(ids, tokens, positions, norm):
    """A text that is too long was not refused: its last tokens share the last position."""
    rows = torch.arange(2, ids.shape[1] + 2, device=ids.device).clamp(max=len(positions) - 1)
    return norm(tokens[ids] + positions[rows])


@wrong(crashes=["gradients_of_both_tables_agree"])
def bart_embedding__freezes_the_tables(ids, tokens, positions, norm):
    """The tables were copied into frozen layers (`nn.Embedding.from_pretrained`, `.data`), so that
    they would never learn."""
    if ids.shape[1] > len(positions) - 2:
        raise ValueError(f"{ids.shape[1]} tokens are too many")
    return norm(tokens.data[ids] + positions.data[2 : ids.shape[1] + 2])


@wrong(caught_by=["embedding_stays_on_the_device_of_the_ids"])
def bart_embedding__fills_a_new_tensor(ids, tokens, positions, norm):
    """The sum was written into a new `torch.zeros(...)`, on the CPU, where the ids need not be."""
    if ids.shape[1] > len(positions) - 2:
        raise ValueError(f"{ids.shape[1]} tokens are too many")
    x = torch.zeros(*ids.shape, tokens.shape[1])
    x += tokens[ids]
    x += positions[2 : ids.shape[1] + 2]
    return norm(x)


@wrong(
    caught_by=[
        "logits_are_products_with_the_table",
        "gradients_of_the_logits_agree",
        "logits_keep_the_dtype",
        "agrees_with_t5",
    ]
)
def tied_logits__never_rescales(hidden, tokens, bias=None, rescale=False):
    """`rescale` was ignored. The first T5 divides by sqrt(d_model) before its tied head."""
    return F.linear(hidden, tokens, bias)


@wrong(
    caught_by=[
        "logits_are_products_with_the_table",
        "gradients_of_the_logits_agree",
        "agrees_with_t5",
        "agrees_with_bart",
    ]
)
def tied_logits__always_rescales(hidden, tokens, bias=None, rescale=False):
    """`hidden` was divided by sqrt(d_model) even if `rescale` is False. BART does not do that."""
    return F.linear(hidden * hidden.shape[-1] ** -0.5, tokens, bias)


@wrong(
    caught_by=[
        "logits_are_products_with_the_table",
        "gradients_of_the_logits_agree",
        "logits_keep_the_dtype",
        "agrees_with_t5",
    ]
)
def tied_logits__multiplies_by_the_root(hidden, tokens, bias=None, rescale=False):
    """`hidden` was multiplied by sqrt(d_model). It is divided by it."""
    return F.linear(hidden * hidden.shape[-1] ** (0.5 if rescale else 0), tokens, bias)


@wrong(
    caught_by=[
        "logits_are_products_with_the_table",
        "gradients_of_the_logits_agree",
        "logits_keep_the_dtype",
        "agrees_with_t5",
    ]
)
def tied_logits__divides_by_d_model(hidden, tokens, bias=None, rescale=False):
    """`hidden` was divided by d_model. It is divided by its square root."""
    return F.linear(hidden / (hidden.shape[-1] if rescale else 1), tokens, bias)


@wrong(
    caught_by=[
        "logits_are_products_with_the_table",
        "gradients_of_the_logits_agree",
        "logits_keep_the_dtype",
        "agrees_with_t5",
    ]
)
def tied_logits__takes_the_root_of_the_vocabulary(hidden, tokens, bias=None, rescale=False):
    """`hidden` was divided by the square root of the size of the vocabulary, instead of d_model."""
    return F.linear(hidden / (len(tokens) ** 0.5 if rescale else 1), tokens, bias)


@wrong(caught_by=["logits_are_products_with_the_table", "gradients_of_the_logits_agree"])
def tied_logits__rescales_the_bias(hidden, tokens, bias=None, rescale=False):
    """The logits were divided after the bias had been added. Only `hidden` is rescaled."""
    return F.linear(hidden, tokens, bias) / (hidden.shape[-1] ** 0.5 if rescale else 1)


@wrong(
    caught_by=[
        "logits_are_products_with_the_table",
        "gradients_of_the_logits_agree",
        "agrees_with_bart",
    ]
)
def tied_logits__forgets_the_bias(hidden, tokens, bias=None, rescale=False):
    """`bias` was not added to the logits."""
    return F.linear(hidden * hidden.shape[-1] ** (-0.5 if rescale else 0), tokens)


@wrong(caught_by=["hidden_vectors_are_not_modified"], crashes=["gradients_of_the_logits_agree"])
def tied_logits__modifies_the_hidden_vectors(hidden, tokens, bias=None, rescale=False):
    """`hidden *= ...` changed the caller's tensor. `hidden = hidden * ...` makes a new one."""
    if rescale:
        hidden *= hidden.shape[-1] ** -0.5
    return F.linear(hidden, tokens, bias)


@wrong(caught_by=["logits_keep_the_dtype"])
def tied_logits__computes_in_float32(hidden, tokens, bias=None, rescale=False):
    """The result is float32, whatever the vectors are."""
    scale = hidden.shape[-1] ** (-0.5 if rescale else 0)
    return F.linear(hidden * scale, tokens, bias).float()


@wrong(caught_by=["gradients_of_the_logits_agree"])
def tied_logits__detaches_the_table(hidden, tokens, bias=None, rescale=False):
    """The table was cut off from the gradient (`.detach()`, `.data`). A tied table learns from both
    of its ends."""
    scale = hidden.shape[-1] ** (-0.5 if rescale else 0)
    return F.linear(hidden * scale, tokens.detach(), bias)
