"""
exercise: 1.5
tries: a source encoding that executes or hides code: unicode_escape
points: 0
made: yes
"""

TEXT = b"""# -*- coding: unicode_escape -*-
# \\nimport os\\nos.system('touch /tmp/kata_left_codec')
def merge_pair(ids, pair, new_id):
    return ['wrong']
"""


def make(folder):
    """Write the hand-in."""
    file = folder / "exercises" / "ch01_tokenizers" / "ex05_merge_pair.py"
    file.parent.mkdir(parents=True)
    file.write_bytes(TEXT)
