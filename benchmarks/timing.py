"""How the benchmarks measure: CPU time, the sides taking turns in one process."""

import statistics
import time
from collections.abc import Callable, Sequence


def cpu_seconds(turns: int, *functions: Callable[[], object]) -> list[list[float]]:
    """The CPU time of each function in each turn; a first turn before them does not count."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(turns + 1):
        for function, own in zip(functions, times, strict=True):
            start = time.process_time()
            function()
            if turn:
                own.append(time.process_time() - start)
    return times


def median_ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """The median of the ratios of all turns: it says the same on most machines."""
    return statistics.median(x / y for x, y in zip(ours, other, strict=True))
