"""What `kata show` has made, put into the report page: pictures as they are, pages to unfold."""

from __future__ import annotations

import base64
import contextlib
import html
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kata.course import Course
from kata.grading.reports import words
from kata.grading.reports.markup import text
from kata.report import heading
from kata.show.report_curve import day

KINDS = {".png": "image/png", ".svg": "image/svg+xml"}
LARGEST = 4_000_000  # bytes of one file: the page is to be sent by mail
STYLE = """
.shown { margin: 1rem 0 1.8rem; max-width: 60rem; }
.shown h3 { font-size: 1.05rem; margin: 0 0 .4rem; }
.shown figure { margin: 0; } .shown .panel p { max-width: none; margin: 0 0 .4rem; }
.shown summary { text-decoration: underline; text-decoration-color: var(--line); }
.shown img { display: block; max-width: 100%; height: auto; border: 1px solid var(--line);
  border-radius: .5rem; background: #fff; }
.shown iframe { display: block; width: 100%; height: 75vh; min-height: 24rem; border: 1px solid
  var(--line); border-radius: .5rem; background: var(--paper); margin-top: .5rem; }
.shown figcaption { color: var(--soft); font-size: .9rem; margin-top: .3rem; }
@media print { .shown details { display: none; } .shown figure { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Shown:
    """A file that the show of a chapter has written."""

    chapter: str  # its heading
    number: str
    file: Path
    made: datetime
    content: bytes


def find(course: Course) -> list[Shown]:
    """The files in `.kata/show`, by chapter; a picture comes before a page."""
    folder = course.root / ".kata" / "show"
    found = []
    for chapter in course.chapters:
        name, number = words.line(heading(course, chapter)), str(int(chapter[2:4]))
        for kind in (*KINDS, ".html"):
            for file in sorted(folder.glob(f"{chapter[:4]}*{kind}")):
                with contextlib.suppress(OSError):
                    about = file.stat()
                    if about.st_size <= LARGEST:
                        made = datetime.fromtimestamp(about.st_mtime, UTC)
                        found.append(Shown(name, number, file, made, file.read_bytes()))
    return found


def render(shown: list[Shown]) -> str:
    """All of them, or nothing."""
    return "\n".join(map(_one, shown))


def _one(it: Shown) -> str:
    name, inner = _page(it) if it.file.suffix == ".html" else (it.chapter, _picture(it))
    return (
        f'<div class="shown"><h3>{text(name)}</h3><figure>{inner}<figcaption>'
        f"<code>kata show {it.number}</code>, {day(it.made)}</figcaption></figure></div>"
    )


def _picture(it: Shown) -> str:
    source = f"data:{KINDS[it.file.suffix]};base64,{base64.b64encode(it.content).decode()}"
    return f'<img src="{source}" alt="What the code of chapter {text(it.chapter)} has drawn">'


def _page(it: Shown) -> tuple[str, str]:
    """A heading, and the whole page in a frame in which nothing may run."""
    document = it.content.decode("utf-8", "replace")
    title, said = _summary(document)
    name = f"{it.chapter}: {title}" if title else it.chapter
    verdict = f"<p>{text(said)}</p>" if said else ""
    frame = f'sandbox loading="lazy" title="{text(name)}" srcdoc="{html.escape(document)}"'
    return name, (
        f'<div class="panel">{verdict}<details><summary>look at the page</summary>'
        f"<iframe {frame}></iframe></details></div>"
    )


def _summary(document: str) -> tuple[str, str]:
    """The title of a page, and the verdict at its top; empty where it has none."""
    found = (
        re.search(pattern, document, re.DOTALL)
        for pattern in ("<title>(.*?)</title>", '<p class="verdict[^>]*>(.*?)</p>')
    )
    title, said = (html.unescape(re.sub("<[^>]*>", "", m[1])) if m else "" for m in found)
    return words.line(title), words.line(said, 400)
