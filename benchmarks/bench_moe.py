"""Speed of the Mixture-of-Experts layer of chapter 6: `python benchmarks/bench_moe.py`.

CPU time on one thread of a forward and a backward pass, all layers with the same weights and taking
turns in one process. A ratio is the median of those of all turns. The matrix products alone, which
all layers share, are timed too: nothing that computes them can be faster.

transformers runs a `MixtralSparseMoeBlock` that stands alone with its loop over experts ("eager"),
and the one inside of a model with torch's grouped matrix product ("grouped_mm"). It keeps the
weights of all experts in one tensor; in the loop each expert's gradient is as large as all of it,
nearly all zeros. The wider the experts, the more that costs.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers.models.mixtral.modeling_mixtral import MixtralConfig, MixtralSparseMoeBlock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from timing import cpu_seconds, median_ratio

from kata.tensors import normal, randomise
from solutions.ch06_moe.ex01_topk_router import topk_router
from solutions.ch06_moe.ex02_moe_layer import MoELayer
from solutions.ch06_moe.ex06_grouped_dispatch import grouped_dispatch

TOKENS, D_MODEL, EXPERTS, K = 1024, 256, 8, 2
WIDTHS = (512, 896, 2048)  # 896 is 3.5 * d_model, as in Mixtral 8x7B
GOAL = "<= 0.6"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=9, help="how often each layer runs")
    parser.add_argument("--d-ff", type=int, nargs="+", default=WIDTHS, help="units of an expert")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{TOKENS} tokens, d_model {D_MODEL}, {EXPERTS} experts, top {K}, float32, forward and")
    print(f"backward, one thread, torch {torch.__version__}")
    for d_ff in args.d_ff:
        compare(d_ff, args.turns)


def compare(d_ff: int, turns: int) -> None:
    """Time all layers with experts of this width, and print a table."""
    theirs = randomise(mixtral(d_ff))
    layer = MoELayer(D_MODEL, d_ff, EXPERTS, K)
    layer.load_state_dict(course_names(theirs.state_dict()))
    x = normal(4, TOKENS // 4, D_MODEL)
    runs = {
        "eager": step(theirs, x, "eager"),
        "grouped_mm": step(theirs, x, "grouped_mm"),
        "6.6": step(Dispatched(layer, grouped_dispatch), x),
        "6.2": step(layer, x),
        "products": products(layer, x),
    }
    times = dict(zip(runs, cpu_seconds(turns, *runs.values()), strict=True))
    one_by_one = step(Dispatched(layer, per_token), x)
    loop = cpu_seconds(1, one_by_one, runs["6.6"])
    for run in [runs["grouped_mm"], runs["6.6"], runs["6.2"], one_by_one]:
        agree(run(), runs["eager"]())

    print(f"\n{f'd_ff {d_ff}':44}{'ours':>9}{'other':>9}{'ratio':>9}  target")
    row("6.6 against Mixtral's block, eager", times["6.6"], times["eager"], GOAL)
    row("6.6 against Mixtral's block, grouped_mm", times["6.6"], times["grouped_mm"])
    row("6.6 against one token after the other", loop[1], loop[0])
    row("6.6 against 6.2", times["6.6"], times["6.2"])
    row("the products alone against Mixtral, eager", times["products"], times["eager"])


# -------------------------------------------------------------------------------------- layers


def mixtral(d_ff: int) -> MixtralSparseMoeBlock:
    config = MixtralConfig(
        hidden_size=D_MODEL,
        intermediate_size=d_ff,
        num_local_experts=EXPERTS,
        num_experts_per_tok=K,
    )
    return MixtralSparseMoeBlock(config)


def course_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mixtral's stacked weights as those of single experts."""
    ours = {"gate.weight": state["gate.weight"]}
    for i in range(EXPERTS):
        w1, w3 = state["experts.gate_up_proj"][i].chunk(2)
        for name, w in {"w1": w1, "w2": state["experts.down_proj"][i], "w3": w3}.items():
            ours[f"experts.{i}.{name}.weight"] = w
    return ours


class Dispatched(nn.Module):
    """The weights of 6.2 with another way to bring tokens to experts and back."""

    def __init__(self, layer: MoELayer, dispatch: Callable[..., Tensor]) -> None:
        super().__init__()
        self.layer, self.dispatch = layer, dispatch

    def forward(self, x: Tensor) -> Tensor:
        """Route, and leave the rest to the dispatch."""
        tokens = x.view(-1, D_MODEL)
        weights, idx, _ = topk_router(tokens, self.layer.gate.weight, K)
        return self.dispatch(tokens, idx, weights, self.layer.experts).view(x.shape)


def per_token(x: Tensor, idx: Tensor, weights: Tensor, experts: nn.ModuleList) -> Tensor:
    """What a first version does: one token and one choice after the other."""
    rows = []
    for row, chosen, weight in zip(x, idx.tolist(), weights, strict=True):
        rows.append(sum(weight[j] * experts[i](row) for j, i in enumerate(chosen)))
    return torch.stack(rows)


# -------------------------------------------------------------------------------------- timing


def step(layer: nn.Module, x: Tensor, implementation: str = "") -> Callable[[], Tensor]:
    """A forward and a backward pass that returns the output and leaves the gradients."""

    def run() -> Tensor:
        if implementation:
            layer.experts.config._experts_implementation = implementation
        for parameter in layer.parameters():
            parameter.grad = None
        y = layer(x.clone().requires_grad_())
        y.sum().backward()
        return y.detach()

    return run


def products(layer: MoELayer, x: Tensor) -> Callable[[], None]:
    """Only the matrix products, for an even load: three per expert, and two more for each."""
    rows = TOKENS * K // EXPERTS
    group = x.view(-1, D_MODEL)[:rows]
    weights = [w.detach() for expert in layer.experts for w in expert.parameters()]
    inputs = [normal(rows, w.shape[1]) if w.shape[1] != D_MODEL else group for w in weights]
    outputs = [normal(rows, w.shape[0]) for w in weights]

    def run() -> None:
        for w, before, after in zip(weights, inputs, outputs, strict=True):
            before @ w.T, after @ w, after.T @ before

    return run


def agree(actual: Tensor, expected: Tensor) -> None:
    if not torch.allclose(actual, expected, rtol=1e-3, atol=1e-3):
        raise SystemExit("the outputs differ: there is nothing to compare")


def row(what: str, ours: list[float], other: list[float], target: str = "") -> None:
    ratio = median_ratio(ours, other)
    seconds = "".join(f"{1e3 * statistics.median(times):>6.0f} ms" for times in (ours, other))
    print(f"{what:44}{seconds}{ratio:9.3f}  {target}".rstrip())


if __name__ == "__main__":
    main()
