"""
exercise: 1.5
tries: async def where def is asked for
at_most: 0.1
"""


async def merge_pair(ids, pair, new_id):
    return [new_id]
