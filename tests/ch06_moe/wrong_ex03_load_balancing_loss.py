import torch
import torch.nn.functional as F

from kata.wrong import wrong


def fractions(probs, idx, n_experts):
    """What the mistakes below have in common with a right answer."""
    counts = F.one_hot(idx, n_experts).sum((0, 1))
    return (counts / max(idx.numel(), 1)).to(probs.dtype)


def mean_probs(probs):
    """The other half of it."""
    return probs.sum(0) / max(len(probs), 1)


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "equal_fractions_cost_one",
        "k_times_it_is_the_loss_of_transformers",
        "agrees_with_the_reference",
        "gradient_goes_to_the_probabilities_only",
    ]
)
def load_balancing_loss__multiplies_the_probabilities(probs, idx, n_experts):
    """The mean probabilities were multiplied with themselves. One of the two factors is the
    fraction of the assignments in `idx`."""
    return n_experts * (mean_probs(probs) ** 2).sum()


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "k_times_it_is_the_loss_of_transformers",
        "agrees_with_the_reference",
    ],
    crashes=["gradient_goes_to_the_probabilities_only"],
)
def load_balancing_loss__multiplies_the_fractions(probs, idx, n_experts):
    """The fractions were multiplied with themselves: without the probabilities there is no
    gradient."""
    return n_experts * (fractions(probs, idx, n_experts) ** 2).sum()


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "equal_fractions_cost_one",
        "k_times_it_is_the_loss_of_transformers",
        "agrees_with_the_reference",
        "gradient_goes_to_the_probabilities_only",
    ]
)
def load_balancing_loss__counts_per_token(probs, idx, n_experts):
    """The assignments were divided by the number of tokens. Divide them by the number of all
    assignments, tokens * k, so that the fractions sum to 1."""
    counts = F.one_hot(idx, n_experts).sum((0, 1)) / max(len(idx), 1)
    return n_experts * (counts.to(probs.dtype) * mean_probs(probs)).sum()


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "equal_fractions_cost_one",
        "k_times_it_is_the_loss_of_transformers",
        "agrees_with_the_reference",
        "gradient_goes_to_the_probabilities_only",
    ]
)
def load_balancing_loss__counts_the_first_choices_only(probs, idx, n_experts):
    """Only the first choices were counted. All `k` columns of `idx` are assignments."""
    return n_experts * (fractions(probs, idx[:, :1], n_experts) * mean_probs(probs)).sum()


@wrong(
    caught_by=[
        "equal_fractions_cost_one",
        "agrees_with_the_reference",
        "gradient_goes_to_the_probabilities_only",
    ]
)
def load_balancing_loss__counts_the_most_likely_experts(probs, idx, n_experts):
    """The most likely experts were counted, whatever `idx` says. The fractions are those of the
    assignments in `idx`."""
    own = probs.topk(idx.shape[1], dim=-1).indices
    return n_experts * (fractions(probs, own, n_experts) * mean_probs(probs)).sum()


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "equal_fractions_cost_one",
        "k_times_it_is_the_loss_of_transformers",
        "agrees_with_the_reference",
        "gradient_goes_to_the_probabilities_only",
    ]
)
def load_balancing_loss__counts_probabilities(probs, idx, n_experts):
    """The probabilities of the chosen experts were added up instead of counting assignments: each
    assignment counts as one."""
    mass = torch.zeros_like(probs).scatter(-1, idx, probs.gather(-1, idx)).sum(0)
    return n_experts * (mass / max(idx.numel(), 1) * mean_probs(probs)).sum()


@wrong(caught_by=["gradient_goes_to_the_probabilities_only"])
def load_balancing_loss__lets_the_counts_have_a_gradient(probs, idx, n_experts):
    """The value is right, but a gradient goes through the fractions too. They are constants: only
    the mean probabilities have one."""
    mean = mean_probs(probs)
    fraction = fractions(probs, idx, n_experts) + mean - mean.detach()
    return n_experts * (fraction * mean).sum()


@wrong(crashes=["gradient_goes_to_the_probabilities_only"])
def load_balancing_loss__cuts_the_probabilities_from_the_graph(probs, idx, n_experts):
    """The probabilities were detached (`.detach()`, `no_grad`, `.item()`): the router gets no
    gradient. Only the counts have none."""
    return n_experts * (fractions(probs, idx, n_experts) * mean_probs(probs.detach())).sum()


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "equal_fractions_cost_one",
        "collapse_costs_the_number_of_experts",
        "k_times_it_is_the_loss_of_transformers",
        "agrees_with_the_reference",
        "gradient_goes_to_the_probabilities_only",
    ]
)
def load_balancing_loss__forgets_the_number_of_experts(probs, idx, n_experts):
    """The factor `n_experts` is missing (a mean over the experts times `n_experts` is only a sum).
    It makes the loss 1 when the load is balanced, however many experts there are."""
    return (fractions(probs, idx, n_experts) * mean_probs(probs)).sum()


@wrong(
    crashes=[
        "two_tokens_by_hand",
        "equal_fractions_cost_one",
        "collapse_costs_the_number_of_experts",
        "k_times_it_is_the_loss_of_transformers",
        "agrees_with_the_reference",
        "gradient_goes_to_the_probabilities_only",
        "no_tokens_cost_nothing",
    ]
)
def load_balancing_loss__averages_the_wrong_axis(probs, idx, n_experts):
    """The mean of `probs` was taken over the experts, axis 1. Each expert needs its mean over the
    tokens, axis 0."""
    return n_experts * (fractions(probs, idx, n_experts) * probs.mean(1)).sum()


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "equal_fractions_cost_one",
        "k_times_it_is_the_loss_of_transformers",
        "agrees_with_the_reference",
        "gradient_goes_to_the_probabilities_only",
    ]
)
def load_balancing_loss__multiplies_token_by_token(probs, idx, n_experts):
    """Each token's probabilities were multiplied with its own choices. Both are averaged over the
    tokens first, and only then multiplied."""
    chosen = F.one_hot(idx, n_experts).sum(1).to(probs.dtype) / idx.shape[1]
    return n_experts * (chosen * probs).sum() / max(len(probs), 1)


@wrong(crashes=["agrees_with_the_reference", "no_tokens_cost_nothing"])
def load_balancing_loss__forgets_idle_experts(probs, idx, n_experts):
    """The counts have no entry for an expert that nobody chose (`unique`, `Counter`, `bincount`
    without `minlength`), so that they do not line up with the probabilities."""
    counts = idx.unique(return_counts=True)[1]
    fraction = (counts / max(idx.numel(), 1)).to(probs.dtype)
    return n_experts * (fraction * mean_probs(probs)).sum()


@wrong(caught_by=["no_tokens_cost_nothing"])
def load_balancing_loss__divides_by_zero_tokens(probs, idx, n_experts):
    """Without tokens, 0 / 0 is NaN, as the mean of nothing is; and a loss of NaN spoils every
    parameter. It is 0 then."""
    fraction = F.one_hot(idx, n_experts).to(probs.dtype).mean((0, 1))
    return n_experts * (fraction * probs.mean(0)).sum()


@wrong(caught_by=["agrees_with_the_reference"])
def load_balancing_loss__computes_in_float32(probs, idx, n_experts):
    """The result is in float32, whatever `probs` is."""
    probs = probs.float()
    return n_experts * (fractions(probs, idx, n_experts) * mean_probs(probs)).sum()
