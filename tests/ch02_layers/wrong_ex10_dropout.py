import random

import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex10_dropout import Dropout


@wrong(caught_by=["kept_elements_are_scaled_up"])
class Dropout__does_not_scale(Dropout):
    """The kept elements were not divided by 1 - p: the expected value shrinks while training."""

    def forward(self, x):
        return x * (torch.rand_like(x) >= self.p) if self.training else x


@wrong(caught_by=["kept_elements_are_scaled_up", "evaluation_mode_changes_nothing"])
class Dropout__scales_down_in_evaluation(Dropout):
    """The output was scaled in evaluation mode. Scale in training, and change nothing after it."""

    def forward(self, x):
        return x * (torch.rand_like(x) >= self.p) if self.training else x * (1 - self.p)


@wrong(caught_by=["evaluation_mode_changes_nothing"])
class Dropout__drops_in_evaluation(Dropout):
    """Elements were dropped in evaluation mode too: `self.training` says which mode it is."""

    def forward(self, x):
        return nn.functional.dropout(x, self.p)


@wrong(
    caught_by=[
        "kept_elements_are_scaled_up",
        "drops_a_fraction_p",
        "keeps_or_drops_everything_at_the_ends",
    ]
)
class Dropout__takes_p_for_the_chance_to_keep(Dropout):
    """`p` is the probability that an element is dropped, not that it is kept."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.p = 1 - p


@wrong(caught_by=["drops_a_fraction_p", "keeps_or_drops_everything_at_the_ends"])
class Dropout__keeps_with_probability_p(Dropout):
    """Elements were kept with probability `p` and dropped with 1 - p. It is the other way round."""

    def forward(self, x):
        if not self.training or self.p == 1:
            return x * 0.0 if self.training else x
        return x * (torch.rand_like(x, dtype=torch.float32) < self.p) / (1 - self.p)


@wrong(caught_by=["each_call_draws_anew"])
class Dropout__keeps_its_first_mask(Dropout):
    """The mask was drawn once and used again: each call needs a new one."""

    def forward(self, x):
        if not self.training or self.p in (0, 1):
            return super().forward(x)
        if not hasattr(self, "mask") or self.mask.shape != x.shape:
            self.mask = torch.rand_like(x, dtype=torch.float32) >= self.p
        return x * self.mask / (1 - self.p)


@wrong(caught_by=["each_element_has_its_own_chance"])
class Dropout__drops_whole_columns(Dropout):
    """One mask was used for every row: each element has a chance of its own."""

    def forward(self, x):
        if not self.training or self.p in (0, 1):
            return super().forward(x)
        keep = torch.rand_like(x[..., :1, :] if x.dim() > 1 else x, dtype=torch.float32) >= self.p
        return x * keep / (1 - self.p)


@wrong(caught_by=["keeps_or_drops_everything_at_the_ends"])
class Dropout__divides_by_zero(Dropout):
    """With p = 1 nothing is left to scale: 0 / 0 is NaN. This case needs a line of its own."""

    def forward(self, x):
        keep = torch.rand_like(x, dtype=torch.float32) >= self.p
        return x * keep / (1 - self.p) if self.training else x


@wrong(crashes=["keeps_dtype_and_device"])
class Dropout__makes_the_mask_on_the_cpu(Dropout):
    """The mask was made on the CPU, whatever device `x` is on."""

    def forward(self, x):
        if not self.training or self.p in (0, 1):
            return super().forward(x)
        keep = torch.rand(x.shape) >= self.p
        return x * keep / (1 - self.p)


@wrong(caught_by=["keeps_dtype_and_device"])
class Dropout__makes_a_float_mask(Dropout):
    """The float32 mask changes the dtype of the result: make it bool, or of the dtype of `x`."""

    def forward(self, x):
        if not self.training or self.p in (0, 1):
            return super().forward(x)
        keep = (torch.rand(x.shape, device=x.device) >= self.p).float()
        return x * keep / (1 - self.p)


@wrong(caught_by=["the_seed_repeats_the_draw"])
class Dropout__uses_another_generator(Dropout):
    """The random numbers did not come from torch: `torch.manual_seed` cannot repeat them."""

    def forward(self, x):
        if not self.training or self.p in (0, 1):
            return super().forward(x)
        keep = [random.random() >= self.p for _ in range(x.numel())]
        return x * torch.tensor(keep, device=x.device).view(x.shape) / (1 - self.p)


@wrong(caught_by=["gradient_flows_through_kept_elements_only"])
class Dropout__hides_the_mask_from_autograd(Dropout):
    """Elements were erased behind autograd's back (`.data`, `.detach()`, `no_grad`): the gradient
    does not know that they were dropped."""

    def forward(self, x):
        if not self.training or self.p in (0, 1):
            return super().forward(x)
        y = x / (1 - self.p)
        y.data[torch.rand_like(x, dtype=torch.float32) < self.p] = 0
        return y


@wrong(caught_by=["gradient_flows_through_kept_elements_only", "input_is_not_modified"])
class Dropout__erases_in_place(Dropout):
    """The elements were erased in the caller's tensor. Make a new one."""

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        x.data[torch.rand_like(x, dtype=torch.float32) < self.p] = 0
        return x / (1 - self.p) if self.p < 1 else x


@wrong(caught_by=["probability_outside_the_unit_interval_is_refused"])
class Dropout__takes_any_p(Dropout):
    """A `p` that is no probability was accepted instead of raising ValueError."""

    def __init__(self, p=0.5):
        nn.Module.__init__(self)
        self.p = p
