import pytest
import torch

from kata.check import close, raises
from kata.tensors import generator


def test_only_window_is_drawn(answer, device):
    data = torch.tensor([50, 80, 60, 70]).to(device)
    x, y = answer.get_batch(data, 5, 3, device, generator())
    close(x, torch.tensor([[50, 80, 60]] * 5).to(device), "batch context")
    close(y, torch.tensor([[80, 60, 70]] * 5).to(device), "batch context")


@pytest.mark.parametrize(("batch_size", "context"), [(5, 8), (9, 1), (2, 98)])
def test_y_is_the_text_one_token_on(answer, batch_size, context):
    data = 3 * torch.arange(100) + 7  # each token is by 3 more than the one before
    x, y = answer.get_batch(data, batch_size, context, generator=generator())
    close(x, (x[:, :1] + 3 * torch.arange(context)).expand(batch_size, -1), "batch context")
    close(y, x + 3, "batch context")


@pytest.mark.parametrize(("length", "context"), [(9, 4), (9, 7), (6, 1)])
def test_all_starts_are_equally_likely(answer, length, context):
    x, _ = answer.get_batch(torch.arange(length), 20_000, context, generator=generator())
    shares = x[:, 0].bincount(minlength=length - context) / 20_000
    expected = torch.full((length - context,), 1 / (length - context))
    close(shares, expected, "start", rtol=0, atol=0.025)


def test_rows_begin_independently(answer):
    data, source = torch.arange(5), generator()
    draws = [answer.get_batch(data, 2, 3, generator=source)[0] for _ in range(100)]
    starts = {tuple(x[:, 0].tolist()) for x in draws}
    assert starts == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_same_seed_draws_the_same_batch(answer):
    torch.manual_seed(1)  # the global generator, which has no part in it

    def drawn(seed):
        x, _ = answer.get_batch(torch.arange(1000), 6, 4, generator=generator(seed))
        return x.tolist()

    assert drawn(5) == drawn(5)
    assert {"the same batch": drawn(5) == drawn(6)} == {"the same batch": False}


@pytest.mark.parametrize("make", [generator, lambda: None], ids=["given", "global"])
def test_every_call_draws_anew(answer, make):
    data, source = torch.arange(1000), make()
    first, second = (answer.get_batch(data, 6, 4, generator=source)[0].tolist() for _ in range(2))
    assert {"the same batch": first == second} == {"the same batch": False}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64], ids=str)
def test_results_are_int64(answer, device, dtype):
    data = torch.tensor([50, 80, 250, 70], dtype=dtype)
    x, y = answer.get_batch(data, 4, 3, device, generator())
    close(x, torch.tensor([[50, 80, 250]] * 4).to(device), "batch context")
    close(y, torch.tensor([[80, 250, 70]] * 4).to(device), "batch context")


def test_device_is_obeyed(answer):
    x, y = answer.get_batch(torch.arange(20), 3, 5, device="meta", generator=generator())
    expected = torch.empty(3, 5, dtype=torch.int64, device="meta")
    close(x, expected, "batch context")
    close(y, expected, "batch context")


@pytest.mark.parametrize("length", [0, 3, 4])
def test_too_little_data_is_refused(answer, length):
    with raises(ValueError):
        answer.get_batch(torch.arange(length), 2, 4, generator=generator())
