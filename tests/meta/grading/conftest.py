"""One station for all tests that grade: it takes seconds to start."""

import os

import pytest
import torch

from kata.grading.judge import Workers
from kata.grading.station import Station
from tests.meta.conftest import PROJECT
from tests.meta.grading import sides


@pytest.fixture(scope="session")
def station():
    """Where submissions are graded."""
    if not hasattr(os, "fork"):
        pytest.skip("not run: there is no fork here")
    with Station(PROJECT) as station:
        yield station


@pytest.fixture
def there(station):
    """Starts a worker with a learner's code, and gives its names."""
    supply = Workers(station._to_workers, station._place, off=[], readable=[], seed=0)
    started = []

    def names(code):
        started.append(supply.new(sides.start(code)))
        started[-1].peer.files = frozenset([str(sides.FILE)])
        return sides.Names(started[-1].peer)

    yield names
    for worker in started:
        worker.end()


@pytest.fixture(params=["here", "there"])
def answer(request):
    """Gives the names of a learner's code: once in this process, once in a worker."""
    if request.param == "here":
        state = torch.get_rng_state()
        yield sides.here
        torch.set_rng_state(state)
    else:
        yield request.getfixturevalue("there")
