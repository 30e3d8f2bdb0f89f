"""
exercise: 2.3
tries: to return its argument and to change both from a thread, after the answer was given
at_most: 0.2
"""

import threading
import time

import torch


def later(x):
    for _ in range(100):
        time.sleep(0.01)
        with torch.no_grad():
            x.detach().fill_(0.25)


def softmax(x, dim):
    threading.Thread(target=later, args=(x,), daemon=True).start()
    return x
