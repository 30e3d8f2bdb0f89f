"""The files of a new exercise: a tiny one that works, with a mark at each line to be rewritten.

Every rule of the course holds for what comes out, so that an author who changes one thing sees at
once what that breaks. `NAME` and the like are replaced by kata.new.
"""

MARK = "TODO(author)"

SOLUTION = f'''\
"""NUMBER TITLE   [DIFFICULTY, ~MINUTES min]

{MARK}: two to six lines for somebody who has never seen it. Why does it matter, where is
it in a language model, which exercise does it build on?

Source: {MARK}, the paper or the specification, https://example.org.
"""


def NAME(numbers: list[int]) -> list[int]:
    """Return, for each number, the sum of all up to it. {MARK}: say what it does, not how.

    {MARK}: say all that the tests check, for this is all that a learner reads. `numbers` is
    not modified.

    >>> NAME([3, 1, 2])
    [3, 4, 6]
    """
    # solution
    # {MARK}: 3 to 15 lines. All from the line above to the end of the function is cut.
    sums, total = [], 0
    for number in numbers:
        total += number
        sums.append(total)
    return sums
'''

WRONG = f'''\
from kata.wrong import wrong

# {MARK}: 3 to 8 mistakes that learners make, each as they would write it. Its sentence is
# what they read when their answers are the same: what went wrong, then what is right. caught_by
# names the tests, without test_, whose check fails; crashes those in which it raises.


@wrong(caught_by=["adds_up_from_the_left", "agrees_with_itertools"])
def NAME__leaves_the_number_out(numbers):
    """A number is missing in its own sum. It belongs to it, as do all before it."""
    return [sum(numbers[:i]) for i in range(len(numbers))]


@wrong(caught_by=["adds_up_from_the_left", "agrees_with_itertools"])
def NAME__adds_up_from_the_right(numbers):
    """The numbers after a number were added to it. Add those before it."""
    return [sum(numbers[i:]) for i in range(len(numbers))]


@wrong(caught_by=["input_is_not_modified"])
def NAME__modifies_the_input(numbers):
    """The sums were written into the caller's list. Make a new one."""
    for i in range(1, len(numbers)):
        numbers[i] += numbers[i - 1]
    return numbers
'''

TEST = f"""\
import itertools
import random

import pytest


# {MARK}: first a case worked by hand, small enough to follow with a pencil.
def test_adds_up_from_the_left(answer):
    assert answer.NAME([3, 1, 2]) == [3, 4, 6]


# {MARK}: then what is always true.
def test_input_is_not_modified(answer):
    numbers = [3, 1, 2]
    answer.NAME(numbers)
    assert numbers == [3, 1, 2]


# {MARK}: then a library, or the fixture `reference`, on random input with a seed.
@pytest.mark.parametrize("length", [0, 1, 50])
def test_agrees_with_itertools(answer, length):
    numbers = random.Random(length).choices(range(-9, 10), k=length)
    expected = list(itertools.accumulate(numbers))
    assert answer.NAME(numbers) == expected
"""

HINTS = f'''
[FILE]
question = """
{MARK}: a question that makes the learner look at the right thing. No code."""
direction = """
{MARK}: the way to go, in words."""
nearly = """
{MARK}: nearly the answer, in words or in one line of code, never all of it."""
'''

STEPS = f"""\
It is a tiny exercise that works. Make yours of it, step by step; each line with {MARK}
is to be rewritten. .github/CONTRIBUTING.md says more.

1. the mistakes, they come first: {{wrong}}
2. the solution: {{solution}}
   then write its stub: kata stubs
3. the tests that catch the mistakes: {{test}}
4. the three hints, at the end of {{hints}}
5. kata prove {{number}} says what is missing, in seconds; then prove the whole: nox -s project"""
