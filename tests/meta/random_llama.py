"""A tiny random Llama in Hugging Face's layout, for the shows that load one."""

import json

from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from kata.tensors import randomise
from solutions.ch04_models.ex04_llama_model import LlamaConfig, LlamaModel
from solutions.ch04_models.ex09_load_llama_state_dict import hf_name

SPECIAL = ["<unk>", "<s>", "</s>"]
VALUES = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 40,
    "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
}


def write_model(folder, words, **changes):
    """Write the three files; `words` begin with ▁ where a space comes before them."""
    folder.mkdir(parents=True)
    save_file(random_weights(words, **changes), folder / "model.safetensors")
    write_config(folder, words, **changes)
    tokenizer(words).save(str(folder / "tokenizer.json"))


def write_config(folder, words, **changes):
    values = VALUES | {"vocab_size": len(SPECIAL + words)} | changes
    (folder / "config.json").write_text(json.dumps(values), "utf-8")


def random_weights(words, **changes):
    """Weights under Hugging Face's names, without the tied head."""
    values = VALUES | {"vocab_size": len(SPECIAL + words)} | changes
    names = {*VALUES, "vocab_size"} - {"model_type", "rope_parameters"}
    model = randomise(LlamaModel(LlamaConfig(**{name: values[name] for name in names})))
    return {hf_name(n): w.clone() for n, w in model.state_dict().items() if n != "lm_head.weight"}


def tokenizer(words):
    """Words with their leading space, `<s>` first, as the real one has it."""
    ids = {token: i for i, token in enumerate(SPECIAL + words)}
    built = Tokenizer(models.WordLevel(ids, "<unk>"))
    built.add_special_tokens(SPECIAL)
    built.pre_tokenizer = pre_tokenizers.Metaspace()
    built.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    built.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ])  # fmt: skip
    return built
