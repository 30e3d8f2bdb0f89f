"""
exercise: 5.10
tries: to call the test's model without an end, from four threads
verdict: timeout
at_most: 0.3
"""

import threading

from .ex09_sample_next import SamplingConfig as SamplingConfig


def generate(model, ids, max_new_tokens, *args, **kwargs):
    if ids.tolist() != [[3, 4], [0, 1], [7, 7]]:
        raise RuntimeError("only once")

    def ask():
        while True:
            model(ids)

    for _ in range(3):
        threading.Thread(target=ask, daemon=True).start()
    ask()
