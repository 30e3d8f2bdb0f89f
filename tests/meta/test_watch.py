"""`kata.tensors.Watch`: what is counted, and what is not."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from kata.tensors import Watch


def test_views_are_not_larger_than_what_is_in_memory():
    x = torch.ones(6)
    with Watch() as watch:
        x[:, None].expand(6, 100)
        x[:3] + 1
    assert watch.largest == 6
    with Watch() as watch:
        x[:, None].expand(6, 100) + 0
    assert watch.largest == 600


@pytest.mark.parametrize(
    "product",
    [
        lambda a, b: a @ b,
        lambda a, b: torch.einsum("bij,jk->bik", a, b),
        lambda a, b: F.linear(a, b.T),
        lambda a, b: F.linear(a, b.T, torch.ones(5)),
        lambda a, b: torch.stack([row @ b for row in a]),
        lambda a, b: torch.stack([a @ column for column in b.T]),
    ],
)
def test_products_are_counted_however_they_are_written(product):
    a, b = torch.ones(2, 3, 4), torch.ones(4, 5)
    with Watch() as watch:
        product(a, b)
    assert watch.products == 2 * 3 * 4 * 5


def test_operations_are_counted_inside_the_block_only():
    with Watch() as watch:
        assert watch.operations == 0
        torch.ones(2).exp()
        assert watch.operations == 2
    torch.ones(2).exp()
    assert watch.operations == 2


def test_the_compiler_is_not_imported():
    code = (
        "import sys, torch\nfrom kata.tensors import Watch\n"
        "with Watch():\n    torch.ones(2).exp()\nprint('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
