"""10.3 The playground   [medium, ~40 min]

A page with sliders, a terminal and a test want the same: here is what the controls say, write. What
stands between them and the model is a session without a screen. It shows where fronts go wrong:
a slider that nothing listens to, text that is shown twice, an error that nobody sees, or that ends
everything, a Stop button that is asked too late. `kata playground` puts a page in front of yours.

Source: ipywidgets, https://ipywidgets.readthedocs.io/en/stable/examples/Widget%20Asynchronous.html;
Python's `code.InteractiveConsole`, https://docs.python.org/3/library/code.html.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, fields, replace
from typing import Any

from .ex01_generate_text import stream_generate
from .strategies import STRATEGIES


@dataclass(frozen=True)
class LanguageModel:
    """A model with all that `stream_generate` (10.1) wants to know of it."""

    model: Any
    tokenizer: Any
    context: int | None = None
    eos_id: int | None = None


@dataclass(frozen=True)
class PlaygroundState:
    """What the controls say. Each parameter of a strategy (10.1) has a control of its name."""

    prompt: str = ""
    model: str = ""  # a name
    strategy: str = "greedy"
    temperature: float = 1.0
    k: int = 40
    p: float = 0.9
    penalty: float = 1.3
    beams: int = 4
    length_penalty: float = 1.0
    max_new_tokens: int = 100
    seed: int = 0


class Playground:
    """A session: it turns states into texts, and outlives whatever goes wrong.

    Its `error` is "" or says what ended the last text.
    """

    def __init__(
        self,
        models: Mapping[str, LanguageModel],
        stream: Callable[..., Iterator[str]] = stream_generate,
    ) -> None:
        """Keep the models by their names, and what writes; `stream` is called as 10.1 is."""
        # solution
        self.models, self.stream = models, stream
        self.error, self.stopped = "", False

    def on_generate(self, state: PlaygroundState) -> Iterator[str]:
        """Yield, after each chunk of the stream, the whole text that the model has added so far.

        A front puts each of them in the place of the one before. Each comes before the stream is
        asked for the next chunk.

        The stream is called once: with the model, its tokenizer, the prompt and the strategy, and
        by keyword with `max_new_tokens`, `seed`, the model's `context` and `eos_id`, and with the
        parameters that `STRATEGIES` has for this strategy, all from the state. It gets no others.
        An unknown strategy is handed over without parameters, to be explained by the stream.

        No `Exception` leaves this method. It ends the text, and `error` becomes such as
        "ValueError: p must be ...": the name of its type and its message. So does a model that is
        not in `models`: "ValueError: ..." with the names of all there are. `error` is "" as soon as
        a new text begins. Other exceptions, such as KeyboardInterrupt, are let through.

        However the text ends, also when nobody wants to read on, the stream is closed (`close()`).
        """
        # solution
        self.error, self.stopped, text = "", False, ""
        try:
            if state.model not in self.models:
                raise ValueError(f"no model {state.model!r}; there is {', '.join(self.models)}")
            chosen, names = self.models[state.model], STRATEGIES.get(state.strategy, {})
            options = {"context": chosen.context, "eos_id": chosen.eos_id}
            options |= {name: getattr(state, name) for name in ("max_new_tokens", "seed", *names)}
            who = chosen.model, chosen.tokenizer
            with closing(self.stream(*who, state.prompt, state.strategy, **options)) as stream:
                for chunk in stream:
                    text += chunk
                    yield text
                    if self.stopped:
                        return
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"

    def stop(self) -> None:
        """End the text that is being written, without an error: no further chunk is asked for.

        It is called between two texts of `on_generate`, or meanwhile from another thread. A text
        that begins later is not stopped.
        """
        # solution
        self.stopped = True


def set_control(state: PlaygroundState, name: str, value: str) -> PlaygroundState:
    """Return a state in which one control has another value, of the type of that field.

    Raises:
        ValueError: there is no such control, and the message has the names of all there are; or the
            value is not of the type, and the message has the name of the control.

    >>> set_control(PlaygroundState(), "temperature", "0.5").temperature
    0.5
    """
    # solution
    types = {field.name: field.type for field in fields(PlaygroundState)}
    if name not in types:
        raise ValueError(f"no control {name!r}; there is {', '.join(types)}")
    try:
        return replace(state, **{name: types[name](value)})
    except ValueError:
        raise ValueError(f"{name} must be of type {types[name].__name__}, got {value!r}") from None


def repl(
    playground: Playground,
    read: Callable[[], str],
    write: Callable[[str], Any],
    state: PlaygroundState,
) -> None:
    r"""Let a person use the playground line by line, until "/quit" or the end of the lines.

    "/name value" sets a control: "/k 7", "/strategy top_k". What is wrong with it is written as a
    line, and no control changes. Every other line is a prompt: what the model adds is written as it
    comes, each part once, and then a line break. If there was an error, its line follows.

    Args:
        playground: writes the texts.
        read: gives one line without its line break, or raises EOFError when there are no more.
        write: shows a text as it is, without a line break of its own.
        state: what the controls say at first.
    """
    # solution
    while True:
        try:
            line = read()
        except EOFError:
            return
        if line == "/quit":
            return
        if line.startswith("/"):
            name, _, value = line[1:].partition(" ")
            try:
                state = set_control(state, name, value)
            except ValueError as error:
                write(f"{error}\n")
            continue
        shown = 0
        for text in playground.on_generate(replace(state, prompt=line)):
            write(text[shown:])
            shown = len(text)
        write(f"\n{playground.error}\n" if playground.error else "\n")
