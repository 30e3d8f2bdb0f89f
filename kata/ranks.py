"""Two and more ranks of `torch.distributed` in one process, for tests.

Every rank is a thread with a default process group of its own, so that an answer is called as it is
(a wrong version, too) and no second process has to import torch. The ranks talk through gloo on the
loopback interface, as two processes on one machine do.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")

LOST_SECONDS = 10.0  # for a rank that waits for what no other rank will send
PARTING_SECONDS = 1.0  # for the others to end, before a rank that has ended is gone


def on_ranks(work: Callable[[int], T], n_ranks: int = 2) -> list[T]:
    """Call `work(rank)` on every rank at the same time; return what each of them returned.

    Inside, `torch.distributed` is initialised as under torchrun with as many processes. A rank that
    fails, or ends while others still wait for it, breaks the connection.

    Raises:
        AssertionError: a rank waited for another one in vain.
        BaseException: what the first rank to fail raised.
    """
    import torch
    import torch.distributed as dist

    results: dict[int, T] = {}
    errors: list[BaseException] = []  # the first one first: it made the others fail
    store: Any = torch._C._distributed_c10d.HashStore()
    ended = threading.Barrier(n_ranks)

    def be(rank: int) -> None:
        try:
            limit = timedelta(seconds=LOST_SECONDS)
            where = {"rank": rank, "world_size": n_ranks, "store": store}
            dist.init_process_group("gloo", timeout=limit, **where)
            results[rank] = work(rank)
        except BaseException as error:
            errors.append(error)
            ended.abort()
        else:
            _wait(ended)
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()

    with _a_world_for_each_thread():
        threads = [threading.Thread(target=be, args=(r,), daemon=True) for r in range(n_ranks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors and "gloo" in str(errors[0]):  # the connection broke, and nothing else went wrong
        raise AssertionError("a rank waits for another one, which never comes") from errors[0]
    if errors:
        raise errors[0]
    return [results[rank] for rank in range(n_ranks)]


def _wait(ended: threading.Barrier) -> None:
    try:
        ended.wait(PARTING_SECONDS)
    except threading.BrokenBarrierError:
        return


@contextmanager
def _a_world_for_each_thread() -> Iterator[None]:
    """Give each thread its own default process group, as torch's own tests do."""
    import torch
    from torch.distributed import distributed_c10d as c10d
    from torch.testing._internal.distributed.multi_threaded_pg import ThreadLocalWorld

    library: Any = torch._C._distributed_c10d
    before, interface = c10d._world, os.environ.get("GLOO_SOCKET_IFNAME")
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    if loopback and interface is None:
        os.environ["GLOO_SOCKET_IFNAME"] = loopback[0]
    c10d._world = ThreadLocalWorld()  # type: ignore[assignment]
    library._set_thread_isolation_mode(True)
    try:
        yield
    finally:
        library._set_thread_isolation_mode(False)
        c10d._world = before
        if interface is None:
            os.environ.pop("GLOO_SOCKET_IFNAME", None)
