from dataclasses import fields, replace

from kata.wrong import wrong
from solutions.ch10_playground.ex01_generate_text import STRATEGIES, stream_generate
from solutions.ch10_playground.ex03_playground import Playground, PlaygroundState, set_control

# ----------------------------------------------------------------------------------- the session


@wrong(
    caught_by=[
        "each_control_changes_the_call",
        "strategy_gets_its_own_controls",
        "stream_is_that_of_the_first_exercise",
    ]
)
class Playground__ignores_the_temperature(Playground):
    """The temperature of the state did not arrive at the stream: a slider that does nothing. Hand
    over every parameter that `STRATEGIES` has for the strategy."""

    def on_generate(self, state):
        return super().on_generate(replace(state, temperature=1.0))


@wrong(
    caught_by=[
        "each_control_changes_the_call",
        "stream_is_that_of_the_first_exercise",
        "terminal_remembers_the_controls",
    ]
)
class Playground__ignores_the_seed(Playground):
    """The seed of the state did not arrive at the stream. `seed` and `max_new_tokens` belong to
    every call."""

    def on_generate(self, state):
        return super().on_generate(replace(state, seed=0))


@wrong(
    caught_by=[
        "chosen_model_gets_the_prompt",
        "each_control_changes_the_call",
        "strategy_gets_its_own_controls",
        "stream_is_that_of_the_first_exercise",
        "terminal_explains_a_wrong_command",
        "terminal_remembers_the_controls",
    ]
)
class Playground__hands_over_every_control(Playground):
    """The strategy got parameters that it does not take. What it takes are the keys of
    `STRATEGIES[state.strategy]`."""

    def __init__(self, models, stream=stream_generate):
        def with_all(model, tokenizer, prompt, strategy, **options):
            every = {name: getattr(self.state, name) for s in STRATEGIES.values() for name in s}
            return stream(model, tokenizer, prompt, strategy, **(every | options))

        super().__init__(models, with_all)

    def on_generate(self, state):
        self.state = state
        return super().on_generate(state)


@wrong(caught_by=["chosen_model_gets_the_prompt", "unknown_model_is_an_error_with_all_names"])
class Playground__takes_the_first_model(Playground):
    """The text did not come from the model that was chosen. `state.model` is the name to look up in
    the models."""

    def on_generate(self, state):
        return super().on_generate(replace(state, model=next(iter(self.models))))


@wrong(caught_by=["chosen_model_gets_the_prompt"])
class Playground__forgets_the_context(Playground):
    """The stream was not told how much the model can read (`context`), or which token ends a text
    (`eos_id`). Both belong to the chosen model."""

    def __init__(self, models, stream=stream_generate):
        def without(*args, context, eos_id, **options):
            return stream(*args, context=None, eos_id=None, **options)

        super().__init__(models, without)


@wrong(
    caught_by=[
        "each_text_is_the_whole_text_so_far",
        "next_text_after_a_stop_is_whole",
        "second_text_starts_from_nothing",
        "stream_is_that_of_the_first_exercise",
        "terminal_writes_each_part_once",
    ]
)
class Playground__yields_the_chunks(Playground):
    """Each chunk came alone. A front that replaces its text would show the last chunk only: yield
    all the text so far."""

    def on_generate(self, state):
        shown = 0
        for text in super().on_generate(state):
            yield text[shown:]
            shown = len(text)


@wrong(
    caught_by=[
        "next_text_after_a_stop_is_whole",
        "second_text_starts_from_nothing",
        "terminal_shows_an_error_and_goes_on",
    ]
)
class Playground__appends_to_the_text_before(Playground):
    """The second text began with the first one. Start each time with an empty text."""

    text = ""

    def on_generate(self, state):
        before = self.text
        for text in super().on_generate(state):
            self.text = before + text
            yield self.text


@wrong(
    caught_by=[
        "stop_asks_for_no_further_chunk",
        "stream_is_closed_when_nobody_reads_on",
        "text_comes_while_it_is_written",
    ]
)
class Playground__waits_for_the_whole_text(Playground):
    """Nothing was yielded before the whole text was there. Then nobody can read along, and Stop
    comes too late: yield after each chunk."""

    def on_generate(self, state):
        yield from list(super().on_generate(state))


@wrong(
    crashes=[
        "error_is_told_and_the_text_stays",
        "error_of_the_call_itself_is_told",
        "next_text_clears_the_error",
        "terminal_shows_an_error_and_goes_on",
        "unknown_model_is_an_error_with_all_names",
    ]
)
class Playground__lets_errors_out(Playground):
    """An exception left `on_generate`. A front has nobody to catch it: keep its type and message in
    `error`, and end the text."""

    def on_generate(self, state):
        yield from super().on_generate(state)
        if self.error:
            name, message = self.error.split(": ", 1)
            raise {"ValueError": ValueError, "TypeError": TypeError}[name](message)


@wrong(
    caught_by=[
        "error_is_told_and_the_text_stays",
        "error_of_the_call_itself_is_told",
        "terminal_shows_an_error_and_goes_on",
        "unknown_model_is_an_error_with_all_names",
    ]
)
class Playground__swallows_errors(Playground):
    """Something went wrong, and `error` says nothing of it. The text just ends, and nobody knows
    why."""

    def on_generate(self, state):
        yield from super().on_generate(state)
        self.error = ""


@wrong(
    caught_by=[
        "error_is_told_and_the_text_stays",
        "error_of_the_call_itself_is_told",
        "terminal_shows_an_error_and_goes_on",
        "unknown_model_is_an_error_with_all_names",
    ]
)
class Playground__tells_the_message_only(Playground):
    """`error` lacks the name of the exception's type. The message of a KeyError, for one, is
    nothing but a key."""

    def on_generate(self, state):
        yield from super().on_generate(state)
        self.error = self.error.partition(": ")[2]


@wrong(
    caught_by=[
        "error_is_told_and_the_text_stays",
        "error_of_the_call_itself_is_told",
        "terminal_shows_an_error_and_goes_on",
    ]
)
class Playground__loses_the_text_at_an_error(Playground):
    """The text that was there before the error is gone. What was yielded stays; do not put anything
    in its place."""

    def on_generate(self, state):
        yield from super().on_generate(state)
        if self.error:
            yield self.error


@wrong(caught_by=["next_text_clears_the_error"])
class Playground__keeps_the_old_error(Playground):
    """`error` still speaks of the text before. A new text begins without an error."""

    def on_generate(self, state):
        before = self.error
        yield from super().on_generate(state)
        self.error = self.error or before


@wrong(
    crashes=[
        "error_of_the_call_itself_is_told",
        "next_text_clears_the_error",
        "unknown_model_is_an_error_with_all_names",
    ]
)
class Playground__calls_outside_of_try(Playground):
    """An exception of the call itself, or of looking the model up, left `on_generate`. They belong
    into the `try` as much as the loop."""

    def on_generate(self, state):
        def shown(*args, **options):
            try:
                return stream(*args, **options)
            except Exception as error:
                failed.append(error)
                raise

        failed, stream = [], self.stream
        self.stream = shown
        if state.model not in self.models:
            raise KeyError(state.model)
        yield from super().on_generate(state)
        self.stream = stream
        if failed:
            raise failed[0]


@wrong(caught_by=["interrupt_is_let_through"])
class Playground__catches_everything(Playground):
    """A KeyboardInterrupt was caught too, so that Ctrl-C no longer ends the program. `except
    Exception` leaves it alone; a bare `except` does not."""

    def on_generate(self, state):
        try:
            yield from super().on_generate(state)
        except KeyboardInterrupt:
            self.error = "KeyboardInterrupt: "


@wrong(caught_by=["stop_asks_for_no_further_chunk"])
class Playground__stop_does_nothing(Playground):
    """After `stop()` the text went on. Look at a flag after each chunk."""

    def stop(self):
        self.error = ""


@wrong(caught_by=["stop_asks_for_no_further_chunk"])
class Playground__stops_one_chunk_late(Playground):
    """After `stop()` the stream was asked once more. A chunk can cost seconds: look at the flag
    right after the `yield`, where the method goes on."""

    def on_generate(self, state):
        self.pressed = False
        for text in super().on_generate(state):
            if self.pressed:
                return
            yield text

    def stop(self):
        self.pressed = True


@wrong(caught_by=["next_text_after_a_stop_is_whole"])
class Playground__stop_stays_pressed(Playground):
    """Once stopped, it never wrote again. A text that begins later is not stopped: take the flag
    back when one begins."""

    pressed = False

    def on_generate(self, state):
        for text in super().on_generate(state):
            yield text
            if self.pressed:
                return

    def stop(self):
        self.pressed = True


@wrong(caught_by=["next_text_after_a_stop_is_whole"])
class Playground__stop_prevents_the_next_text(Playground__stop_stays_pressed):
    """Once stopped, it did not even begin a new text. A text that begins later is not stopped: take
    the flag back when one begins."""

    def on_generate(self, state):
        return iter(()) if self.pressed else super().on_generate(state)


@wrong(caught_by=["stop_asks_for_no_further_chunk", "stream_is_closed_when_nobody_reads_on"])
class Playground__leaves_the_stream_open(Playground):
    """The stream was not closed when the text ended early. Until somebody closes it, the model is
    still held in the middle of its work."""

    def __init__(self, models, stream=stream_generate):
        self.open = []

        def kept(*args, **options):
            self.open.append(stream(*args, **options))
            yield from (chunk for chunk in iter(self.open[-1].__next__, None))

        super().__init__(models, kept)


@wrong(caught_by=["stream_is_that_of_the_first_exercise"])
class Playground__has_a_stream_of_its_own(Playground):
    """Without a stream of the caller's, the texts are not those of `stream_generate` (10.1)."""

    def __init__(self, models, stream=None):
        super().__init__(
            models, stream or (lambda model, tokenizer, prompt, *_, **__: iter(prompt))
        )


# ---------------------------------------------------------------------------------- the terminal


@wrong(
    caught_by=[
        "control_is_set_with_its_type",
        "terminal_explains_a_wrong_command",
        "terminal_remembers_the_controls",
        "value_of_another_type_is_refused",
    ]
)
def set_control__keeps_text(state, name, value):
    """The value was kept as the text that was typed. Make it a number where the control is one: the
    fields of a dataclass know their `type`."""
    names = [field.name for field in fields(PlaygroundState)]
    if name not in names:
        raise ValueError(f"no control {name!r}; there is {', '.join(names)}")
    return replace(state, **{name: value})


@wrong(caught_by=["control_is_set_with_its_type", "terminal_remembers_the_controls"])
def set_control__starts_over(state, name, value):
    """The other controls are back where they were at the start. `dataclasses.replace` keeps
    them."""
    return replace(PlaygroundState(), **{name: getattr(set_control(state, name, value), name)})


@wrong(
    caught_by=[
        "terminal_explains_a_wrong_command",
        "unknown_control_is_refused_with_all_names",
        "value_of_another_type_is_refused",
    ]
)
def set_control__raises_what_comes(state, name, value):
    """The error does not say what is wrong. Name the control that got a wrong value, or all the
    controls there are when there is none of that name."""
    types = {field.name: field.type for field in fields(PlaygroundState)}
    if name not in types:
        raise ValueError(name)
    return replace(state, **{name: types[name](value)})


@wrong(caught_by=["terminal_writes_each_part_once"])
def repl__writes_everything_each_time(playground, read, write, state):
    """Text was written again that was there already. `on_generate` yields the whole text so far,
    and in a terminal what is written stays: write only what is new."""
    for line in iter(lines(read).__next__, "/quit"):
        state, message = told(state, line)
        if message is None:
            for text in playground.on_generate(replace(state, prompt=line)):
                write(text)
            message = f"\n{playground.error}\n" if playground.error else "\n"
        write(message)


@wrong(caught_by=["terminal_shows_an_error_and_goes_on"])
def repl__says_nothing_of_errors(playground, read, write, state):
    """The error of a text was not written. After each text, look at `playground.error`."""
    for line in lines(read):
        if line == "/quit":
            return
        state, message = told(state, line)
        write(text_of(playground, state, line) + "\n" if message is None else message)


@wrong(crashes=["terminal_explains_a_wrong_command"])
def repl__ends_with_a_wrong_command(playground, read, write, state):
    """A wrong command ended everything. Write the message of the ValueError as a line, and read the
    next one."""
    for line in lines(read):
        if line == "/quit":
            return
        if line.startswith("/"):
            state = set_control(state, *line[1:].split(" ", 1))
            continue
        write(text_of(playground, state, line) + "\n")
        if playground.error:
            write(f"{playground.error}\n")


@wrong(caught_by=["terminal_remembers_the_controls"])
def repl__forgets_the_controls(playground, read, write, state):
    """A control was set for nothing: the next text was written with the settings of before. The
    state is frozen, so that `set_control` returns a new one to go on with."""
    for line in lines(read):
        if line == "/quit":
            return
        _, message = told(state, line)
        if message is None:
            message = f"{text_of(playground, state, line)}\n"
            message += f"{playground.error}\n" if playground.error else ""
        write(message)


@wrong(caught_by=["terminal_ends_when_told"])
def repl__takes_quit_for_a_control(playground, read, write, state):
    """ "/quit" did not end it. Look for it before the other commands."""
    for line in lines(read):
        state, message = told(state, line)
        if message is None:
            message = f"{text_of(playground, state, line)}\n"
            message += f"{playground.error}\n" if playground.error else ""
        write(message)


@wrong(
    crashes=[
        "terminal_explains_a_wrong_command",
        "terminal_remembers_the_controls",
        "terminal_shows_an_error_and_goes_on",
        "terminal_writes_each_part_once",
    ]
)
def repl__does_not_expect_the_end(playground, read, write, state):
    """When there are no more lines, `read` raises EOFError, as `input` does at Ctrl-D. That is a
    way to end it, no failure."""
    while (line := read()) != "/quit":
        state, message = told(state, line)
        if message is None:
            message = f"{text_of(playground, state, line)}\n"
            message += f"{playground.error}\n" if playground.error else ""
        write(message)


def lines(read):
    """All lines, as a generator."""
    while True:
        try:
            line = read()
        except EOFError:
            return
        yield line


def told(state, line):
    """The state after a command, and what is to be said about it; None if it is no command."""
    if not line.startswith("/"):
        return state, None
    try:
        return set_control(state, *line[1:].split(" ", 1)), ""
    except (TypeError, ValueError) as error:
        return state, f"{error}\n"


def text_of(playground, state, line):
    """The whole text."""
    return "".join([*[""], *list(playground.on_generate(replace(state, prompt=line)))[-1:]])
