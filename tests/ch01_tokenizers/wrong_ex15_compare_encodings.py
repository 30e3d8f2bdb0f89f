import html

from kata.wrong import wrong
from solutions.ch01_tokenizers.ex15_compare_encodings import (
    PAGE_COLOURS,
    compare_encodings,
    label,
    tokens_to_ansi,
    tokens_to_html,
)


@wrong(
    caught_by=[
        "joins_the_tokens_of_one_character",
        "a_token_can_belong_to_two_characters",
        "pieces_are_as_short_as_possible",
        "half_a_character_is_an_error",
        "makes_one_row_per_encoding",
        "agrees_with_tiktoken",
        "agrees_with_real_encodings",
    ]
)
def group_tokens__decodes_one_by_one(tokens):
    """Each token was decoded alone, so parts of one character became U+FFFD. Join them first."""
    return [(token.decode(errors="replace"), 1) for token in tokens]


@wrong(
    caught_by=[
        "joins_the_tokens_of_one_character",
        "a_token_can_belong_to_two_characters",
        "pieces_are_as_short_as_possible",
        "half_a_character_is_an_error",
        "agrees_with_tiktoken",
        "agrees_with_real_encodings",
    ]
)
def group_tokens__joins_two_at_most(tokens):
    """Only two tokens were joined. A character can be spread over as many as four."""
    pieces, i = [], 0
    while i < len(tokens):
        try:
            pieces.append((tokens[i].decode(), 1))
            i += 1
        except UnicodeDecodeError:
            pieces.append((b"".join(tokens[i : i + 2]).decode(errors="replace"), 2))
            i += 2
    return pieces


@wrong(
    caught_by=[
        "joins_the_tokens_of_one_character",
        "a_token_can_belong_to_two_characters",
        "pieces_are_as_short_as_possible",
        "half_a_character_is_an_error",
        "agrees_with_tiktoken",
        "agrees_with_real_encodings",
    ]
)
def group_tokens__keeps_the_joined_tokens(tokens):
    """The tokens of one piece were not let go, so every piece repeats the text before it."""
    pieces, waiting = [], []
    for token in tokens:
        waiting.append(token)
        try:
            pieces.append((b"".join(waiting).decode(), len(waiting)))
        except UnicodeDecodeError:
            continue
    return pieces


@wrong(caught_by=["half_a_character_is_an_error"])
def group_tokens__loses_the_last_tokens(tokens):
    """Tokens that end inside a character were left out without a word; that is an error."""
    pieces, waiting = [], []
    for token in tokens:
        waiting.append(token)
        try:
            pieces.append((b"".join(waiting).decode(), len(waiting)))
            waiting = []
        except UnicodeDecodeError:
            continue
    return pieces


@wrong(caught_by=["ratios_count_words_bytes_and_tokens"])
def compare_encodings__counts_characters(text, encodings):
    """`bytes_per_token` was computed from the number of characters; é has two bytes, 🌟 four."""
    rows = compare_encodings(text, encodings)
    return [r | {"bytes_per_token": len(text) / (len(r["ids"]) or 1)} for r in rows]


@wrong(caught_by=["ratios_count_words_bytes_and_tokens"])
def compare_encodings__counts_pieces(text, encodings):
    """The ratios were computed from the number of pieces. A piece can be several tokens."""
    words, size = len(text.split()), len(text.encode())
    rows = compare_encodings(text, encodings)
    return [
        r
        | {
            "tokens_per_word": len(r["pieces"]) / (words or 1),
            "bytes_per_token": size / (len(r["pieces"]) or 1),
        }
        for r in rows
    ]


@wrong(caught_by=["ratios_count_words_bytes_and_tokens"])
def compare_encodings__splits_at_single_spaces(text, encodings):
    """`split(" ")` makes empty words of two spaces and none of a newline; use `split()`."""
    rows = compare_encodings(text, encodings)
    return [r | {"tokens_per_word": len(r["ids"]) / len(text.split(" "))} for r in rows]


@wrong(
    caught_by=[
        "makes_one_row_per_encoding",
        "ratios_count_words_bytes_and_tokens",
        "agrees_with_tiktoken",
        "agrees_with_real_encodings",
    ]
)
def compare_encodings__encodes_word_by_word(text, encodings):
    """The words were encoded one by one, which loses the white space. Encode the whole text."""

    def by_word(encode):
        return lambda text: [i for word in text.split() for i in encode(word)]

    return compare_encodings(text, {n: (by_word(e), d) for n, (e, d) in encodings.items()})


@wrong(caught_by=["makes_one_row_per_encoding"])
def compare_encodings__sorts_the_rows(text, encodings):
    """The rows were sorted. They keep the order of `encodings`."""
    return sorted(compare_encodings(text, encodings), key=lambda row: len(row["ids"]))


@wrong(crashes=["nothing_to_divide_by_gives_zero"])
def compare_encodings__divides_by_nothing(text, encodings):
    """A text without words or tokens was divided by zero; such a ratio is 0.0."""
    rows = compare_encodings(text, encodings)
    words, size = len(text.split()), len(text.encode())
    return [
        r | {"tokens_per_word": len(r["ids"]) / words, "bytes_per_token": size / len(r["ids"])}
        for r in rows
    ]


def spans(shown, colours):
    """One element per text, as it is."""
    style = "color:#000;white-space:pre-wrap;background:"
    return "".join(
        f'<span style="{style}{PAGE_COLOURS[colour % 4]}">{text}</span>'
        for text, colour in zip(shown, colours, strict=True)
    )


@wrong(caught_by=["page_shows_labels_as_they_are"])
def tokens_to_html__does_not_escape(pieces):
    """The text was not escaped: a browser reads `<b>` as a tag and `&lt;` as one character."""
    return spans([label(*piece) for piece in pieces], range(len(pieces)))


@wrong(caught_by=["page_shows_labels_as_they_are"])
def tokens_to_html__escapes_the_ampersand_last(pieces):
    """`&` was escaped after `<`, and with it the `&` of `&lt;`. It has to come first."""
    shown = [label(*p).replace("<", "&lt;").replace("&", "&amp;") for p in pieces]
    return spans(shown, range(len(pieces)))


@wrong(caught_by=["page_shows_labels_as_they_are"])
def tokens_to_html__shows_the_bare_text(pieces):
    """The text was shown, not its label, in which newlines and several tokens can be seen."""
    return spans([html.escape(text) for text, _ in pieces], range(len(pieces)))


@wrong(caught_by=["page_colours_the_pieces_in_turn"])
def tokens_to_html__colours_by_text(pieces):
    """The text of a piece decided on its colour, so two equal neighbours look like one token."""
    different = list(dict.fromkeys(pieces))
    return spans([html.escape(label(*p)) for p in pieces], map(different.index, pieces))


@wrong(caught_by=["page_colours_the_pieces_in_turn", "page_shows_labels_as_they_are"])
def tokens_to_html__puts_lines_between(pieces):
    """There is a newline between the elements, which a browser shows as a space."""
    return tokens_to_html(pieces).replace("</span><span", "</span>\n<span")


@wrong(caught_by=["page_colours_the_pieces_in_turn"])
def tokens_to_html__has_four_colours_only(pieces):
    """The colours ran out, and the pieces after the last one are missing."""
    return tokens_to_html(pieces[: len(PAGE_COLOURS)])


@wrong(caught_by=["page_colours_the_pieces_in_turn"])
def tokens_to_html__collapses_white_space(pieces):
    """`white-space:pre-wrap` is missing: the page shows no newline, and two spaces as one."""
    return tokens_to_html(pieces).replace("white-space:pre-wrap", "")


@wrong(caught_by=["terminal_colours_the_pieces_in_turn"])
def tokens_to_ansi__never_resets(pieces):
    """The colour was not switched off after the piece: the rest of the terminal gets it too."""
    return tokens_to_ansi(pieces).replace("\x1b[0m", "")


@wrong(caught_by=["terminal_colours_the_pieces_in_turn"])
def tokens_to_ansi__shows_the_bare_text(pieces):
    """The text was shown, not its label, in which newlines and several tokens can be seen."""
    colours = [153, 222, 151, 218] * len(pieces)
    return "".join(f"\x1b[30;48;5;{c}m{p[0]}\x1b[0m" for c, p in zip(colours, pieces, strict=False))


@wrong(caught_by=["terminal_colours_the_pieces_in_turn"])
def tokens_to_ansi__starts_with_the_second_colour(pieces):
    """The first piece must have the first colour: count from 0."""
    return tokens_to_ansi([("", 1), *pieces]).removeprefix("\x1b[30;48;5;153m\x1b[0m")
