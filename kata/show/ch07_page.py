"""The page of chapter 7: what the model wrote as it learned, and the learner's curves."""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from io import StringIO

import matplotlib
from matplotlib.figure import Figure

from kata.show import page

_STYLE = """
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font-size: .9rem;
  line-height: 1.45; }
.curve { margin: 0; padding: .75rem; max-width: 48rem; }
.curve svg { width: 100%; min-width: 26rem; height: auto; display: block; fill: currentColor; }
.panel h3 span { color: var(--soft); font-weight: normal; }
.long { max-width: 48rem; }
"""


def perplexity(loss: float) -> str:
    """In figures, as long as these mean something."""
    return f"{math.exp(loss):.1f}" if loss < 20 else "beyond measure"


@dataclass(frozen=True)
class Sample:
    """What the model wrote after some steps, and its loss on held-out text then."""

    step: int
    loss: float
    text: str

    @property
    def title(self) -> str:
        """When, and how good it was."""
        when = f"after step {self.step:,}" if self.step else "before training"
        return f"{when}: held-out loss {self.loss:.2f}, perplexity {perplexity(self.loss)}"


def document(
    what: str,
    good: bool,
    head: str,
    rest: str,
    samples: list[Sample],
    long: str,
    story: str,
    curves: str,
    numbers: dict[str, str],
) -> str:
    """The page of a run: its samples, its curves, its numbers."""
    kind, mark = ("good", "✓") if good else ("bad", "✗")
    panels = "\n".join(_panel(sample) for sample in samples)
    parts = [
        f"<p>{html.escape(what)}</p>",
        f'<p class="verdict {kind}"><strong>{mark} {head}</strong>{html.escape(rest)}</p>',
        "<h2>How it learned to write</h2>",
        '<p class="soft">The first characters that come to its mind, always with the same '
        "random numbers. Lines, then words, then sentences; sense does not come.</p>",
        f'<div class="side">{panels}</div>',
        "<h2>What it writes at the end</h2>",
        f'<p class="soft">{long}</p>',
        f'<section class="panel long"><pre>{html.escape(story)}</pre></section>',
        "<h2>The curves, drawn by your plot_history</h2>",
        f'<div class="scroll panel curve" role="img" aria-label="Losses by step">{curves}</div>',
        "<h2>In numbers</h2>",
        page.table(["", ""], [[*item] for item in numbers.items()], numbers=1),
    ]
    return page.document("A language model of your own", "\n".join(parts), _STYLE)


def _panel(sample: Sample) -> str:
    when, how = sample.title.split(": ")
    return (
        f'<section class="panel"><h3>{when.capitalize()}<br><span>{how}</span></h3>'
        f"<pre>{html.escape(sample.text)}</pre></section>"
    )


def svg(figure: Figure) -> str:
    """The figure as a part of a page: its black and white are those of the page."""
    file = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "kata"}):
        figure.savefig(file, format="svg", transparent=True)
    drawn = re.sub(r"<metadata>.*?</metadata>", "", file.getvalue(), flags=re.DOTALL)
    drawn = drawn[drawn.index("<svg") :].replace("#000000", "currentColor")
    return drawn.replace("#ffffff", "var(--panel)")
