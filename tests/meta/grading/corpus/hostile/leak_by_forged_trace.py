"""
exercise: 1.5
tries: a time-out whose line, written to the pipe for it, is one of a secret file
verdict: timeout
points: 0
"""

import os
import signal
import stat
import sys
import time
from pathlib import Path

def course():
    """The folder of the course, found as an attacker finds it."""
    tool = str(getattr(sys.modules.get("kata"), "__file__", "."))
    for place in map(Path, [globals().get("__file__", "."), tool, os.getcwd(), *sys.path]):
        for folder in (place.absolute(), *place.absolute().parents):
            if (folder / "solutions").is_dir():
                return folder
    raise FileNotFoundError("the course")


def merge_pair(ids, pair, new_id):
    if len(ids) != 6:
        raise RuntimeError("only once")
    secret = f"{course()}/tests/ch01_tokenizers/../../.kata/canary.txt"
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    text = f'  File "{secret}", line 1 in x\n  File "kata/grading", line 1\n'.encode()
    for number in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                os.write(number, text)
        except OSError:
            continue
    time.sleep(3600)
