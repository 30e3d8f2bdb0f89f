"""Chapter 8: the learner's own language model is tuned, and answers instead of going on."""

from __future__ import annotations

import copy
import json
import math
import os
import random
from collections import defaultdict
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

from kata import stubs
from kata.corpus import PAIRS_PATH, PATH
from kata.course import Course
from kata.files import write_text
from kata.show import NotReady, OwnFiles, alone_with_seed, tiny
from kata.show.ch08_page import Answer, Result, document
from kata.text import ascii_safe, brief

NEEDS = "This show runs your 8.1 to 8.4, 8.10 and 5.10, on the model of your 7.10."
CONTEXT = 128  # the longest pair has 99 tokens in the template
BASE: dict[str, Any] = {  # of TrainConfig (7.10), where there is no model of `kata show 7`
    "n_layer": 3, "n_head": 4, "n_embd": 96, "context": CONTEXT, "batch_size": 8, "steps": 250,
    "optimizer": "muon", "max_lr": 3e-3, "min_lr": 1e-4, "muon_lr": 0.02, "warmup": 20,
    "weight_decay": 0.0, "eval_every": 50, "n_special": tiny.N_SPECIAL,
}  # fmt: skip
TUNING: dict[str, Any] = {  # what is other then
    "optimizer": "muon", "max_lr": 2e-3, "min_lr": 4e-5, "muon_lr": 0.02, "warmup": 10,
    "weight_decay": 0.0, "clip": 1.0, "batch_size": 22,
}  # fmt: skip
EPOCHS, SEED, NEW_TOKENS = 45, 8, 60
ROWS = 6  # of each kind in the terminal; the page has all
TOLERANCE = 1e-3  # between two ways to get the same loss
NAMES = ("<|im_start|>", "<|im_end|>", "<|pad|>")  # of the first reserved ids
VARIABLE = "KATA_CHAT_MODELS"  # a base model and a chat model for 8.10, by name
HUB_PROMPTS = ("What is the capital of France?", "Write a line about the sea.", "Who are you?")

SHOWN = (
    "Who keeps the lighthouse?", "What is Ida afraid of?", "Count to five.",
    "What is the opposite of hot?", "Where is the tea?", "Who are you?",
)  # fmt: skip
# Prompts that are not among the pairs, each with the one that it says in other words. The first
# half differs in a word.
HELD_OUT = {
    "Who mends the clocks?": "Who mends clocks?",
    "Who owns this inn?": "Who owns the inn?",
    "Is there any soup?": "Is there soup?",
    "When does the baker bake bread?": "When does the baker bake?",
    "Say good morning!": "Say good morning.",
    "Where is the sugar, please?": "Where is the sugar?",
    "What colour is your ink?": "What colour is the ink?",
    "How many eggs are there in the nest?": "How many eggs are in the nest?",
    "Name one fish.": "Name a fish.",
    "What stopped this clock?": "What stopped the clock?",
    "Tell me who keeps the lighthouse.": "Who keeps the lighthouse?",
    "Which animal lives with Lena?": "What animal lives with Lena?",
    "How much does a bed cost?": "What does a bed cost?",
    "At what time does the baker bake?": "When does the baker bake?",
    "When does the clerk leave for home?": "When does the clerk go home?",
    "Please say good night.": "Say good night.",
    "What is a boat built of?": "What is a boat made of?",
    "What is the opposite of a day?": "What is the opposite of day?",
    "Could you say ahoy?": "Say ahoy.",
    "Who is the owner of the inn?": "Who owns the inn?",
}

Pair = tuple[str, str]


@dataclass
class Run:
    """A model and its tokenizer, and the learner's files that work with them."""

    files: OwnFiles
    makers: OwnFiles  # of the model: the learner's files too, or the references
    model: nn.Module
    tokenizer: Any
    config: Any
    console: Console
    pairs: list[Pair]
    size: int = field(init=False)  # the number of characters; reserved ids come behind them

    def __post_init__(self) -> None:
        with self.makers.blame("1.2"):
            self.size = int(self.tokenizer.vocab_size)

    @property
    def special_ids(self) -> dict[str, int]:
        """The control tokens by name."""
        return {name: self.size + i for i, name in enumerate(NAMES)}

    def encode(self, text: str) -> list[int]:
        """The ids of characters; no control token is among them."""
        with self.makers.blame("1.2"):
            ids: list[int] = self.tokenizer.encode(text)
        return ids

    def decode(self, ids: list[int]) -> str:
        """A text in which control tokens can be seen."""
        special = dict(enumerate(NAMES, self.size))
        with self.makers.blame("1.2"):
            return "".join(
                special.get(i, "<?>") if i >= self.size else self.tokenizer.decode([i]) for i in ids
            )

    def template(self, messages: list[dict[str, str]], **options: bool) -> list[int]:
        """The ids of a conversation, by the learner's 8.1."""
        with self.files.blame("8.1"):
            encode_chat = self.files["8.1"].encode_chat
            ids = encode_chat(messages, self.encode, self.special_ids, **options)
        return _ids("8.1", "encode_chat", ids, self.size + len(NAMES))

    def asked(self, prompt: str) -> list[int]:
        """The ids after which the answer to a prompt begins."""
        return self.template([{"role": "user", "content": prompt}], add_generation_prompt=True)

    def examples(self, pairs: list[Pair]) -> list[tuple[list[int], list[int]]]:
        """Ids and labels of each pair, by the learner's 8.2."""
        made = []
        for prompt, response in pairs:
            ids, end = self.asked(prompt), self.special_ids[NAMES[1]]
            with self.files.blame("8.2"):
                build = self.files["8.2"].build_sft_example
                example = build(ids, response, self.encode, end, max_len=CONTEXT)
                ids, labels = example
            made.append((_ids("8.2", "build_sft_example", ids, self.size + len(NAMES)), labels))
        return made

    def batch(self, examples: list[tuple[list[int], list[int]]]) -> dict[str, Tensor]:
        """The tensors of some examples, by the learner's 8.3."""
        with self.files.blame("8.3"):
            batch = self.files["8.3"].sft_collate(examples, self.special_ids[NAMES[2]])
            shapes = [batch[name].shape for name in ("input_ids", "labels")]
        width = max(len(ids) for ids, _ in examples)
        if shapes != [(len(examples), width)] * 2:
            raise NotReady(f"8.3: `sft_collate` returned {brief(batch)}")
        return batch  # type: ignore[no-any-return]

    def side(self, model: nn.Module) -> Any:
        """A model for 8.10: before tuning, or after it."""
        with self.files.blame("8.10"):
            return self.files["8.10"].TextModel(
                model=model,
                encode=self.encode,
                decode=self.decode,
                template=self.template,
                end_id=self.special_ids[NAMES[1]],
                context=CONTEXT,
            )


def show(course: Course, tree: Path, out: Path, console: Console) -> list[Path]:
    """Tune the learner's own model, and show the same prompts before and after.

    Raises:
        NotReady: an exercise that this needs is not done, or failed.
    """
    pairs = [(p["prompt"], p["response"]) for p in map(json.loads, _lines(PAIRS_PATH))]
    with (
        OwnFiles(course, tree, NEEDS) as files,
        OwnFiles(course, course.solutions_dir) as references,
        alone_with_seed(SEED),
    ):
        makers, whose = files, "Your own model"
        try:
            _rehearse(files, files, pairs)
        except NotReady as error:
            number = str(error).partition(" ")[0]
            if not error.is_to_do or number.startswith(("5", "8")):
                raise
            if not stubs.has_solution(course, course.find("7.10")):
                raise
            makers, whose = references, f"The model of solutions/ (your {number} is to do)"
            _rehearse(files, makers, pairs)
        hub = _hub(files)
        own = tree if makers is files else course.solutions_dir
        run, origin = _base(files, makers, own, out, pairs, console)
        what = f"{whose}, {origin}, is tuned on {len(pairs)} pairs of prompt and response."
        console.print(f"{what}\n")
        result = _tuned(run, what, EPOCHS)
        result.hub = hub
    _print(console, result)
    path = out / "ch08.html"
    write_text(path, document(result))
    return [path]


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def _rehearse(files: OwnFiles, makers: OwnFiles, pairs: list[Pair]) -> None:
    """Do everything once with next to nothing, to find out what is to do before it takes long."""
    small = {"n_layer": 1, "n_head": 1, "n_embd": 4, "batch_size": 1, "steps": 1, "warmup": 0}
    console = Console(file=StringIO())
    run = _train(files, makers, small, pairs[:1], console)
    _tuned(run, "", epochs=1)


def _ids(number: str, name: str, ids: Any, vocab: int) -> list[int]:
    """What a function of the learner's returned, if it is a list of ids."""
    if isinstance(ids, list) and all(isinstance(i, int) and 0 <= i < vocab for i in ids):
        return ids
    raise NotReady(f"{number}: `{name}` returned {brief(ids)}, not ids below {vocab}")


# ------------------------------------------------------------------------------------- the base


def _base(
    files: OwnFiles, makers: OwnFiles, tree: Path, out: Path, pairs: list[Pair], console: Console
) -> tuple[Run, str]:
    """The model of `kata show 7` if there is one that can be tuned, else one that is made now."""
    try:
        with makers.blame("7.10"):
            lm = makers["7.10"].TinyLM.load(tiny.trained(tree, out))
            config = replace(lm.config, context=max(lm.config.context, CONTEXT))
            model = makers["7.10"].build_model(config, lm.tokenizer.vocab_size + config.n_special)
            model.load_state_dict(lm.model.state_dict())
        run = Run(files, makers, model, lm.tokenizer, config, console, pairs)
        for prompt, response in pairs:
            run.encode(f"user\n{prompt}{response}")
        if config.n_special < len(NAMES):
            raise NotReady("The model of `kata show 7` has no ids for control tokens")
        return run, f"which `kata show 7` has trained ({_parameters(model)})"
    except NotReady as error:
        console.print(f"{ascii_safe(str(error))}. Here one is trained for a short time.\n")
    run = _train(files, makers, {}, pairs, console)
    return run, f"trained just now, for a short time ({_parameters(run.model)})"


def _parameters(model: nn.Module) -> str:
    return f"{sum(p.numel() for p in model.parameters()):,} parameters"


def _train(
    files: OwnFiles, makers: OwnFiles, changes: dict[str, Any], pairs: list[Pair], console: Console
) -> Run:
    with makers.blame("7.10"):
        config = makers["7.10"].TrainConfig(**BASE | changes)
    with tiny.bar(console, config.steps, "reading") as progress, makers.blame("7.10"):
        lm = makers["7.10"].train_tiny_lm(
            PATH.read_text("utf-8"),
            config,
            report=lambda row: progress(int(row["step"]), f"loss {row['train_loss']:.3f}"),
        )
        return Run(files, makers, lm.model, lm.tokenizer, config, console, pairs)


# --------------------------------------------------------------------------------------- tuning


def _tuned(run: Run, what: str, epochs: int) -> Result:
    """Tune the model of a run, and find out what has changed."""
    responses = dict(run.pairs)
    others = [(new, responses[old]) for new, old in HELD_OUT.items() if old in responses]
    others = others or run.pairs  # in the rehearsal
    before, after = copy.deepcopy(run.model).eval(), run.model
    examples = run.examples(run.pairs)
    own, expected = _own_loss(run, examples), _loss(run, before, run.pairs)
    _tune(run, examples, epochs)
    after.eval()
    prompts = [p for p in SHOWN if p in responses] + [p for p, _ in others]
    answers = dict(run.pairs) | dict(others)
    with run.files.blame("8.10"):
        function = run.files["8.10"].completion_vs_chat
        rows = function(prompts, run.side(before), run.side(after), NEW_TOKENS, seed=SEED)
        shown = [
            Answer(r["prompt"], r["completion"], r["chat"], answers[r["prompt"]]) for r in rows
        ]
    models, sets = (before, after), (run.pairs, others)
    ids, labels = examples[0]
    return Result(
        what=what,
        trained=[answer for answer in shown if answer.prompt in responses],
        held_out=[answer for answer in shown if answer.prompt not in responses],
        losses=[[_loss(run, model, pairs) for model in models] for pairs in sets],
        exact=[[_exact(run, model, pairs) for model in models] for pairs in sets],
        counts=[len(pairs) for pairs in sets],
        prose=[_prose(run, model) for model in models],
        example=[(run.decode([i]), label != -100) for i, label in zip(ids, labels, strict=True)],
        problem=""
        if abs(own - expected) < TOLERANCE
        else f"Your 8.1 to 8.4 say that the loss on all responses is {own:.3f} before tuning, "
        f"torch's cross_entropy says {expected:.3f}.",
    )


def _tune(run: Run, examples: list[tuple[list[int], list[int]]], epochs: int) -> None:
    """Take the learner's `sft_step` (8.4) on batches of all pairs, again and again."""
    config, rng = replace(run.config, **TUNING), random.Random(SEED)
    with run.makers.blame("7.10"):
        optimizer = run.makers["7.10"].build_optimizer(run.model.train(), config)
    size = config.batch_size
    steps = epochs * math.ceil(len(examples) / size)
    with tiny.bar(run.console, steps, "tuning") as progress:
        step = 0
        for _ in range(epochs):
            order = rng.sample(examples, len(examples))
            for start in range(0, len(order), size):
                with run.makers.blame("7.6"):
                    for group in optimizer.param_groups:
                        rates = group["max_lr"], group["min_lr"]
                        lr_schedule = run.makers["7.6"].lr_schedule
                        group["lr"] = lr_schedule(step, min(steps, config.warmup), steps, *rates)
                batch = run.batch(order[start : start + size])
                with run.files.blame("8.4"):
                    loss = run.files["8.4"].sft_step(run.model, optimizer, batch, config.clip)
                step += 1
                if not isinstance(loss, float) or not math.isfinite(loss):
                    raise NotReady(f"8.4: `sft_step` returned {brief(loss)} at step {step}")
                progress(step, f"loss {loss:.3f}")


@torch.no_grad()
def _own_loss(run: Run, examples: list[tuple[list[int], list[int]]]) -> float:
    """The loss on all responses by the learner's 8.1 to 8.4."""
    batch = run.batch(examples)
    with run.files.blame("8.4"):
        return float(run.files["8.4"].sft_loss(run.model.eval(), batch))


@torch.no_grad()
def _loss(run: Run, model: nn.Module, pairs: list[Pair]) -> float:
    """The same by torch's own function, pair by pair, and without the learner's chapter 8."""
    start, end = (run.special_ids[name] for name in NAMES[:2])
    total, count = 0.0, 0
    for prompt, response in pairs:
        ids = [start, *run.encode(f"user\n{prompt}"), end, *run.encode("\n")]
        ids += [start, *run.encode("assistant\n")]
        answer = [*run.encode(response), end]
        with run.makers.blame("7.10"):
            logits = model(torch.tensor([ids + answer]))[0, len(ids) - 1 : -1].float()
            total += F.cross_entropy(logits, torch.tensor(answer), reduction="sum").item()
        count += len(answer)
    return total / count


def _exact(run: Run, model: nn.Module, pairs: list[Pair]) -> int:
    """How many prompts are answered word for word by the learner's 5.10, greedily."""
    end, groups = run.special_ids[NAMES[1]], defaultdict(list)
    for prompt, response in pairs:
        ids = run.asked(prompt)
        groups[len(ids)].append((ids, [*run.encode(response), end]))
    good = 0
    for group in groups.values():  # those of one length are asked at once
        prompts, answers = zip(*group, strict=True)
        with run.files.blame("5.10"):
            generate, most = run.files["5.10"].generate, max(len(answer) for answer in answers)
            new = generate(model, torch.tensor(prompts), most, eos_id=end).tolist()
        good += sum(row[: len(answer)] == answer for row, answer in zip(new, answers, strict=True))
    return good


@torch.no_grad()
def _prose(run: Run, model: nn.Module) -> float:
    """The loss on the end of the project's own play: tuning makes a model forget."""
    text = PATH.read_text("utf-8")
    with run.makers.blame("1.2"):
        known = set(run.tokenizer.decode(list(range(run.size))))
    ids = torch.tensor(run.encode("".join(c for c in text[int(0.9 * len(text)) :] if c in known)))
    rows = ids[: len(ids) // 64 * 64].view(-1, 64)
    with run.makers.blame("7.10"):
        logits = model(rows)[:, :-1].float()
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).item()


def _hub(files: OwnFiles) -> tuple[str, list[dict[str, str]]]:
    """What two models of the hub, or of folders, say; nothing if none are named."""
    names = os.environ.get(VARIABLE, "").split()
    if not names:
        return "", []
    if len(names) != 2:
        raise NotReady(f"{VARIABLE} names {len(names)} models, not a base and a chat model")
    with files.blame("8.10"):
        base, chat = (files["8.10"].load_text_model(name) for name in names)
        rows = files["8.10"].completion_vs_chat(HUB_PROMPTS, base, chat, 40, seed=SEED)
    return " and ".join(names), rows


# ------------------------------------------------------------------------------------- terminal


def _print(console: Console, result: Result) -> None:
    for title, answers in {"trained": result.trained, "held out": result.held_out}.items():
        table = Table(f"prompt ({title})", "before: goes on", "after: answers", "")
        for answer in answers[:ROWS]:
            texts = (answer.prompt, answer.before_in_a_line, answer.after, answer.mark)
            table.add_row(*(Text(ascii_safe(text)) for text in texts))
        console.print(table)
    table = Table("")
    for name in ("before", "after"):
        table.add_column(name, justify="right")
    for what, *numbers in result.numbers:
        table.add_row(what, *numbers)
    console.print(table)
    names, rows = result.hub
    for row in rows:
        console.print(Text(f"\n{names}: {row['prompt']}", "cyan"))
        for name in ("completion", "chat"):
            console.print(Text(ascii_safe(f"{name}: {row[name]}")))
    console.print()
    good, head, rest = result.verdict
    console.print(Text(head, "green" if good else "red").append(rest, "default"))
