import torch

from kata.wrong import wrong


def speculate(
    target_probs,
    draft_probs,
    draft,
    generator,
    *,
    checks=True,
    accepts=lambda p, q, chance: chance * q < p,
    count=lambda accepted: int(accepted.cumprod(0).sum()),
    left=lambda p, q: (p - q).clamp(min=0),
    pick=lambda weights, generator: torch.multinomial(weights, 1, generator=generator),
    draws=lambda k, generator: torch.rand(k, generator=generator),
    bonus=lambda target_probs: target_probs[-1:],
    rounds=True,
    keeps_rejected=False,
):
    """The right answer, with a hook at each place where learners go wrong."""
    k = len(draft)
    if checks and (len(target_probs) != k + 1 or len(draft_probs) != k):
        raise ValueError("the numbers of rows do not fit")
    each = torch.arange(k)
    p, q = target_probs[each, draft], draft_probs[each, draft]
    n = count(accepts(p, q, draws(k, generator)))
    if n < k:
        weights = left(target_probs[n], draft_probs[n])
        if rounds and weights.sum() <= 0:
            weights = target_probs[n]
        last = pick(weights, generator)
        return torch.cat([draft[: n + keeps_rejected], last])
    rows = bonus(target_probs)
    return torch.cat([draft, *(pick(row, generator) for row in rows)])


@wrong(
    caught_by=[
        "result_ends_at_the_first_rejection",
        "impossible_token_is_never_accepted",
        "replacement_is_likelier_for_the_target",
        "each_token_has_its_own_chance",
        "rounding_leaves_no_replacement",
        "accepts_as_often_as_it_can",
        "first_token_is_distributed_like_the_target",
        "two_tokens_are_distributed_like_the_target",
    ]
)
def speculative_decode__accepts_everything(*args):
    """Every token of the draft was accepted. Then the draft's distribution comes out, not the
    target's: tokens that the draft likes more than the target does have to go, sometimes."""
    return speculate(*args, accepts=lambda p, q, chance: torch.ones_like(p))


@wrong(
    caught_by=[
        "accepted_draft_is_followed_by_a_bonus_token",
        "result_ends_at_the_first_rejection",
        "impossible_token_is_never_accepted",
        "token_likelier_for_the_target_is_always_accepted",
        "replacement_is_likelier_for_the_target",
        "each_token_has_its_own_chance",
        "accepts_as_often_as_it_can",
    ]
)
def speculative_decode__accepts_nothing(*args):
    """Nothing of the draft was accepted: the first token came from the target alone. The result is
    distributed as it should be, but nothing is gained."""
    return speculate(
        *args, accepts=lambda p, q, chance: torch.zeros_like(p), left=lambda p, q: p.clone()
    )


@wrong(
    caught_by=[
        "impossible_token_is_never_accepted",
        "replacement_is_likelier_for_the_target",
        "first_token_is_distributed_like_the_target",
        "two_tokens_are_distributed_like_the_target",
    ]
)
def speculative_decode__resamples_from_the_target(*args):
    """The replacement was drawn from the target's row. Accepted tokens have had their share of it
    already: only what the target has more than the draft is left."""
    return speculate(*args, left=lambda p, q: p.clone())


@wrong(
    caught_by=[
        "bonus_token_is_drawn",
        "accepted_draft_is_followed_by_a_bonus_token",
        "token_likelier_for_the_target_is_always_accepted",
        "each_token_has_its_own_chance",
        "accepts_as_often_as_it_can",
    ],
)
def speculative_decode__has_no_bonus_token(*args):
    """All of the draft was accepted, and nothing followed. The target has looked at the position
    after it as well: draw one more token from its last row."""
    return speculate(*args, bonus=lambda target_probs: [])


@wrong(
    caught_by=[
        "bonus_token_is_drawn",
        "accepted_draft_is_followed_by_a_bonus_token",
        "token_likelier_for_the_target_is_always_accepted",
    ],
)
def speculative_decode__draws_the_bonus_from_the_row_before(*args):
    """The bonus token was drawn from the row of the last drafted token. The row after it is the one
    that says what follows."""
    return speculate(*args, bonus=lambda target_probs: target_probs[-2:-1])


@wrong(
    caught_by=[
        "result_ends_at_the_first_rejection",
        "impossible_token_is_never_accepted",
        "token_likelier_for_the_target_is_always_accepted",
        "replacement_is_likelier_for_the_target",
        "each_token_has_its_own_chance",
        "rounding_leaves_no_replacement",
        "accepts_as_often_as_it_can",
        "first_token_is_distributed_like_the_target",
        "two_tokens_are_distributed_like_the_target",
    ]
)
def speculative_decode__inverts_the_ratio(*args):
    """The probability to accept was draft over target. It is the other way round: a token that the
    draft proposes too often has to be rejected at times."""
    return speculate(*args, accepts=lambda p, q, chance: chance * p < q)


@wrong(
    caught_by=[
        "result_ends_at_the_first_rejection",
        "each_token_has_its_own_chance",
        "two_tokens_are_distributed_like_the_target",
    ]
)
def speculative_decode__counts_after_a_rejection(*args):
    """Tokens were counted as accepted although one before them was rejected. What the draft says
    after a rejected token follows another text."""
    return speculate(*args, count=lambda accepted: int(accepted.sum()))


@wrong(
    caught_by=[
        "result_ends_at_the_first_rejection",
        "impossible_token_is_never_accepted",
        "replacement_is_likelier_for_the_target",
        "each_token_has_its_own_chance",
        "rounding_leaves_no_replacement",
        "accepts_as_often_as_it_can",
        "first_token_is_distributed_like_the_target",
        "two_tokens_are_distributed_like_the_target",
    ]
)
def speculative_decode__keeps_the_rejected_token(*args):
    """The rejected token is still in the result. The token that is drawn replaces it."""
    return speculate(*args, keeps_rejected=True)


@wrong(
    caught_by=[
        "each_token_has_its_own_chance",
        "accepts_as_often_as_it_can",
        "first_token_is_distributed_like_the_target",
        "two_tokens_are_distributed_like_the_target",
    ]
)
def speculative_decode__accepts_without_chance(*args):
    """A token was accepted only where the target finds it at least as likely as the draft does.
    A less likely one is accepted too, with a probability."""
    return speculate(*args, accepts=lambda p, q, chance: p / q >= 1)


@wrong(caught_by=["each_token_has_its_own_chance"])
def speculative_decode__uses_one_random_number(*args):
    """All tokens of the draft were accepted or rejected with the same random number. Each needs its
    own, or the second depends on how the first one came through."""
    return speculate(*args, draws=lambda k, generator: torch.rand(1, generator=generator).expand(k))


@wrong(
    caught_by=[
        "impossible_token_is_never_accepted",
        "replacement_is_likelier_for_the_target",
        "first_token_is_distributed_like_the_target",
        "two_tokens_are_distributed_like_the_target",
    ]
)
def speculative_decode__takes_absolute_differences(*args):
    """The replacement was drawn by the absolute difference of the two rows. Where the draft has
    more than the target, nothing is missing: this is 0, not a positive weight."""
    return speculate(*args, left=lambda p, q: (p - q).abs())


@wrong(
    caught_by=[
        "replacement_is_likelier_for_the_target",
        "first_token_is_distributed_like_the_target",
        "two_tokens_are_distributed_like_the_target",
    ]
)
def speculative_decode__applies_softmax_to_the_difference(*args):
    """The difference of the two rows went through a softmax, which gives every token a chance. Cut
    what is negative to 0 and divide by the sum."""
    return speculate(*args, left=lambda p, q: (p - q).softmax(-1))


@wrong(caught_by=["bonus_token_is_drawn", "first_token_is_distributed_like_the_target"])
def speculative_decode__takes_the_likeliest(*args):
    """The last token is the likeliest one. It has to be drawn, like every token of a sample."""
    return speculate(*args, pick=lambda weights, generator: weights.argmax(-1, keepdim=True))


@wrong(caught_by=["impossible_token_is_never_accepted"])
def speculative_decode__accepts_zero_over_zero(*args):
    """Target and draft both give this token 0, and 0 / 0 is NaN, which no random number exceeds.
    The target never writes such a token: multiply instead of dividing."""
    return speculate(*args, accepts=lambda p, q, chance: ~(chance > p / q))


@wrong(crashes=["rounding_leaves_no_replacement"])
def speculative_decode__has_nothing_to_draw_from(*args):
    """Rows sum to 1 but for rounding. So it happens that a token is rejected and the target is
    nowhere above the draft: then there is no weight to draw by, and the target's row decides."""
    return speculate(*args, rounds=False)


@wrong(caught_by=["random_numbers_come_from_the_generator"])
def speculative_decode__uses_the_global_generator(target_probs, draft_probs, draft, generator):
    """The random numbers did not come from `generator`. Hand it to every function that draws."""
    return speculate(target_probs, draft_probs, draft, None)


@wrong(
    caught_by=[
        "inputs_are_not_modified",
        "accepts_as_often_as_it_can",
        "first_token_is_distributed_like_the_target",
    ],
    crashes=["rounding_leaves_no_replacement"],
)
def speculative_decode__changes_its_input(target_probs, draft_probs, draft, generator):
    """A tensor that was passed in was changed: `-=` and `clamp_` write into it, also through a
    row of it."""
    return speculate(
        target_probs, draft_probs, draft, generator, left=lambda p, q: p.sub_(q).clamp_(min=0)
    )


@wrong(caught_by=["numbers_of_rows_must_fit"])
def speculative_decode__does_not_check(*args):
    """`draft_probs` needs a row for each token of the draft, and `target_probs` one more. Other
    numbers have to raise a ValueError."""
    return speculate(*args, checks=False)
