import glob
import random
from pathlib import Path

from kata.corpus import PATH
from kata.wrong import wrong
from solutions.ch07_training.ex12_load_corpus import hub_answers, read_data_set, read_file


def part(text, split):
    """The right part of a text, or the right error."""
    if split not in ("train", "validation", "all"):
        raise ValueError("split")
    end = len(text) * 9 // 10
    return {"train": text[:end], "validation": text[end:], "all": text}[split]


def file_of(name_or_path):
    return PATH if name_or_path == "embedded" else Path(name_or_path)


def load(name_or_path, split, *, read_file=read_file, read_data_set=read_data_set, part=part):
    """A right version with parts that can be replaced."""
    file = file_of(name_or_path)
    rows = read_file(file) if file.is_file() else read_data_set(str(name_or_path))
    return part("".join(rows), split)


def lines_of(file, **options):
    """The rows that `datasets` makes of a text file."""
    from datasets import load_dataset

    options |= {"data_files": glob.escape(str(file.absolute())), "split": "train"}
    return [row["text"] for row in load_dataset("text", **options, streaming=True)]


def rows_of(name, column="text"):
    """The rows of a data set in a folder, or the right error."""
    list(read_data_set(name))
    from datasets import load_dataset

    return load_dataset(name, split="train")[column]


@wrong(caught_by=["the_projects_own_text_is_the_default", "every_character_of_a_file_is_kept"])
def load_corpus__joins_lines_with_newlines(name_or_path="embedded", split="train"):
    """The lines were joined with newlines, so that the text ends without one, whether it had one or
    not. Let `datasets` keep the newlines, or read the whole file as one row."""
    return load(name_or_path, split, read_file=lambda file: "\n".join(lines_of(file)))


@wrong(
    caught_by=[
        "the_projects_own_text_is_the_default",
        "nine_tenths_of_the_characters_are_for_training",
        "every_character_of_a_file_is_kept",
        "a_file_may_have_any_name",
        "agrees_with_a_dataset_of_lines",
    ]
)
def load_corpus__loses_the_newlines(name_or_path="embedded", split="train"):
    """The newlines are lost: by default `datasets` makes a row of each line, without its end."""
    return load(name_or_path, split, read_file=lines_of)


@wrong(
    caught_by=[
        "the_projects_own_text_is_the_default",
        "nine_tenths_of_the_characters_are_for_training",
        "every_character_of_a_file_is_kept",
        "a_file_may_have_any_name",
        "agrees_with_a_dataset_of_lines",
    ]
)
def load_corpus__joins_characters_with_newlines(name_or_path="embedded", split="train"):
    """There is a newline after every character: `join` takes a string for a list of characters."""
    return load(name_or_path, split, read_file=lambda file: "\n".join("".join(read_file(file))))


@wrong(caught_by=["every_character_of_a_file_is_kept"])
def load_corpus__reads_paragraphs(name_or_path="embedded", split="train"):
    """Blank lines are lost: `sample_by="paragraph"` cuts at them and keeps only what is between."""
    read = lambda file: "\n\n".join(lines_of(file, sample_by="paragraph"))
    return load(name_or_path, split, read_file=read)


@wrong(
    caught_by=[
        "the_projects_own_text_is_the_default",
        "every_character_of_a_file_is_kept",
        "agrees_with_a_dataset_of_lines",
    ]
)
def load_corpus__strips_the_text(name_or_path="embedded", split="train"):
    """Spaces and newlines at the ends were taken away. The text is wanted as it is."""
    return load(name_or_path, split, read_file=lambda file: "".join(read_file(file)).strip())


@wrong(caught_by=["every_character_of_a_file_is_kept"])
def load_corpus__reads_bytes_as_characters(name_or_path="embedded", split="train"):
    """The file was not read as UTF-8. Say `encoding="utf-8"`: the default of `open` depends on the
    machine."""
    return load(name_or_path, split, read_file=lambda file: file.read_text(encoding="latin-1"))


@wrong(caught_by=["a_file_may_have_any_name"])
def load_corpus__takes_a_name_for_a_pattern(name_or_path="embedded", split="train"):
    """`data_files` is a pattern, in which brackets have a meaning. Escape the name with
    `glob.escape`, or open the file yourself."""

    def read(file):
        from datasets import load_dataset

        options = {"sample_by": "document", "split": "train", "streaming": True}
        return [row["text"] for row in load_dataset("text", data_files=str(file), **options)]

    return load(name_or_path, split, read_file=read)


@wrong(crashes=["a_file_may_have_any_name"])
def load_corpus__knows_files_by_their_suffix(name_or_path="embedded", split="train"):
    """A file was known by its suffix, `.txt`. A text may have any name: ask whether such a
    file is there."""
    file = file_of(name_or_path)
    rows = read_file(file) if str(file).endswith(".txt") else read_data_set(str(name_or_path))
    return part("".join(rows), split)


@wrong(
    caught_by=[
        "nine_tenths_of_the_characters_are_for_training",
        "every_character_of_a_file_is_kept",
        "a_file_may_have_any_name",
        "agrees_with_a_dataset_of_lines",
    ]
)
def load_corpus__always_reads_its_own_text(name_or_path="embedded", split="train"):
    """The project's own text was read, whatever was asked for."""
    if not file_of(name_or_path).is_file():
        return load(name_or_path, split)
    return load("embedded", split)


@wrong(
    caught_by=[
        "the_projects_own_text_is_the_default",
        "nine_tenths_of_the_characters_are_for_training",
        "every_character_of_a_file_is_kept",
        "a_file_may_have_any_name",
        "agrees_with_a_dataset_of_lines",
        "rows_of_a_folder_follow_one_another",
        "a_row_that_ends_with_a_newline_gets_no_other",
    ]
)
def load_corpus__shuffles_the_lines(name_or_path="embedded", split="train"):
    """The lines were shuffled before the split. A language model learns from their order, and what
    it is tested on would stand between what it has seen."""

    def shuffled(text, split):
        lines = text.splitlines(keepends=True)
        random.Random(0).shuffle(lines)
        return part("".join(lines), split)

    return load(name_or_path, split, part=shuffled)


@wrong(
    caught_by=[
        "the_projects_own_text_is_the_default",
        "nine_tenths_of_the_characters_are_for_training",
        "rows_of_a_folder_follow_one_another",
    ]
)
def load_corpus__splits_by_lines(name_or_path="embedded", split="train"):
    """Nine tenths of the lines were taken. The split is by characters."""

    def by_lines(text, split):
        part("", split)
        lines = text.splitlines(keepends=True)
        end = len(lines) * 9 // 10
        return "".join({"train": lines[:end], "validation": lines[end:], "all": lines}[split])

    return load(name_or_path, split, part=by_lines)


@wrong(
    caught_by=[
        "the_projects_own_text_is_the_default",
        "nine_tenths_of_the_characters_are_for_training",
    ]
)
def load_corpus__rounds_to_the_nearest(name_or_path="embedded", split="train"):
    """The split was rounded to the nearest character, and has to be rounded down."""

    def rounded(text, split):
        end = round(0.9 * len(text))
        return {"train": text[:end], "validation": text[end:]}.get(split) or part(text, split)

    return load(name_or_path, split, part=rounded)


@wrong(
    caught_by=[
        "nine_tenths_of_the_characters_are_for_training",
        "rows_of_a_folder_follow_one_another",
    ]
)
def load_corpus__validates_on_what_it_trains_on(name_or_path="embedded", split="train"):
    """The validation text is a part of the training text. It has to be what training never sees."""

    def overlapping(text, split):
        return text[: -len(text) * 9 // 10] if split == "validation" else part(text, split)

    return load(name_or_path, split, part=overlapping)


@wrong(caught_by=["an_unknown_split_is_an_error"])
def load_corpus__accepts_any_split(name_or_path="embedded", split="train"):
    """An unknown split was taken for the whole text. The docstring asks for a ValueError."""
    known = ("train", "validation")
    return load(name_or_path, split if split in known else "all")


@wrong(
    caught_by=[
        "rows_of_a_folder_follow_one_another",
        "a_row_that_ends_with_a_newline_gets_no_other",
    ]
)
def load_corpus__glues_rows_together(name_or_path="embedded", split="train"):
    """The rows of the data set follow one another without a newline between them."""
    return load(name_or_path, split, read_data_set=rows_of)


@wrong(caught_by=["a_row_that_ends_with_a_newline_gets_no_other"])
def load_corpus__adds_a_newline_to_every_row(name_or_path="embedded", split="train"):
    """A row that ended with a newline got another one."""
    return load(
        name_or_path, split, read_data_set=lambda name: [row + "\n" for row in rows_of(name)]
    )


@wrong(
    caught_by=["a_loading_script_is_an_error_with_advice", "a_data_set_without_text_is_an_error"],
    crashes=["rows_of_a_folder_follow_one_another", "a_row_that_ends_with_a_newline_gets_no_other"],
)
def load_corpus__asks_the_hub_about_a_folder(name_or_path="embedded", split="train"):
    """The hub was asked although everything is in a folder on this machine."""

    def read(name):
        if Path(name).is_dir() and not hub_answers():
            raise ConnectionError("the hub cannot be reached")
        return read_data_set(name)

    return load(name_or_path, split, read_data_set=read)


@wrong(caught_by=["a_hub_that_cannot_be_reached_is_asked_once"])
def load_corpus__tries_again_and_again(name_or_path="embedded", split="train"):
    """Without a network `load_dataset` makes six attempts with pauses of up to eight seconds. Ask
    the hub once yourself, and tell `datasets` to be offline when it does not answer."""

    def read(name):
        from datasets import config, load_dataset

        if Path(name).is_dir() or config.HF_HUB_OFFLINE:
            return read_data_set(name)
        return load_dataset(name, split="train")["text"]

    return load(name_or_path, split, read_data_set=read)


@wrong(caught_by=["a_hub_that_cannot_be_reached_is_asked_once"])
def load_corpus__ignores_the_offline_mode(name_or_path="embedded", split="train"):
    """The hub was asked although `datasets.config.HF_HUB_OFFLINE` forbids it."""

    def read(name):
        if not Path(name).is_dir() and not hub_answers():
            raise ConnectionError("the hub cannot be reached")
        return read_data_set(name)

    return load(name_or_path, split, read_data_set=read)


@wrong(caught_by=["a_hub_that_cannot_be_reached_is_asked_once"])
def load_corpus__returns_nothing_offline(name_or_path="embedded", split="train"):
    """Without a network the result was an empty text. Whoever trains on it should hear why: raise
    the ConnectionError."""

    def read(name):
        try:
            return list(read_data_set(name))
        except ConnectionError:
            return ""

    return load(name_or_path, split, read_data_set=read)


@wrong(caught_by=["a_loading_script_is_an_error_with_advice"])
def load_corpus__lets_the_error_about_a_script_through(name_or_path="embedded", split="train"):
    """The RuntimeError of `datasets` says that scripts are no longer supported, and not what to use
    instead. Catch it, and raise a ValueError that does."""

    def read(name):
        from datasets import load_dataset

        return load_dataset(name, split="train")["text"] if glob.glob(f"{name}/*.py") else (
            read_data_set(name)
        )  # fmt: skip

    return load(name_or_path, split, read_data_set=read)


@wrong(caught_by=["a_loading_script_is_an_error_with_advice"])
def load_corpus__says_too_little_about_a_script(name_or_path="embedded", split="train"):
    """The message about a loading script has to name a way out: "embedded", or a text file."""

    def read(name):
        try:
            return list(read_data_set(name))
        except ValueError as error:
            raise ValueError(str(error).split(":")[0]) from error

    return load(name_or_path, split, read_data_set=read)


@wrong(caught_by=["a_data_set_without_text_is_an_error"])
def load_corpus__takes_the_first_column(name_or_path="embedded", split="train"):
    """The first column was taken for the text, whatever it is called. Without a column "text" the
    docstring asks for a ValueError."""

    def read(name):
        try:
            return list(read_data_set(name))
        except ValueError as error:
            if "script" in str(error):
                raise
        from datasets import load_dataset

        rows = load_dataset(name, split="train")
        return [str(row) + "\n" for row in rows[rows.column_names[0]]]

    return load(name_or_path, split, read_data_set=read)
