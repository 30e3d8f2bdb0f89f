import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal, randomise

# "<s>" and "</s>" are special tokens, "[" and "]" those of a template.
WORDS = "<s> </s> [ ] <unk> user system says: tell me of the sea and a ship that sang all night"
VOCAB = WORDS.split()
END, OPEN, CLOSE = VOCAB.index("</s>"), VOCAB.index("["), VOCAB.index("]")
PROMPTS = ["tell me", "a ship that sang", "night"]
DRAWN = {
    "temperature": {"seed": 3, "config": {"temperature": 2.0}},
    "top-p": {"seed": 7, "config": {"temperature": 1.2, "top_p": 0.9}, "max_new_tokens": 5},
    "penalty": {"seed": 7, "config": {"top_k": 3, "repetition_penalty": 2.0}},
}
# In the manner of Llama 2, and not of 8.1.
JINJA = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '[ ' + message['role'] + ' says: ' + message['content'] + ' ]' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ ' ship' }}{% endif %}"
)


def encode(text):
    return [VOCAB.index(word) for word in text.split()]


def decode(ids):
    """Words; the ends of a text are not shown, and neither is the space between two words."""
    return "".join(VOCAB[token].capitalize() for token in ids if VOCAB[token] != "<s>")


def template(messages, add_generation_prompt=False):
    turns = [f"[ {message['role']} says: {message['content']} ]" for message in messages]
    return encode(" ".join(turns) + " [" * add_generation_prompt)


def encode_backwards(text):
    """The encoder of a tokenizer that numbers the same tokens from behind."""
    return [len(VOCAB) - 1 - token for token in encode(text)]


def decode_backwards(ids):
    return decode([len(VOCAB) - 1 - token for token in ids])


class Bigrams:
    """A model that looks at the last token only. It keeps what it was shown at each call."""

    def __init__(self, seed=0):
        self.table, self.shown = normal(len(VOCAB), len(VOCAB), seed=seed), []

    def __call__(self, ids):
        self.shown.append(ids.tolist())
        return self.table.to(ids.device)[ids]


class Script:
    """A model that says these words in turn, and the last one again and again."""

    def __init__(self, words):
        self.words, self.calls = encode(words), 0

    def __call__(self, ids):
        token = self.words[min(self.calls, len(self.words) - 1)]
        self.calls += 1
        return torch.eye(len(VOCAB), device=ids.device)[torch.full_like(ids, token)]


def side(answer, model, **changes):
    codec = {"encode": encode, "decode": decode, "template": template}
    return answer.TextModel(**codec | {"model": model} | changes)


def save(folder, seed, chat_template=None):
    """Write a tiny random Llama and a tokenizer of words, and return both."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCAB)}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **special)
    tokenizer.chat_template = chat_template
    sizes = {"vocab_size": len(VOCAB), "hidden_size": 16, "intermediate_size": 24}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 40}
    model = randomise(LlamaForCausalLM(LlamaConfig(**sizes)), seed).eval()
    for part in (tokenizer, model):
        part.save_pretrained(folder)
    return model, tokenizer


def test_each_model_writes_in_its_own_way(answer, device):
    base = side(answer, Script("that sang </s> all"), device=device)
    chat = side(answer, Script("the sea </s> night"), end_id=END, device=device)
    expected = {"prompt": "tell me", "completion": "ThatSang</s>All", "chat": "TheSea"}
    assert answer.completion_vs_chat(["tell me"], base, chat, 4) == [expected]


def test_new_tokens_are_decoded_alone(answer):
    spaced = lambda ids: " ".join(VOCAB[token] for token in ids)  # no space before the first one
    base = side(answer, Script("that sang all"), decode=spaced)
    chat = side(answer, Script("the sea all"), decode=spaced)
    expected = {"prompt": "tell me", "completion": "that sang all", "chat": "the sea all"}
    assert answer.completion_vs_chat(["tell me"], base, chat, 3) == [expected]


def test_only_the_chat_model_gets_the_template(answer):
    base, chat = Bigrams(), Bigrams()
    answer.completion_vs_chat(PROMPTS, side(answer, base), side(answer, chat), 1)
    assert base.shown == [[encode(prompt)] for prompt in PROMPTS]
    assert chat.shown == [[encode(f"[ user says: {prompt} ] [")] for prompt in PROMPTS]


def test_prompts_are_handed_over_as_they_are(answer):
    given, asked, prompts = [], [], ["  tell me\n", "\tnight "]
    base = side(answer, Bigrams(), encode=lambda text: given.append(text) or [3])
    chat = side(answer, Bigrams(), template=lambda messages, **_: asked.append(messages) or [3])
    rows = answer.completion_vs_chat(prompts, base, chat, 1)
    assert [row["prompt"] for row in rows] == prompts
    assert given == prompts
    assert asked == [[{"role": "user", "content": prompt}] for prompt in prompts]


def test_both_models_have_the_same_luck(answer):
    bare = lambda messages, **_: encode(messages[0]["content"])
    same, config = side(answer, Bigrams(), template=bare), answer.SamplingConfig(temperature=2.0)
    rows = answer.completion_vs_chat(PROMPTS, same, same, 20, config, seed=4)
    assert [row["chat"] for row in rows] == [row["completion"] for row in rows]


def test_a_text_depends_on_its_own_prompt_alone(answer):
    options = {"config": answer.SamplingConfig(temperature=2.0), "seed": 5}
    sides = [side(answer, Bigrams(seed), end_id=END) for seed in (0, 1)]
    alone = [answer.completion_vs_chat([prompt], *sides, **options)[0] for prompt in PROMPTS]
    assert answer.completion_vs_chat(PROMPTS, *sides, **options) == alone


@pytest.mark.parametrize("options", DRAWN.values(), ids=DRAWN)
def test_texts_are_drawn_as_asked_for(answer, reference, options):
    rows = []
    for module in (reference, answer):
        codec = {"encode": encode_backwards, "decode": decode_backwards}
        sides = side(module, Bigrams(0), **codec), side(module, Bigrams(1), end_id=END)
        config = module.SamplingConfig(**options["config"])
        rows.append(module.completion_vs_chat(PROMPTS, *sides, **options | {"config": config}))
    assert rows[1] == rows[0]


def test_each_model_sees_its_own_context(answer):
    base, chat = Bigrams(), Bigrams()
    sides = side(answer, base, context=3), side(answer, chat, context=8)
    answer.completion_vs_chat(["tell me"], *sides, 4)
    assert [len(ids) for call in base.shown for ids in call] == [2, 3, 3, 3]
    assert [len(ids) for call in chat.shown for ids in call] == [7, 8, 8, 8]


def test_a_chat_model_without_a_template_is_refused(answer):
    base, chat = Bigrams(), Bigrams()
    with raises(ValueError):
        answer.completion_vs_chat(PROMPTS, side(answer, base), side(answer, chat, template=None), 1)
    assert base.shown + chat.shown == []


@pytest.mark.timeout(120)
def test_a_saved_model_gives_its_logits(answer, tmp_path):
    model, _ = save(tmp_path / "base", 1)
    ids = torch.tensor([encode("<s> tell me of the sea")])
    expected = model(ids).logits.detach()
    torch.manual_seed(0)  # weights that are random after all are the same each time
    loaded = answer.load_text_model(str(tmp_path / "base"))
    close(loaded.model(ids), expected, "batch seq vocab")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("begins", [False, True])
def test_a_saved_tokenizer_keeps_its_ways(answer, tmp_path, begins):
    save(tmp_path / "chat", 2, JINJA)
    loaded = answer.load_text_model(str(tmp_path / "chat"))
    messages = [{"role": "user", "content": "tell me"}]
    expected = encode("<s> [ user says: tell me ]" + " ship" * begins)
    assert {"template is None": loaded.template is None} == {"template is None": False}
    assert loaded.template(messages, add_generation_prompt=begins) == expected
    assert loaded.encode("the sea") == encode("<s> the sea")
    assert loaded.decode(encode("<s> the sea </s>")) == "the sea"


@pytest.mark.timeout(120)
def test_a_saved_model_tells_its_limits(answer, tmp_path):
    save(tmp_path / "base", 1)
    loaded = answer.load_text_model(str(tmp_path / "base"))
    assert (loaded.template, loaded.end_id, loaded.context) == (None, END, 40)
