"""
exercise: 1.5
tries: a class where a function is asked for
points: 0
"""


class merge_pair:
    def __init__(self, ids, pair, new_id):
        self.ids = ids

    def merge(self):
        return self.ids
