import math
import random
import signal
from pathlib import Path
from tempfile import mkdtemp

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kata.check import close, raises
from kata.tensors import generator, normal

pytestmark = pytest.mark.timeout(60)

TEXT = "the cat sat on the mat, and the dog sat on the cat. " * 6  # 312 characters, 14 of them
SMALL = {"architecture": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 8, "context": 8}
SMALL |= {"batch_size": 3, "steps": 6, "eval_every": 3, "warmup": 2, "max_lr": 0.05, "min_lr": 0.01}
TIMES = ("seconds", "tokens_per_second")
REFUSED = {
    "architecture": {"architecture": "gpt3"},
    "optimizer": {"optimizer": "sgd"},
    "dtype": {"dtype": "bf16"},
    "unknown device": {"device": "gpu"},
    "absent device": {"device": "cuda:99"},
    "short text": {"context": 280},
}


class Bigrams(nn.Module):
    """A model that looks at one token only: `table[i]` are the logits of what follows i.

    In eval mode all tokens are equally likely if it is `moody`. From training call `breaks` on, its
    logits are NaN (in eval mode from call `spoiled` on). At training call `pressed`, Ctrl-C comes.
    """

    def __init__(self, vocab=14, *, moody=False, breaks=99, spoiled=99, pressed=99):
        super().__init__()
        self.table, self.scale = nn.Parameter(normal(vocab, vocab)), nn.Parameter(torch.ones(vocab))
        self.moody, self.breaks, self.spoiled, self.pressed = moody, breaks, spoiled, pressed
        self.calls = 0

    def forward(self, ids):
        self.calls += self.training
        torch.rand(1)  # as dropout would draw
        if self.training and self.calls == self.pressed:
            signal.raise_signal(signal.SIGINT)
        logits = self.table[ids] * self.scale
        if self.calls >= (self.breaks if self.training else self.spoiled):
            logits = logits * math.nan
        return logits if self.training or not self.moody else logits * 0.0


def settings(answer, **changes):
    return answer.TrainConfig(**(SMALL | changes))


def train(answer, text=TEXT, model=None, checkpoint=None, stop=0, **changes):
    """The rows that are reported, and the result; `report` raises KeyboardInterrupt at `stop`."""
    rows = []

    def report(row):
        rows.append(dict(row))
        if row["step"] == stop:
            raise KeyboardInterrupt

    config = settings(answer, **changes)
    options = {"checkpoint": checkpoint, "report": report, "model": model}
    return rows, answer.train_tiny_lm(text, config, **options)


def place(tmp_path):
    """A file in a new folder: wrong versions meet the same `tmp_path` one after another."""
    return Path(mkdtemp(dir=tmp_path), "run.pt")


def timeless(rows):
    """The rows without what no two runs have in common."""
    return [{name: row[name] for name in row if name not in TIMES} for row in rows]


def weights(lm):
    """All weights of a model in one vector."""
    return torch.cat([weight.flatten() for weight in lm.model.state_dict().values()])


def ids_of(text):
    chars = sorted(set(text))
    return torch.tensor([chars.index(char) for char in text])


def random_text(length, alphabet="abcdefgh"):
    rng = random.Random(0)
    return "".join(rng.choice(alphabet) for _ in range(length))


def losses_by_hand(reference, model, config):
    """The training losses of a plain loop with torch's own parts."""
    data, rng, losses = ids_of(TEXT)[:280].to(config.device), generator(config.seed), []
    decay = [{"params": [model.table], "weight_decay": config.weight_decay}]
    groups = [*decay, {"params": [model.scale], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    for step in range(config.steps):
        sizes = config.batch_size, config.context, config.device, rng
        batches = [reference.get_batch(data, *sizes) for _ in range(config.accumulate)]
        x, y = (torch.cat(part) for part in zip(*batches, strict=True))
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        rates = config.warmup, config.steps, config.max_lr, config.min_lr
        for group in optimizer.param_groups:
            group["lr"] = reference.lr_schedule(step, *rates)
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses)


def loss_of_windows(model, ids, context):
    """The mean loss per token, of one window after the other."""
    nll = 0.0
    for start in range(0, len(ids) - 1, context):
        window = ids[start : start + context + 1]
        nll += F.cross_entropy(model(window[None, :-1])[0], window[1:], reduction="sum").item()
    return torch.tensor(nll / (len(ids) - 1))


@pytest.mark.parametrize(("architecture", "optimizer"), [("gpt2", "adamw"), ("llama", "muon")])
def test_learns_one_batch_by_heart(answer, device, architecture, optimizer):
    text = "the cat sat on a mat"  # 18 characters to learn from: a single window
    sizes = {"n_embd": 32, "context": 17, "steps": 40, "warmup": 10, "max_lr": 0.01, "clip": 9.0}
    names = {"architecture": architecture, "optimizer": optimizer, "device": device}
    rows, _ = train(answer, text, **(sizes | names))
    assert rows[-1]["train_loss"] < 0.1, "the last training loss is too high"


def test_random_characters_cannot_be_predicted(answer):
    sizes = {"n_embd": 16, "context": 16, "batch_size": 16, "steps": 40, "eval_every": 20}
    rows, lm = train(answer, random_text(6000), architecture="llama", **sizes)
    losses = [row["train_loss"] for row in rows] + [row["val_loss"] for row in lm.history]
    assert min(losses) >= math.log(8) - 0.05, "a loss below log(8), for one of 8 characters"


def test_takes_the_steps_of_a_plain_loop(answer, reference, device):
    changes = {"accumulate": 2, "weight_decay": 0.9, "clip": 0.3, "seed": 5, "device": device}
    model, config = Bigrams().to(device), settings(reference, **changes)
    expected = losses_by_hand(reference, model, config)
    rows, _ = train(answer, model=Bigrams(), **changes)
    close(torch.tensor([row["train_loss"] for row in rows]), expected, "step")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_learning_rate_follows_the_schedule(answer, reference, optimizer):
    rates = (0.05, 0.01) if optimizer == "adamw" else (0.02, 0.004)
    expected = torch.tensor([reference.lr_schedule(step, 2, 6, *rates) for step in range(6)])
    rows, _ = train(answer, optimizer=optimizer)
    close(torch.tensor([row["lr"] for row in rows]), expected, "step")


@pytest.mark.parametrize("eval_tokens", [10_000, 20])
def test_validates_on_the_tokens_held_out(answer, eval_tokens):
    _, lm = train(answer, dropout=0.5, eval_tokens=eval_tokens)
    expected = loss_of_windows(lm.model.eval(), ids_of(TEXT)[280:][:eval_tokens], context=8)
    close(torch.tensor(lm.history[-1]["val_loss"]), expected.detach())


def test_learns_nothing_from_what_is_held_out(answer):
    text = "ab" * 90 + "cd" * 10
    _, lm = train(answer, text, model=Bigrams(vocab=4), batch_size=20, weight_decay=0.0)
    close(lm.model.state_dict()["table"][2:], normal(4, 4)[2:], "token next")


@pytest.mark.parametrize("training", [True, False])
def test_trains_in_training_mode_only(answer, training):
    model = Bigrams(moody=True).train(training)
    rows, lm = train(answer, model=model, max_lr=1e-6, min_lr=1e-6)
    losses = torch.tensor([row["train_loss"] for row in rows])
    close(torch.tensor([row["val_loss"] for row in lm.history]), torch.full((2,), math.log(14)))
    assert ((losses - math.log(14)).abs() > 0.1).tolist() == [True] * 6
    assert {"training": lm.model.training} == {"training": False}


def test_there_is_a_row_after_each_step(answer):
    rows, lm = train(answer, eval_every=4, accumulate=2)
    assert [(row["step"], row["tokens"]) for row in rows] == [(i, 48 * i) for i in range(1, 7)]
    assert [row["step"] for row in rows if "val_loss" in row] == [4, 6]
    assert timeless(lm.history) == timeless([rows[3], rows[5]])


def test_speed_is_in_tokens_per_second(answer):
    rows, _ = train(answer)
    seconds_in_steps = sum(24 / row["tokens_per_second"] for row in rows)
    slow = seconds_in_steps > rows[-1]["seconds"] + 1e-6
    assert {"at this speed they take longer": slow} == {"at this speed they take longer": False}


def test_special_ids_follow_the_characters(answer, tmp_path):
    _, lm = train(answer, n_special=3)
    expected, path = lm.model(torch.tensor([[2, 13]])).detach(), place(tmp_path)
    lm.save(path)
    assert tuple(expected.shape) == (1, 2, 17)  # (batch, seq, vocab)
    close(answer.TinyLM.load(path).model(torch.tensor([[2, 13]])).detach(), expected)


def test_everything_random_comes_from_the_seed(answer):
    runs = []
    for noise, seed in enumerate((1, 1, 2)):
        torch.manual_seed(noise)
        runs.append(timeless(train(answer, seed=seed, dropout=0.2)[0]))
    assert runs[1] == runs[0]
    assert runs[2] != runs[0]


def test_bfloat16_is_for_the_forward_pass_only(answer):
    torch.manual_seed(0)
    exact, _ = train(answer)
    torch.manual_seed(0)
    rows, lm = train(answer, dtype="bfloat16")
    losses = [torch.tensor([row["train_loss"] for row in run]) for run in (rows, exact)]
    close(*losses, "step", rtol=0.0, atol=0.03)
    assert {"as in float32": torch.equal(*losses)} == {"as in float32": False}
    assert {"weights": str(weights(lm).dtype)} == {"weights": "torch.float32"}


@pytest.mark.parametrize(("optimizer", "stop"), [("adamw", 2), ("adamw", 3), ("muon", 5)])
def test_goes_on_where_it_was_interrupted(answer, tmp_path, optimizer, stop):
    options, path = {"optimizer": optimizer, "dropout": 0.2}, place(tmp_path)
    expected, whole = train(answer, **options)
    with raises(KeyboardInterrupt):
        train(answer, checkpoint=path, stop=stop, **options)
    rows, lm = train(answer, checkpoint=path, **options)
    assert timeless(rows) == timeless(expected[stop:])
    assert timeless(lm.history) == timeless(whole.history)
    close(weights(lm), weights(whole), rtol=0.0, atol=0.0)


@pytest.mark.in_worker("Ctrl-C comes to the process that trains")
def test_ctrl_c_waits_for_the_end_of_a_step(answer, tmp_path):
    (expected, _), path = train(answer, model=Bigrams()), place(tmp_path)
    with raises(KeyboardInterrupt):
        train(answer, model=Bigrams(pressed=2), checkpoint=path)
    rows, _ = train(answer, model=Bigrams(), checkpoint=path)
    assert timeless(rows) == timeless(expected[2:])


@pytest.mark.parametrize("stop", [3, 6])
def test_checkpoint_is_there_before_the_report(answer, tmp_path, stop):
    def crash(row):
        if row["step"] == stop:
            raise OSError("the terminal has gone")

    options = {"checkpoint": place(tmp_path)}
    with raises(OSError):
        answer.train_tiny_lm(TEXT, settings(answer), report=crash, **options)
    rows, _ = train(answer, **options)
    assert [row["step"] for row in rows] == list(range(stop + 1, 7))


@pytest.mark.parametrize(
    ("fault", "step"), [({"breaks": 5}, 5), ({"breaks": 6}, 6), ({"spoiled": 6}, 6)], ids=str
)
def test_failure_leaves_the_last_good_checkpoint(answer, tmp_path, fault, step):
    path = place(tmp_path)
    with raises(FloatingPointError, match=f"step {step}"):
        train(answer, model=Bigrams(**fault), checkpoint=path)
    rows, lm = train(answer, model=Bigrams(), checkpoint=path)
    assert [row["step"] for row in rows] == [4, 5, 6]
    assert [row["step"] for row in lm.history] == [3, 6]


def test_finished_run_is_not_repeated(answer, tmp_path):
    path = place(tmp_path)
    _, first = train(answer, checkpoint=path)
    rows, again = train(answer, checkpoint=path)
    assert timeless(rows) == []
    assert timeless(again.history) == timeless(first.history)
    close(weights(again), weights(first), rtol=0.0, atol=0.0)


@pytest.mark.parametrize("text", [TEXT, TEXT[::-1]], ids=["other settings", "other text"])
def test_checkpoint_of_another_run_is_refused(answer, tmp_path, text):
    options = {"checkpoint": place(tmp_path)}
    train(answer, **options)
    with raises(ValueError):
        train(answer, text, max_lr=0.05 if text != TEXT else 0.06, **options)


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_impossible_settings_are_refused(answer, changes):
    with raises(ValueError):
        train(answer, **changes)
