import torch

from kata.wrong import wrong
from solutions.ch02_layers.ex01_linear import Linear
from solutions.ch02_layers.ex06_layer_norm import LayerNorm
from solutions.ch02_layers.ex08_gelu import gelu
from solutions.ch03_attention.ex01_causal_mask import causal_mask
from solutions.ch03_attention.ex02_scaled_dot_product_attention import scaled_dot_product_attention
from solutions.ch03_attention.ex03_split_heads import merge_heads, split_heads
from solutions.ch04_models.ex05_bert_encoder_layer import BertEncoderLayer


class Parts(BertEncoderLayer):
    """The reference in steps, each of which a mistake can replace."""

    def forward(self, x, attention_mask=None):
        x = self.self_attn_layer_norm(x + self.attend(x, attention_mask))
        return self.final_layer_norm(x + self.mlp(x))

    def attend(self, x, attention_mask):
        is_real = None if attention_mask is None else attention_mask.bool()
        return self.self_attn(x, x, is_real)

    def mlp(self, x):
        return self.fc2(gelu(self.fc1(x)))


@wrong(
    caught_by=[
        "two_tokens_and_padding_by_hand",
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "eps_shows_in_tokens_of_tiny_variance",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__normalises_what_goes_in(Parts):
    """The norms stand at the entrance of the branches, as in GPT-2 (pre-norm). BERT normalises the
    sum that comes out of each addition."""

    def forward(self, x, attention_mask=None):
        x = x + self.attend(self.self_attn_layer_norm(x), attention_mask)
        return x + self.mlp(self.final_layer_norm(x))


@wrong(
    caught_by=[
        "two_tokens_and_padding_by_hand",
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "eps_shows_in_tokens_of_tiny_variance",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__normalises_before_it_adds(Parts):
    """Each branch was normalised on its own, then added. The norm comes last: over the sum."""

    def forward(self, x, attention_mask=None):
        x = x + self.self_attn_layer_norm(self.attend(x, attention_mask))
        return x + self.final_layer_norm(self.mlp(x))


@wrong(
    caught_by=[
        "two_tokens_and_padding_by_hand",
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "eps_shows_in_tokens_of_tiny_variance",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__swaps_the_norms(Parts):
    """The two norms changed places: `self_attn_layer_norm` follows attention, `final_layer_norm`
    comes last."""

    def forward(self, x, attention_mask=None):
        x = self.final_layer_norm(x + self.attend(x, attention_mask))
        return self.self_attn_layer_norm(x + self.mlp(x))


@wrong(
    caught_by=[
        "two_tokens_and_padding_by_hand",
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "eps_shows_in_tokens_of_tiny_variance",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__forgets_the_first_residual(Parts):
    """What attention found replaced the tokens. It is added to them."""

    def forward(self, x, attention_mask=None):
        x = self.self_attn_layer_norm(self.attend(x, attention_mask))
        return self.final_layer_norm(x + self.mlp(x))


@wrong(
    caught_by=[
        "two_tokens_and_padding_by_hand",
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "eps_shows_in_tokens_of_tiny_variance",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__forgets_the_second_residual(Parts):
    """What the MLP made replaced the tokens. It is added to them."""

    def forward(self, x, attention_mask=None):
        return self.final_layer_norm(
            self.mlp(self.self_attn_layer_norm(x + self.attend(x, attention_mask)))
        )


@wrong(
    caught_by=[
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "eps_shows_in_tokens_of_tiny_variance",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__adds_the_unnormalised_sum(Parts):
    """The MLP's result was added to the sum as it was before the first norm. In a post-norm layer
    the stream itself is normalised: the MLP adds to what it has read."""

    def forward(self, x, attention_mask=None):
        x = x + self.attend(x, attention_mask)
        return self.final_layer_norm(x + self.mlp(self.self_attn_layer_norm(x)))


@wrong(
    caught_by=[
        "two_tokens_and_padding_by_hand",
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "eps_shows_in_tokens_of_tiny_variance",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__adds_to_the_input_twice(Parts):
    """The second addition went to the layer's input. It belongs to what came out of the first
    norm."""

    def forward(self, x, attention_mask=None):
        h = self.self_attn_layer_norm(x + self.attend(x, attention_mask))
        return self.final_layer_norm(x + self.mlp(h))


@wrong(
    caught_by=[
        "two_tokens_and_padding_by_hand",
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "order_of_the_tokens_does_not_matter",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__is_causal(Parts):
    """A causal mask was applied. BERT is bidirectional: a token sees the later ones as well."""

    def attend(self, x, attention_mask):
        mask = causal_mask(x.shape[1], device=x.device)
        if attention_mask is not None:
            mask = mask & attention_mask.bool()[:, None, None, :]
        attention = self.self_attn
        parts = attention.q_proj(x), attention.k_proj(x), attention.v_proj(x)
        q, k, v = (split_heads(part, attention.n_heads) for part in parts)
        return attention.out_proj(merge_heads(scaled_dot_product_attention(q, k, v, mask)))


@wrong(
    caught_by=[
        "two_tokens_and_padding_by_hand",
        "padding_agrees_with_torch",
        "padded_text_equals_the_text_alone",
        "agrees_with_bert",
        "every_gradient_agrees",
    ]
)
class BertEncoderLayer__ignores_the_padding(Parts):
    """`attention_mask` was not used, so that tokens attend to padding."""

    def attend(self, x, attention_mask):
        return super().attend(x, None)


@wrong(
    caught_by=[
        "two_tokens_and_padding_by_hand",
        "padding_agrees_with_torch",
        "padded_text_equals_the_text_alone",
        "agrees_with_bert",
        "every_gradient_agrees",
    ]
)
class BertEncoderLayer__inverts_the_mask(Parts):
    """`attention_mask` was read the other way round: 1 is a real token, 0 is padding."""

    def attend(self, x, attention_mask):
        return super().attend(x, None if attention_mask is None else attention_mask == 0)


@wrong(
    crashes=[
        "two_tokens_and_padding_by_hand",
        "padding_agrees_with_torch",
        "padded_text_equals_the_text_alone",
        "every_gradient_agrees",
        "stays_on_the_device_of_the_input",
    ]
)
class BertEncoderLayer__passes_integers_on(Parts):
    """The 0s and 1s of `attention_mask` went on as they are. Attention (3.2) wants a boolean mask:
    `~` turns 1 into -2, not into False."""

    def attend(self, x, attention_mask):
        return self.self_attn(x, x, attention_mask)


@wrong(
    caught_by=[
        "two_tokens_and_padding_by_hand",
        "padding_agrees_with_torch",
        "padded_text_equals_the_text_alone",
        "agrees_with_bert",
        "every_gradient_agrees",
    ]
)
class BertEncoderLayer__sets_the_padding_to_zero(Parts):
    """Padding tokens were set to zero instead of being masked. A token of zeros has a key as well
    (the bias), and a score of 0 still gets a weight."""

    def attend(self, x, attention_mask):
        kept = x if attention_mask is None else x * attention_mask[..., None].to(x.dtype)
        return self.self_attn(x, kept)


@wrong(
    crashes=[
        "agrees_with_torch",
        "padded_text_equals_the_text_alone",
        "order_of_the_tokens_does_not_matter",
        "eps_shows_in_tokens_of_tiny_variance",
        "keeps_the_dtype",
        "input_is_not_modified",
        "stays_on_the_device_of_the_input",
    ]
)
class BertEncoderLayer__cannot_do_without_a_mask(Parts):
    """Without an `attention_mask` there was a mistake: None means that all tokens are real."""

    def attend(self, x, attention_mask):
        return self.self_attn(x, x, attention_mask.bool())


@wrong(crashes=["stays_on_the_device_of_the_input"])
class BertEncoderLayer__makes_a_mask_on_the_cpu(Parts):
    """Without an `attention_mask` one was made on the CPU, while the tokens are elsewhere. Pass
    `device=x.device`, or do without."""

    def attend(self, x, attention_mask):
        return super().attend(
            x, torch.ones(x.shape[:2]) if attention_mask is None else attention_mask
        )


@wrong(
    caught_by=[
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__takes_the_tanh_gelu(Parts):
    """GELU in its tanh form is GPT-2's. BERT has the exact one, with the error function."""

    def mlp(self, x):
        return self.fc2(gelu(self.fc1(x), approximate="tanh"))


@wrong(
    caught_by=[
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__takes_relu(Parts):
    """ReLU stands between the two layers of the MLP. BERT has GELU there."""

    def mlp(self, x):
        return self.fc2(self.fc1(x).relu())


@wrong(
    caught_by=[
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class BertEncoderLayer__forgets_the_activation(Parts):
    """There is no GELU between `fc1` and `fc2`."""

    def mlp(self, x):
        return self.fc2(self.fc1(x))


@wrong(caught_by=["eps_shows_in_tokens_of_tiny_variance"])
class BertEncoderLayer__ignores_eps(BertEncoderLayer):
    """`eps` does not reach the norms, which kept their own default."""

    def __init__(self, d_model, n_heads, d_ff, eps=1e-12):
        super().__init__(d_model, n_heads, d_ff, LayerNorm(d_model).eps)


@wrong(caught_by=["eps_shows_in_tokens_of_tiny_variance"])
class BertEncoderLayer__takes_berts_eps_always(BertEncoderLayer):
    """The norms have BERT's 1e-12, whatever `eps` says."""

    def __init__(self, d_model, n_heads, d_ff, eps=1e-12):
        super().__init__(d_model, n_heads, d_ff)


@wrong(caught_by=["eps_shows_in_tokens_of_tiny_variance"])
class BertEncoderLayer__gives_eps_to_one_norm_only(BertEncoderLayer):
    """`eps` reached only one of the two norms."""

    def __init__(self, d_model, n_heads, d_ff, eps=1e-12):
        super().__init__(d_model, n_heads, d_ff, eps)
        self.final_layer_norm = LayerNorm(d_model)


@wrong(
    caught_by=[
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
        "heads_of_unequal_size_are_refused",
    ]
)
class BertEncoderLayer__has_one_head(BertEncoderLayer):
    """`n_heads` was ignored: all features attend as one head."""

    def __init__(self, d_model, n_heads, d_ff, eps=1e-12):
        super().__init__(d_model, 1, d_ff, eps)


@wrong(
    caught_by=["has_the_parameters_of_both_branches"],
    crashes=[
        "two_tokens_and_padding_by_hand",
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "eps_shows_in_tokens_of_tiny_variance",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ],
)
class BertEncoderLayer__widens_by_four(BertEncoderLayer):
    """The MLP is 4 d_model wide, whatever `d_ff` says."""

    def __init__(self, d_model, n_heads, d_ff, eps=1e-12):
        super().__init__(d_model, n_heads, 4 * d_model, eps)


@wrong(
    caught_by=["has_the_parameters_of_both_branches"],
    crashes=[
        "two_tokens_and_padding_by_hand",
        "agrees_with_torch",
        "padding_agrees_with_torch",
        "eps_shows_in_tokens_of_tiny_variance",
        "agrees_with_bert",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ],
)
class BertEncoderLayer__has_no_biases(BertEncoderLayer):
    """The layers of the MLP have no biases. In BERT every linear layer has one."""

    def __init__(self, d_model, n_heads, d_ff, eps=1e-12):
        super().__init__(d_model, n_heads, d_ff, eps)
        self.fc1 = Linear(d_model, d_ff, bias=False)
        self.fc2 = Linear(d_ff, d_model, bias=False)


@wrong(caught_by=["keeps_the_dtype"])
class BertEncoderLayer__computes_in_float32(Parts):
    """The result is float32, whatever the tokens are."""

    def forward(self, x, attention_mask=None):
        return super().forward(x, attention_mask).float()


@wrong(
    caught_by=["order_of_the_tokens_does_not_matter", "input_is_not_modified"],
    crashes=["every_gradient_agrees"],
)
class BertEncoderLayer__modifies_the_input(Parts):
    """`x += ...` wrote into the caller's tensor. `x = x + ...` makes a new one."""

    def forward(self, x, attention_mask=None):
        x += self.attend(x, attention_mask)
        x = self.self_attn_layer_norm(x)
        return self.final_layer_norm(x + self.mlp(x))


@wrong(caught_by=["every_gradient_agrees"])
class BertEncoderLayer__detaches_attention(Parts):
    """Attention was cut off from the gradient (`.detach()`, `.data`, `no_grad`): its parameters
    would never learn."""

    def attend(self, x, attention_mask):
        return super().attend(x, attention_mask).detach()
