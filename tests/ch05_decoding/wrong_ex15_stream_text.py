from kata.wrong import wrong


def stream(
    ids,
    decode,
    stop=(),
    *,
    checks=True,
    settled=lambda text: text.rstrip("\ufffd"),
    held=lambda text, stop: max(
        (n for string in stop for n in range(len(string)) if text.endswith(string[:n])), default=0
    ),
    cut=lambda text, stop: min((text.find(s) for s in stop if s in text), default=None),
    flushes=lambda whole, text: whole,
    may_be_empty=False,
):
    """The right answer, with a hook at each place where learners go wrong."""
    if checks and "" in stop:
        raise ValueError("a stop string must not be empty")
    seen, whole, text, shown = [], "", "", 0
    for token in ids:
        seen.append(token)
        whole = decode(seen)
        text = settled(whole)
        end = cut(text, stop)
        until = len(text) - held(text, stop) if end is None else end
        if until > shown or may_be_empty:
            yield text[shown:until]
            shown = max(shown, until)
        if end is not None:
            return
    rest = flushes(whole, text)[shown:]
    if rest:
        yield rest


@wrong(
    caught_by=[
        "waits_for_the_whole_character",
        "shows_every_character_when_it_is_complete",
        "chunks_together_are_the_decoded_text",
        "each_chunk_comes_before_the_next_id",
        "text_of_an_id_may_depend_on_those_before",
        "streams_the_tokens_of_gpt2",
    ]
)
def stream_text__decodes_each_id_alone(ids, decode, stop=()):
    """Each id was decoded by itself. One id can be a part of a character: its text comes out only
    together with the ids around it."""
    seen = []

    def alone(ids):
        seen.append(decode(ids[-1:]))
        return "".join(seen)

    return stream(ids, alone, stop, settled=lambda text: text)


@wrong(
    caught_by=[
        "waits_for_the_whole_character",
        "shows_every_character_when_it_is_complete",
        "chunks_together_are_the_decoded_text",
        "each_chunk_comes_before_the_next_id",
        "streams_the_tokens_of_gpt2",
    ]
)
def stream_text__shows_half_characters(*args):
    """A U+FFFD was shown that stands for the beginning of a character. As long as it is at the end
    of the text, the next id may complete it: hold it back."""
    return stream(*args, settled=lambda text: text)


@wrong(caught_by=["chunks_together_are_the_decoded_text"])
def stream_text__loses_an_incomplete_end(*args):
    """The ids ended within a character, and its U+FFFD never came. At the end of the stream,
    everything that was held back is shown."""
    return stream(*args, flushes=lambda whole, text: text)


@wrong(
    caught_by=[
        "waits_for_the_whole_character",
        "shows_every_character_when_it_is_complete",
        "each_chunk_comes_before_the_next_id",
        "text_of_an_id_may_depend_on_those_before",
        "holds_back_what_may_become_a_stop_string",
        "stop_string_may_overlap_its_own_beginning",
        "agrees_with_the_reference",
        "streams_the_tokens_of_gpt2",
    ]
)
def stream_text__comes_all_at_once(ids, decode, stop=()):
    """The text came in one chunk after the last id. Yield what is certain after each id."""
    text = "".join(stream(ids, decode, stop))
    if text:
        yield text


@wrong(
    caught_by=[
        "waits_for_the_whole_character",
        "shows_every_character_when_it_is_complete",
        "each_chunk_comes_before_the_next_id",
        "text_of_an_id_may_depend_on_those_before",
        "stop_string_and_the_rest_are_not_shown",
        "holds_back_what_may_become_a_stop_string",
        "stop_string_may_overlap_its_own_beginning",
        "no_id_is_read_after_a_stop_string",
        "agrees_with_the_reference",
        "streams_the_tokens_of_gpt2",
    ]
)
def stream_text__waits_for_whole_words(*args):
    """Text was held back up to the next space. Only half characters and the beginning of a stop
    string have to wait."""
    return stream(*args, settled=lambda text: text[: text.rfind(" ") + 1])


@wrong(caught_by=["text_of_an_id_may_depend_on_those_before"])
def stream_text__forgets_what_was_shown(ids, decode, stop=()):
    """Ids were thrown away once their text was shown, and the others decoded without them. That
    can be another text, as with a decoder that drops the space before the first word."""
    pending, texts = [], []

    def rest(seen):
        pending.append(seen[-1])
        text = decode(pending)
        result = "".join(texts) + text
        if not text.endswith("\ufffd"):
            texts.append(text)
            pending.clear()
        return result

    return stream(ids, rest, stop)


@wrong(
    caught_by=[
        "waits_for_the_whole_character",
        "shows_every_character_when_it_is_complete",
        "each_chunk_comes_before_the_next_id",
        "stop_string_and_the_rest_are_not_shown",
        "holds_back_what_may_become_a_stop_string",
        "stop_string_may_overlap_its_own_beginning",
        "stop_string_that_begins_first_counts",
        "agrees_with_the_reference",
        "streams_the_tokens_of_gpt2",
    ]
)
def stream_text__yields_empty_chunks(*args):
    """A chunk without text was yielded. Where nothing new is certain, yield nothing."""
    return stream(*args, may_be_empty=True)


@wrong(
    caught_by=[
        "stop_string_and_the_rest_are_not_shown",
        "holds_back_what_may_become_a_stop_string",
        "stop_string_may_overlap_its_own_beginning",
        "agrees_with_the_reference",
    ]
)
def stream_text__shows_the_beginning_of_a_stop_string(*args):
    """The first characters of a stop string were shown before the rest of it came. As long as the
    end of the text may become one, hold it back."""
    return stream(*args, held=lambda text, stop: 0)


@wrong(
    caught_by=[
        "stop_string_and_the_rest_are_not_shown",
        "holds_back_what_may_become_a_stop_string",
        "stop_string_that_begins_first_counts",
        "agrees_with_the_reference",
        "streams_the_tokens_of_gpt2",
    ]
)
def stream_text__holds_back_a_fixed_length(*args):
    """As many characters were held back as a stop string has, less one, whatever they are. Only an
    end that a stop string really begins with has to wait."""
    return stream(
        *args, held=lambda text, stop: max((min(len(s) - 1, len(text)) for s in stop), default=0)
    )


@wrong(caught_by=["stop_string_may_overlap_its_own_beginning", "agrees_with_the_reference"])
def stream_text__holds_back_too_little(*args):
    """The shortest possible beginning of a stop string was held back. There can be a longer one: a
    text that ends in `aa` ends in two beginnings of `aab`."""

    def shortest(text, stop):
        lengths = [n for s in stop for n in range(1, len(s)) if text.endswith(s[:n])]
        return min(lengths, default=0)

    return stream(*args, held=shortest)


@wrong(
    caught_by=[
        "chunks_together_are_the_decoded_text",
        "holds_back_what_may_become_a_stop_string",
        "agrees_with_the_reference",
    ]
)
def stream_text__loses_what_was_held_back(*args):
    """The stream ended, and text that might have become a stop string was never shown. It did not
    become one: show it at the end."""
    return stream(*args, flushes=lambda whole, text: "")


@wrong(
    caught_by=[
        "stop_string_and_the_rest_are_not_shown",
        "holds_back_what_may_become_a_stop_string",
        "stop_string_may_overlap_its_own_beginning",
        "stop_string_that_begins_first_counts",
        "agrees_with_the_reference",
        "streams_the_tokens_of_gpt2",
    ]
)
def stream_text__shows_the_stop_string(ids, decode, stop=()):
    """The stop string itself was shown. The text ends before it."""

    def after(text, stop):
        return min((text.find(s) + len(s) for s in stop if s in text), default=None)

    return stream(ids, decode, stop, cut=after)


@wrong(
    caught_by=[
        "stop_string_and_the_rest_are_not_shown",
        "holds_back_what_may_become_a_stop_string",
        "stop_string_may_overlap_its_own_beginning",
        "no_id_is_read_after_a_stop_string",
        "agrees_with_the_reference",
    ]
)
def stream_text__looks_at_one_chunk_only(ids, decode, stop=()):
    """A stop string was looked for in the text of each id by itself. It may be spread over several:
    look at the text so far."""
    seen = []

    def cut(text, stop):
        new = len(seen[-1]) if seen else 0
        seen.append(text)
        ends = [new + text[new:].find(s) for s in stop if s in text[new:]]
        return min(ends, default=None)

    return stream(ids, decode, stop, cut=cut)


@wrong(caught_by=["stop_string_that_begins_first_counts", "agrees_with_the_reference"])
def stream_text__takes_the_first_stop_string_of_the_list(*args):
    """Two stop strings came with the same id, and the text was cut at the one that is listed first.
    Cut it at the one that begins first in the text."""
    return stream(
        *args, cut=lambda text, stop: next((text.find(s) for s in stop if s in text), None)
    )


@wrong(
    caught_by=[
        "stop_string_that_begins_first_counts",
        "agrees_with_the_reference",
        "empty_stop_string_is_refused",
    ]
)
def stream_text__looks_for_one_stop_string_only(ids, decode, stop=()):
    """Only the first string of `stop` was looked for. There can be several."""
    return stream(ids, decode, stop[:1], checks=False)


@wrong(caught_by=["no_id_is_read_after_a_stop_string"])
def stream_text__reads_on_after_the_stop_string(ids, decode, stop=()):
    """Ids were read after the stop string was complete. The model would go on writing text that
    nobody sees: end the loop."""
    ids = iter(ids)
    yield from stream(ids, decode, stop)
    for _ in ids:
        pass


@wrong(caught_by=["empty_stop_string_is_refused"])
def stream_text__accepts_an_empty_stop_string(*args):
    """An empty string is in every text, so that nothing would ever be shown. Raise a ValueError."""
    return stream(*args, checks=False)
