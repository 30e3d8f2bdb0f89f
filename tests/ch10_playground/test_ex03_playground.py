from itertools import accumulate
from types import SimpleNamespace

import pytest
import torch

from kata.check import raises

DEFAULTS = {"max_new_tokens": 100, "seed": 0, "context": None, "eos_id": None}


def script(*chunks):
    """A stream that yields these chunks and raises the exceptions among them, and what it saw."""
    seen = SimpleNamespace(calls=[], asked=0, closed=0)

    def stream(model, tokenizer, prompt, strategy, **options):
        seen.calls.append([model, tokenizer, prompt, strategy, options])
        return write()

    def write():
        try:
            for chunk in chunks:
                seen.asked += 1
                if isinstance(chunk, BaseException):
                    raise chunk
                yield chunk
        finally:
            seen.closed += 1

    return stream, seen


def session(answer, *chunks):
    """A playground with one model, called "m", and what its stream saw."""
    stream, seen = script(*chunks)
    return answer.Playground({"m": answer.LanguageModel("model", "tokenizer")}, stream), seen


def typed(*lines):
    """What reads these lines, as `input` does."""
    rest = list(lines)

    def read():
        if not rest:
            raise EOFError
        return rest.pop(0)

    return read


def conversation(answer, playground, *lines):
    """What is on the screen when somebody has typed these lines."""
    written = []
    answer.repl(playground, typed(*lines), written.append, answer.PlaygroundState(model="m"))
    return "".join(written)


# ----------------------------------------------------------------------------------- the session


def test_each_text_is_the_whole_text_so_far(answer):
    playground, _ = session(answer, "Once", " upon", " a time")
    texts = list(playground.on_generate(answer.PlaygroundState(model="m")))
    assert texts == ["Once", "Once upon", "Once upon a time"]


def test_second_text_starts_from_nothing(answer):
    playground, _ = session(answer, "Once", " upon")
    list(playground.on_generate(answer.PlaygroundState(model="m")))
    assert list(playground.on_generate(answer.PlaygroundState(model="m"))) == ["Once", "Once upon"]


def test_text_comes_while_it_is_written(answer):
    playground, seen = session(answer, "Once", " upon", " a time")
    texts = playground.on_generate(answer.PlaygroundState(model="m"))
    first = {"text": next(texts), "chunks asked for": seen.asked}
    assert first == {"text": "Once", "chunks asked for": 1}


@pytest.mark.parametrize(
    ("strategy", "parameters"),
    [
        ("greedy", {}),
        ("temperature", {"temperature": 0.7}),
        ("top_k", {"k": 5, "temperature": 0.7}),
        ("top_p", {"p": 0.6, "temperature": 0.7}),
        ("repetition_penalty", {"penalty": 1.7, "temperature": 0.7}),
        ("beam", {"beams": 3, "length_penalty": 0.5}),
        ("no such strategy", {}),
    ],
)
def test_strategy_gets_its_own_controls(answer, strategy, parameters):
    playground, seen = session(answer)
    # temperature, k, p, penalty, beams, length_penalty
    state = answer.PlaygroundState("", "m", strategy, 0.7, 5, 0.6, 1.7, 3, 0.5)
    list(playground.on_generate(state))
    assert seen.calls == [["model", "tokenizer", "", strategy, DEFAULTS | parameters]]


@pytest.mark.parametrize(
    ("control", "value"),
    [("temperature", 0.3), ("p", 0.6), ("max_new_tokens", 7), ("seed", 11)],
)
def test_each_control_changes_the_call(answer, control, value):
    playground, seen = session(answer)
    controls = {"model": "m", "strategy": "top_p", control: value}
    list(playground.on_generate(answer.PlaygroundState(**controls)))
    options = DEFAULTS | {"p": 0.9, "temperature": 1.0} | {control: value}
    assert seen.calls == [["model", "tokenizer", "", "top_p", options]]


def test_chosen_model_gets_the_prompt(answer):
    stream, seen = script()
    small = answer.LanguageModel("small", "letters", context=8, eos_id=3)
    models = {"first": answer.LanguageModel("large", "words"), "second": small}
    state = answer.PlaygroundState("Once", "second")
    list(answer.Playground(models, stream).on_generate(state))
    options = DEFAULTS | {"context": 8, "eos_id": 3}
    assert seen.calls == [["small", "letters", "Once", "greedy", options]]


def test_error_is_told_and_the_text_stays(answer):
    playground, _ = session(answer, "Once", ValueError("p must be in (0, 1], got 2"))
    texts = list(playground.on_generate(answer.PlaygroundState(model="m")))
    assert (texts, playground.error) == (["Once"], "ValueError: p must be in (0, 1], got 2")


def test_error_of_the_call_itself_is_told(answer):
    def stream(*args, **options):
        raise TypeError("no such option")

    playground = answer.Playground({"m": answer.LanguageModel("model", "tokenizer")}, stream)
    assert list(playground.on_generate(answer.PlaygroundState(model="m"))) == []
    assert playground.error == "TypeError: no such option"


@pytest.mark.parametrize("part", ["'m'", "'n'"])
def test_unknown_model_is_an_error_with_all_names(answer, part):
    stream, _ = script("Once")
    models = {name: answer.LanguageModel("model", "tokenizer") for name in ("'m'", "'n'")}
    playground = answer.Playground(models, stream)
    list(playground.on_generate(answer.PlaygroundState(model="'other'")))
    assert playground.error[: len("ValueError: ")] == "ValueError: "
    assert part in playground.error, "a name is missing in the error"


def test_next_text_clears_the_error(answer):
    playground, _ = session(answer, "Once")
    list(playground.on_generate(answer.PlaygroundState(model="other")))
    texts = list(playground.on_generate(answer.PlaygroundState(model="m")))
    assert (texts, playground.error) == (["Once"], "")


def test_stop_asks_for_no_further_chunk(answer):
    playground, seen = session(answer, "Once", " upon", " a time")
    texts = playground.on_generate(answer.PlaygroundState(model="m"))
    next(texts)
    playground.stop()
    assert list(texts) == []
    after = {"chunks asked for": seen.asked, "closed": seen.closed, "error": playground.error}
    assert after == {"chunks asked for": 1, "closed": 1, "error": ""}


def test_next_text_after_a_stop_is_whole(answer):
    playground, _ = session(answer, "Once", " upon")
    next(playground.on_generate(answer.PlaygroundState(model="m")))
    playground.stop()
    assert list(playground.on_generate(answer.PlaygroundState(model="m"))) == ["Once", "Once upon"]


def test_stream_is_closed_when_nobody_reads_on(answer):
    playground, seen = session(answer, "Once", " upon")
    texts = playground.on_generate(answer.PlaygroundState(model="m"))
    next(texts)
    texts.close()
    after = {"chunks asked for": seen.asked, "closed": seen.closed}
    assert after == {"chunks asked for": 1, "closed": 1}


def test_interrupt_is_let_through(answer):
    playground, _ = session(answer, "Once", KeyboardInterrupt())
    with raises(KeyboardInterrupt):
        list(playground.on_generate(answer.PlaygroundState(model="m")))


def test_stream_is_that_of_the_first_exercise(answer, reference):
    table = torch.randn(128, 128, generator=torch.Generator().manual_seed(0))
    utf8 = SimpleNamespace(
        encode=lambda s: list(s.encode()), decode=lambda ids: bytes(ids).decode()
    )
    options = {"k": 9, "temperature": 0.8, "max_new_tokens": 12, "seed": 5}
    chunks = reference.stream_generate(lambda ids: table[ids], utf8, "ab", "top_k", **options)
    expected = list(accumulate(chunks))
    playground = answer.Playground({"m": answer.LanguageModel(lambda ids: table[ids], utf8)})
    state = answer.PlaygroundState("ab", "m", "top_k", **options)
    assert list(playground.on_generate(state)) == expected


# ---------------------------------------------------------------------------------- the terminal


@pytest.mark.parametrize(
    ("control", "text", "value"), [("k", "7", 7), ("p", "1", 1.0), ("strategy", "top_k", "top_k")]
)
def test_control_is_set_with_its_type(answer, control, text, value):
    state = answer.PlaygroundState("Once", "m", seed=3)
    changed = answer.set_control(state, control, text)
    actual = getattr(changed, control)
    assert (type(actual), actual, changed.seed) == (type(value), value, 3), "type, value and seed"


def test_value_of_another_type_is_refused(answer):
    with raises(ValueError, match="seed"):
        answer.set_control(answer.PlaygroundState(), "seed", "seven")


@pytest.mark.parametrize("name", ["max_new_tokens", "length_penalty"])
def test_unknown_control_is_refused_with_all_names(answer, name):
    with raises(ValueError, match=name):
        answer.set_control(answer.PlaygroundState(), "colour", "red")


def test_terminal_writes_each_part_once(answer):
    playground, seen = session(answer, " upon", " a", " time")
    assert conversation(answer, playground, "Once") == " upon a time\n"
    assert [call[2] for call in seen.calls] == ["Once"]


def test_terminal_remembers_the_controls(answer):
    playground, seen = session(answer)
    conversation(answer, playground, "/strategy top_k", "/k 7", "/seed 2", "Once", "Twice")
    options = DEFAULTS | {"k": 7, "temperature": 1.0, "seed": 2}
    expected = [["model", "tokenizer", p, "top_k", options] for p in ("Once", "Twice")]
    assert seen.calls == expected


@pytest.mark.parametrize(("line", "part"), [("/seed seven", "seed"), ("/colour red", "penalty")])
def test_terminal_explains_a_wrong_command(answer, line, part):
    playground, seen = session(answer, " upon")
    screen = conversation(answer, playground, line, "Once").splitlines()
    assert (len(screen), screen[-1], seen.calls[0][4]) == (2, " upon", DEFAULTS)
    assert part in screen[0], "a name is missing in the line"


def test_terminal_shows_an_error_and_goes_on(answer):
    playground, seen = session(answer, " upon", ValueError("too hot"))
    assert conversation(answer, playground, "Once", "Twice") == " upon\nValueError: too hot\n" * 2
    assert len(seen.calls) == 2


def test_terminal_ends_when_told(answer):
    playground, seen = session(answer, " upon")
    assert conversation(answer, playground, "/quit", "Once") == ""
    assert seen.calls == []
