"""
exercise: 1.5
tries: terminal escapes, HTML, Markdown, workflow commands, formulas and bidi marks in messages
points: 0
"""

TEXTS = [
    "\x1b[2J\x1b]0;kata_injected\x07\x1b[32mpassed\x1b[0m\r10 passed",
    "<script>kata_injected</script><img src=x onerror=kata_injected>",
    "\n\n# kata_injected\n\n```\n</details>\n| full | marks |\n![x](http://kata.invalid/x.png)\n",
    "\n::error file=kata_injected::x\n::set-env name=x::y\n##[endgroup]\n",
    "=cmd|' /C calc'!A0,kata_injected\n+1\n-1\n@SUM(1)",
    "\u202e\u2066kata_injected\u2069\u202c \u0000 \ud800 \ufeff \u2028 \x85 \x9b31m",
    "]]></failure></testcase><testcase name='kata_injected'/><![CDATA[ & &lt; &#0;",
]


def merge_pair(ids, pair, new_id):
    if len(ids) == 2:
        return TEXTS
    raise ValueError(TEXTS[len(ids) % len(TEXTS)])
