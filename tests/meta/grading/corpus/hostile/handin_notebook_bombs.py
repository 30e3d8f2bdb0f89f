"""
exercise: 1.5
tries: notebooks that break a reader: deep nesting, wrong types, huge numbers, thousands of magics
points: 0
made: yes
"""

import json


def make(folder):
    """Write the hand-in."""
    cell = {"cell_type": "code", "source": ["# 1.5\n", "def merge_pair(*args):\n    return ['wrong']\n"]}
    magics = {"cell_type": "code", "source": "%magic\n!rm -rf kata_left\n" * 5000}
    texts = {
        "a_deep": '{"cells": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "b_types": json.dumps({"cells": [1, None, {"cell_type": "code", "source": {"x": 1}}, cell]}),
        "c_number": '{"cells": [], "x": ' + "9" * 100_000 + "}",
        "d_magics": json.dumps({"cells": [magics] * 20 + [cell]}),
        "e_shell": json.dumps({"cells": [{"cell_type": "code", "source": "!touch /tmp/kata_left_shell"}, cell]}),
        "f_nothing": "",
        "g_surrogate": '{"cells": [{"cell_type": "code", "source": "# 1.5\\nx = \'\\ud800\'"}]}',
    }
    for name, text in texts.items():
        (folder / f"{name}.ipynb").write_text(text)
