"""The magic, the recorder and the assertion: in a real kernel, and in this process."""

import copy
import random
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest

import backproof
from verify.homework.live import Asked, judge_live
from verify.homework.run.contents import Contents
from verify.homework.run.observer import MOST_OF_A_CALL, Observed, Observer
from verify.testing import assert_passes_agree

RIGHT = """
import numpy as np

def scale_forward(x, w):
    return x * w, (x, w)

def scale_backward(dout, cache):
    x, w = cache
    return dout * w, (dout * x).sum(axis=0)
"""
WRONG = RIGHT.replace("(dout * x).sum(axis=0)", "2 * (dout * x).sum(axis=0)")

LAYERS = """
import numpy as np

class Dense:
    def __init__(self, fan_in, width):
        self.W = np.random.randn(fan_in, width) / np.sqrt(fan_in)
        self.b = np.zeros(width)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, d):
        self.dW = self.x.T @ d
        self.db = d.sum(axis=0)
        return d @ self.W.T

class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, d):
        return d * (1 - self.y ** 2)

class Network:
    def __init__(self):
        self.layers = [Dense(6, 5), Tanh(), Dense(5, 2)]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, d):
        for layer in reversed(self.layers):
            d = layer.backward(d)
        return d
"""

TRAINING = """
def train(steps):
    network = Network()
    X, T = np.random.randn(30, 6), np.random.randn(30, 2)
    for step in range(steps):
        network.backward(network.forward(X) - T)
        for layer in network.layers[::2]:
            layer.W -= 0.001 * layer.dW
            layer.b -= 0.001 * layer.db
    return network
"""


def module(tmp_path, text, name="homework"):
    """Return a module of this text, as `import` makes one."""
    path = tmp_path / f"{name}.py"
    path.write_text(textwrap.dedent(text))
    made = types.ModuleType(name)
    made.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec"), vars(made))
    return made


def verdicts(report):
    return {function.name: function.verdict for function in report.functions}


# In a real kernel.


CELLS = {
    "load": "%load_ext backproof",
    "right": f"%%backproof report{RIGHT}scale_forward(np.ones((3, 2)), np.ones(2))[0].sum()",
    "kept": "(report.ok, len(report.functions))",
    "wrong": f"%%backproof{WRONG}",
    "raises": f"%%backproof{RIGHT}raise KeyError('the cell itself')",
    "syntax": "%%backproof\nx = = 1",
    "layers": f"%%backproof{LAYERS}{TRAINING}network = train(200)",
    "state": "np.random.seed(3); random_state = np.random.get_state()[1].copy()",
    "watched": "import backproof\nbefore = dict(globals())\n"
    "with backproof.watch() as seen:\n    train(3)\n"
    "after = np.random.get_state()[1].copy()\nseen.report",
    "unchanged": "(set(before) <= set(globals()), (np.random.get_state()[1] == after).all())",
    "asserted": "backproof.testing.assert_passes_agree(globals(), only='scale_backward').verdict",
    "nothing": "%%backproof\nx = 1",
}


@pytest.fixture(scope="module")
def cells():
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(text) for text in CELLS.values()]
    client.NotebookClient(notebook, timeout=120, allow_errors=True).execute()
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def said(outputs, kind="text/plain"):
    return "\n".join(output["data"].get(kind, "") for output in outputs if "data" in output)


def raised(outputs):
    return [output.ename for output in outputs if output.output_type == "error"]


def test_a_right_cell_shows_its_value_and_agrees(cells):
    assert said(cells["right"]).startswith("np.float64(6.0)\nAGREE In[2]")
    assert "scale_backward  agree" in said(cells["right"])
    assert "✓ agree" in said(cells["right"], "text/html")
    assert said(cells["kept"]) == "(True, 1)"


def test_a_wrong_cell_names_the_line_as_the_cell_counts_it(cells):
    line = 1 + WRONG.splitlines().index("    return dout * w, 2 * (dout * x).sum(axis=0)")
    shown = said(cells["wrong"])
    assert shown.startswith("DISAGREE In[4]")
    assert f"cell 4, line {line}:  return dout * w, 2 * (dout * x).sum(axis=0)" in shown
    assert "✗ disagree" in said(cells["wrong"], "text/html")


def test_a_cell_that_raises_is_reported_and_still_raises(cells):
    assert said(cells["raises"]).startswith("AGREE In[5]")
    assert raised(cells["raises"]) == ["KeyError"]
    traceback = "\n".join(cells["raises"][-1].traceback)
    assert "the cell itself" in traceback
    assert "notebook.py" not in traceback
    assert raised(cells["syntax"]) == ["SyntaxError"]
    assert not said(cells["syntax"])


def test_a_network_of_layers_is_judged_where_the_cell_trains_it(cells):
    shown = said(cells["layers"])
    assert shown.startswith("AGREE In[7]")
    for name in ("Dense.backward", "Tanh.backward", "Network.backward"):
        assert name in shown


def test_a_watched_run_is_judged_and_leaves_the_kernel_as_it_was(cells):
    assert said(cells["watched"]).startswith("AGREE this session")
    assert said(cells["unchanged"]) == "(True, np.True_)"


def test_the_assertion_and_an_empty_cell(cells):
    assert said(cells["asserted"]) == "'agree'"
    assert "no backward pass was defined or called" in said(cells["nothing"])


# In this process.


def test_the_first_call_of_each_function_is_observed_and_the_trace_function_stays(tmp_path):
    homework = module(tmp_path, RIGHT)
    x, w = np.ones((3, 2)), np.ones(2)
    before = sys.gettrace()
    with Observer() as observer:
        for factor in (1, 2):
            homework.scale_forward(factor * x, w=w)
    assert sys.gettrace() is before
    (place,) = observer.places
    x[:] = 7
    assert place.names is vars(homework)
    assert list(place.called) == ["scale_forward"]
    np.testing.assert_array_equal(place.calls["scale_forward"]["arguments"]["x"], np.ones((3, 2)))


def test_a_call_that_is_too_large_is_noted_and_not_kept(tmp_path):
    homework = module(tmp_path, RIGHT)
    with Observer() as observer:
        homework.scale_forward(np.zeros((MOST_OF_A_CALL // 8 + 1, 1)), np.ones(1))
    (place,) = observer.places
    assert list(place.called) == ["scale_forward"]
    assert not place.calls


def test_installed_packages_are_not_observed():
    with Observer() as observer:
        np.linalg.norm(np.ones(3))
        textwrap.dedent("")
    assert not observer.places


def test_a_watched_run_judges_what_was_called_in_any_module(tmp_path):
    layers = module(tmp_path, LAYERS + TRAINING, "layers")
    losses = module(tmp_path, WRONG, "losses")
    with backproof.watch() as seen:
        layers.train(2)
        out, cache = losses.scale_forward(np.ones((3, 2)), np.ones(2))
        losses.scale_backward(out, cache)
    assert seen.report is seen.report
    assert verdicts(seen.report) == {
        "Dense.backward": "agree",
        "Tanh.backward": "agree",
        "Network.backward": "agree",
        "scale_backward": "disagree",
    }


def test_the_report_of_a_watched_run_is_for_after_it():
    with backproof.watch() as seen, pytest.raises(RuntimeError, match="expected after it"):
        print(seen.report)


def test_a_mistake_in_a_layer_of_a_trained_network_is_found(tmp_path):
    wrong = module(tmp_path, (LAYERS + TRAINING).replace("1 - self.y ** 2", "1 - self.y"))
    with backproof.watch() as seen:
        wrong.train(1)
    assert verdicts(seen.report) == {
        "Tanh.backward": "disagree",
        "Dense.backward": "agree",
        "Network.backward": "undecided",
    }
    assert {finding.function for finding in seen.report.diagnosis} == {"Tanh.backward"}


COURSE = Path(__file__).parent / "course"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "wrong"),
    [("deep_clipped.py", []), ("deep_relu_mask_forgotten.py", ["relu_backward"])],
)
def test_a_deep_network_of_the_course_is_judged_by_the_calls_of_a_step(tmp_path, file, wrong):
    homework = module(tmp_path, (COURSE / file).read_text())
    rng = np.random.RandomState(1)
    X, Y = rng.randn(4, 20), rng.rand(1, 20) > 0.5
    sizes = (4, 5, 3, 1)
    params = {f"W{i}": rng.randn(sizes[i], sizes[i - 1]) for i in (1, 2, 3)}
    params |= {f"b{i}": np.zeros((sizes[i], 1)) for i in (1, 2, 3)}
    with backproof.watch() as seen:
        AL, caches = homework.L_model_forward(X, params)
        homework.compute_cost(AL, Y.astype(int))
        homework.L_model_backward(AL, Y.astype(int), caches)
    assert [n for n, verdict in verdicts(seen.report).items() if verdict == "disagree"] == wrong
    assert {finding.function for finding in seen.report.diagnosis} == set(wrong)
    if not wrong:
        assert seen.report.ok
        assert any("of its input 20 times" in remark for remark in seen.report.remarks)


GREEDY = """
import random
import numpy as np

history, settings = [], {"calls": 0}
table = np.zeros(3)
rng = np.random.default_rng(0)
count = 0

class Memory:
    total = 0

memory = Memory()

def gate_forward(x):
    global count, new_name
    count, new_name = count + 1, 1
    history.append(count)
    settings["calls"] += 1
    table[0] += 1
    memory.total += 1
    Memory.total += 1
    print("called", np.random.rand(), random.random())
    mask = rng.random(x.shape) < 0.5
    return x * mask, mask

def gate_backward(dout, mask):
    return dout * mask
"""


def random_states(rng):
    return np.random.get_state()[1].tolist(), random.getstate(), str(rng.bit_generator.state)


def test_judging_leaves_globals_contents_and_random_numbers_as_they_were(tmp_path, capsys):
    homework = module(tmp_path, GREEDY)
    names = vars(homework)
    kept = {k: copy.deepcopy(names[k]) for k in ("history", "settings", "count")}
    states = (
        np.random.get_state()[1].tolist(),
        random.getstate(),
        str(names["rng"].bit_generator.state),
    )
    assert assert_passes_agree(names).ok
    assert {k: names[k] for k in kept} == kept
    assert "new_name" not in names
    assert not names["table"].any()
    assert (names["memory"].total, names["Memory"].total) == (0, 0)
    assert states == random_states(names["rng"])
    assert capsys.readouterr().out == ""


def test_contents_of_lists_within_dicts_are_put_back():
    names = {"__name__": "here", "nested": {"a": [1, {2}, np.arange(3)]}}
    contents = Contents(names)
    names["nested"]["a"][1].add(5)
    names["nested"]["a"][2][:] = 9
    names["nested"]["a"].append(4)
    names["nested"] = None
    contents.put_back()
    first, second, third = names["nested"]["a"]
    assert (first, second, third.tolist()) == (1, {2}, [0, 1, 2])


STUBBORN = """
def f(x):
    raise KeyboardInterrupt

def f_backward(dout, x):
    return dout * x
"""


def test_an_interrupt_of_the_user_ends_the_judging(tmp_path):
    homework = module(tmp_path, STUBBORN)
    with pytest.raises(KeyboardInterrupt):
        assert_passes_agree(vars(homework))


def test_the_assertion_takes_passes_and_classes_by_name(tmp_path):
    homework = module(tmp_path, RIGHT + LAYERS)
    assert verdicts(assert_passes_agree(vars(homework), only="scale_backward")) == {
        "scale_backward": "agree"
    }
    assert list(verdicts(assert_passes_agree(vars(homework), only=["Tanh"]))) == ["Tanh.backward"]
    with pytest.raises(ValueError, match=r"only: got relu_backward, expected backward passes: sca"):
        assert_passes_agree(vars(homework), only="relu_backward")


def test_the_assertion_fails_on_what_is_wrong_and_on_what_is_not_there(tmp_path):
    homework = module(tmp_path, WRONG)
    with pytest.raises(AssertionError, match=r"(?s)DISAGREE.*return dout \* w, 2 \*"):
        assert_passes_agree(vars(homework))
    with pytest.raises(AssertionError, match="NOTHING"):
        assert_passes_agree({})


def test_what_was_imported_from_a_file_of_ones_own_is_judged_there(tmp_path):
    homework = module(tmp_path, WRONG)
    names = {"scale_backward": homework.scale_backward, "np": np, "textwrap": textwrap}
    with pytest.raises(AssertionError, match="scale_backward  disagree"):
        assert_passes_agree(names)


def test_the_verdict_on_a_redefined_function_is_of_its_last_definition(tmp_path):
    homework = module(tmp_path, RIGHT + "\n" + WRONG)
    assert verdicts(judge_live([Asked(Observed(vars(homework)))], "x")) == {
        "scale_backward": "disagree"
    }
