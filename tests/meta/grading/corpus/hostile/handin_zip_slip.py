"""
exercise: 1.5
tries: a zip file with members that lead out, links, and two of one name
points: 0
made: yes
"""

import stat
import warnings
import zipfile


def make(folder):
    """Write the hand-in, and return the zip file."""
    file = folder / "handin.zip"
    with zipfile.ZipFile(file, "w") as handin, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("../kata_left_zip.py", "/tmp/kata_left_zip.py", "exercises/../../kata_left_zip"):
            handin.writestr(name, "left = True\n")
        handin.writestr("..\\kata_left_zip.py", "left = True\n")
        answer = "exercises/ch01_tokenizers/ex05_merge_pair.py"
        link = zipfile.ZipInfo(answer)
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        handin.writestr(link, "../../../solutions/ch01_tokenizers/ex05_merge_pair.py")
        handin.writestr(answer, "def merge_pair(*args):\n    return ['wrong']\n")
        handin.writestr("exercises/../solutions/ch01_tokenizers/ex05_merge_pair.py", "x = 1\n")
    return file
