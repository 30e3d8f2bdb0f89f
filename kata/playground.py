"""The page of the playground, made of widgets: it runs the learner's 10.3 and 10.4.

It is shown by `exercises/ch10_playground/playground.ipynb`, in JupyterLab or by `kata playground`.
"""

from __future__ import annotations

import base64
import contextvars
import dataclasses
import html
import io
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kata.course import Course, find_root
from kata.parts import Parts
from kata.playground_models import Loaded, Loader, find, label, named
from kata.serve import ANSWERS
from kata.show import NotReady

PERIOD = 0.1  # seconds between two looks at a text that is being written
PATIENCE = 0.5  # seconds after Stop, until the next call of the model ends whatever is running
PROMPT = "The sea"
TICKED = ("greedy", "temperature", "top_k", "top_p")
PLAIN = ("temperature", {"temperature": 1.0})  # in a chart: the model itself
TOP = 10  # tokens of a chart
LABELS = {
    "max_new_tokens": "maximum tokens", "length_penalty": "length penalty",
    "k": "k (tokens)", "p": "p (share)",
}  # fmt: skip
STYLE = """<style>
.kata-text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5; font-size: 15px;
  border: 1px solid #bbb; border-radius: 6px; padding: 10px 12px; min-height: 5em; }
.kata-text .prompt { color: #666; }
.kata-error { white-space: pre-wrap; overflow-wrap: anywhere; color: #8a1010; background: #fdeaea;
  border-left: 4px solid #c22; padding: 6px 10px; line-height: 1.5; }
.kata-note { color: #555; line-height: 1.5; overflow-wrap: anywhere; }
.kata-grid { display: grid; gap: 10px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
.kata-grid h4, .kata-wide h4 { margin: 4px 0 6px; font-size: 14px; overflow-wrap: anywhere; }
.kata-wide { overflow-x: auto; } .kata-wide img { width: 100%; min-width: 36rem; }
</style>"""


class Stopped(BaseException):
    """Stop was pressed; no exercise may catch it for an error of its own."""


class Front:
    """Widgets, and one thread at most that writes for them.

    Args:
        parts: the exercises.
        models: what loads each model, by name.
    """

    def __init__(self, parts: Parts, models: dict[str, Loader]) -> None:
        with parts.blame("10.3"):
            self._session = parts["10.3"]
            self._state = self._session.PlaygroundState(prompt=PROMPT, model=next(iter(models)))
        with parts.blame("10.1"):
            self._strategies: dict[str, dict[str, float]] = dict(parts["10.1"].STRATEGIES)
        self.parts, self._loaders = parts, models
        self._loaded: dict[str, Any] = {}
        self._playground: Any = None
        self._thread: threading.Thread | None = None
        self._pressed = False
        self._deadline: float | None = None
        self._make_widgets()

    # --------------------------------------------------------------------------- the widgets

    def _make_widgets(self) -> None:
        import ipywidgets as w

        style = {"description_width": "115px"}

        def control(kind: Any, value: Any = None, width: str = "auto", **options: Any) -> Any:
            options |= {} if value is None else {"value": value}
            return kind(layout=w.Layout(width=width), style=style, **options)

        self.controls: dict[str, Any] = {
            "prompt": control(w.Textarea, PROMPT, description="prompt", rows=3),
            "model": control(w.Dropdown, options=[*self._loaders], description="model"),
            "strategy": control(
                w.Dropdown, width="100%", options=[*self._strategies], description="strategy"
            ),
        }
        for name, value in dataclasses.asdict(self._state).items():
            if name not in self.controls:
                label = LABELS.get(name, name)
                kind, step = (w.FloatText, 0.1) if isinstance(value, float) else (w.IntText, 1)
                self.controls[name] = control(kind, value, "230px", description=label, step=step)
        self.more = control(w.Text, "", "auto", description="add a model")
        self.more.placeholder, self.more.layout.flex = "a folder, or a name on the hub", "1 1 200px"
        self.add = self._button("Add", self._add)
        self.generate = self._button("Generate", self._write, "primary")
        self.compare = self._button("Compare texts", self._compare, "primary")
        self.chart = self._button("Compare the next token", self._draw, "primary")
        self.stop, self.stop_comparing = (self._button("Stop", None, "warning") for _ in range(2))
        self.output, self.error, self.status = w.HTML(), w.HTML(), w.HTML()
        self.results, self.sources = w.HTML(), w.HTML()
        self.ticks = {
            name: w.Checkbox(
                name in TICKED, description=name, indent=False, layout=w.Layout(width="150px")
            )
            for name in self._strategies
        }
        self.model_ticks: dict[str, Any] = {}
        self._model_box = w.Box(layout=w.Layout(flex_flow="row wrap", width="100%"))
        self._refresh_models()
        self._tell(self.output, "")

        def row(*children: Any) -> Any:
            return w.Box(children, layout=w.Layout(flex_flow="row wrap", width="100%"))

        numbers = [c for name, c in self.controls.items() if name not in ("prompt", "model")]
        write = w.VBox([row(self.generate, self.stop), self.output])
        compare = w.VBox([
            w.HTML("<b>Strategies</b>, each with its settings above"), row(*self.ticks.values()),
            w.HTML("<b>Models</b>"), self._model_box,
            row(self.compare, self.chart, self.stop_comparing), self.results,
        ])  # fmt: skip
        self.tabs = w.Tab([write, compare], titles=["Write", "Compare"], selected_index=0)
        self.widget = w.VBox(
            [
                w.HTML(STYLE),
                self.controls["prompt"], self.controls["model"], row(self.more, self.add),
                row(*numbers), self.error, self.status, self.tabs, self.sources,
            ],
            layout=w.Layout(max_width="1000px"),
        )  # fmt: skip
        self._show_controls()
        for widget in (self.controls["strategy"], *self.ticks.values()):
            widget.observe(lambda _: self._show_controls(), "value")
        self.tabs.observe(lambda _: self._show_controls(), "selected_index")
        self._busy(False)

    def _button(self, label: str, work: Callable[[], None] | None, kind: str = "") -> Any:
        import ipywidgets as w

        button = w.Button(description=label, button_style=kind, layout=w.Layout(width="auto"))
        button.on_click(lambda _: self._press_stop() if work is None else self._start(work))
        return button

    def _show_controls(self) -> None:
        """Hide what no strategy in question listens to."""
        chosen = [self.controls["strategy"].value]
        if self.tabs.selected_index == 1:
            chosen = [strategy for strategy, tick in self.ticks.items() if tick.value]
        self.controls["strategy"].layout.display = None if self.tabs.selected_index == 0 else "none"
        for name, control in self.controls.items():
            if any(name in parameters for parameters in self._strategies.values()):
                used = any(name in self._strategies[strategy] for strategy in chosen)
                control.layout.display = None if used else "none"

    def _refresh_models(self) -> None:
        import ipywidgets as w

        for name in self._loaders:
            if name not in self.model_ticks:
                self.model_ticks[name] = w.Checkbox(
                    not self.model_ticks, description=name, indent=False,
                    layout=w.Layout(width="auto", margin="0 16px 0 0"),
                )  # fmt: skip
        self._model_box.children = list(self.model_ticks.values())

    # ------------------------------------------------------------------------------ the work

    def _start(self, work: Callable[[], None]) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        self._pressed, self._deadline = False, None
        self._busy(True)
        self._say(self.error, "")
        self._say(self.status, "")
        context = contextvars.copy_context()  # the kernel looks up there whom it answers
        self._thread = threading.Thread(target=context.run, args=(self._run, work), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            self._say(self.status, "Stopped.")
        except NotReady as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self._show_sources()
            self._busy(False)

    def wait(self, seconds: float) -> None:
        """Wait for the end of what is running."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _press_stop(self) -> None:
        self._pressed, self._deadline = True, time.monotonic() + PATIENCE
        if self._playground is not None:
            with self.parts.blame("10.3"):
                self._playground.stop()

    def _model(self, name: str) -> Any:
        """A model as 10.3 wants it, loaded at its first use."""
        if name not in self._loaded:
            self._say(self.status, f"Loading {name} ...")
            loaded = self._loaders[name]()
            guarded = dataclasses.replace(loaded, model=self._guarded(loaded))
            with self.parts.blame("10.3"):
                self._loaded[name] = self._session.LanguageModel(**_fields(guarded))
                self._playground = self._session.Playground(dict(self._loaded))
            self._say(self.status, "")
        if self._pressed:
            raise Stopped
        return self._loaded[name]

    def _guarded(self, loaded: Loaded) -> Callable[[Any], Any]:
        """A model whose next call ends everything when Stop was pressed a while ago."""

        def model(ids: Any) -> Any:
            if self._deadline is not None and time.monotonic() > self._deadline:
                raise Stopped
            return loaded.model(ids)

        return model

    def _add(self) -> None:
        name = self.more.value.strip()
        if not name:
            raise ValueError("type the name of a folder or of a model on the hub first")
        load, name = named(self.parts, name), label(name, self._loaders)
        is_new = name not in self._loaders
        self._loaders.setdefault(name, load)
        try:
            self._model(name)
        except BaseException:
            if is_new:
                del self._loaders[name]
            raise
        self.controls["model"].options = [*self._loaders]
        self.controls["model"].value = name
        self._refresh_models()
        self._say(self.status, f"{name} is there.")

    # ------------------------------------------------------------------------------- writing

    def _write(self) -> None:
        state = self._session.PlaygroundState(**{n: c.value for n, c in self.controls.items()})
        self._tell(self.output, state.prompt)
        self._model(state.model)
        began = looked = time.monotonic()
        text = ""
        try:
            with self.parts.blame("10.3"):
                for text in self._playground.on_generate(state):
                    if time.monotonic() > looked + PERIOD:
                        self._tell(self.output, state.prompt, text)
                        looked = time.monotonic()
        finally:
            self._tell(self.output, state.prompt, text)
        if self._playground.error:
            self._fail(self._playground.error)
            return
        how = "Stopped after" if self._pressed else "Done:"
        seconds = time.monotonic() - began
        self._say(self.status, f"{how} {len(text):,} characters in {seconds:.1f} s.")

    # ----------------------------------------------------------------------------- comparing

    def _settings(self) -> Iterator[tuple[str, dict[str, float]]]:
        """The strategies that are ticked, with what the controls say."""
        for strategy, tick in self.ticks.items():
            if tick.value:
                names = self._strategies[strategy]
                yield strategy, {n: self.controls[n].value for n in names if n in self.controls}

    def _ticked_models(self) -> list[str]:
        names = [name for name, tick in self.model_ticks.items() if tick.value]
        if not names:
            raise ValueError("tick a model first")
        return names

    def _compare(self) -> None:
        settings, cards = list(self._settings()), [""]
        if not settings:
            raise ValueError("tick a strategy first")
        prompt = self.controls["prompt"].value
        for name in self._ticked_models():
            model = self._model(name)
            for setting in settings:
                self._say(self.status, f"{name}: {setting[0]} ...")
                cards.append(self._card(name, prompt, model, setting))
                self.results.value = f'<div class="kata-grid">{"".join(cards)}</div>'
                if self._pressed:
                    raise Stopped
        self._say(self.status, "Done.")

    def _card(
        self, name: str, prompt: str, model: Any, setting: tuple[str, dict[str, float]]
    ) -> str:
        title = f"<h4>{html.escape(f'{name}: {_described(*setting)}')}</h4>"
        options = {n: self.controls[n].value for n in ("max_new_tokens", "seed")}
        try:
            row = self.parts["10.4"].compare_strategies(
                model.model, model.tokenizer, prompt, [setting],
                eos_id=model.eos_id, context=model.context, **options,
            )[0]  # fmt: skip
            numbers = [("distinct words", row["distinct"], ".0%")]
            numbers += [("mean log-probability", row["log_prob"], ".2f")]
            words = "; ".join(f"{n} {v:{spec}}" for n, v, spec in numbers if v is not None)
            text = _text(prompt, row["text"])
        except NotReady:
            raise
        except Exception as error:  # a wrong setting of one strategy leaves the others
            words, text = "", f'<div class="kata-error">{_error(error)}</div>'
        return f'<div>{title}{text}<div class="kata-note">{html.escape(words)}</div></div>'

    def _draw(self) -> None:
        """The next token of each model that is ticked, under each strategy that draws one."""
        settings = [PLAIN, *(s for s in self._settings() if s[0] != "beam" and s != PLAIN)]
        names = ["the model itself", *(_described(*setting) for setting in settings[1:])]
        charts = []
        for name in self._ticked_models():
            model = self._model(name)
            ids = model.tokenizer.encode(self.controls["prompt"].value)
            if not ids:
                raise ValueError("the prompt is empty")
            best, probs = self.parts["10.4"].next_token_distribution(
                model.model, ids, settings, top=TOP, context=model.context
            )
            start = len(model.tokenizer.decode(ids))
            tokens = [model.tokenizer.decode([*ids, int(i)])[start:] for i in best]
            with self.parts.blame("10.4"):
                figure = self.parts["10.4"].plot_next_token(tokens, probs, names)
                picture = _picture(figure)
            charts.append(f'<div class="kata-wide"><h4>{html.escape(name)}</h4>{picture}</div>')
            self.results.value = "".join(charts)
        self._say(self.status, "Done.")

    # -------------------------------------------------------------------------- what is said

    def _busy(self, busy: bool) -> None:
        for button in (self.generate, self.compare, self.chart, self.add):
            button.disabled = busy
        for button in (self.stop, self.stop_comparing):
            button.disabled = not busy

    def _tell(self, place: Any, prompt: str, text: str = "") -> None:
        place.value = _text(prompt, text)

    def _say(self, place: Any, words: str) -> None:
        place.value = f'<div class="kata-note" role="status">{html.escape(words)}</div>'

    def _fail(self, words: str) -> None:
        self._say(self.status, "")
        self.error.value = f'<div class="kata-error" role="alert">{html.escape(words)}</div>'

    def _show_sources(self) -> None:
        own, borrowed = self.parts.used()
        count = len(own) + len(borrowed)
        words = f"{len(own)} of the {count} exercises that this page has used are yours"
        if not borrowed:
            words = f"All {count} exercises that this page has used are yours"
        elif own:
            words += f" ({_numbers(own)})"
        if borrowed:
            words += f". To do, and borrowed from solutions/: {_numbers(borrowed)}"
        self._say(self.sources, f"{words}.")


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _numbers(exercises: Sequence[Any]) -> str:
    return ", ".join(exercise.number for exercise in exercises)


def _described(strategy: str, parameters: dict[str, float]) -> str:
    name = [] if strategy in parameters else [strategy]
    return " ".join([*name, *(f"{name}={value:g}" for name, value in parameters.items())])


def _error(error: Exception) -> str:
    return html.escape(f"{type(error).__name__}: {error}")


def _text(prompt: str, text: str) -> str:
    shown = f'<span class="prompt">{html.escape(prompt)}</span>{html.escape(text)}'
    return f'<div class="kata-text">{shown}</div>'


def _picture(figure: Any) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="svg")
    code = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="bars" src="data:image/svg+xml;base64,{code}">'


# ----------------------------------------------------------------------------------- the doors


def make_front(models: Sequence[str] = (), root: Path | None = None) -> Front:
    """The page of the course around the current folder.

    Args:
        models: more models: files of 7.10, folders in Hugging Face's layout, names on the hub.
        root: the folder of the course.

    Raises:
        NotReady: a file of the learner's that this needs cannot be used.
    """
    parts, loaders = _prepared(models, root)
    front = Front(parts, loaders)
    front._show_sources()
    return front


def _prepared(models: Sequence[str], root: Path | None) -> tuple[Parts, dict[str, Loader]]:
    course = Course(root or find_root(Path.cwd()))
    tree = Path(os.environ.get(ANSWERS) or course.exercises_dir)
    parts = Parts(course, tree)
    return parts, find(parts, course, tree, models)


def playground(*models: str) -> Any:
    """What the notebook shows: the page, or why there is none."""
    import ipywidgets as w

    try:
        return make_front(models).widget
    except NotReady as error:
        words = html.escape(f"The playground cannot start. {error}")
        return w.HTML(f'{STYLE}<div class="kata-error" role="alert">{words}</div>')


def in_terminal(
    models: Sequence[str], read: Callable[[], str], write: Callable[[str], Any]
) -> None:
    """The same without a page: the `repl` of 10.3, on one model.

    Raises:
        NotReady: a file of the learner's that this needs cannot be used.
    """
    parts, loaders = _prepared(models, None)
    names = list(loaders)[: max(1, len(models))]
    loaded = {name: loaders[name]() for name in names}
    with parts.blame("10.3"):
        session = parts["10.3"]
        ready = {n: session.LanguageModel(**_fields(m)) for n, m in loaded.items()}
        state = session.PlaygroundState(model=names[0])
        session.repl(session.Playground(ready), read, write, state)
