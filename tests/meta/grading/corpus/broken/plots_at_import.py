"""
exercise: 2.4
tries: a plot with plt.show() at the top level, and files beside the answer
points: honest
"""

import matplotlib.pyplot as plt
import torch

plt.plot([1, 2, 3])
plt.savefig("kata_left_plot.png")
plt.show()


def log_softmax(x, dim):
    shifted = x - x.amax(dim, keepdim=True)
    return shifted - torch.log(shifted.exp().sum(dim, keepdim=True))
