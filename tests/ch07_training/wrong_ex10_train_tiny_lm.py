import inspect
import math
import random

from torch import nn

from kata.wrong import wrong
from solutions.ch07_training import ex10_train_tiny_lm as solution
from solutions.ch07_training.ex01_get_batch import get_batch
from solutions.ch07_training.ex02_lm_loss import lm_loss
from solutions.ch07_training.ex03_evaluate_perplexity import evaluate_perplexity
from solutions.ch07_training.ex06_lr_schedule import lr_schedule
from solutions.ch07_training.ex08_accumulate_step import accumulate_step
from solutions.ch07_training.ex10_train_tiny_lm import TrainConfig, train_step, validation_loss

DEFAULT = TrainConfig()


def changed(*replacements):
    """The reference's `train_tiny_lm`, with some lines of its source written in another way."""
    parts = solution.prepare, solution.check_losses, solution.train_tiny_lm
    source = "\n\n".join(inspect.getsource(part) for part in parts)
    for old, new in replacements:
        if source.count(old) != 1:
            raise LookupError(f"this is not exactly once in the reference: {old}")
        source = source.replace(old, new)
    names = vars(solution) | {"random": random}
    exec(source, names)
    return names["train_tiny_lm"]


def set_rates(optimizer, step, config):
    """Give every group its learning rate."""
    for group in optimizer.param_groups:
        rates = group["max_lr"], group["min_lr"]
        group["lr"] = lr_schedule(step, config.warmup, config.steps, *rates)


def batches_of(data, config, generator):
    """The micro-batches of one step."""
    sizes = config.batch_size, config.context, config.device, generator
    return [get_batch(data, *sizes) for _ in range(config.accumulate)]


def forward_of(model, config):
    """What computes the logits of a training step."""
    return solution.InBfloat16(model) if config.dtype == "bfloat16" else model


# -------------------------------------------------------------------------------------- one step


@wrong(caught_by=["random_characters_cannot_be_predicted", "takes_the_steps_of_a_plain_loop"])
def train_step__predicts_the_token_it_sees(model, optimizer, data, step, config, generator):
    """The targets are the inputs themselves, so that the loss falls even where nothing can be
    predicted. `y` of `get_batch` is the token after each one."""
    set_rates(optimizer, step, config)
    pairs = [(x, x) for x, _ in batches_of(data, config, generator)]
    return accumulate_step(forward_of(model, config), optimizer, pairs, config.clip)


@wrong(caught_by=["takes_the_steps_of_a_plain_loop"])
def train_step__shifts_twice(model, optimizer, data, step, config, generator):
    """The targets were shifted twice. `get_batch` has moved `y` already, and `lm_loss` moves what
    it gets once more."""
    set_rates(optimizer, step, config)
    optimizer.zero_grad()
    loss = sum(
        lm_loss(forward_of(model, config)(x), y) / config.accumulate
        for x, y in batches_of(data, config, generator)
    )
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    optimizer.step()
    return loss.item()


@wrong(
    caught_by=[
        "learns_one_batch_by_heart",
        "takes_the_steps_of_a_plain_loop",
        "learning_rate_follows_the_schedule",
    ]
)
def train_step__stays_at_the_first_rate(model, optimizer, data, step, config, generator):
    """The learning rate is that of step 0 in every step, so that the warm-up never ends."""
    return train_step_at(0, model, optimizer, data, step, config, generator)


@wrong(caught_by=["takes_the_steps_of_a_plain_loop", "learning_rate_follows_the_schedule"])
def train_step__counts_steps_from_one(model, optimizer, data, step, config, generator):
    """The learning rate is that of the next step. The first step is step 0 for the schedule."""
    return train_step_at(step + 1, model, optimizer, data, step, config, generator)


def train_step_at(at, model, optimizer, data, step, config, generator):
    """A step with the learning rate of another one."""
    set_rates(optimizer, at, config)
    pairs = batches_of(data, config, generator)
    return accumulate_step(forward_of(model, config), optimizer, pairs, config.clip)


@wrong(caught_by=["learning_rate_follows_the_schedule"])
def train_step__gives_all_groups_one_rate(model, optimizer, data, step, config, generator):
    """All groups have the learning rate of AdamW. Muon's has a `max_lr` and `min_lr` of its own."""
    for group in optimizer.param_groups:
        rates = config.max_lr, config.min_lr
        group["lr"] = lr_schedule(step, config.warmup, config.steps, *rates)
    pairs = batches_of(data, config, generator)
    return accumulate_step(forward_of(model, config), optimizer, pairs, config.clip)


@wrong(caught_by=["takes_the_steps_of_a_plain_loop"])
def train_step__does_not_clip(model, optimizer, data, step, config, generator):
    """The gradient was not clipped to `config.clip`."""
    set_rates(optimizer, step, config)
    pairs = batches_of(data, config, generator)
    return accumulate_step(forward_of(model, config), optimizer, pairs)


@wrong(caught_by=["takes_the_steps_of_a_plain_loop"])
def train_step__steps_after_each_micro_batch(model, optimizer, data, step, config, generator):
    """The optimizer took a step for each micro-batch. All of them together are one step."""
    set_rates(optimizer, step, config)
    model = forward_of(model, config)
    pairs = batches_of(data, config, generator)
    losses = [accumulate_step(model, optimizer, [pair], config.clip) for pair in pairs]
    return sum(losses) / len(losses)


@wrong(caught_by=["takes_the_steps_of_a_plain_loop"])
def train_step__draws_from_the_global_generator(model, optimizer, data, step, config, generator):
    """The batches were not drawn with the given generator, so that dropout changes which text the
    model sees."""
    return train_step(model, optimizer, data, step, config, None)


@wrong(caught_by=["bfloat16_is_for_the_forward_pass_only"])
def train_step__ignores_the_dtype(model, optimizer, data, step, config, generator):
    """Everything was computed in float32 although `config.dtype` is bfloat16."""
    set_rates(optimizer, step, config)
    return accumulate_step(model, optimizer, batches_of(data, config, generator), config.clip)


@wrong(caught_by=["bfloat16_is_for_the_forward_pass_only"])
def train_step__casts_the_weights(model, optimizer, data, step, config, generator):
    """The weights themselves were made bfloat16, where small updates are lost. Only the forward
    pass is computed in it."""
    if config.dtype == "bfloat16":
        model = model.bfloat16()
    set_rates(optimizer, step, config)
    return accumulate_step(model, optimizer, batches_of(data, config, generator), config.clip)


# ------------------------------------------------------------------------------------ validation


@wrong(
    caught_by=[
        "validates_on_the_tokens_held_out",
        "trains_in_training_mode_only",
        "failure_leaves_the_last_good_checkpoint",
    ]
)
def validation_loss__stays_in_training_mode(model, held_out, config):
    """The model was not in eval mode while it was validated: dropout was at work."""
    return validation_loss(lambda ids: model(ids), held_out, config)


@wrong(
    caught_by=[
        "trains_in_training_mode_only",
        "goes_on_where_it_was_interrupted",
        "failure_leaves_the_last_good_checkpoint",
    ]
)
def validation_loss__leaves_the_model_in_eval_mode(model, held_out, config):
    """After the first validation the model stays in eval mode, and goes on training without
    dropout."""
    return validation_loss(model.eval(), held_out, config)


@wrong(caught_by=["validates_on_the_tokens_held_out"])
def validation_loss__drops_the_last_window(model, held_out, config):
    """The last window was left out because it is shorter. It counts, too."""
    ids = held_out[: config.eval_tokens]
    full = (len(ids) - 1) // config.context * config.context
    return validation_loss(model, ids[: max(full, min(len(ids) - 1, 1)) + 1], config)


@wrong(caught_by=["validates_on_the_tokens_held_out"])
def validation_loss__averages_windows(model, held_out, config):
    """The mean of the windows' means was taken. The last window has fewer tokens: divide the sum
    over all tokens by their number."""
    ids, losses = held_out[: config.eval_tokens].to(config.device), []
    for start in range(0, len(ids) - 1, config.context):
        window = ids[None, start : start + config.context + 1]
        pair = [(window[:, :-1], window[:, 1:])]
        losses.append(math.log(evaluate_perplexity(model, pair)))
    return sum(losses) / len(losses)


@wrong(caught_by=["validates_on_the_tokens_held_out"])
def validation_loss__skips_a_token_between_windows(model, held_out, config):
    """The first token of each window was predicted by nobody. The next window begins with the last
    target of the one before."""
    ids, context = held_out[: config.eval_tokens], config.context
    windows = [ids[None, i : i + context + 1] for i in range(0, len(ids) - 1, context + 1)]
    pairs = [(window[:, :-1], window[:, 1:]) for window in windows]
    return math.log(evaluate_perplexity(model, pairs, config.device))


@wrong(caught_by=["validates_on_the_tokens_held_out"])
def validation_loss__uses_all_tokens(model, held_out, config):
    """More than `config.eval_tokens` tokens were used."""
    ids = held_out
    cut = (len(ids) - 1) // config.context * config.context
    x, y = ids[:cut].view(-1, config.context), ids[1 : cut + 1].view(-1, config.context)
    pairs = [(x, y)] * (cut > 0) + [(ids[None, cut:-1], ids[None, cut + 1 :])]
    return math.log(evaluate_perplexity(model, pairs, config.device))


@wrong(caught_by=["validates_on_the_tokens_held_out", "trains_in_training_mode_only"])
def validation_loss__returns_the_perplexity(model, held_out, config):
    """This is the perplexity. The loss is its logarithm."""
    return math.exp(validation_loss(model, held_out, config))


# -------------------------------------------------------------------------- the text, the model


class SeesEverything(nn.Module):
    """A model without a causal mask."""

    def __init__(self, vocab_size, width, context):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocab_size, width), nn.Embedding(context, width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocab_size)

    def forward(self, ids):
        x = self.tokens(ids) + self.places.weight[: ids.shape[1]]
        return self.head(self.norm(x + self.attention(x, x, x, need_weights=False)[0]))


@wrong(
    caught_by=["random_characters_cannot_be_predicted"],
    crashes=["special_ids_follow_the_characters"],
)
def build_model__forgets_the_causal_mask(config, vocab_size):
    """The loss on random characters is below ln V: the model knows what it cannot know. It sees the
    tokens that it is to predict; is the causal mask there?"""
    return SeesEverything(vocab_size, config.n_embd, config.context)


@wrong(caught_by=["validates_on_the_tokens_held_out"])
def train_tiny_lm__validates_on_what_it_learns(text, config=DEFAULT, **options):
    """The model was validated on text that it learns from. Take what was held out."""
    return changed(("(model, held_out, config)", "(model, train, config)"))(text, config, **options)


@wrong(
    caught_by=[
        "learns_one_batch_by_heart",
        "takes_the_steps_of_a_plain_loop",
        "learns_nothing_from_what_is_held_out",
    ]
)
def train_tiny_lm__learns_from_the_whole_text(text, config=DEFAULT, **options):
    """The model learns from text that is held out. Its batches come from the first 90 %
    only."""
    return changed(("ids[:cut], ids[cut:], tok", "ids, ids[cut:], tok"))(text, config, **options)


@wrong(
    caught_by=[
        "takes_the_steps_of_a_plain_loop",
        "validates_on_the_tokens_held_out",
        "learns_nothing_from_what_is_held_out",
    ]
)
def train_tiny_lm__shuffles_before_the_split(text, config=DEFAULT, **options):
    """The text was shuffled before it was split, so that nothing in it follows from anything.
    The last tenth is held out, in its own order."""
    return changed(
        (
            "tokenizer.encode(text)",
            "tokenizer.encode(random.Random(0).sample(text, len(text)))",
        )
    )(text, config, **options)


@wrong(caught_by=["special_ids_follow_the_characters"])
def train_tiny_lm__has_no_special_ids(text, config=DEFAULT, **options):
    """The vocabulary has the characters only: `config.n_special` ids come after them."""
    return changed((" + config.n_special", ""))(text, config, **options)


@wrong(caught_by=["trains_in_training_mode_only"])
def train_tiny_lm__never_calls_train(text, config=DEFAULT, **options):
    """A model that came in eval mode was trained in eval mode, without its dropout. Call
    `model.train()` before the loop."""
    return changed(("to(config.device).train()", "to(config.device)"))(text, config, **options)


@wrong(caught_by=["trains_in_training_mode_only"])
def train_tiny_lm__returns_a_model_in_training_mode(text, config=DEFAULT, **options):
    """The model came back in training mode. Who uses it wants no dropout: `model.eval()`."""
    return changed(("TinyLM(model.eval()", "TinyLM(model"))(text, config, **options)


@wrong(caught_by=["everything_random_comes_from_the_seed", "goes_on_where_it_was_interrupted"])
def train_tiny_lm__does_not_seed_torch(text, config=DEFAULT, **options):
    """Two runs with one seed differ: weights and dropout come from torch's global random
    numbers, which were not seeded."""
    return changed(("    torch.manual_seed(config.seed)\n", ""))(text, config, **options)


@wrong(caught_by=["takes_the_steps_of_a_plain_loop"])
def train_tiny_lm__draws_batches_without_the_seed(text, config=DEFAULT, **options):
    """The generator of the batches does not start from `config.seed`."""
    return changed(("Generator().manual_seed(config.seed)", "Generator()"))(text, config, **options)


# --------------------------------------------------------------------------------- what is reported


@wrong(
    caught_by=[
        "takes_the_steps_of_a_plain_loop",
        "learning_rate_follows_the_schedule",
        "trains_in_training_mode_only",
        "there_is_a_row_after_each_step",
        "goes_on_where_it_was_interrupted",
        "ctrl_c_waits_for_the_end_of_a_step",
        "checkpoint_is_there_before_the_report",
        "failure_leaves_the_last_good_checkpoint",
    ]
)
def train_tiny_lm__reports_evaluations_only(text, config=DEFAULT, **options):
    """`report` was called after evaluations only. It wants to show a bar: call it after each
    step."""
    return changed(("if report is not None:", 'if report is not None and "val_loss" in row:'))(
        text, config, **options
    )


@wrong(caught_by=["there_is_a_row_after_each_step"])
def train_tiny_lm__forgets_the_last_evaluation(text, config=DEFAULT, **options):
    """There is no validation loss after the last step when it is not a multiple of
    `config.eval_every`."""
    return changed((" or step == config.steps", ""))(text, config, **options)


@wrong(caught_by=["there_is_a_row_after_each_step"])
def train_tiny_lm__forgets_the_micro_batches(text, config=DEFAULT, **options):
    """The tokens of one micro-batch were counted. A step has `config.accumulate` of them."""
    return changed(("config.accumulate * config.batch_size", "config.batch_size"))(
        text, config, **options
    )


@wrong(caught_by=["speed_is_in_tokens_per_second"])
def train_tiny_lm__tells_the_steps_per_second(text, config=DEFAULT, **options):
    """`tokens_per_second` are steps per second. A step has many tokens."""
    return changed(("= tokens / (now", "= 1 / (now"))(text, config, **options)


# ----------------------------------------------------------------------------- stopped, and gone on


@wrong(
    caught_by=[
        "goes_on_where_it_was_interrupted",
        "ctrl_c_waits_for_the_end_of_a_step",
        "checkpoint_is_there_before_the_report",
        "failure_leaves_the_last_good_checkpoint",
        "finished_run_is_not_repeated",
        "checkpoint_of_another_run_is_refused",
    ]
)
def train_tiny_lm__starts_anew(text, config=DEFAULT, **options):
    """The checkpoint was not looked at: every run starts at step 0."""
    return changed(("and checkpoint.exists()", "and not checkpoint"))(text, config, **options)


@wrong(caught_by=["goes_on_where_it_was_interrupted", "ctrl_c_waits_for_the_end_of_a_step"])
def train_tiny_lm__loads_the_weights_only(text, config=DEFAULT, **options):
    """The optimizer starts from nothing after a checkpoint: its state was not loaded."""
    return changed(("(checkpoint, **state)", '(checkpoint, **(state | {"optimizer": None}))'))(
        text, config, **options
    )


@wrong(caught_by=["goes_on_where_it_was_interrupted", "ctrl_c_waits_for_the_end_of_a_step"])
def train_tiny_lm__forgets_the_order_of_batches(text, config=DEFAULT, **options):
    """After a checkpoint the batches are those of the beginning: the state of the generator was
    not loaded."""
    return changed(("(checkpoint, **state)", '(checkpoint, **(state | {"generator": None}))'))(
        text, config, **options
    )


@wrong(caught_by=["goes_on_where_it_was_interrupted"])
def train_tiny_lm__seeds_after_loading(text, config=DEFAULT, **options):
    """torch was seeded after the checkpoint had been loaded, so that dropout repeats the random
    numbers of the beginning."""
    return changed(
        ("    def save() -> None:", "    torch.manual_seed(config.seed)\n\n    def save() -> None:")
    )(text, config, **options)


@wrong(
    caught_by=[
        "goes_on_where_it_was_interrupted",
        "failure_leaves_the_last_good_checkpoint",
        "finished_run_is_not_repeated",
    ]
)
def train_tiny_lm__forgets_the_history(text, config=DEFAULT, **options):
    """The history begins anew after a checkpoint. It was saved: go on with it."""
    return changed(("step, history = load", "step, _ = load"))(text, config, **options)


@wrong(caught_by=["checkpoint_of_another_run_is_refused"])
def train_tiny_lm__accepts_any_checkpoint(text, config=DEFAULT, **options):
    """A checkpoint of other settings was taken. Save what a run must have in common with the
    one that goes on, and compare."""
    return changed((', "config": settings}', "}"))(text, config, **options)


@wrong(caught_by=["checkpoint_of_another_run_is_refused"])
def train_tiny_lm__accepts_another_text(text, config=DEFAULT, **options):
    """A checkpoint of another text was taken: the settings agree, the text does not."""
    return changed((' | {"text": zlib.crc32(text.encode("utf-8", "surrogatepass"))}', ""))(
        text, config, **options
    )


@wrong(caught_by=["goes_on_where_it_was_interrupted", "ctrl_c_waits_for_the_end_of_a_step"])
def train_tiny_lm__saves_nothing_when_interrupted(text, config=DEFAULT, **options):
    """The steps since the last evaluation are lost: nothing was saved when the run was
    interrupted."""
    return changed(("        save()\n        raise\n", "        raise\n"))(text, config, **options)


@wrong(caught_by=["goes_on_where_it_was_interrupted", "ctrl_c_waits_for_the_end_of_a_step"])
def train_tiny_lm__swallows_the_interrupt(text, config=DEFAULT, **options):
    """KeyboardInterrupt was caught, and that was its end: the caller takes the run for
    complete. Save, then `raise`."""
    return changed(("        save()\n        raise\n", "        save()\n"))(text, config, **options)


@wrong(caught_by=["ctrl_c_waits_for_the_end_of_a_step"])
def train_tiny_lm__stops_in_the_middle_of_a_step(text, config=DEFAULT, **options):
    """Ctrl-C came in the middle of a step: its batch was drawn, but the step not counted. Put
    the step into `with undisturbed():`."""
    return changed(("with undisturbed():", "if True:"))(text, config, **options)


@wrong(
    caught_by=[
        "checkpoint_is_there_before_the_report",
        "failure_leaves_the_last_good_checkpoint",
        "finished_run_is_not_repeated",
        "checkpoint_of_another_run_is_refused",
    ]
)
def train_tiny_lm__saves_when_interrupted_only(text, config=DEFAULT, **options):
    """A checkpoint was written when the run was interrupted, and never before: a crash takes
    all. Save after each evaluation."""
    return changed(("history.append(row)\n                    save()", "history.append(row)"))(
        text, config, **options
    )


@wrong(caught_by=["checkpoint_is_there_before_the_report"])
def train_tiny_lm__reports_before_it_saves(text, config=DEFAULT, **options):
    """`report` was called before the checkpoint was written. Should it fail, the steps are
    lost."""
    return changed(
        ("                    save()\n", ""),
        (
            "                report(row)\n",
            '                report(row)\n            "val_loss" in row and save()\n',
        ),
    )(text, config, **options)


# ------------------------------------------------------------------------------------------- failed


@wrong(caught_by=["failure_leaves_the_last_good_checkpoint"])
def train_tiny_lm__goes_on_after_a_nan(text, config=DEFAULT, **options):
    """The loss is NaN, and the run went on. It will never be a number again: stop."""
    return changed(("                check_losses(row, checkpoint)\n", ""))(text, config, **options)


@wrong(caught_by=["failure_leaves_the_last_good_checkpoint"])
def train_tiny_lm__looks_at_the_training_loss_only(text, config=DEFAULT, **options):
    """The validation loss is NaN, and the model was saved. The training loss is older than the
    step that spoiled the weights: look at both."""
    return changed(('in ("train_loss", "val_loss")', 'in ("train_loss",)'))(text, config, **options)


@wrong(caught_by=["failure_leaves_the_last_good_checkpoint"])
def train_tiny_lm__saves_before_it_looks(text, config=DEFAULT, **options):
    """The checkpoint with good weights was replaced by a spoiled one. Look at the losses before
    you save."""
    return changed(
        ("                check_losses(row, checkpoint)\n", ""),
        (
            "            if report is not None",
            "            check_losses(row, checkpoint)\n            if report is not None",
        ),
    )(text, config, **options)


@wrong(caught_by=["failure_leaves_the_last_good_checkpoint"])
def train_tiny_lm__names_no_step(text, config=DEFAULT, **options):
    """The message does not say at which step the loss was not finite."""
    return changed((" at step {row['step']}", ""))(text, config, **options)


# ----------------------------------------------------------------------------- impossible arguments


@wrong(caught_by=["impossible_settings_are_refused"])
def train_tiny_lm__trains_with_any_name(text, config=DEFAULT, **options):
    """An unknown name was taken for one that is known (an `else` without a question). Refuse
    what you do not know."""
    return changed(("if getattr(config, name) not in values:", "if not config:"))(
        text, config, **options
    )


@wrong(caught_by=["impossible_settings_are_refused"])
def train_tiny_lm__knows_the_device_by_name_only(text, config=DEFAULT, **options):
    """The device has a name that torch knows, but it is not there. Only to use it tells."""
    return changed(
        (
            "    try:\n        torch.zeros(1, device=config.device).item()",
            "    try:\n        torch.device(config.device)",
        )
    )(text, config, **options)


@wrong(caught_by=["impossible_settings_are_refused"])
def train_tiny_lm__lets_torch_refuse_the_device(text, config=DEFAULT, **options):
    """torch's own error came through. A setting that is not possible is a ValueError."""
    return changed(
        ("except (RuntimeError, AssertionError) as error", "except ZeroDivisionError as error")
    )(text, config, **options)


@wrong(crashes=["learns_one_batch_by_heart"])
def train_tiny_lm__asks_for_a_whole_window_held_out(text, config=DEFAULT, **options):
    """A text was refused that is long enough: 2 characters held out are one token to
    predict."""
    return changed(("len(text) - cut < 2", "len(text) - cut < config.context + 1"))(
        text, config, **options
    )
