"""What both sides hold a copy of: a change on one side arrives on the other, once."""

import gc
import struct

import pytest
import torch
from torch import nn

from kata.grading import sharing
from kata.grading.sharing import Containers, Sources, Tensors, structure
from kata.grading.wire import WireError


class Pair:
    """A tensor of the judge's, its twin in the worker, and the two tables."""

    def __init__(self, tensor):
        self.mine, self.theirs = Tensors("j"), Tensors("w")
        self.tensor = tensor
        self.twin = tensor.detach().clone()
        if isinstance(tensor, nn.Parameter):
            self.twin = nn.Parameter(self.twin)
        self.twin.requires_grad_(tensor.requires_grad)
        self.key = self.mine.offer(tensor)
        self.theirs.adopt(self.key, self.twin)

    def cross(self):
        """What goes over with the next message, and that it is so on the other side."""
        return _cross(self.mine, self.theirs)

    def back(self):
        return _cross(self.theirs, self.mine)


def _cross(a, b):
    crossed = []
    for key, changes in a.changes():
        entry, tensor = b.get(key)
        b.accept(entry, tensor, changes)
        crossed += changes
    return crossed


def parameter(*shape):
    return nn.Parameter(torch.ones(*shape))


# ------------------------------------------------------------------------------------- tensors


def test_what_has_not_changed_stays_at_home():
    pair = Pair(parameter(2))
    assert pair.cross() == pair.back() == []


@pytest.mark.parametrize(
    "change", [lambda x: x.add_(1), lambda x: x.zero_(), lambda x: x[0].neg_()]
)
def test_change_in_place_crosses_once(change):
    pair = Pair(torch.ones(2, 3))
    change(pair.twin)
    assert pair.back() == ["data"]
    assert torch.equal(pair.tensor, pair.twin)
    assert pair.back() == pair.cross() == []


def test_a_parameter_stays_the_leaf_that_it_was():
    pair = Pair(parameter(3))
    tensor, memory = pair.tensor, pair.tensor.data_ptr()
    with torch.no_grad():
        pair.twin.mul_(5)
    assert pair.back() == ["data"]
    assert tensor.is_leaf
    assert tensor.requires_grad
    assert tensor.tolist() == [5, 5, 5]
    assert tensor.data_ptr() == memory


@pytest.mark.parametrize(
    "value",
    [torch.ones(4), torch.ones(3, dtype=torch.float64), torch.ones(0), torch.ones(1, 3)],
    ids=["shape", "dtype", "empty", "axes"],
)
def test_data_may_be_replaced_by_another_kind(value):
    pair = Pair(parameter(3))
    pair.twin.data = value
    assert pair.back() == ["data"]
    assert torch.equal(pair.tensor.data, value)
    assert pair.tensor.dtype == value.dtype
    assert pair.tensor.data_ptr() != value.data_ptr() or not value.numel()


def test_nan_equals_itself_and_zero_has_a_sign():
    pair = Pair(torch.tensor([torch.nan, 0.0]))
    assert pair.cross() == []
    pair.tensor[1] = -0.0
    assert pair.cross() == ["data"]
    assert str(pair.twin[1].item()) == "-0.0"


def test_gradients_come_change_and_go():
    pair = Pair(parameter(2))
    pair.twin.grad = torch.tensor([1.0, 2.0])
    assert pair.back() == ["grad"]
    assert pair.tensor.grad.tolist() == [1, 2]
    kept = pair.tensor.grad
    pair.twin.grad.mul_(3)
    assert pair.back() == ["grad"]
    assert kept.tolist() == [3, 6]  # in place, for whoever holds it
    pair.tensor.grad = None
    assert pair.cross() == ["grad"]
    assert pair.twin.grad is None


def test_a_gradient_that_is_there_already_is_known():
    tensor = parameter(2)
    tensor.grad = torch.ones(2)
    mine = Tensors("j")
    mine.offer(tensor)
    assert list(mine.changes()) == []


def test_the_flag_of_a_leaf_crosses():
    pair = Pair(torch.ones(2))
    pair.twin.requires_grad_()
    assert pair.back() == ["requires_grad"]
    assert pair.tensor.requires_grad


def test_the_flag_of_a_result_is_its_graph_s():
    pair = Pair(torch.ones(2, requires_grad=True) * 2)
    assert not pair.tensor.is_leaf
    assert pair.cross() == pair.back() == []


def test_meta_tensors_have_no_values_to_compare():
    pair = Pair(torch.empty(2**40, device="meta"))
    pair.tensor.add_(1)
    assert pair.cross() == []
    pair.tensor.data = torch.empty(3, device="meta")
    assert pair.cross() == ["data"]
    assert pair.twin.shape == (3,)


def test_one_tensor_has_one_key():
    pair = Pair(torch.ones(2))
    assert pair.mine.key(pair.tensor) == pair.key == pair.theirs.key(pair.twin)
    assert pair.mine.key(pair.tensor.detach()) is None
    assert pair.mine.known(pair.key) is pair.tensor


def test_both_sides_forget_what_nobody_holds():
    pair = Pair(torch.ones(2))
    assert pair.mine.let_go() == []
    pair.tensor = None
    assert pair.mine.let_go() == [pair.key]
    assert pair.mine.let_go() == []
    pair.theirs.drop(pair.key)
    assert pair.mine.get(pair.key) is pair.theirs.get(pair.key) is None
    with pytest.raises(WireError, match="no tensor"):
        pair.theirs.known(pair.key)


def test_a_new_tensor_in_an_old_place_is_new():
    mine = Tensors("j")
    keys = [mine.offer(torch.ones(2)) for _ in range(20)]  # each one is gone when the next is made
    assert len(set(keys)) == 20
    tensor = torch.ones(2)
    assert mine.key(tensor) is None


def test_the_other_side_cannot_drop_what_is_not_its_own():
    pair = Pair(torch.ones(2))
    pair.mine.drop(pair.key)
    pair.mine.drop("w7")
    assert pair.mine.known(pair.key) is pair.tensor


def test_a_key_is_given_once():
    pair = Pair(torch.ones(2))
    with pytest.raises(WireError, match="second"):
        pair.theirs.adopt(pair.key, torch.ones(2))


def test_the_other_side_s_tensors_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(sharing, "MOST_BYTES", 1000)
    table = Tensors("j")
    for i in range(9):
        table.adopt(f"w{i}", torch.zeros(100))  # 400 bytes, and as many of the copy
        table.drop(f"w{i}")
    table.adopt("w10", torch.zeros(100))
    table.adopt("w11", torch.empty(10**9, device="meta"))
    with pytest.raises(WireError, match="bytes"):
        table.adopt("w12", torch.zeros(100))


def test_a_tensor_that_grows_counts_as_well(monkeypatch):
    monkeypatch.setattr(sharing, "MOST_BYTES", 1000)
    table = Tensors("j")
    table.adopt("w1", torch.zeros(1))
    entry, tensor = table.get("w1")
    with pytest.raises(WireError, match="bytes"):
        table.accept(entry, tensor, {"data": torch.zeros(1000)})


# ---------------------------------------------------------------------------------- containers


@pytest.mark.parametrize(
    ("container", "change", "expected"),
    [
        ([3, 1, 2], lambda x: x.sort(), [1, 2, 3]),
        ([1], lambda x: x.append([2]), [1, [2]]),
        ([1, 2], lambda x: x.clear(), []),
        ({"a": 1}, lambda x: x.update(a=2, b=3), {"a": 2, "b": 3}),
        ({"a": 1, "b": 2}, lambda x: x.pop("a"), {"b": 2}),
        ({1, 2}, lambda x: x.add(3), {1, 2, 3}),
        ({1, 2}, lambda x: x.remove(2), {1}),
    ],
)
def test_a_changed_container_gets_the_new_content(container, change, expected):
    mine, theirs = Containers("j"), Containers("w")
    key, twin = mine.offer(container), type(container)(container)
    theirs.put(key, twin)
    assert theirs.changed() == []
    change(twin)
    assert theirs.changed() == [(key, twin)]
    mine.replace(key, type(twin)(twin))
    assert container == expected
    assert theirs.changed() == mine.changed() == []


def test_the_order_of_a_dictionary_crosses():
    mine = Containers("j")
    container = {"a": 1, "b": 2}
    mine.replace(mine.offer(container), {"b": 2, "a": 1})
    assert list(container) == ["b", "a"]


@pytest.mark.parametrize("content", [{1: 2}, {1}, (1,), None, "ab"])
def test_a_list_stays_a_list(content):
    mine = Containers("j")
    container = [1, 2]
    mine.replace(mine.offer(container), content)
    assert container == [1, 2]


def test_one_container_has_one_key_while_it_is_shared():
    mine = Containers("j")
    container = [1]
    key = mine.offer(container)
    assert mine.key(container) == key
    assert mine.get(key) is container
    mine.release([key, "w9"])
    assert mine.key(container) is mine.get(key) is None
    mine.replace(key, [2])
    assert container == [1]


def test_there_are_not_too_many(monkeypatch):
    monkeypatch.setattr(sharing, "MOST_CONTAINERS", 2)
    mine = Containers("j")
    assert [mine.offer([i]) for i in range(3)] == ["j1", "j2", None]
    mine.put("w1", [])
    with pytest.raises(WireError, match="second"):
        mine.put("w1", [])
    mine.put("w2", [])
    with pytest.raises(WireError, match="too many"):
        mine.put("w3", [])


# -------------------------------------------------------------------------------------- others


def test_the_parts_of_a_module_are_named_by_their_kind():
    module = nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.Linear(2, 2, bias=False))
    assert list(structure(module)) == ["module 0", "module 1"]
    parts = structure(module[0])
    assert list(parts) == [
        *("parameter weight", "parameter bias"),
        *("buffer running_mean", "buffer running_var", "buffer num_batches_tracked"),
    ]
    assert parts["parameter bias"] is None
    assert structure(module[1])["parameter weight"] is module[1].weight


@pytest.fixture
def sources():
    """The sources of random numbers of two sides; the global one is theirs together here."""
    state = torch.get_rng_state()
    pair = Sources(), Sources()
    for side in pair:
        side.changes()
    yield pair
    torch.set_rng_state(state)


def draw(generator):
    return torch.randint(10**9, (3,), generator=generator).tolist()


def test_a_draw_on_one_side_counts_on_the_other(sources):
    mine, theirs = sources
    generator = torch.Generator().manual_seed(5)
    theirs.adopt(mine.offer(generator))
    number = mine.number(generator)
    twin = theirs.get(number)
    assert theirs.number(twin) == number == 1
    first = draw(twin)
    assert first == draw(torch.Generator().manual_seed(5))
    ((changed, state),) = theirs.changes()
    assert changed == number
    mine.accept(changed, state)
    assert draw(generator) == draw(twin) != first
    assert len(mine.changes()) == 1
    assert mine.changes() == []


def test_the_global_source_is_number_zero(sources):
    mine, _ = sources
    assert mine.number(torch.default_generator) == 0
    state = torch.get_rng_state()
    expected = torch.rand(3)
    ((number, text),) = mine.changes()
    torch.manual_seed(1)
    mine.accept(number, text)
    assert number == 0
    assert not torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(state)
    assert torch.equal(torch.rand(3), expected)


def test_a_source_of_one_side_only_has_no_number(sources):
    assert sources[0].number(torch.Generator()) is None


def state_with(left, place):
    state = bytearray(torch.Generator().manual_seed(1).get_state().numpy().tobytes())
    struct.pack_into("=iiQ", state, 8, left, 1, place)
    return sharing._text(bytes(state))


@pytest.mark.parametrize(
    "text",
    [
        *("", "AAAA", "no base64!", sharing._text(bytes(5056)), sharing._text(bytes(9999))),
        *(state_with(624, 624), state_with(3, 624), state_with(0, 625), state_with(-1, 626)),
    ],
)
def test_an_impossible_state_is_refused(sources, text):
    mine, _ = sources
    mine.offer(generator := torch.Generator().manual_seed(1))
    with pytest.raises((WireError, ValueError, struct.error, RuntimeError)):
        mine.accept(1, text)
    assert draw(generator) == draw(torch.Generator().manual_seed(1))


@pytest.mark.parametrize("draws", [0, 1, 2, 623, 624, 625, 1000])
def test_every_state_that_torch_makes_is_possible(sources, draws):
    mine, theirs = sources
    generator = torch.Generator().manual_seed(1)
    torch.randint(9, (draws,), generator=generator)
    theirs.adopt(mine.offer(generator))
    assert draw(theirs.get(1)) == draw(generator)


def test_nothing_here_waits_for_the_garbage_collector():
    gc.disable()
    try:
        test_both_sides_forget_what_nobody_holds()
    finally:
        gc.enable()
