from math import ceil

from kata.wrong import wrong
from solutions.ch09_scaling.ex06_model_cost import (
    GB,
    memory_bytes,
    price_per_million,
    rank_models,
    seconds_per_token,
    verdict,
)


def weights(model):
    """The right bytes of the weights."""
    return model.n_params * model.bytes_per_weight


def cache(model, load):
    """The right bytes of the cache."""
    return memory_bytes(model, load) - weights(model)


def per_day(model, hardware, load):
    """The right number of tokens that a machine writes in a day."""
    return 24 * 3600 * load.batch / seconds_per_token(model, hardware, load)


# ------------------------------------------------------------------------------------------ memory


@wrong(
    caught_by=[
        "memory_of_a_tiny_model_by_hand",
        "memory_of_real_models",
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def memory_bytes__forgets_the_cache(model, load):
    """Only the weights were counted. The keys and values of every token of every sequence are in
    memory, too."""
    return weights(model)


@wrong(
    caught_by=[
        "memory_of_a_tiny_model_by_hand",
        "memory_of_real_models",
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "every_limit_has_its_reason",
        "agrees_with_the_reference",
    ]
)
def memory_bytes__caches_keys_only(model, load):
    """Only one of keys and values was counted: each token has both."""
    return weights(model) + cache(model, load) // 2


@wrong(
    caught_by=[
        "memory_of_a_tiny_model_by_hand",
        "memory_of_real_models",
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "equal_losses_are_ranked_by_price",
    ]
)
def memory_bytes__caches_every_query_head(model, load):
    """The cache has a head per query head, or hidden_size numbers per token. It has
    num_key_value_heads of them, which several query heads share (3.7)."""
    share = model.num_attention_heads // model.num_key_value_heads
    return weights(model) + share * cache(model, load)


@wrong(
    caught_by=[
        "memory_of_a_tiny_model_by_hand",
        "memory_of_real_models",
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def memory_bytes__caches_one_layer(model, load):
    """The cache of one layer was counted. Every layer has its own keys and values."""
    return weights(model) + cache(model, load) // model.num_hidden_layers


@wrong(
    caught_by=[
        "memory_of_a_tiny_model_by_hand",
        "memory_of_real_models",
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def memory_bytes__caches_one_sequence(model, load):
    """The cache of one sequence was counted. The weights are shared by the batch, the cache is
    not."""
    return weights(model) + cache(model, load) // load.batch


@wrong(
    caught_by=["memory_of_real_models", "every_limit_has_its_reason", "agrees_with_the_reference"]
)
def memory_bytes__quantises_the_cache(model, load):
    """The cache was counted with the bytes of a weight. It stays in 16 bits when the weights are
    quantised."""
    return weights(model) + cache(model, load) // 2 * model.bytes_per_weight


@wrong(
    caught_by=[
        "memory_of_real_models",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "equal_losses_are_ranked_by_price",
        "agrees_with_the_reference",
    ]
)
def memory_bytes__ignores_bytes_per_weight(model, load):
    """Every weight was counted with as many bytes, whatever `bytes_per_weight` says."""
    return 2 * model.n_params + cache(model, load)


@wrong(
    caught_by=[
        "memory_of_a_tiny_model_by_hand",
        "memory_of_real_models",
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "equal_losses_are_ranked_by_price",
        "agrees_with_the_reference",
    ]
)
def memory_bytes__takes_float32(model, load):
    """The weights were counted with 4 bytes each. They are stored with `bytes_per_weight`."""
    return 4 * model.n_params + cache(model, load)


@wrong(
    caught_by=[
        "memory_of_a_tiny_model_by_hand",
        "memory_of_real_models",
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def memory_bytes__copies_the_weights(model, load):
    """The weights were counted once for each sequence. All sequences of a batch share them."""
    return load.batch * weights(model) + cache(model, load)


@wrong(
    caught_by=[
        "memory_of_a_tiny_model_by_hand",
        "memory_of_real_models",
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "equal_losses_are_ranked_by_price",
        "agrees_with_the_reference",
    ]
)
def memory_bytes__counts_gibibytes(model, load):
    """The result is in GB or GiB. The function is to return bytes."""
    return memory_bytes(model, load) / 2**30


# -------------------------------------------------------------------------------------------- time


@wrong(caught_by=["the_slower_decides_the_time_of_a_step", "every_limit_has_its_reason"])
def seconds_per_token__adds_the_two(model, hardware, load):
    """The times of reading and computing were added. The machine does both at once: the longer one
    decides."""
    computing = 2 * model.n_params * load.batch / hardware.flops_per_second
    return memory_bytes(model, load) / hardware.bytes_per_second + computing


@wrong(caught_by=["the_slower_decides_the_time_of_a_step"])
def seconds_per_token__only_reads(model, hardware, load):
    """The time of the arithmetic is missing. With a large batch, that is what takes longest."""
    return memory_bytes(model, load) / hardware.bytes_per_second


@wrong(
    caught_by=[
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "equal_losses_are_ranked_by_price",
        "agrees_with_the_reference",
    ]
)
def seconds_per_token__only_computes(model, hardware, load):
    """The time of reading the memory is missing. With a small batch, that is what takes longest:
    every weight is read for a few multiplications."""
    return 2 * model.n_params * load.batch / hardware.flops_per_second


@wrong(
    caught_by=[
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "equal_losses_are_ranked_by_price",
        "agrees_with_the_reference",
    ]
)
def seconds_per_token__takes_the_faster(model, hardware, load):
    """The shorter of the two times was taken. A step is done when both are done."""
    computing = 2 * model.n_params * load.batch / hardware.flops_per_second
    return min(memory_bytes(model, load) / hardware.bytes_per_second, computing)


@wrong(
    caught_by=[
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def seconds_per_token__reads_weights_only(model, hardware, load):
    """The cache was not read. Attention needs all keys and values of the sequence for every new
    token."""
    computing = 2 * model.n_params * load.batch / hardware.flops_per_second
    return max(weights(model) / hardware.bytes_per_second, computing)


@wrong(caught_by=["the_slower_decides_the_time_of_a_step"])
def seconds_per_token__computes_for_one_sequence(model, hardware, load):
    """The arithmetic of one sequence was counted. Reading is shared by the batch, computing is
    not."""
    reading = memory_bytes(model, load) / hardware.bytes_per_second
    return max(reading, 2 * model.n_params / hardware.flops_per_second)


@wrong(caught_by=["the_slower_decides_the_time_of_a_step"])
def seconds_per_token__takes_multiply_add_for_one(model, hardware, load):
    """One FLOP per parameter was counted. Each is multiplied, and the product is added: two."""
    reading = memory_bytes(model, load) / hardware.bytes_per_second
    return max(reading, model.n_params * load.batch / hardware.flops_per_second)


@wrong(
    caught_by=[
        "the_slower_decides_the_time_of_a_step",
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "equal_losses_are_ranked_by_price",
        "agrees_with_the_reference",
    ]
)
def seconds_per_token__divides_by_the_batch(model, hardware, load):
    """The time was divided by the batch. Each of its sequences waits for the whole step to get one
    token."""
    return seconds_per_token(model, hardware, load) / load.batch


# ------------------------------------------------------------------------------------------- price


@wrong(
    caught_by=[
        "whole_machines_are_paid",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def price_per_million__rents_parts_of_machines(model, hardware, load):
    """A part of a machine was paid. There are whole ones only: round up."""
    machines = load.tokens_per_day / per_day(model, hardware, load)
    return machines * 24 * hardware.price_per_hour / load.tokens_per_day * 1e6


@wrong(
    caught_by=[
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "equal_losses_are_ranked_by_price",
        "agrees_with_the_reference",
    ]
)
def price_per_million__rents_one_machine(model, hardware, load):
    """One machine was paid, however many tokens are written. How many can it write in a day?"""
    return 24 * hardware.price_per_hour / load.tokens_per_day * 1e6


@wrong(
    caught_by=[
        "whole_machines_are_paid",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "equal_losses_are_ranked_by_price",
        "agrees_with_the_reference",
    ]
)
def price_per_million__rounds_down(model, hardware, load):
    """The number of machines was rounded down or to the nearest. With a machine too few, a part of
    the tokens is not written: round up."""
    machines = max(1, int(load.tokens_per_day / per_day(model, hardware, load)))
    return machines * 24 * hardware.price_per_hour / load.tokens_per_day * 1e6


@wrong(
    caught_by=[
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def price_per_million__always_adds_a_machine(model, hardware, load):
    """One machine too many was rented: what is left over is covered by rounding up."""
    machines = 1 + ceil(load.tokens_per_day / per_day(model, hardware, load))
    return machines * 24 * hardware.price_per_hour / load.tokens_per_day * 1e6


@wrong(
    caught_by=[
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def price_per_million__forgets_the_batch(model, hardware, load):
    """A step was counted as one token. It writes one for each sequence of the batch."""
    machines = ceil(load.tokens_per_day * load.batch / per_day(model, hardware, load))
    return machines * 24 * hardware.price_per_hour / load.tokens_per_day * 1e6


@wrong(
    caught_by=[
        "whole_machines_are_paid",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def price_per_million__pays_an_hour_a_day(model, hardware, load):
    """The price of an hour was taken for that of a day: it has 24."""
    return price_per_million(model, hardware, load) / 24


@wrong(
    caught_by=[
        "whole_machines_are_paid",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def price_per_million__is_per_token(model, hardware, load):
    """The price is that of a single token, or of another number of them than a million."""
    return price_per_million(model, hardware, load) / 1e6


@wrong(
    caught_by=[
        "whole_machines_are_paid",
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "a_choice_says_its_loss_and_price",
        "agrees_with_the_reference",
    ]
)
def price_per_million__is_per_day(model, hardware, load):
    """The price is that of a day. Divide it by the millions of tokens that are written in it."""
    return price_per_million(model, hardware, load) * load.tokens_per_day / 1e6


# ----------------------------------------------------------------------------------------- ranking


@wrong(caught_by=["the_best_of_the_suitable_comes_first", "agrees_with_the_reference"])
def rank_models__mixes_suitable_and_others(models, hardware, load):
    """The ranking goes by the loss alone, and a model that cannot be used stands before one that
    can."""
    return sorted(rank_models(models, hardware, load), key=lambda c: (c["loss"], c["price"]))


@wrong(caught_by=["the_best_of_the_suitable_comes_first", "agrees_with_the_reference"])
def rank_models__puts_the_highest_loss_first(models, hardware, load):
    """The highest loss comes first. A lower loss is better."""
    ranking = rank_models(models, hardware, load)
    return sorted(ranking, key=lambda c: (not c["suitable"], -c["loss"], c["price"]))


@wrong(caught_by=["the_best_of_the_suitable_comes_first", "agrees_with_the_reference"])
def rank_models__goes_by_the_price(models, hardware, load):
    """The cheapest comes first. What keeps the limits is cheap enough: the loss decides, and the
    price only between equal ones."""
    ranking = rank_models(models, hardware, load)
    return sorted(ranking, key=lambda c: (not c["suitable"], c["price"], c["loss"]))


@wrong(
    caught_by=[
        "the_best_of_the_suitable_comes_first",
        "complete_ties_keep_their_order",
        "agrees_with_the_reference",
    ],
    crashes=["every_limit_has_its_reason", "a_choice_says_its_loss_and_price"],
)
def rank_models__drops_the_others(models, hardware, load):
    """Models that are not suitable are missing. They come last, with the reasons."""
    return [choice for choice in rank_models(models, hardware, load) if choice["suitable"]]


@wrong(caught_by=["the_best_of_the_suitable_comes_first", "equal_losses_are_ranked_by_price"])
def rank_models__ignores_the_price_of_ties(models, hardware, load):
    """Models with equal losses were not ranked by their prices."""
    place = {model.name: i for i, model in enumerate(models)}
    ranking = rank_models(models, hardware, load)
    return sorted(ranking, key=lambda c: (not c["suitable"], c["loss"], place[c["name"]]))


@wrong(caught_by=["complete_ties_keep_their_order"])
def rank_models__breaks_ties_by_name(models, hardware, load):
    """Where losses and prices are equal, the names were compared. The order of `models` stays:
    `sorted` keeps it if the key has nothing else in it."""
    ranking = rank_models(models, hardware, load)
    return sorted(ranking, key=lambda c: (not c["suitable"], c["loss"], c["price"], c["name"]))


@wrong(
    caught_by=[
        "the_best_of_the_suitable_comes_first",
        "every_limit_has_its_reason",
        "agrees_with_the_reference",
    ]
)
def rank_models__looks_at_the_memory_only(models, hardware, load):
    """A model was called suitable because it fits into the memory. It has to keep the limits of
    time and price as well."""
    ranking = rank_models(models, hardware, load)
    for choice in ranking:
        choice["suitable"] = choice["reasons"][0].startswith("ok")
    return sorted(ranking, key=lambda c: (not c["suitable"], c["loss"], c["price"]))


@wrong(caught_by=["every_limit_has_its_reason"])
def rank_models__ignores_the_memory(models, hardware, load):
    """A model was called suitable although it does not fit into the memory."""
    ranking = rank_models(models, hardware, load)
    for choice in ranking:
        choice["suitable"] = all(reason.startswith("ok") for reason in choice["reasons"][1:])
    return sorted(ranking, key=lambda c: (not c["suitable"], c["loss"], c["price"]))


@wrong(caught_by=["every_limit_has_its_reason"])
def rank_models__stops_at_the_first_no(models, hardware, load):
    """The reasons end with the first "no". A reader wants to know how far off the rest is."""
    ranking = rank_models(models, hardware, load)
    for choice in ranking:
        bad = [i for i, reason in enumerate(choice["reasons"]) if reason.startswith("no")]
        choice["reasons"] = choice["reasons"][: bad[0] + 1] if bad else choice["reasons"]
    return ranking


@wrong(caught_by=["every_limit_has_its_reason"])
def rank_models__mixes_gb_and_gib(models, hardware, load):
    """The bytes of the model were divided by 2**30: that makes GiB, 7 % fewer than GB, and a model
    that does not fit seems to."""
    ranking = rank_models(models, hardware, load)
    by_name = {model.name: model for model in models}
    for choice in ranking:
        size = memory_bytes(by_name[choice["name"]], load) / 2**30
        choice["reasons"][0] = verdict(size, hardware.memory_bytes / GB, 1, "GB")
    return ranking


@wrong(caught_by=["every_limit_has_its_reason"])
def rank_models__counts_all_in_gib(models, hardware, load):
    """Bytes were divided by 2**30 and called GB. A GB has 10**9."""
    ranking = rank_models(models, hardware, load)
    by_name = {model.name: model for model in models}
    for choice in ranking:
        size = memory_bytes(by_name[choice["name"]], load) / 2**30
        choice["reasons"][0] = verdict(size, hardware.memory_bytes / 2**30, 1, "GB")
    return ranking


@wrong(caught_by=["every_limit_has_its_reason"])
def rank_models__shows_seconds(models, hardware, load):
    """The time is in seconds, but the line says ms: 1000 of them are a second."""
    ranking = rank_models(models, hardware, load)
    by_name = {model.name: model for model in models}
    for choice in ranking:
        seconds = seconds_per_token(by_name[choice["name"]], hardware, load)
        choice["reasons"][1] = verdict(seconds, load.max_seconds_per_token, 1, "ms per token")
    return ranking


@wrong(caught_by=["a_choice_says_its_loss_and_price", "agrees_with_the_reference"])
def rank_models__takes_the_training_tokens_of_a_day(models, hardware, load):
    """The loss was computed from the tokens of the workload. It is what the model learned from that
    counts: `training_tokens`."""
    from solutions.ch09_scaling.ex02_chinchilla import chinchilla_loss

    ranking = rank_models(models, hardware, load)
    by_name = {model.name: model for model in models}
    for choice in ranking:
        n_params = by_name[choice["name"]].n_params
        choice["loss"] = chinchilla_loss(n_params, load.tokens_per_day)
    return sorted(ranking, key=lambda c: (not c["suitable"], c["loss"], c["price"]))


@wrong(
    caught_by=[
        "the_best_of_the_suitable_comes_first",
        "equal_losses_are_ranked_by_price",
        "complete_ties_keep_their_order",
        "agrees_with_the_reference",
    ]
)
def rank_models__keeps_the_best_only(models, hardware, load):
    """Only the best choice was returned. The ranking has all models."""
    return rank_models(models, hardware, load)[:1]


@wrong(crashes=["no_models_make_an_empty_ranking"])
def rank_models__expects_a_model(models, hardware, load):
    """Without models there is no best one to take: the ranking is empty then."""
    best = min(model.n_params for model in models)
    return rank_models(models, hardware, load) if best else []


@wrong(caught_by=["models_stay_in_their_order"])
def rank_models__sorts_the_models(models, hardware, load):
    """The caller's list of models was sorted. Make a new one (`sorted`)."""
    ranking = rank_models(models, hardware, load)
    models.sort(key=lambda model: model.n_params)
    return ranking
