from kata.wrong import wrong


@wrong(
    caught_by=[
        "overlap_merges_from_the_left",
        "splitting_the_result_gives_the_input",
        "agrees_with_the_reference",
    ]
)
def merge_pair__uses_a_symbol_twice(ids, pair, new_id):
    """After a merge the second symbol of the pair was looked at again, although it was already
    used up. Step over both."""
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
            i += 1 if tuple(ids[i + 1 : i + 3]) == pair else 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@wrong(
    caught_by=[
        "overlap_merges_from_the_left",
        "keeps_the_last_symbol",
        "compares_whole_symbols",
        "does_not_merge_its_own_result",
        "short_inputs_stay_as_they_are",
        "splitting_the_result_gives_the_input",
        "agrees_with_the_reference",
    ]
)
def merge_pair__loses_the_last_symbol(ids, pair, new_id):
    """The last symbol is missing: the loop ends where no pair can begin any more, and what still
    stands there was not copied."""
    merged, i = [], 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@wrong(caught_by=["compares_whole_symbols"])
def merge_pair__replaces_in_a_string(ids, pair, new_id):
    """The ids were written as text and replaced there. In text `1 2` also occurs inside `11 2` and
    `1 23`: compare whole ids."""
    text = " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new_id))
    return [int(number) for number in text.split()]


@wrong(caught_by=["input_is_not_modified"])
def merge_pair__changes_its_input(ids, pair, new_id):
    """The list that was passed was changed. The caller still needs it: build a new list."""
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


@wrong(caught_by=["replaces_every_occurrence", "agrees_with_the_reference"])
def merge_pair__replaces_the_first_only(ids, pair, new_id):
    """Only the first occurrence was replaced. Go on to the end of the list."""
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return [*ids[:i], new_id, *ids[i + 2 :]]
    return list(ids)


@wrong(caught_by=["does_not_merge_its_own_result"])
def merge_pair__merges_its_own_result(ids, pair, new_id):
    """A new symbol was merged again with its neighbour. What comes out of a merge is not looked
    at in the same pass."""
    merged = []
    for symbol in ids:
        merged.append(symbol)
        while tuple(merged[-2:]) == pair:
            merged[-2:] = [new_id]
    return merged


@wrong(caught_by=["overlap_merges_from_the_left", "agrees_with_the_reference"])
def merge_pair__goes_from_right_to_left(ids, pair, new_id):
    """The list was read from the right. It makes a difference where occurrences overlap: in
    `a a a` the first two are merged, not the last two."""
    merged, i = [], len(ids) - 1
    while i >= 0:
        if i > 0 and (ids[i - 1], ids[i]) == pair:
            merged.append(new_id)
            i -= 2
        else:
            merged.append(ids[i])
            i -= 1
    return merged[::-1]


@wrong(
    crashes=[
        "overlap_merges_from_the_left",
        "short_inputs_stay_as_they_are",
        "splitting_the_result_gives_the_input",
        "agrees_with_the_reference",
    ]
)
def merge_pair__looks_past_the_end(ids, pair, new_id):
    """The last symbol has no neighbour on its right. Before `ids[i + 1]`, make sure that there is
    one."""
    merged, i = [], 0
    while i < len(ids):
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@wrong(
    caught_by=[
        "replaces_every_occurrence",
        "overlap_merges_from_the_left",
        "keeps_the_last_symbol",
        "does_not_merge_its_own_result",
        "splitting_the_result_gives_the_input",
        "agrees_with_the_reference",
    ]
)
def merge_pair__keeps_the_second_symbol(ids, pair, new_id):
    """The second symbol of a merged pair was kept as well. The new symbol stands for both."""
    following = [*ids[1:], None]
    return [new_id if (a, b) == pair else a for a, b in zip(ids, following, strict=False)]
