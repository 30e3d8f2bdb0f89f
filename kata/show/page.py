"""One self-contained web page: readable in light and dark, on a phone and on paper."""

from __future__ import annotations

import html

# Nothing may be fetched and no script may run, whatever text a page shows.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root { --ink: #1c1e21; --paper: #fbfaf7; --panel: #fff; --line: #d8d5cd; --soft: #5d6068;
  --good: #17633a; --bad: #a3262a; --bar: #8fb5dd; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e6e1; --paper: #17181b; --panel: #202226; --line: #3b3e45; --soft: #a5a8b0;
    --good: #7fd6a2; --bad: #ff9d98; --bar: #3f6f9f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; max-width: 44rem; }
.soft { color: var(--soft); }
.verdict { border-left: .3rem solid; padding: .5rem .8rem; margin: 1rem 0;
  background: var(--panel); max-width: none; overflow-wrap: anywhere; }
.good { border-color: var(--good); } .good strong { color: var(--good); }
.bad { border-color: var(--bad); } .bad strong { color: var(--bad); }
.side { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem;
  padding: .75rem; min-width: 0; }
.panel h3 { font-size: 1rem; margin: 0 0 .5rem; }
code, .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%;
  max-width: 48rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; }
.number { text-align: right; }
summary { cursor: pointer; }
@media print { .panel { break-inside: avoid; } }
"""


def document(title: str, body: str, style: str = "", pictures: bool = False) -> str:
    """A whole page.

    Args:
        title: plain text.
        body: HTML; what comes from outside is escaped already.
        style: CSS of this page alone.
        pictures: whether there are some, which are in the page itself.
    """
    policy = f"{_POLICY}; img-src data:" if pictures else _POLICY
    title = html.escape(title)
    return _DOCUMENT.format(title=title, body=body, style=_STYLE + style, policy=policy)


def table(head: list[str], rows: list[list[str]], numbers: int) -> str:
    """A table of plain text; the last `numbers` columns are aligned to the right."""
    first_number = len(head) - numbers

    def line(cells: list[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=number' if i >= first_number else ''}>{html.escape(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )

    lines = "".join(f"<tr>{line(row, 'td')}</tr>\n" for row in rows)
    return (
        f'<div class="scroll"><table>\n<thead><tr>{line(head, "th")}</tr></thead>\n'
        f"<tbody>\n{lines}</tbody></table></div>"
    )
