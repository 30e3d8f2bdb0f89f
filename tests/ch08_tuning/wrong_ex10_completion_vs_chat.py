from dataclasses import replace
from functools import partial

import torch

from kata.wrong import wrong
from solutions.ch05_decoding.ex10_generate import GREEDY, generate
from solutions.ch08_tuning.ex01_chat_template import encode_chat
from solutions.ch08_tuning.ex10_completion_vs_chat import completion_vs_chat, load_text_model


def written(side, ids, max_new_tokens, config, generator):
    """What a model writes, its end token included."""
    options = {"eos_id": side.end_id, "context": side.context, "generator": generator}
    start = torch.tensor([ids], device=side.device)
    return generate(side.model, start, max_new_tokens, config, **options)[0].tolist()


def without_end(side, new):
    return new[: new.index(side.end_id)] if side.end_id in new else new


def asked(chat, prompt):
    return chat.template([{"role": "user", "content": prompt}], add_generation_prompt=True)


def rows(prompts, base, chat, write):
    """What both sides write; `write` gets which side it is, the side, and the ids to begin with."""
    if chat.template is None:
        raise ValueError("no template")
    return [
        {
            "prompt": prompt,
            "completion": write("base", base, base.encode(prompt)),
            "chat": write("chat", chat, asked(chat, prompt)),
        }
        for prompt in prompts
    ]


def templated(chat, template):
    """The chat model with another template, if it has one at all."""
    return chat if chat.template is None else replace(chat, template=template)


# ------------------------------------------------------------------------ what the models are given


@wrong(
    caught_by=[
        "only_the_chat_model_gets_the_template",
        "prompts_are_handed_over_as_they_are",
        "texts_are_drawn_as_asked_for",
        "each_model_sees_its_own_context",
    ]
)
def completion_vs_chat__asks_the_chat_model_without_its_template(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The chat model was given the bare prompt, a form that it was never tuned on. Give it a
    conversation in its template."""

    def bare(messages, **options):
        return chat.encode(messages[-1]["content"])

    return completion_vs_chat(prompts, base, templated(chat, bare), max_new_tokens, config, seed)


@wrong(caught_by=["a_chat_model_without_a_template_is_refused"])
def completion_vs_chat__goes_on_without_a_template(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """A chat model without a template was given the bare prompt, and nobody was told. That is a
    ValueError."""

    def bare(messages, **options):
        return chat.encode(messages[-1]["content"])

    side = replace(chat, template=chat.template or bare)
    return completion_vs_chat(prompts, base, side, max_new_tokens, config, seed)


@wrong(caught_by=["a_chat_model_without_a_template_is_refused"])
def completion_vs_chat__notices_the_missing_template_late(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The missing template was noticed when the base model had written already. Check it before the
    loop: a large model takes its time."""
    if chat.template is None:
        written(base, base.encode(prompts[0]), max_new_tokens, config, torch.Generator())
    return completion_vs_chat(prompts, base, chat, max_new_tokens, config, seed)


@wrong(
    caught_by=[
        "only_the_chat_model_gets_the_template",
        "prompts_are_handed_over_as_they_are",
        "texts_are_drawn_as_asked_for",
        "each_model_sees_its_own_context",
    ]
)
def completion_vs_chat__asks_the_base_model_in_a_template(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The base model was given a conversation in a template. It goes on with a text: give it the
    prompt as it is."""

    def in_template(prompt):
        return asked(chat, prompt)

    return completion_vs_chat(
        prompts, replace(base, encode=in_template), chat, max_new_tokens, config, seed
    )


@wrong(caught_by=["prompts_are_handed_over_as_they_are", "texts_are_drawn_as_asked_for"])
def completion_vs_chat__encodes_for_both_with_one_tokenizer(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """One tokenizer was used for both models. Each has its own: the same id is another token for
    the other."""
    return completion_vs_chat(
        prompts, replace(base, encode=chat.encode), chat, max_new_tokens, config, seed
    )


@wrong(
    caught_by=[
        "only_the_chat_model_gets_the_template",
        "texts_are_drawn_as_asked_for",
        "each_model_sees_its_own_context",
    ]
)
def completion_vs_chat__leaves_the_generation_prompt_out(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The generation prompt is missing, so that the chat model does not know that it is its turn.
    It may go on as the user."""

    def no_turn(messages, **options):
        return chat.template(messages)

    return completion_vs_chat(prompts, base, templated(chat, no_turn), max_new_tokens, config, seed)


@wrong(
    caught_by=[
        "only_the_chat_model_gets_the_template",
        "prompts_are_handed_over_as_they_are",
        "texts_are_drawn_as_asked_for",
    ]
)
def completion_vs_chat__lets_the_system_ask(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The prompt was put into a message of another role. It is the user who asks."""

    def by_the_system(messages, **options):
        return chat.template([{**messages[0], "role": "system"}], **options)

    return completion_vs_chat(
        prompts, base, templated(chat, by_the_system), max_new_tokens, config, seed
    )


@wrong(
    caught_by=[
        "only_the_chat_model_gets_the_template",
        "prompts_are_handed_over_as_they_are",
        "texts_are_drawn_as_asked_for",
    ]
)
def completion_vs_chat__goes_on_with_one_conversation(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The list of messages grows from prompt to prompt. Each prompt is a conversation of its
    own."""
    so_far = []

    def growing(messages, **options):
        so_far.extend(messages)
        return chat.template(list(so_far), **options)

    return completion_vs_chat(prompts, base, templated(chat, growing), max_new_tokens, config, seed)


@wrong(caught_by=["prompts_are_handed_over_as_they_are"])
def completion_vs_chat__strips_the_prompt(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """Spaces and line breaks at the ends of the prompt were removed. Both models are given the
    prompt as it is."""
    rows = completion_vs_chat(
        [prompt.strip() for prompt in prompts], base, chat, max_new_tokens, config, seed
    )
    return [{**row, "prompt": prompt} for row, prompt in zip(rows, prompts, strict=True)]


# ------------------------------------------------------------------------------------ how they draw


@wrong(caught_by=["a_text_depends_on_its_own_prompt_alone", "texts_are_drawn_as_asked_for"])
def completion_vs_chat__shares_a_generator_between_prompts(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """One generator per model was used for all prompts, so that a text depends on the prompts
    before it. Make a new one for every text."""
    generators = {which: torch.Generator().manual_seed(seed) for which in ("base", "chat")}

    def write(which, side, ids):
        generator = generators[which]
        return side.decode(without_end(side, written(side, ids, max_new_tokens, config, generator)))

    return rows(prompts, base, chat, write)


@wrong(caught_by=["both_models_have_the_same_luck", "texts_are_drawn_as_asked_for"])
def completion_vs_chat__shares_a_generator_between_models(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """Both models drew from one generator, one after the other: they did not have the same luck.
    Make a new one, with the same seed, for every text."""

    def row(prompt):
        generator = torch.Generator().manual_seed(seed)

        def write(which, side, ids):
            new = written(side, ids, max_new_tokens, config, generator)
            return side.decode(without_end(side, new))

        return rows([prompt], base, chat, write)[0]

    return [row(prompt) for prompt in prompts]


@wrong(caught_by=["both_models_have_the_same_luck", "texts_are_drawn_as_asked_for"])
def completion_vs_chat__gives_each_model_a_seed(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The two models had different seeds. What differs between their texts may then be luck."""

    def write(which, side, ids):
        generator = torch.Generator().manual_seed(seed if which == "base" else seed + 1)
        return side.decode(without_end(side, written(side, ids, max_new_tokens, config, generator)))

    return rows(prompts, base, chat, write)


@wrong(caught_by=["texts_are_drawn_as_asked_for"])
def completion_vs_chat__has_a_fixed_seed(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The argument `seed` was ignored: it changes nothing."""
    return completion_vs_chat(prompts, base, chat, max_new_tokens, config, 0)


@wrong(caught_by=["both_models_have_the_same_luck", "texts_are_drawn_as_asked_for"])
def completion_vs_chat__draws_with_settings_for_the_base_model_alone(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """`config` was given to the base model alone; the chat model took the most likely tokens. Both
    write with the same settings."""

    def write(which, side, ids):
        generator, settings = (
            torch.Generator().manual_seed(seed),
            config if which == "base" else GREEDY,
        )
        return side.decode(
            without_end(side, written(side, ids, max_new_tokens, settings, generator))
        )

    return rows(prompts, base, chat, write)


@wrong(
    caught_by=[
        "each_model_writes_in_its_own_way",
        "new_tokens_are_decoded_alone",
        "only_the_chat_model_gets_the_template",
        "texts_are_drawn_as_asked_for",
        "each_model_sees_its_own_context",
    ]
)
def completion_vs_chat__ignores_the_limit(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """`max_new_tokens` was ignored."""
    return completion_vs_chat(prompts, base, chat, 60, config, seed)


# -------------------------------------------------------------------------------- what comes out


@wrong(caught_by=["each_model_writes_in_its_own_way", "texts_are_drawn_as_asked_for"])
def completion_vs_chat__shows_the_end_token(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The end token was decoded with the rest. It is not part of the text."""

    def write(which, side, ids):
        generator = torch.Generator().manual_seed(seed)
        return side.decode(written(side, ids, max_new_tokens, config, generator))

    return rows(prompts, base, chat, write)


@wrong(
    caught_by=[
        "each_model_writes_in_its_own_way",
        "new_tokens_are_decoded_alone",
        "texts_are_drawn_as_asked_for",
    ]
)
def completion_vs_chat__drops_the_last_token(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The last token was always dropped, also where it is not the end token: a text that reached
    `max_new_tokens` has none."""

    def shorter(side):
        def decode(ids):
            return side.decode(ids if len(ids) < max_new_tokens else ids[:-1])

        return replace(side, decode=decode)

    sides = shorter(base), shorter(chat)
    return completion_vs_chat(prompts, *sides, max_new_tokens, config, seed)


@wrong(
    caught_by=[
        "each_model_writes_in_its_own_way",
        "new_tokens_are_decoded_alone",
        "texts_are_drawn_as_asked_for",
    ]
)
def completion_vs_chat__cuts_the_prompt_off_by_characters(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The whole text was decoded, and as many characters as the prompt has were cut off. `decode`
    need not give the prompt back as it was: decode the new tokens alone."""

    def write(which, side, ids, prompt):
        generator = torch.Generator().manual_seed(seed)
        new = written(side, ids, max_new_tokens, config, generator)
        return side.decode([*ids, *without_end(side, new)])[len(prompt) :]

    return [rows([prompt], base, chat, partial(write, prompt=prompt))[0] for prompt in prompts]


@wrong(caught_by=["new_tokens_are_decoded_alone"])
def completion_vs_chat__cuts_off_what_the_prompt_decodes_to(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The whole text was decoded, and what the prompt alone decodes to was cut off. `decode` treats
    the start of a text in another way than its middle: decode the new tokens alone."""

    def write(which, side, ids):
        generator = torch.Generator().manual_seed(seed)
        new = written(side, ids, max_new_tokens, config, generator)
        text = side.decode([*ids, *without_end(side, new)])
        return text.removeprefix(side.decode(ids))

    return rows(prompts, base, chat, write)


@wrong(caught_by=["texts_are_drawn_as_asked_for"])
def completion_vs_chat__decodes_for_both_with_one_tokenizer(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The tokens of both models were decoded with one tokenizer. Each model has its own."""
    return completion_vs_chat(
        prompts, base, replace(chat, decode=base.decode), max_new_tokens, config, seed
    )


@wrong(caught_by=["each_model_writes_in_its_own_way", "texts_are_drawn_as_asked_for"])
def completion_vs_chat__ends_both_with_one_token(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The end token of the chat model ended the base model's texts too. Each has its own, and may
    have none."""
    return completion_vs_chat(
        prompts, replace(base, end_id=chat.end_id), chat, max_new_tokens, config, seed
    )


@wrong(
    caught_by=[
        "each_model_writes_in_its_own_way",
        "texts_are_drawn_as_asked_for",
    ]
)
def completion_vs_chat__never_ends(prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0):
    """`generate` was not told the end token: the model wrote on until `max_new_tokens`."""
    sides = (replace(side, end_id=None) for side in (base, chat))
    return completion_vs_chat(prompts, *sides, max_new_tokens, config, seed)


@wrong(caught_by=["each_model_sees_its_own_context"])
def completion_vs_chat__forgets_the_context(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """A model was shown more tokens than its context. `generate` takes care of that, if it is told
    the context."""
    sides = (replace(side, context=None) for side in (base, chat))
    return completion_vs_chat(prompts, *sides, max_new_tokens, config, seed)


@wrong(
    caught_by=[
        "only_the_chat_model_gets_the_template",
        "prompts_are_handed_over_as_they_are",
        "a_text_depends_on_its_own_prompt_alone",
        "texts_are_drawn_as_asked_for",
    ]
)
def completion_vs_chat__returns_after_the_first(
    prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0
):
    """The `return` is inside of the loop: only the first prompt has a row."""
    return completion_vs_chat(prompts[:1], base, chat, max_new_tokens, config, seed)


# ------------------------------------------------------------------------------ models of the hub


@wrong(caught_by=["a_saved_model_gives_its_logits"])
def load_text_model__has_random_weights(name, device="cpu"):
    """The model was made from its configuration alone (`from_config`), with random weights.
    `from_pretrained` loads them."""
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(name)).eval()
    return replace(load_text_model(name, device), model=lambda ids: model(ids).logits)


@wrong(caught_by=["a_saved_tokenizer_keeps_its_ways", "a_saved_model_tells_its_limits"])
def load_text_model__talks_chatml_with_every_model(name, device="cpu"):
    """The template of 8.1 was used for a model that was tuned on another one. Its tokenizer knows
    which."""
    side = load_text_model(name, device)
    special = {"<|im_start|>": 1, "<|im_end|>": 2}

    def chatml(messages, add_generation_prompt=False):
        return encode_chat(messages, side.encode, special, add_generation_prompt)

    return replace(side, template=chatml)


@wrong(caught_by=["a_saved_tokenizer_keeps_its_ways"])
def load_text_model__leaves_the_template_out(name, device="cpu"):
    """`template` was left at None, although the tokenizer has a chat template."""
    return replace(load_text_model(name, device), template=None)


@wrong(caught_by=["a_saved_model_tells_its_limits"])
def load_text_model__has_a_template_in_any_case(name, device="cpu"):
    """A tokenizer without a chat template was given one all the same, which fails when it is used.
    `template` is None then."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name)

    def template(messages, add_generation_prompt=False):
        options = {"add_generation_prompt": add_generation_prompt, "return_dict": False}
        return tokenizer.apply_chat_template(messages, **options)

    return replace(load_text_model(name, device), template=template)


@wrong(caught_by=["a_saved_tokenizer_keeps_its_ways"])
def load_text_model__puts_a_special_token_before_the_template(name, device="cpu"):
    """The template's text was encoded like any other text, which puts a second `<s>` before it. The
    template has written it already: let `apply_chat_template` make the ids."""
    from transformers import AutoTokenizer

    side, tokenizer = load_text_model(name, device), AutoTokenizer.from_pretrained(name)

    def template(messages, add_generation_prompt=False):
        options = {"add_generation_prompt": add_generation_prompt, "tokenize": False}
        return tokenizer.encode(tokenizer.apply_chat_template(messages, **options))

    return side if side.template is None else replace(side, template=template)


@wrong(caught_by=["a_saved_tokenizer_keeps_its_ways"])
def load_text_model__returns_more_than_ids(name, device="cpu"):
    """`apply_chat_template` returned a dict with ids and mask. `return_dict=False` gives the ids
    alone."""
    from transformers import AutoTokenizer

    side, tokenizer = load_text_model(name, device), AutoTokenizer.from_pretrained(name)
    return side if side.template is None else replace(side, template=tokenizer.apply_chat_template)


@wrong(caught_by=["a_saved_tokenizer_keeps_its_ways"])
def load_text_model__encodes_without_special_tokens(name, device="cpu"):
    """The special tokens at the start of a text were switched off. The model has never seen a text
    without them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name)
    return replace(
        load_text_model(name, device),
        encode=lambda text: tokenizer.encode(text, add_special_tokens=False),
    )


@wrong(caught_by=["a_saved_tokenizer_keeps_its_ways"])
def load_text_model__shows_special_tokens(name, device="cpu"):
    """Special tokens were decoded with the text. `skip_special_tokens=True` leaves them out."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name)
    return replace(load_text_model(name, device), decode=lambda ids: tokenizer.decode(ids))


@wrong(caught_by=["a_saved_model_gives_its_logits"])
def load_text_model__returns_the_whole_output(name, device="cpu"):
    """The model's output is an object with the logits in it. `generate` needs these alone:
    `.logits`."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(name).eval()
    return replace(load_text_model(name, device), model=model)


@wrong(caught_by=["a_saved_model_tells_its_limits"])
def load_text_model__forgets_the_end(name, device="cpu"):
    """`end_id` was left at None, so that no text ever ends."""
    return replace(load_text_model(name, device), end_id=None)


@wrong(caught_by=["a_saved_model_tells_its_limits"])
def load_text_model__forgets_the_context(name, device="cpu"):
    """`context` was left at None: a text may become longer than the model can read."""
    return replace(load_text_model(name, device), context=None)
