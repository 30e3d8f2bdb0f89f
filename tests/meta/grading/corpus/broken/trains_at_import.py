"""
exercise: 1.12
tries: a training run at the top level that takes an hour
verdict: timeout
points: 0
"""

for _ in range(10**12):
    pass


def pad_batch(*args, **kwargs):
    return None
