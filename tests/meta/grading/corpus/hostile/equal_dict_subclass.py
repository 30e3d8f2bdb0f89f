"""
exercise: 1.4
tries: a dict that is equal to every other, with items that lie
at_most: 0.1
"""


class Counts(dict):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def items(self):
        raise RuntimeError("lying items")

    def __iter__(self):
        return iter([(3, 1), (1, 2), (2, 1)])

    def __missing__(self, key):
        return 1


def get_pair_counts(ids, counts=None):
    return Counts({(8, 8): 8})
