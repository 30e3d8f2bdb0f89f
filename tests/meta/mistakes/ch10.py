"""Mistakes of chapter 10, written a second time."""

import torch
from matplotlib.figure import Figure

from solutions.ch08_tuning.ex01_chat_template import encode_chat
from solutions.ch10_playground.ex01_generate_text import settings_of
from solutions.ch10_playground.ex03_playground import PlaygroundState, stream_generate
from solutions.ch10_playground.strategies import STRATEGIES, evaluating
from tests.meta.mistakes import same_as


@same_as("10.1", "sampling_config__takes_every_p_for_top_p")
def sampling_config__one_line_per_field(strategy, params):
    from ..ch05_decoding.ex09_sample_next import SamplingConfig

    values = settings_of(strategy, params)
    if strategy == "beam":
        raise ValueError("beam search has no sampling config")
    return SamplingConfig(
        temperature=values.get("temperature", 0.0),
        top_k=values.get("k"),
        top_p=values.get("p"),
        repetition_penalty=values.get("penalty", 1.0),
    )


@same_as("10.1", "settings_of__ignores_what_it_does_not_know")
def settings_of__reads_the_known_ones(strategy, params):
    import difflib

    if strategy not in STRATEGIES:
        close = difflib.get_close_matches(strategy, list(STRATEGIES))
        guess = f", did you mean {close[0]}?" if close else ""
        raise ValueError(f"{strategy} is not one of {list(STRATEGIES)}{guess}")
    return {key: params.get(key, default) for key, default in STRATEGIES[strategy].items()}


@same_as("10.2", "trim_messages__drops_single_messages")
def trim_messages__pops_the_oldest(messages, encode, special_ids, max_ids):
    if len(messages) == 0 or messages[-1]["role"] != "user":
        raise ValueError("nothing to answer")
    left = list(messages)
    oldest = 1 if left[0]["role"] == "system" else 0
    while len(encode_chat(left, encode, special_ids, add_generation_prompt=True)) > max_ids:
        if len(left) == oldest + 1:
            raise ValueError("the last message is too long")
        left.pop(oldest)
    return left


@same_as("10.3", "Playground__stop_prevents_the_next_text")
class Playground__with_an_event:
    def __init__(self, models, stream=stream_generate):
        import threading

        self.models = models
        self.stream = stream
        self.error = ""
        self.halt = threading.Event()

    def on_generate(self, state):
        self.error = ""
        source, parts = None, []
        try:
            if state.model not in self.models:
                raise ValueError(f"unknown model, choose one of {sorted(self.models)}")
            lm = self.models[state.model]
            settings = {key: getattr(state, key) for key in STRATEGIES.get(state.strategy, ())}
            source = self.stream(
                lm.model,
                lm.tokenizer,
                state.prompt,
                state.strategy,
                max_new_tokens=state.max_new_tokens,
                seed=state.seed,
                context=lm.context,
                eos_id=lm.eos_id,
                **settings,
            )
            while not self.halt.is_set():
                try:
                    parts.append(next(source))
                except StopIteration:
                    break
                yield "".join(parts)
        except Exception as problem:
            self.error = type(problem).__name__ + ": " + str(problem)
        finally:
            if source is not None:
                source.close()

    def stop(self):
        self.halt.set()


@same_as("10.3", "set_control__keeps_text")
def set_control__with_setattr(state, name, value):
    from copy import copy

    names = list(PlaygroundState.__dataclass_fields__)
    if name not in names:
        raise ValueError(f"there is no {name}, only {names}")
    if name in ("k", "beams", "max_new_tokens", "seed") and not value.lstrip("+-").isdigit():
        raise ValueError(f"{name} must be an integer")
    if name in ("temperature", "p", "penalty", "length_penalty"):
        try:
            float(value)
        except ValueError:
            raise ValueError(f"{name} must be a number") from None
    new = copy(state)
    object.__setattr__(new, name, value)
    return new


@same_as("10.4", "mean_log_prob__reads_the_next_position")
def mean_log_prob__in_a_loop(model, prompt_ids, new_ids, context=None):
    if len(new_ids) == 0:
        return None
    ids = list(prompt_ids)
    total = 0.0
    with evaluating(model) as device:
        for token in new_ids:
            ids.append(token)
            window = ids if context is None else ids[-context:]
            scores = model(torch.tensor([window], device=device))[0][-1]
            scores = scores if scores.dtype == torch.float64 else scores.float()
            total += torch.log_softmax(scores, dim=-1)[token].item()
    return total / len(new_ids)


@same_as("10.4", "plot_next_token__begins_at_the_tick")
def plot_next_token__with_a_table(tokens, probs, names):
    if tuple(probs.shape) != (len(names), len(tokens)):
        raise ValueError("tokens and names do not fit the probabilities")
    fig = Figure()
    ax = fig.subplots()
    step = 1 / (len(names) + 1)
    table = probs.detach().cpu().tolist()
    for j in range(len(names)):
        ax.bar([i + j * step for i in range(len(tokens))], table[j], width=step, label=names[j])
    ax.set_xticks(list(range(len(tokens))))
    ax.set_xticklabels([repr(t) for t in tokens], parse_math=False)
    ax.set_ylabel("probability")
    ax.set_ylim(0, None)
    ax.legend()
    return fig
