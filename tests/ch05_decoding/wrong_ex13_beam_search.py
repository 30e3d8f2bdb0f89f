import torch

from kata.wrong import wrong


def search(
    log_prob_fn,
    start,
    beams,
    max_new_tokens,
    eos_id=None,
    length_penalty=1.0,
    *,
    checks=True,
    copies=1,
    width=2,
    is_possible=lambda total: total > float("-inf"),
    runs_on=lambda ids, eos_id: ids[-1] != eos_id,
    score=lambda total, new, length_penalty, _: total / len(new) ** length_penalty,
    key=lambda found, _: -found[1],
    stops=lambda full, hopeful, worst: full and hopeful <= worst,
    all_finish=False,
    cut_finishes=True,
):
    """The right answer, with a hook at each place where learners go wrong."""
    if checks and (not start or beams < 1 or max_new_tokens < 1):
        raise ValueError("bad argument")
    running, finished = [(0.0, list(start))] * copies, []
    for length in range(1, max_new_tokens + 1):
        log_probs = log_prob_fn(torch.tensor([ids for _, ids in running]))
        totals = log_probs + log_probs.new_tensor([total for total, _ in running])[:, None]
        best = totals.flatten().topk(min(width * beams, totals.numel()))
        results = [
            (total, [*running[i // totals.shape[1]][1], i % totals.shape[1]])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            if is_possible(total)
        ]
        for total, ids in results if all_finish and length < max_new_tokens else results[:beams]:
            if ids[-1] == eos_id or (length == max_new_tokens and cut_finishes):
                new = ids[len(start) :]
                finished.append((new, score(total, new, length_penalty, eos_id)))
        finished = sorted(finished, key=lambda found: key(found, length_penalty))[:beams]
        running = [(total, ids) for total, ids in results if runs_on(ids, eos_id)][:beams]
        if not running:
            break
        new = running[0][1][len(start) :]
        hopeful = score(running[0][0], new, length_penalty, eos_id)
        if stops(len(finished) == beams, hopeful, finished[-1][1] if finished else None):
            break
    return finished


@wrong(
    caught_by=[
        "best_text_begins_with_a_less_likely_token",
        "score_counts_every_new_token",
        "finished_text_is_not_extended",
        "others_move_up_when_a_beam_ends",
        "goes_on_while_a_better_one_can_follow",
        "is_over_when_nothing_better_runs",
        "fewer_results_than_beams",
        "equals_exhaustive_search",
        "rows_extend_those_of_the_call_before",
        "agrees_with_transformers",
    ]
)
def beam_search__is_greedy(
    log_prob_fn, start, beams, max_new_tokens, eos_id=None, length_penalty=1.0
):
    """Only the likeliest token was followed at each step. Several beginnings have to run side by
    side: the best text may begin with a less likely token."""
    return search(log_prob_fn, start, min(beams, 1), max_new_tokens, eos_id, length_penalty)


@wrong(
    caught_by=[
        "score_counts_every_new_token",
        "finished_text_is_not_extended",
        "others_move_up_when_a_beam_ends",
        "goes_on_while_a_better_one_can_follow",
        "is_over_when_nothing_better_runs",
        "fewer_results_than_beams",
        "equals_exhaustive_search",
        "agrees_with_transformers",
    ]
)
def beam_search__extends_finished_beams(*args, **kwargs):
    """A beam that ended in EOS ran on. It is finished: keep it apart, and append nothing to it."""
    return search(*args, **kwargs, runs_on=lambda ids, eos_id: True)


@wrong(
    caught_by=[
        "best_text_begins_with_a_less_likely_token",
        "score_counts_every_new_token",
        "finished_text_is_not_extended",
        "others_move_up_when_a_beam_ends",
        "goes_on_while_a_better_one_can_follow",
        "fewer_results_than_beams",
        "equals_exhaustive_search",
        "agrees_with_transformers",
    ]
)
def beam_search__multiplies_by_the_length(*args, **kwargs):
    """log P was multiplied by the length to the power of the penalty. It is divided: log P is
    negative, so that this is what brings a long text closer to 0."""
    return search(*args, **kwargs, score=lambda total, new, penalty, _: total * len(new) ** penalty)


@wrong(
    caught_by=[
        "score_counts_every_new_token",
        "finished_text_is_not_extended",
        "others_move_up_when_a_beam_ends",
        "goes_on_while_a_better_one_can_follow",
        "equals_exhaustive_search",
        "agrees_with_transformers",
    ]
)
def beam_search__compares_unequal_lengths(*args, **kwargs):
    """Finished continuations were ranked by log P, which is smaller the longer a text is. Divide
    by the length first, and keep the best of these scores."""
    return search(*args, **kwargs, key=lambda found, penalty: -found[1] * len(found[0]) ** penalty)


@wrong(
    caught_by=[
        "score_counts_every_new_token",
        "others_move_up_when_a_beam_ends",
        "fewer_results_than_beams",
        "equals_exhaustive_search",
        "agrees_with_transformers",
    ]
)
def beam_search__leaves_eos_out_of_the_length(*args, **kwargs):
    """The EOS was not counted in the length. It is a new token like the others: it has its
    log-probability, and it counts."""

    def score(total, new, penalty, eos_id):
        return total / max(1, len(new) - (new[-1] == eos_id)) ** penalty

    return search(*args, **kwargs, score=score)


@wrong(
    caught_by=[
        "best_text_begins_with_a_less_likely_token",
        "score_counts_every_new_token",
        "finished_text_is_not_extended",
        "others_move_up_when_a_beam_ends",
        "equals_exhaustive_search",
        "agrees_with_transformers",
    ]
)
def beam_search__counts_the_prompt(log_prob_fn, start, *args, **kwargs):
    """The length included the prompt. Only new tokens count, as in the sum of log-probabilities."""

    def score(total, new, penalty, _):
        return total / (len(start) + len(new)) ** penalty

    return search(log_prob_fn, start, *args, **kwargs, score=score)


@wrong(
    caught_by=[
        "score_counts_every_new_token",
        "others_move_up_when_a_beam_ends",
        "equals_exhaustive_search",
        "agrees_with_transformers",
    ]
)
def beam_search__ignores_the_length_penalty(
    log_prob_fn, start, beams, max_new_tokens, eos_id=None, length_penalty=1.0
):
    """The score did not depend on `length_penalty`: the length is raised to this power, and 0
    leaves log P as it is."""
    return search(log_prob_fn, start, beams, max_new_tokens, eos_id, 1.0)


@wrong(
    caught_by=[
        "others_move_up_when_a_beam_ends",
        "is_over_when_nothing_better_runs",
        "agrees_with_transformers",
    ]
)
def beam_search__loses_a_beam_to_each_eos(*args, **kwargs):
    """Only the best `beams` results were looked at, so that each one that ended left one beam fewer
    to run on. The best of the others move up."""
    return search(*args, **kwargs, width=1)


@wrong(caught_by=["finishes_among_the_best_only", "agrees_with_transformers"])
def beam_search__finishes_at_any_rank(*args, **kwargs):
    """A result that ends in EOS was finished although it is not among the best `beams` results of
    its step."""
    return search(*args, **kwargs, all_finish=True)


@wrong(caught_by=["goes_on_while_a_better_one_can_follow", "agrees_with_transformers"])
def beam_search__stops_when_enough_are_finished(*args, **kwargs):
    """The search was over as soon as `beams` continuations were finished. A running beam that
    scores more than the worst of them can still end up among the best."""
    return search(*args, **kwargs, stops=lambda full, hopeful, worst: full)


@wrong(caught_by=["is_over_when_nothing_better_runs", "agrees_with_transformers"])
def beam_search__never_stops_early(*args, **kwargs):
    """The search went on to the last step, although `beams` continuations were finished and nothing
    that was running scored more than the worst of them."""
    return search(*args, **kwargs, stops=lambda full, hopeful, worst: False)


@wrong(
    caught_by=[
        "best_text_begins_with_a_less_likely_token",
        "score_counts_every_new_token",
        "finished_text_is_not_extended",
        "others_move_up_when_a_beam_ends",
        "goes_on_while_a_better_one_can_follow",
        "is_over_when_nothing_better_runs",
        "fewer_results_than_beams",
        "equals_exhaustive_search",
        "rows_extend_those_of_the_call_before",
        "agrees_with_transformers",
    ]
)
def beam_search__starts_with_copies(log_prob_fn, start, beams, *args, **kwargs):
    """The search began with several copies of `start`. They have the same continuations, so that
    all beams stay equal: begin with one."""
    return search(log_prob_fn, start, beams, *args, **kwargs, copies=beams)


@wrong(caught_by=["score_counts_every_new_token", "fewer_results_than_beams"])
def beam_search__keeps_what_is_impossible(*args, **kwargs):
    """A result with log P = -inf was kept. Where there are fewer possible results than beams, there
    are fewer beams."""
    return search(*args, **kwargs, is_possible=lambda total: True)


@wrong(
    caught_by=[
        "best_text_begins_with_a_less_likely_token",
        "score_counts_every_new_token",
        "finished_text_is_not_extended",
        "finishes_among_the_best_only",
        "others_move_up_when_a_beam_ends",
        "goes_on_while_a_better_one_can_follow",
        "fewer_results_than_beams",
        "equals_exhaustive_search",
        "agrees_with_transformers",
    ]
)
def beam_search__drops_what_has_no_eos(*args, **kwargs):
    """Only continuations that end in EOS were returned. At the last step the best `beams` results
    count as well, whatever they end in."""
    return search(*args, **kwargs, cut_finishes=False)


@wrong(
    caught_by=[
        "best_text_begins_with_a_less_likely_token",
        "finished_text_is_not_extended",
        "finishes_among_the_best_only",
        "others_move_up_when_a_beam_ends",
        "goes_on_while_a_better_one_can_follow",
        "fewer_results_than_beams",
        "equals_exhaustive_search",
        "agrees_with_transformers",
    ]
)
def beam_search__returns_the_prompt(log_prob_fn, start, *args, **kwargs):
    """The ids that were returned include `start`. Cut it off: only what is new is asked for."""
    found = search(log_prob_fn, start, *args, **kwargs)
    return [([*start, *new], score) for new, score in found]


@wrong(caught_by=["bad_arguments_raise"])
def beam_search__does_not_check(*args, **kwargs):
    """An empty `start`, and fewer than one beam or token, have to raise a ValueError: they would
    give an empty result, or an error that does not say why."""
    return search(*args, **kwargs, checks=False)


@wrong(caught_by=["prompt_is_not_modified"])
def beam_search__appends_to_the_prompt(log_prob_fn, start, *args, **kwargs):
    """The list `start` was changed. The caller still needs it: build new lists."""
    found = search(log_prob_fn, start, *args, **kwargs)
    start += found[0][0]
    return found


@wrong(
    caught_by=[
        "best_text_begins_with_a_less_likely_token",
        "score_counts_every_new_token",
        "equals_exhaustive_search",
        "agrees_with_transformers",
    ]
)
def beam_search__returns_probabilities(log_prob_fn, *args, **kwargs):
    """The scores went through `exp`. A score is a sum of logarithms, over a power of the length."""
    return [(new, 2.718281828**score) for new, score in search(log_prob_fn, *args, **kwargs)]
