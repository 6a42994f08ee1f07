"""Text from elsewhere, made safe to print: once, where it enters.

A file's name, an exception's message or a line of somebody's source may hold what a terminal, a
page or a table does not survive: half a surrogate pair, which no encoding can write; control
characters, which move the cursor; marks of direction, which show text in another order than it
has. Each is written as Python escapes it (`\\x1b`, `\\u202e`); a byte of a file name that is not
UTF-8 as that byte (`\\xff`).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

LONGEST = 200
"""Characters of an echo of what somebody gave."""

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Cn", "Zl", "Zp"))
_BLANKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")


def printable(text: str) -> str:
    """Return text in one line of characters that can be shown and written anywhere."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escaped(mark) if unicodedata.category(mark) in _HIDDEN else mark
        for mark in _BLANKS.sub(" ", text)
    )


def echo(text: str) -> str:
    """Return what somebody gave, printable and cut to 200 characters."""
    shown = printable(text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."


def printable_data(data: Any) -> Any:
    """Return data of JSON's types with every string in it printable."""
    match data:
        case str():
            return printable(data)
        case list():
            return [printable_data(item) for item in data]
        case dict():
            return {printable(key): printable_data(item) for key, item in data.items()}
    return data


def _escaped(mark: str) -> str:
    code = ord(mark)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return ascii(mark)[1:-1]
