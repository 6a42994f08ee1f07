"""Backward passes in the styles of many courses and books, each with the verdict that it deserves.

`styles/expected.json` has a row for each file: its verdict; the kind and the verdict of every
function that is a backward pass (undecided where it calls another that is wrong; two verdicts
where either will do); under `may`, functions that may be in the report or not. A file that is
wrong or crashes has a right `twin` from which it differs in one line. A wrong one has the `fault`
in it: the function, the line, and the names of the tensor and of the mistake that are right to
give.

That the table is right is proved without the judge, by `tests/style_proofs.py`. That the judge is
right about the whole table takes minutes and is slow.
"""

import json
import re

import pytest
from style_proofs import STYLES, code_of, prove

from verify.catalogue import CATALOGUE
from verify.homework.judge import judge_all
from verify.homework.run.sandbox import Limits

EXPECTED = json.loads((STYLES / "expected.json").read_text(encoding="utf-8"))
WRONG = {name: row for name, row in EXPECTED.items() if "fault" in row}

GUARDED = 1e-4
"""How far the slope of a loss with a guard in its logarithm (1e-7, 1e-8) may be from the gradient
without: the guard over a probability of 1e-3 or more."""

VISIBLE = 0.02
"""An error that is more than rounding on ordinary inputs."""


def test_the_table_has_every_file_there_is():
    files = {
        str(path.relative_to(STYLES))
        for path in STYLES.rglob("*")
        if path.suffix in (".py", ".ipynb")
        and path.name != "__init__.py"
        and "__pycache__" not in path.parts
    }
    assert files == set(EXPECTED)
    assert len(files) >= 120
    assert len(WRONG) >= len(files) // 3


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_differences_prove_what_the_table_says(name):
    row = EXPECTED[name]
    if row["verdict"] == "crashed":
        with pytest.raises(ValueError, match=r"shape|dimension"):
            prove(STYLES / name, row["twin"])
        return
    errors = prove(STYLES / name, row.get("twin", name))
    judged = {name for name, row in row["functions"].items() if row[1:] != ["undecided"]}
    assert judged <= set(errors)
    assert set(errors) <= {*row["functions"], *row.get("may", ())}
    for function, (_, *verdicts) in row["functions"].items():
        assert verdicts != ["agree"] or errors[function] < GUARDED, function
        assert verdicts != ["disagree"] or errors[function] > VISIBLE, function


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_differs_from_its_twin_in_the_line_of_its_fault(name):
    row = WRONG[name]
    assert "twin" not in EXPECTED[row["twin"]]
    right, wrong = (code_of(STYLES / file).splitlines() for file in (row["twin"], name))
    assert len(right) == len(wrong)
    (changed,) = [at for at, pair in enumerate(zip(right, wrong, strict=True)) if len({*pair}) > 1]
    assert name.endswith(".ipynb") or changed + 1 == row["fault"]["line"]


@pytest.fixture(scope="module")
def reports():
    """What the judge says of every file, as data."""
    paths = [STYLES / name for name in EXPECTED]
    judged = judge_all(paths, Limits(), 2)
    return {
        name: json.loads(json.dumps(report.to_dict()))
        for name, report in zip(EXPECTED, judged, strict=True)
    }


def differences(name, report):
    """Yield how a report differs from the table: verdict, rows, their kinds and verdicts."""
    expected = EXPECTED[name]
    if report["verdict"] != expected["verdict"]:
        yield f"{name}: {report['verdict']}, not {expected['verdict']}: {report['message']}"
    rows = {row["name"]: row for row in report["functions"] if row["kind"] in COUNTED}
    for function, (kind, *verdicts) in expected["functions"].items():
        row = rows.get(function)
        if row is None:
            yield f"{name}: {function} is not in the report"
        elif row["kind"] != kind or row["verdict"] not in verdicts:
            yield f"{name}: {function} is {row['kind']}, {row['verdict']}: {row['message']}"
    for function in set(rows) - set(expected["functions"]):
        if function not in expected.get("may", ()):
            yield f"{name}: {function} is no backward pass"
        elif "twin" not in expected and rows[function]["verdict"] != "agree":
            yield f"{name}: {function} is {rows[function]['verdict']}"


COUNTED = ("backward", "gradient-check")
"""The kinds of rows that decide a file's verdict."""


def findings(name, report):
    """Return what a report finds in the function that is wrong."""
    wrong = WRONG[name]["fault"]["function"]
    return [found for found in report["diagnosis"] if found["function"] == wrong]


def bare(tensor):
    """Return a tensor's name without its place in a list, self and the d of a gradient."""
    return re.sub(r"\.\d+$", "", tensor).removeprefix("self.").removeprefix("d")


def missing(share, found):
    """Return the wrong files of which nothing is found, if that is more than a share of them."""
    lost = [name for name, reported in found.items() if not reported]
    return lost if len(lost) > share * len(found) else []


@pytest.mark.slow
def test_nothing_right_is_accused_and_nothing_wrong_is_cleared(reports):
    verdicts = {name: report["verdict"] for name, report in reports.items()}
    accused = [
        name
        for name, row in EXPECTED.items()
        if "twin" not in row and verdicts[name] in ("disagree", "crashed")
    ]
    cleared = [
        name for name, row in EXPECTED.items() if "twin" in row and verdicts[name] == "agree"
    ]
    assert (accused, cleared) == ([], [])


@pytest.mark.slow
def test_every_name_of_a_mistake_is_in_the_catalogue():
    assert {bug for row in WRONG.values() for bug in row["fault"]["bugs"]} <= set(CATALOGUE)


@pytest.mark.slow
def test_every_file_gets_the_verdicts_that_it_deserves(reports):
    assert [line for name in EXPECTED for line in differences(name, reports[name])] == []


@pytest.mark.slow
def test_nine_mistakes_in_ten_are_named(reports):
    named = {
        name: any(found["bug"] in row["fault"]["bugs"] for found in findings(name, reports[name]))
        for name, row in WRONG.items()
    }
    assert missing(0.1, named) == []


@pytest.mark.slow
def test_nine_wrong_tensors_in_ten_are_named(reports):
    named = {
        name: any(
            {*map(bare, (found["tensor"], *found["also"]))} & {*map(bare, row["fault"]["tensors"])}
            for found in findings(name, reports[name])
        )
        for name, row in WRONG.items()
    }
    assert missing(0.1, named) == []


@pytest.mark.slow
def test_nine_lines_in_ten_are_right(reports):
    placed = {
        name: any(
            (found["cell"], found["line"]) == (row["fault"].get("cell"), row["fault"]["line"])
            for found in findings(name, reports[name])
        )
        for name, row in WRONG.items()
    }
    assert missing(0.1, placed) == []
