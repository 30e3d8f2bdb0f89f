"""The boundary, for models, gradients, optimizers, random numbers and the modes of torch.

A test that has `answer` runs twice, with the same code here and in a worker: see conftest.py.
"""

import copy
import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kata.tensors import Watch
from tests.meta.grading.sides import Model, grads, here

pytestmark = pytest.mark.timeout(60)


# -------------------------------------------------------------------------------------- modules

NET = """
class Norm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("cache", torch.ones(2), persistent=False)
        self.eps, self.bias = 1e-5, None
    def forward(self, x):
        if self.training: self.seen += 1
        return x * self.weight

class Net(nn.Module):
    def __init__(self, size=2):
        super().__init__()
        self.embed = nn.Embedding(5, size)
        self.norms = nn.ModuleList([Norm(size), Norm(size)])
        self.seq = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Dropout(0.5))
        self.named = nn.ModuleDict({"a": nn.Linear(size, size)})
        self.head = nn.Linear(size, 5, bias=False)
        self.head.weight = self.embed.weight
        self.size = size
        nn.init.normal_(self.embed.weight, generator=torch.Generator().manual_seed(1))
    def forward(self, ids, scale=1.0):
        x = self.embed(ids)
        for norm in self.norms: x = norm(x)
        return self.head(self.named["a"](self.seq(x))) * scale
    def count(self): return sum(p.numel() for p in self.parameters())
    def modes(self): return [m.training for m in self.modules()]
    def dtypes(self): return sorted({str(p.dtype) for p in self.parameters()})
    @property
    def tied(self): return self.head.weight is self.embed.weight
"""
IDS = torch.tensor([[0, 3, 1]])


def net(answer):
    """A model with the same weights wherever it is made."""
    torch.manual_seed(3)
    model = answer(NET).Net(2)
    return model.eval()


def test_a_module_looks_as_it_is(answer):
    model = net(answer)
    assert isinstance(model, nn.Module)
    assert type(model).__name__ in ("Net", "RemoteModule")
    assert [name for name, _ in model.named_parameters()] == [
        *("embed.weight", "norms.0.weight", "norms.1.weight", "seq.0.weight", "seq.0.bias"),
        *("named.a.weight", "named.a.bias"),
    ]
    assert [name for name, _ in model.named_buffers()] == [
        f"norms.{i}.{name}" for i in (0, 1) for name in ("seen", "cache")
    ]
    assert [n for n in model.state_dict() if "norms.0" in n] == ["norms.0.weight", "norms.0.seen"]
    assert model.head.weight is model.embed.weight
    assert model.tied
    assert all(isinstance(p, nn.Parameter) for p in model.parameters())
    assert (len(model.norms), len(model.seq)) == (2, 3)
    assert model.norms[1] is list(model.norms)[1]
    assert model.named["a"] is model.get_submodule("named.a")
    assert (model.size, model.norms[0].eps, model.norms[0].bias) == (2, 1e-5, None)
    assert model.count() == 26
    with pytest.raises(AttributeError):
        model.colour  # noqa: B018


def test_a_module_computes(answer):
    model = net(answer)
    expected = net(here)(IDS)
    assert torch.equal(model(IDS), expected)
    assert torch.equal(model(ids=IDS, scale=2.0), 2 * expected)
    assert torch.equal(model.forward(IDS), expected)


def test_the_mode_crosses(answer):
    model = net(answer)
    assert not any(model.modes())
    model.train()
    assert all(model.modes())
    assert all(m.training for m in model.modules())
    model.seq[2].eval()
    assert model.modes().count(False) == 1
    model(IDS)
    assert model.norms[0].seen == 1
    model.eval()
    model(IDS)
    assert model.norms[0].seen == 1


def test_other_dtypes_and_devices_cross(answer):
    model = net(answer).to(torch.float64)
    assert model.dtypes() == ["torch.float64"]
    assert model(IDS).dtype == torch.float64
    model.to("meta")
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert model(IDS.to("meta")).is_meta


def test_a_state_dict_can_be_loaded(answer):
    model, other = net(answer), here(NET).Net(2)
    assert model.load_state_dict(other.state_dict()).missing_keys == []
    assert torch.equal(model(IDS), other.eval()(IDS))
    assert model.tied
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({})


def test_parameters_can_be_changed(answer):
    model = net(answer)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(0.5)
    assert model(IDS).unique().numel() == 1
    model.requires_grad_(False)
    assert not model(IDS).requires_grad


def test_a_copy_is_another_module(answer):
    model = net(answer)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.embed.weight.zero_()
    assert other(IDS).unique().numel() < 5
    assert model.embed.weight.abs().sum() > 0
    assert other.tied
    assert other is not model


def test_a_part_can_be_replaced(answer):
    model = net(answer)
    expected = model(IDS)
    setattr(model.norms, "0", nn.Identity())
    setattr(model.seq, "2", nn.Identity())
    assert torch.equal(model(IDS), expected)
    setattr(model.norms, "0", Model())
    assert model(IDS).shape == (1, 3, 5)
    assert model.norms[0].calls == 1


def test_an_attribute_can_be_set(answer):
    model = answer(
        "class S(nn.Module):\n  def __init__(self):\n    super().__init__()\n    self.k = 1\n"
        "  def forward(self, x): return x * self.k"
    ).S()
    model.k = 3
    assert model(torch.ones(1)).item() == 3
    assert model.k == 3


def test_hooks_of_a_test_run_around_a_module(answer):
    model, seen = net(answer), []
    model.register_forward_hook(
        lambda module, args, result: seen.append((module is model, args[0]))
    )
    model(IDS)
    assert seen[0][0]
    assert torch.equal(seen[0][1], IDS)


def test_a_module_s_own_methods_are_its_own(answer):
    model = answer(
        "class T(nn.Linear):\n  def train(self, mode=True):\n"
        "    self.asked = mode\n    return super().train(mode)\n"
        "  def extra_repr(self): return 'own'\n"
    ).T(2, 2)
    model.eval()
    assert model.asked is False
    assert not model.training


def test_functional_call_swaps_parameters(answer):
    model = answer("class L(nn.Linear): pass").L(2, 1, bias=False)
    weight = torch.tensor([[1.0, 2.0]], requires_grad=True)
    out = torch.func.functional_call(model, {"weight": weight * 2}, (torch.ones(1, 2),))
    assert out.item() == 6
    out.backward()
    assert weight.grad.tolist() == [[2, 2]]


# --- of a test


USE = """
def call(model, x): return model(x)
def loss(model, x): return model(x).square().mean()
def learn(model, x):
    loss(model, x).backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
            p.grad = None
def look(model):
    is_module = isinstance(model, nn.Module)
    return [n for n, _ in model.named_parameters()], list(model.state_dict()), is_module
def evaluated(model, x):
    was = model.training
    model.eval()
    try: return model(x)
    finally: model.train(was)
def copied(model):
    import copy
    other = copy.deepcopy(model)
    for p in other.parameters(): p.data.zero_()
    return other
"""
X = torch.tensor([[1.0, -2.0], [0.5, 3.0]])


def models():
    torch.manual_seed(5)
    library = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 2))
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    return [library, tied, Model(), nn.Sequential(Model(), nn.Linear(2, 2))]


@pytest.mark.parametrize("which", range(4))
def test_a_model_of_a_test_is_used(answer, which):
    model, twin, answer = models()[which], models()[which], answer(USE)
    assert torch.allclose(answer.call(model, X), twin(X))
    answer.learn(model, X)
    here(USE).learn(twin, X)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p, q)
        assert p.grad is None
    assert answer.look(model) == here(USE).look(twin)
    model.train()
    answer.evaluated(model, X)
    assert model.training
    other = answer.copied(model)
    assert not any(p.any() for p in other.parameters())
    assert any(p.any() for p in model.parameters())
    assert torch.allclose(answer.loss(model, X), here(USE).loss(twin, X))


def test_a_model_of_a_test_counts_its_calls_in_its_mode(answer):
    class Watched(Model):
        def forward(self, x):
            modes.append((self.training, torch.is_grad_enabled()))
            return super().forward(x)

    modes, model = [], Watched()
    answer(USE + "@torch.no_grad()\ndef quiet(model, x): return evaluated(model, x)").quiet(
        model, X
    )
    assert modes == [(False, False)]
    assert model.calls == 1
    assert model.training


def test_plain_values_of_a_model_can_be_read(answer):
    assert answer("def f(m): return m.width, m.inner.in_features, m.scale.item()").f(Model()) == (
        2,
        2,
        2.0,
    )


def test_a_model_of_a_library_is_rebuilt_there(answer):
    answer = answer(
        "def f(m): return type(m).__name__, type(m[0]).__name__, m[0].out_features, len(m)"
    )
    assert answer.f(models()[0]) == ("Sequential", "Linear", 3, 3)


LORA = """
class Low(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.ones(base.in_features))
    def forward(self, x): return self.base(x) + (x * self.a).sum(-1, keepdim=True)

def wrap(model):
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Linear): setattr(model, name, Low(child))
        else: wrap(child)
    return model
"""


@pytest.mark.parametrize("which", [0, 2])
def test_an_answer_may_replace_parts_of_a_model(answer, which):
    model, twin = models()[which], models()[which]
    expected = here(LORA).wrap(twin)(X)
    assert answer(LORA).wrap(model) is model
    assert torch.allclose(model(X), expected)
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in twin.named_parameters()]
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trained == [n for n, p in twin.named_parameters() if p.requires_grad]
    model(X).sum().backward()
    twin(X).sum().backward()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None)
        assert p.grad is None or torch.allclose(p.grad, q.grad)


# ------------------------------------------------------------------------------------ gradients


def test_gradients_go_through_arguments(answer):
    answer = answer(
        "def f(x, y, n): return (x * x * y).sum() * n, x + 1, y.detach(), torch.ones(2)"
    )
    x, y = torch.tensor([1.0, 2.0], requires_grad=True), torch.ones(2, requires_grad=True)
    loss, more, detached, constant = answer.f(x * 2, y, 3)
    assert loss.requires_grad
    assert more.requires_grad
    assert not detached.requires_grad
    assert not constant.requires_grad
    assert loss.dim() == 0
    (loss + more.sum()).backward()
    assert grads(x, y) == [[26, 50], [12, 48]]


def test_gradients_can_be_taken_twice(answer):
    x = torch.tensor([3.0], requires_grad=True)
    out = answer("def f(x): return x * x").f(x)
    out.backward(retain_graph=True)
    out.backward()
    assert x.grad.item() == 12
    assert torch.autograd.grad(answer("def f(x): return x ** 3").f(x), x)[0].item() == 27


def test_an_input_that_is_not_used_has_no_gradient(answer):
    x, y = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    out = answer("def f(x, y): return x * 2, y * 3").f(x, y)
    out[0].backward()
    assert grads(x, y) == [[2], None]


def test_gradients_go_through_callbacks(answer):
    answer = answer("def f(model, x): return model(model(x) * 2).sum()")
    w, x = torch.tensor(3.0, requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    answer.f(lambda x: x * w, x).backward()
    assert grads(w, x) == [36, [18, 18]]


def test_gradients_go_through_calls_in_calls(answer):
    answer = answer("def g(x): return x * x\ndef f(x, call): return call(g(x)) * x")
    x = torch.tensor(2.0, requires_grad=True)
    answer.f(x, lambda y: answer.g(y) + 1).backward()  # (x⁴ + 1) x
    assert x.grad.item() == 81


def test_an_answer_may_go_backward_itself(answer):
    answer = answer(
        "def f(model, w, x):\n  loss = (model(x) * w).sum()\n"
        "  loss.backward()\n  return loss.item()\n"
        "def g(f, x): return torch.autograd.grad(f(x), x)[0]"
    )
    v, w, x = (torch.tensor(n, requires_grad=n < 5) for n in (2.0, 3.0, 5.0))
    assert answer.f(lambda x: x * v, w, x) == 30
    assert grads(v, w, x) == [15, 10, None]
    assert answer.g(lambda x: x * v * v, torch.tensor(1.0, requires_grad=True)).item() == 4


def test_parameters_of_the_worker_get_gradients(answer):
    model = net(answer)
    twin = net(here)
    for m in (model, twin):
        m(IDS).square().sum().backward()
    for (name, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad), name
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_leaf_that_is_new_may_come_with_what_depends_on_it(answer):
    answer = answer(
        "def f():\n  w = torch.ones(2, requires_grad=True)\n  return (w * 3).sum(), w\n"
        "def g():\n  w = nn.Parameter(torch.ones(2))\n  return {'w': w, 'loss': (w * 3).sum()}"
    )
    loss, w = answer.f()
    loss.backward()
    assert w.grad.tolist() == [3, 3]
    made = answer.g()
    made["loss"].backward()
    assert made["w"].grad.tolist() == [3, 3]


def test_hidden_leaves_get_their_gradients_there(answer):
    answer = answer(
        "w = torch.ones(2, requires_grad=True)\ndef f(x): return (w * x).sum()\n"
        "def g(): return w.grad.tolist()"
    )
    answer.f(torch.tensor([2.0, 3.0])).backward()
    assert answer.g() == [2, 3]


def test_an_argument_may_begin_to_need_a_gradient(answer):
    x = torch.ones(2)
    out = answer("def f(x): return (x.requires_grad_() * 2).sum()").f(x)
    out.backward()
    assert x.requires_grad
    assert x.grad.tolist() == [2, 2]


def test_errors_while_going_backward_arrive(answer):
    answer = answer(
        "class Bad(torch.autograd.Function):\n  @staticmethod\n"
        "  def forward(ctx, x): return x.clone()\n"
        "  @staticmethod\n  def backward(ctx, g): raise ValueError('no way back')\n"
        "def f(x): return Bad.apply(x).sum()"
    )
    with pytest.raises(ValueError, match="no way back"):
        answer.f(torch.ones(2, requires_grad=True)).backward()


# ----------------------------------------------------------------------- optimizers, randomness


@pytest.mark.parametrize(
    "kind", [torch.optim.SGD, functools.partial(torch.optim.AdamW, foreach=False)]
)
def test_an_optimizer_of_a_test_is_used(answer, kind):
    code = (
        "def train(model, optimizer, scheduler, x):\n  for _ in range(3):\n"
        "    optimizer.zero_grad()\n    model(x).square().mean().backward()\n"
        "    optimizer.step()\n    scheduler.step()\n"
        "  for group in optimizer.param_groups: group['lr'] *= 10\n"
        "  return scheduler.get_last_lr()[0], len(optimizer.state_dict()['state'])"
    )
    results = []
    for namespace in (here(code), answer(code)):
        model = models()[2]
        optimizer = kind(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        said = namespace.train(model, optimizer, scheduler, X)
        values = [x.item() for p in model.parameters() for x in p.flatten()]
        results.append([*said, optimizer.param_groups[0]["lr"], *values])
    assert results[0] == pytest.approx(results[1])


def test_an_optimizer_of_a_test_trains_a_model_of_the_worker(answer):
    model = net(answer)
    before = model(IDS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(IDS).square().sum().backward()
    optimizer.step()
    assert not torch.equal(model(IDS), before)
    assert model.tied


DRAW = "def draw(g=None): return torch.rand(3, generator=g).tolist()\n"


def test_a_source_of_random_numbers_is_shared(answer):
    answer = answer(DRAW + "def through(call, g): return call(g), draw(g)")
    g, twin = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    expected = [torch.rand(3, generator=twin).tolist() for _ in range(6)]
    local = lambda g: torch.rand(3, generator=g).tolist()
    assert [answer.draw(g), local(g), answer.draw(g)] == expected[:3]
    assert answer.through(local, g) == (expected[3], expected[4])
    assert local(g) == expected[5]


def test_the_global_source_is_shared(answer):
    answer = answer(DRAW + "def seed(n): torch.manual_seed(n)")
    torch.manual_seed(11)
    expected = [torch.rand(3).tolist() for _ in range(3)]
    torch.manual_seed(11)
    assert [answer.draw(), torch.rand(3).tolist(), answer.draw()] == expected
    answer.seed(11)
    assert torch.rand(3).tolist() == expected[0]


def test_a_source_of_the_worker_stays_there(there):
    answer = there("g = torch.Generator()\ndef get(): return g\n" + DRAW)
    assert not isinstance(answer.get(), torch.Generator)
    assert len(answer.draw(answer.get())) == 3


# --------------------------------------------------------------------------------------- modes


def test_modes_of_torch_cross(answer):
    answer = answer(
        "def grad(): return torch.is_grad_enabled()\ndef product(x): return (x @ x).dtype\n"
        "def device(): return torch.zeros(2).device.type\n"
        "def asked(call):\n  with torch.no_grad(), torch.device('meta'): return call()"
    )
    assert answer.grad()
    with torch.no_grad():
        assert not answer.grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert answer.product(torch.ones(2, 2)) == torch.bfloat16
    assert answer.product(torch.ones(2, 2)) == torch.float32
    with torch.device("meta"):
        assert answer.device() == "meta"
        assert torch.zeros(2).is_meta
    assert answer.device() == "cpu"
    assert answer.asked(lambda: (torch.is_grad_enabled(), torch.zeros(1).device.type)) == (
        False,
        "meta",
    )
    assert torch.is_grad_enabled()


def test_what_torch_does_is_counted_wherever_it_is_done(answer):
    answer = answer("def f(x, call): return call(x @ x.T).sum() + torch.zeros(10, 10)[0, 0]")
    with Watch() as watch:
        (torch.ones(2, 3) + 1).sum()
        answer.f(torch.ones(4, 5), lambda y: F.softmax(y @ y, -1))
    counts = watch.counts()
    assert counts["products"] == 4 * 5 * 4 + 4 * 4 * 4
    assert counts["largest"] == 100
    assert counts["devices"] == ["cpu"]
    assert counts["operations"] >= 9
    with Watch() as other:
        answer.f(torch.ones(4, 5), lambda y: F.softmax(y @ y, -1))
    assert other.counts()["products"] == counts["products"]
