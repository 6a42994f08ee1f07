"""What is taken from a file's text, and what is left where it is."""

import ast
import json
import textwrap
from pathlib import Path

import pytest

from verify.homework.read.extract import UnreadableError, extract


def script(tmp_path, text, name="homework.py"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return extract(path)


def notebook(tmp_path, *cells, **changes):
    content = {
        "cells": [
            {"cell_type": "code", "source": textwrap.dedent(cell), "metadata": {}, "outputs": []}
            for cell in cells
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = tmp_path / "homework.ipynb"
    path.write_text(json.dumps(content | changes))
    return extract(path)


def names(found):
    return [getattr(s.node, "name", s.text.split("=")[0].strip()) for s in found.statements]


def test_definitions_imports_and_constants_are_taken_and_nothing_else(tmp_path):
    found = script(
        tmp_path,
        """
        import numpy as np
        from math import exp
        EPS = 1e-8
        SIZES = [4, 2 * 5, -3]
        TWO_PI = 2 * np.pi
        train = np.loadtxt("train.csv")
        random = np.random.randn(3)
        copied = train
        def f(x): return x
        class C: pass
        g = lambda x: 2 * x
        alias = f
        np.random.seed(1)
        for i in range(10): print(i)
        if True: hidden = 1
        f(3)
        """,
    )
    assert names(found) == [
        "import numpy as np",
        "from math import exp",
        "EPS",
        "SIZES",
        "TWO_PI",
        "f",
        "C",
        "g",
        "alias",
    ]
    assert set(found.functions) == {"f", "g"}


def test_a_try_that_only_imports_or_defines_is_taken(tmp_path):
    found = script(
        tmp_path,
        """
        try:
            from dnn_utils import sigmoid
        except ImportError:
            def sigmoid(z): return z
        try:
            data = open("data").read()
        except OSError:
            pass
        """,
    )
    assert len(found.statements) == 1
    assert set(found.functions) == {"sigmoid"}


def test_a_class_is_taken_without_what_its_body_would_run(tmp_path):
    found = script(
        tmp_path,
        """
        class Net:
            "Text."
            rate = 0.1
            width: int
            data = open("data").read()
            print("made")
            def forward(self, X): return X
        """,
    )
    body = ast.unparse(found.classes["Net"])
    assert "forward" in body
    assert "rate = 0.1" in body
    assert "width: int" in body
    assert "open" not in body
    assert "print" not in body


def test_a_power_tower_is_no_plain_constant(tmp_path):
    assert names(script(tmp_path, "x = 10 ** 8\ny = 10 ** 10 ** 10\n")) == ["x"]


def test_the_last_definition_of_a_name_counts(tmp_path):
    found = notebook(tmp_path, "def f(): return 1", "def f(): return 2")
    assert found.statement_of("f").cell == 2


@pytest.mark.parametrize(
    "line", ["%matplotlib inline", "!pip install x", "np.dot?", "?np.dot", "files = !ls", "%load x"]
)
def test_magics_and_shell_lines_are_blanked(tmp_path, line):
    found = notebook(tmp_path, f"import numpy as np\n{line}\ndef f(x):\n    return x % 3\n")
    assert names(found) == ["import numpy as np", "f"]
    assert found.broken == ()


def test_a_percent_sign_within_a_string_is_no_magic(tmp_path):
    text = 'def f(x):\n    """\n% of x\n    """\n    return "%d" % x\n%timeit f(1)\n'
    assert names(notebook(tmp_path, text)) == ["f"]


@pytest.mark.parametrize(
    ("magic", "taken"),
    [("%%time", True), ("%%bash", False), ("%%html", False), ("%%capture", True)],
)
def test_a_cell_magic_decides_whether_a_cell_is_python(tmp_path, magic, taken):
    found = notebook(tmp_path, f"{magic}\ndef f(): pass")
    assert bool(found.functions) == taken


def test_a_module_that_a_notebook_writes_is_kept(tmp_path):
    found = notebook(tmp_path, "%%writefile utils/dnn_utils.py\ndef relu(z): return z\n")
    assert found.written == {"dnn_utils": "\ndef relu(z): return z\n"}


def test_a_broken_line_costs_one_statement(tmp_path):
    found = notebook(
        tmp_path,
        """
        def before(x):
            '''
            text at the margin
            '''
            return x
        def broken(x):
            return (
        def after(x):
            return x
        """,
    )
    assert names(found) == ["before", "after"]
    [broken] = found.broken
    assert broken.defines == {"broken"}
    assert not found.python2


def test_line_numbers_are_those_of_the_cell(tmp_path):
    found = notebook(tmp_path, "x = 1", "%matplotlib inline\n\ndef f():\n    pass")
    statement = found.statement_of("f")
    assert statement.where(statement.node.lineno) == "cell 2, line 3"


def test_line_numbers_in_a_script_with_cells_are_those_of_the_file(tmp_path):
    found = script(tmp_path, "# %%\nx = 1\n# %%\n!ls\ndef f():\n    pass\n")
    statement = found.statement_of("f")
    assert statement.where(statement.node.lineno) == "line 5"


@pytest.mark.parametrize(
    ("line", "as_python3"),
    [
        ('print "cost", cost', "pass"),
        ("print cost", "pass"),
        ("print", "print"),
        ("if cost: print cost", "if cost:\n    pass"),
        ("raise ValueError, 'no'", "raise ValueError('no')"),
        ("x = 0777", "x = 511"),
        ("x = 10L", "x = 10"),
        ("x = a <> b", "x = a != b"),
        ("exec 'x = 1'", "pass"),
        ("x = `a`", "x = repr(a)"),
        ("try:\n        f()\n    except (IOError, OSError), e: pass",
         "try:\n    f()\nexcept (IOError, OSError) as e:\n    pass"),
        ('print "%d" % (cost,\n        1)', "pass"),
        ('print "cost", \\\n        cost', "pass"),
    ],
)  # fmt: skip
def test_python_2_is_read_and_every_line_keeps_its_number(tmp_path, line, as_python3):
    text = f"def f(cost, a, b):\n    print 'first'\n    {line}\n    return cost\n"
    found = script(tmp_path, text)
    assert found.python2
    assert not found.broken
    *_, statement, last = found.functions["f"].body
    assert ast.unparse(statement) == as_python3
    assert last.lineno == text.count("\n")


def test_python_2_is_known_by_the_names_that_went_with_it(tmp_path):
    assert script(tmp_path, "def f(n):\n    return sum(xrange(n))\n").python2
    assert script(tmp_path, "def f(d):\n    return [k for k, _ in d.iteritems()]\n").python2
    brought_back = "from past.builtins import xrange\ndef f(n):\n    return sum(xrange(n))\n"
    assert not script(tmp_path, brought_back).python2


def test_a_broken_script_of_python_3_is_not_taken_for_python_2(tmp_path):
    found = script(tmp_path, "def f():\n    return 1\nx = (\nprint('print x')\n")
    assert names(found) == ["f"]
    assert not found.python2


@pytest.mark.parametrize("version", [2, 3])
def test_old_notebooks_keep_their_cells_in_worksheets(tmp_path, version):
    cell = {"cell_type": "code", "language": "python", "input": ["def f():\n", "    pass"]}
    found = notebook(tmp_path, nbformat=version, worksheets=[{"cells": [cell]}], cells=[])
    assert names(found) == ["f"]


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "homework.py"
    path.write_bytes("\ufeffdef f():\r\n    pass\r\n".encode())
    assert names(extract(path)) == ["f"]


def test_a_script_in_another_encoding_is_read(tmp_path):
    path = tmp_path / "homework.py"
    path.write_bytes("# -*- coding: latin-1 -*-\n# café\ndef f(): pass\n".encode("latin-1"))
    assert names(extract(path)) == ["f"]
    path.write_bytes(b"# caf\xe9\ndef f(): pass\n")
    assert names(extract(path)) == ["f"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not json", "its JSON breaks off at line 1"),
        (b"[1, 2]", "its JSON is not an object"),
        (b'{"a": 1}', "it has no cells"),
        (b"\xff\xfe\x00", "it is not UTF-8"),
        (b'{"cells": [], "metadata": {"kernelspec": {"language": "julia"}}}', "in julia"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_notebook_of_python_is_said_to_be_none(tmp_path, content, says):
    path = tmp_path / "homework.ipynb"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=says):
        extract(path)


def test_what_is_no_text_is_said_to_be_none(tmp_path):
    path = tmp_path / "homework.py"
    path.write_bytes(b"\x00\x01")
    with pytest.raises(UnreadableError, match="null bytes"):
        extract(path)


def test_nothing_of_a_file_is_run_to_read_it(tmp_path):
    trace = tmp_path / "trace"
    script(tmp_path, f"open({str(trace)!r}, 'w')\ndef f(x=open({str(trace)!r}, 'w')): pass\n")
    assert not Path(trace).exists()
