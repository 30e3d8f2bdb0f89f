"""
exercise: 1.5
tries: the same in the names of an exception, of a function and of a file, and in the doc string
points: 0
"""

NAME = "\x1b]0;kata_injected\x07<script>kata_injected</script>\n::error::kata_injected"
Bad = type(NAME, (Exception,), {"__module__": NAME, "__doc__": NAME})


def merge_pair(ids, pair, new_id):
    if len(ids) == 6:
        exec(compile("raise Bad('x')", NAME, "exec"), {"Bad": Bad, "__name__": NAME})
    raise Bad(NAME)


merge_pair.__name__ = merge_pair.__qualname__ = merge_pair.__doc__ = NAME
