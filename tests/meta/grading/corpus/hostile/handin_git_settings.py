"""
exercise: 1.5
tries: a git work tree whose settings and hooks run programs when somebody asks it something
points: 0
made: yes
"""

import subprocess

SETTINGS = """
[core]
\tfsmonitor = touch /tmp/kata_left_git; false
\thooksPath = .
\tsshCommand = touch /tmp/kata_left_git
\tpager = touch /tmp/kata_left_git
\teditor = touch /tmp/kata_left_git
[diff]
\texternal = touch /tmp/kata_left_git
[filter "x"]
\tsmudge = touch /tmp/kata_left_git
\tclean = touch /tmp/kata_left_git
[alias]
\tlog = "!touch /tmp/kata_left_git"
[include]
\tpath = ../evil.config
"""


def make(folder):
    """Write the hand-in."""
    answer = folder / "exercises" / "ch01_tokenizers" / "ex05_merge_pair.py"
    answer.parent.mkdir(parents=True)
    answer.write_text("def merge_pair(*args):\n    return ['wrong']\n")
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    (folder / ".gitattributes").write_text("* filter=x diff=x\n")
    with (folder / ".git" / "config").open("a") as file:
        file.write(SETTINGS)
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        hook = folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\ntouch /tmp/kata_left_git\n")
        hook.chmod(0o755)
