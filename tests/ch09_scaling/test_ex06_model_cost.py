import random

import pytest
import torch

from kata.check import close

# 3 blocks of attention 2*64 + 2*32, MLP 3*8*20 and norms 2*8; a norm of 8; two tables of 100*8.
TINY = (100, 8, 20, 3, 4, 2, False, 1e6)  # 3672 parameters
SIZES = {
    "Llama 2 7B": (32_000, 4_096, 11_008, 32, 32, 32, False, 2e12),
    "Llama 3.1 8B": (128_256, 4_096, 14_336, 32, 32, 8, False, 15e12),
    "Llama 3.1 8B int8": (128_256, 4_096, 14_336, 32, 32, 8, False, 15e12, 1),
    "Llama 3.1 70B": (128_256, 8_192, 28_672, 80, 64, 8, False, 15e12),
    "Llama 3.1 70B int4": (128_256, 8_192, 28_672, 80, 64, 8, False, 15e12, 0.5),
    "SmolLM2 135M": (49_152, 576, 1_536, 30, 9, 3, True, 2e12),
}


def models(answer, names):
    return [answer.ModelSpec(name, *SIZES[name]) for name in names]


def tiny(answer, *bytes_per_weight, name="tiny"):
    return answer.ModelSpec(name, *TINY, *bytes_per_weight)


def load(answer, batch=5, context=10, *, tokens=1e6, seconds=1.0, price=1.0):
    return answer.Workload(tokens, batch, context, seconds, price)


def machine(answer, gigabytes=80, reads=3.35e12, computes=989e12, price=3.0):
    return answer.Hardware("a machine", gigabytes * 10**9, reads, computes, price)


def ranked(answer, names, hardware, work):
    return answer.rank_models(models(answer, names), hardware, work)


def number(value):
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize(
    ("batch", "context", "size"), [(1, 0, 7344), (1, 10, 7344 + 480), (5, 10, 7344 + 2400)]
)
def test_memory_of_a_tiny_model_by_hand(answer, batch, context, size):
    # A token has a key and a value, in 3 layers, for 2 heads of 2 numbers with 2 bytes: 48 bytes.
    assert answer.memory_bytes(tiny(answer), load(answer, batch, context)) == size


@pytest.mark.parametrize(
    ("name", "batch", "context", "size"),
    [
        ("Llama 2 7B", 1, 4096, 13_476_831_232 + 2_147_483_648),
        ("Llama 3.1 8B", 1, 4096, 16_060_522_496 + 536_870_912),
        ("Llama 3.1 8B int8", 16, 8192, 8_030_261_248 + 17_179_869_184),
        ("Llama 3.1 70B int4", 3, 1000, 35_276_853_248 + 983_040_000),
        ("SmolLM2 135M", 64, 2048, 269_030_016 + 3_019_898_880),
    ],
)
def test_memory_of_real_models(answer, name, batch, context, size):
    (model,) = models(answer, [name])
    assert answer.memory_bytes(model, load(answer, batch, context)) == size


@pytest.mark.parametrize(
    ("reads", "computes", "seconds"),
    [(974_400, 36_720_000, 0.01), (97_440_000, 367_200, 0.1), (9_744, 36_720, 1.0)],
    ids=["reading is slower", "computing is slower", "both take as long"],
)
def test_the_slower_decides_the_time_of_a_step(answer, reads, computes, seconds):
    # It reads 9744 bytes, and computes 2 * 3672 FLOPs for each of 5 sequences.
    hardware = machine(answer, reads=reads, computes=computes)
    actual = answer.seconds_per_token(tiny(answer), hardware, load(answer))
    close(number(actual), number(seconds))


@pytest.mark.parametrize(
    ("tokens", "price"),
    [(1e6, 48.0), (4e7, 1.2), (1e8, 1.44), (1.35e8, 192 / 135)],
    ids=["a machine waits", "a machine works", "3 machines", "4 machines"],
)
def test_whole_machines_are_paid(answer, tokens, price):
    # 5 tokens in 0.01 s are 43.2 million in a day. A machine costs 48 a day.
    hardware = machine(answer, reads=974_400, price=2.0)
    actual = answer.price_per_million(tiny(answer), hardware, load(answer, tokens=tokens))
    close(number(actual), number(price))


def test_the_best_of_the_suitable_comes_first(answer):
    work = load(answer, 4, 2048, tokens=1e7, seconds=0.05, price=2.0)
    ranking = ranked(answer, SIZES, machine(answer, 24, 300e9, 121e12, 0.8), work)
    # The losses are 1.857 for 70B, 1.948 for 8B, 2.023 for 7B and 2.538 for 135M.
    assert [(choice["name"], choice["suitable"]) for choice in ranking] == [
        ("Llama 3.1 8B int8", True),
        ("SmolLM2 135M", True),
        ("Llama 3.1 70B int4", False),
        ("Llama 3.1 70B", False),
        ("Llama 3.1 8B", False),
        ("Llama 2 7B", False),
    ]


@pytest.mark.parametrize(
    ("name", "seconds", "price", "reasons"),
    [
        ("Llama 3.1 8B", 0.06, 4.0,
         ["ok: 17.1 of 24.0 GB", "ok: 57.1 of 60.0 ms per token", "ok: 3.84 of 4.00 per million"]),
        ("Llama 3.1 8B", 0.05, 4.0,
         ["ok: 17.1 of 24.0 GB", "no: 57.1 of 50.0 ms per token", "ok: 3.84 of 4.00 per million"]),
        ("Llama 3.1 8B", 0.06, 3.5,
         ["ok: 17.1 of 24.0 GB", "ok: 57.1 of 60.0 ms per token", "no: 3.84 of 3.50 per million"]),
        ("Llama 3.1 70B int4", 0.2, 9.0,
         ["no: 38.0 of 24.0 GB", "ok: 126.5 of 200.0 ms per token",
          "ok: 7.68 of 9.00 per million"]),
    ],
    ids=["all ok", "too slow", "too expensive", "too large"],
)  # fmt: skip
def test_every_limit_has_its_reason(answer, name, seconds, price, reasons):
    work = load(answer, 4, 2048, tokens=1e7, seconds=seconds, price=price)
    (choice,) = ranked(answer, [name], machine(answer, 24, 300e9, 121e12, 0.8), work)
    assert choice["reasons"] == reasons
    suitable = all(reason.startswith("ok") for reason in reasons)
    assert {"suitable": choice["suitable"]} == {"suitable": suitable}


def test_a_choice_says_its_loss_and_price(answer):
    hardware = machine(answer, reads=974_400, price=2.0)
    (choice,) = answer.rank_models([tiny(answer)], hardware, load(answer, tokens=1e8))
    assert sorted(choice) == ["loss", "name", "price", "reasons", "suitable"]
    close(number(choice["loss"]), number(1.69 + 406.4 / 3672**0.34 + 410.7 / 1e6**0.28))
    close(number(choice["price"]), number(1.44))


def test_equal_losses_are_ranked_by_price(answer):
    work = load(answer, 4, 2048, tokens=1e7, seconds=1.0, price=10.0)
    names = ["Llama 3.1 8B", "Llama 3.1 8B int8"]
    ranking = ranked(answer, names, machine(answer, 24, 300e9, 121e12, 0.8), work)
    assert [choice["name"] for choice in ranking] == names[::-1]


def test_complete_ties_keep_their_order(answer):
    given = [tiny(answer, name=name) for name in ("b", "c", "a")]
    ranking = answer.rank_models(given, machine(answer), load(answer))
    assert [choice["name"] for choice in ranking] == ["b", "c", "a"]


def test_agrees_with_the_reference(answer, reference):
    rng = random.Random(0)
    rows = [
        (f"{i}", 32_000, 128 * (h := rng.randint(8, 64)), 400 * h, rng.randint(16, 80), h, h, False,
         rng.uniform(1e12, 2e13), rng.choice([0.5, 1, 2]))
        for i in range(30)
    ]  # fmt: skip
    expected, actual = (
        module.rank_models(
            [module.ModelSpec(*row) for row in rows],
            machine(module),
            load(module, 4, 2000, tokens=3e7, seconds=0.02, price=3.0),
        )
        for module in (reference, answer)
    )
    assert [(c["name"], c["suitable"]) for c in actual] == [
        (c["name"], c["suitable"]) for c in expected
    ]


def test_no_models_make_an_empty_ranking(answer):
    assert answer.rank_models([], machine(answer), load(answer)) == []


def test_models_stay_in_their_order(answer):
    given = models(answer, SIZES)
    answer.rank_models(given, machine(answer), load(answer))
    assert [model.name for model in given] == list(SIZES)
