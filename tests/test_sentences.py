"""Every kind of fact that the code makes has one sentence, and every sentence a kind."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from verify import compare
from verify.report import Fact
from verify.show.sentences import SENTENCES, sentence


def facts_made() -> list[ast.Call]:
    """Return every place in `verify` that states a Fact."""
    return [
        node
        for path in Path(find_spec("verify").origin).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Fact"
    ]


def test_every_kind_that_is_made_has_a_sentence_and_every_sentence_is_of_a_kind_that_is_made():
    assert {ast.literal_eval(call.args[0]) for call in facts_made()} == set(SENTENCES)


def test_a_kind_without_a_sentence_is_an_error_and_not_an_empty_line():
    with pytest.raises(KeyError):
        sentence(Fact("no such kind"))


def test_a_report_carries_its_conclusion_as_data_and_writes_it_when_asked():
    report = compare(lambda x: (x**2).sum(), lambda x: 3 * x, np.ones(3))
    assert report.conclusion == Fact("gradient-wrong", {"tensors": ["params"]})
    assert report.meaning == sentence(report.conclusion)
    assert report.remarks == tuple(map(sentence, report.notes))
