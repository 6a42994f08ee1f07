"""Text from elsewhere is made safe to show where it enters."""

import os

import pytest

from verify.homework.run.faults import short_report, words
from verify.printable import LONGEST, echo, printable, printable_data


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dW1 = 1 / m · Σ ∂J, größer", "dW1 = 1 / m · Σ ∂J, größer"),
        ("half \ud800 a pair", "half \\ud800 a pair"),
        ("\x1b[2Jgone\x07", "\\x1b[2Jgone\\x07"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("two\r\nlines\tand\u2028more", "two lines and more"),
        ("no\u200bspace\ufeff", "no\\u200bspace\\ufeff"),
        (os.fsdecode(b"caf\xe9.py"), "caf\\xe9.py"),
        ("\uffff", "\\uffff"),
    ],
)
def test_what_cannot_be_shown_is_escaped_and_the_rest_stays(text, shown):
    assert printable(text) == shown
    shown.encode()
    assert printable(shown) == shown


def test_an_echo_is_cut():
    assert echo("x" * LONGEST) == "x" * LONGEST
    assert echo("x" * 5000) == "x" * (LONGEST - 3) + "..."


def test_every_string_of_data_is_made_printable():
    data = {"a\x00": ["\x1b", {"b": "\ud800"}, 1, None, True]}
    assert printable_data(data) == {"a\\x00": ["\\x1b", {"b": "\\ud800"}, 1, None, True]}


class MuteError(Exception):
    def __str__(self):
        raise SystemExit


def test_an_exception_that_cannot_be_shown_is_no_fault_of_ours():
    assert words(MuteError()) == "its message cannot be read"
    assert words(ValueError("a\n b")) == "a b"


def test_the_short_report_of_a_fault_has_versions_and_our_calls_but_no_folder():
    try:
        printable(5)
    except AttributeError as fault:
        report = short_report(fault)
    assert report.startswith("backproof 1.")
    assert "; verify/printable.py:" in report
    assert os.getcwd() not in report
