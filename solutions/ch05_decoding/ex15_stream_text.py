"""5.15 Streaming text   [medium, ~25 min]

A chat shows its answer while the model writes it. A token is not always text: in GPT-2's vocabulary
(1.11) the rocket 🚀 is three tokens, and the first of them alone decodes to U+FFFD, the sign for
bytes that are no character. And no part of a stop string may flash up before it is known to be one.
The ids come one by one, from `generate` (5.10) or from anywhere else.

Source: the Unicode Standard, section 3.9, on U+FFFD, https://www.unicode.org/versions/latest; stop
strings as in https://platform.openai.com/docs/api-reference/chat/create.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence


def stream_text(
    ids: Iterable[int], decode: Callable[[list[int]], str], stop: Sequence[str] = ()
) -> Iterator[str]:
    """Yield the text of `ids` in chunks, each as early as its characters are certain.

    After each id, before the next one is asked for, comes one chunk with all the text that is
    certain and not shown yet, or none where there is no such text: no chunk is empty. Two ends of
    the text so far are not certain:
    - any number of U+FFFD at its end, which the next ids may complete to a character;
    - the longest end of what stands before them with which a string of `stop` begins.
    What is still held back after the last id is then yielded as one chunk, U+FFFD included.

    The stream is over, and no further id is asked for, once the text so far (without U+FFFD at its
    end) contains a string of `stop`. The text from that string on is not shown; of several, the
    one that begins first counts.

    Args:
        ids: the tokens, maybe from a generator that is still writing.
        decode: the text of a list of ids, with U+FFFD for bytes that are no character. More ids
            only append to the text, but for U+FFFD at its end. The text of an id can depend on
            those before it (SentencePiece drops the space before the first word). It is allowed to
            decode everything again at each id.
        stop: the strings that end the text, none of them empty.

    Raises:
        ValueError: a string of `stop` is empty. At the first `next` is early enough.

    >>> decode = lambda ids: bytes(ids).decode("utf-8", "replace")
    >>> list(stream_text("né STOP".encode(), decode, stop=["STOP"]))
    ['n', 'é', ' ']
    """
    # solution
    if "" in stop:
        raise ValueError(f"a stop string must not be empty, got {list(stop)}")
    seen, whole, shown = [], "", 0
    for token in ids:
        seen.append(token)
        whole = decode(seen)
        text = whole.rstrip("\ufffd")
        found = [text.find(string) for string in stop if string in text]
        end = min(found) if found else len(text) - possible_stop(text, stop)
        if end > shown:
            yield text[shown:end]
            shown = end
        if found:
            return
    if shown < len(whole):
        yield whole[shown:]


# solution
def possible_stop(text: str, stop: Sequence[str]) -> int:
    """Return the length of the longest end of `text` that a stop string begins with."""
    lengths = [n for string in stop for n in range(len(string)) if text.endswith(string[:n])]
    return max(lengths, default=0)
