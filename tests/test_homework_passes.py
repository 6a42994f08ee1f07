"""Any backward pass, judged by the derivative of its own forward pass; and what is none."""

import json
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from verify.homework.judge import judge_all, judge_file
from verify.homework.read.construct import wants
from verify.homework.read.discover import discover
from verify.homework.read.extract import extract, extract_script
from verify.homework.run.door import Raised, Recipe, open_door
from verify.homework.run.namespace import open_workspace
from verify.homework.run.sandbox import Limits

PAIR = """
import numpy as np

def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1) @ w + b
    return out, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T @ dout
    db = {db}
    return dx, dw, db

def softmax_loss(x, y):
    s = x - x.max(axis=1, keepdims=True)
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    n = x.shape[0]
    d = p.copy()
    d[np.arange(n), y] -= 1
    return -np.log(p[np.arange(n), y]).mean(), d / n
"""

LAYER = """
import numpy as np

class Sigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, g):
        return g * self.y * (1 - self.y)
"""


def read(text):
    return extract_script(Path("homework.py"), textwrap.dedent(text))


def judged(folder, text):
    path = folder / "homework.py"
    path.write_text(textwrap.dedent(text))
    return judge_file(path)


def rows(report):
    return {row.name: row.verdict for row in report.functions}


@pytest.mark.parametrize(
    "text",
    [
        "def gradient_descent(x): return x - 0.1 * x",
        "def clip_gradients(grads): return {k: v.clip(-1, 1) for k, v in grads.items()}",
        "def dropout(a, p): return a * p",
        "def dense(x): return x * 2",
        "def update_parameters(p, grads): return p - grads",
        "def numerical_gradient(f, x): return (f(x + 1e-5) - f(x - 1e-5)) / 2e-5",
        "def backward(self): raise NotImplementedError",
        "import torch.nn as nn\nclass N(nn.Module):\n    def backward(self, g): return g * 2",
    ],
)
def test_a_name_alone_makes_no_backward_pass(text):
    assert discover(read(text)) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("def f(x): return x * x\ndef f_prime(x): return 2 * x", "f_prime"),
        ("def relu(x): return x * (x > 0)\ndef drelu(x): return x > 0", "drelu"),
        ("class A:\n def forward(self, x): return 2 * x\n def backward(self, g): return 2 * g",
         "A.backward"),
        ("def step(W, x):\n    dW = x.T @ x\n    db = x.sum(0)\n    return dW, db", "step"),
        ("def loss(W, x):\n    loss = (x @ W).sum()\n    grad = x.sum(0)\n    return loss, grad",
         "loss"),
    ],
)  # fmt: skip
def test_what_returns_or_keeps_a_gradient_is_found(text, name):
    assert [candidate.name for candidate in discover(read(text))] == [name]


def test_layers_of_rows_and_a_loss_agree_with_their_own_forward_passes(tmp_path):
    report = judged(tmp_path, PAIR.format(db="dout.sum(axis=0)"))
    assert rows(report) == {"affine_backward": "agree", "softmax_loss": "agree"}


def test_a_wrong_layer_is_named_and_the_right_ones_beside_it_are_not(tmp_path):
    report = judged(tmp_path, PAIR.format(db="dout.sum()"))
    assert report.verdict == "disagree"
    assert rows(report) == {"affine_backward": "disagree", "softmax_loss": "agree"}


def test_layers_of_a_class_are_no_network_of_the_textbook(tmp_path):
    assert rows(judged(tmp_path, LAYER)) == {"Sigmoid.backward": "agree"}
    wrong = LAYER.replace("(1 - self.y)", "(1 + self.y)")
    assert rows(judged(tmp_path, wrong)) == {"Sigmoid.backward": "disagree"}


def test_forward_passes_alone_are_nothing_to_check(tmp_path):
    report = judged(
        tmp_path,
        """
        import numpy as np
        def forward_propagation(x, a0, parameters):
            return np.tanh(parameters["W"] @ x + a0)
        def loss(a, y):
            return -(y * np.log(a) + (1 - y) * np.log(1 - a))
        """,
    )
    assert (report.verdict, report.functions) == ("nothing-to-check", ())


def test_what_a_framework_differentiates_is_nothing_to_check_without_blame(tmp_path):
    report = judged(
        tmp_path,
        """
        import torch.nn as nn
        class Net(nn.Module):
            def __init__(self, n=3):
                super().__init__()
                self.fc = nn.Linear(n, 1)
            def forward(self, x):
                return self.fc(x)
        """,
    )
    assert report.verdict == "nothing-to-check"
    assert "a framework differentiates it" in report.message


def test_one_right_pass_and_one_that_cannot_be_judged_are_undecided(tmp_path):
    text = PAIR.format(db="dout.sum(axis=0)") + textwrap.dedent(
        """
        def mystery_backward(dout, memo, secret):
            return dout @ memo[secret].T
        """
    )
    report = judged(tmp_path, text)
    assert report.verdict == "undecided"
    assert rows(report)["affine_backward"] == "agree"
    assert rows(report)["mystery_backward"] == "undecided"
    says = {row.name: row.message for row in report.functions}["mystery_backward"]
    assert "--loss, --grads, --params" in says


def test_gradients_that_stay_inside_a_training_loop_are_not_cleared(tmp_path):
    report = judged(
        tmp_path,
        """
        def train(X, y, W, b):
            for _ in range(100):
                dZ = X @ W + b - y
                dW = X.T @ dZ / len(X)
                db = dZ.mean()
                W, b = W - 0.1 * dW, b - 0.1 * db
            return W, b
        """,
    )
    assert report.verdict == "undecided"
    assert "do not leave it" in report.functions[0].message


def test_an_argument_whose_name_says_nothing_is_the_cache(tmp_path):
    text = """
    import numpy as np
    def linear_backward(dZ, midval):
        A_prev, W, b = midval
        m = A_prev.shape[1]
        return W.T @ dZ, {dW}, np.sum(dZ, axis=1, keepdims=True) / m
    """
    right = judged(tmp_path, text.format(dW="dZ @ A_prev.T / m"))
    assert rows(right) == {"linear_backward": "agree"}
    wrong = judged(tmp_path, text.format(dW="2 * dZ @ A_prev.T / m"))
    assert rows(wrong) == {"linear_backward": "disagree"}


def test_averages_that_parameters_share_are_accepted_and_remarked(tmp_path):
    text = """
    import numpy as np
    def dense_forward(A, W, b):
        return W @ A + b
    def dense_backward(dZ, A, W):
        m = A.shape[1]
        return W.T @ dZ, dZ @ A.T / {by}, dZ.mean(axis=1, keepdims=True)
    """
    right = judged(tmp_path, text.format(by="m"))
    assert rows(right) == {"dense_backward": "agree"}
    assert any("by the number of examples" in remark for remark in right.remarks)
    wrong = judged(tmp_path, text.format(by="A.shape[0]"))
    assert rows(wrong) == {"dense_backward": "disagree"}


@pytest.mark.parametrize("mean", ["/ len(y)", "/ y.shape[0]"])
def test_half_of_a_mean_squared_error_over_two_outputs_is_no_average(tmp_path, mean):
    file = f"""
        import numpy as np

        def mse(y, t):
            return ((y - t) ** 2).sum() {mean}

        def mse_backward(y, t):
            return {{factor}} * (y - t) {mean}
    """
    assert judged(tmp_path, file.format(factor=2)).verdict == "agree"
    assert judged(tmp_path, file.format(factor=1)).verdict == "disagree"


def test_a_penalised_gradient_is_not_held_against_a_plain_cost(tmp_path):
    report = judged(
        tmp_path,
        """
        import numpy as np
        def forward_propagation(X, parameters):
            W1, b1, W2, b2 = (parameters[k] for k in ("W1", "b1", "W2", "b2"))
            Z1 = W1 @ X + b1
            A1 = np.maximum(Z1, 0)
            A2 = 1 / (1 + np.exp(-(W2 @ A1 + b2)))
            return A2, (Z1, A1, W1, W2, A2)
        def compute_cost(AL, Y):
            return -np.mean(Y * np.log(AL) + (1 - Y) * np.log(1 - AL))
        def backward_propagation_with_regularization(X, Y, cache, lambd):
            Z1, A1, W1, W2, A2 = cache
            m = X.shape[1]
            dZ2 = A2 - Y
            dZ1 = (W2.T @ dZ2) * (Z1 > 0)
            return {"dW2": dZ2 @ A1.T / m + lambd / m * W2,
                    "db2": np.sum(dZ2, axis=1, keepdims=True) / m,
                    "dW1": dZ1 @ X.T / m + lambd / m * W1,
                    "db1": np.sum(dZ1, axis=1, keepdims=True) / m}
        """,
    )
    assert report.verdict == "agree", report.message


def test_a_pair_that_is_kept_as_one_value_is_said_with_its_line(tmp_path):
    report = judged(
        tmp_path,
        """
        import numpy as np
        def sigmoid(Z):
            A = 1 / (1 + np.exp(-Z))
            return A, Z
        def forward_propagation(X, parameters):
            Z1 = parameters["W1"] @ X + parameters["b1"]
            A1 = np.tanh(Z1)
            Z2 = parameters["W2"] @ A1 + parameters["b2"]
            A2 = sigmoid(Z2)
            return A2, {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2}
        def backward_propagation(parameters, cache, X, Y):
            m = X.shape[1]
            dZ2 = cache["A2"] - Y
            dZ1 = parameters["W2"].T @ dZ2 * (1 - cache["A1"] ** 2)
            return {"dW1": dZ1 @ X.T / m, "db1": dZ1.mean(axis=1, keepdims=True),
                    "dW2": dZ2 @ cache["A1"].T / m, "db2": dZ2.mean(axis=1, keepdims=True)}
        """,
    )
    assert report.verdict == "crashed"
    assert "sigmoid returns as A2 (line 10)" in report.message


def test_a_base_class_comes_from_the_root_of_the_project(tmp_path):
    nets = tmp_path / "nets"
    nets.mkdir()
    (nets / "__init__.py").write_text("")
    (nets / "base.py").write_text("class Layer:\n    factor = 3.0\n")
    (nets / "scale.py").write_text(
        "from nets.base import Layer\n"
        "class Scale(Layer):\n"
        "    def forward(self, x):\n        return self.factor * x\n"
        "    def backward(self, dy):\n        return self.factor * dy\n"
    )
    [report] = judge_all([nets / "scale.py"], Limits(), 1)
    assert rows(report) == {"Scale.backward": "agree"}


def test_the_door_gives_every_call_fresh_copies_and_the_names_as_they_were():
    found = read(
        """
        import numpy as np
        count = np.zeros(1)
        def spoil(x):
            count[0] += 1
            total = x.sum()
            x *= 0
            return np.random.rand() + count[0] + total
        """
    )
    door = open_door(lambda: open_workspace(found))
    try:
        recipe = Recipe((("call", ("name", "spoil"), [("in", "x")], {}),), (("slot", 0),))
        first, again = (door.run(recipe, {"x": np.ones(3)}) for _ in range(2))
        assert first == again
        missing = Recipe((("call", ("name", "nobody"), [], {}),), ())
        assert isinstance(door.run(missing, {}), Raised)
        rows_ = door.sweep(recipe, {"x": np.ones(3)}, [("x", 0, 0.5), ("x", 2, -2.0)] * 2, 5.0)
        np.testing.assert_allclose(rows_ - first[0], [[0.5], [-2.0]] * 2, atol=1e-12)
    finally:
        door.close()


def test_how_long_a_pass_takes_is_the_processors_time_and_not_how_busy_the_machine_is():
    door = open_door(
        lambda: open_workspace(read("import time\ndef f(x): time.sleep(0.1); return x"))
    )
    try:
        recipe = Recipe((("call", ("name", "f"), [("in", "x")], {}),), (("slot", 0),))
        assert door.seconds(recipe, {"x": 1.0}) < 0.05
    finally:
        door.close()


def test_a_sweep_that_comes_again_is_not_run_again(tmp_path):
    ran = tmp_path / "ran"
    found = read(f"def f(x):\n    open({str(ran)!r}, 'a').write('1')\n    return 2 * x")
    door = open_door(lambda: open_workspace(found))
    try:
        recipe = Recipe((("call", ("name", "f"), [("in", "x")], {}),), (("slot", 0),))
        moves = [("x", 0, 0.5), ("x", 1, 0.5)]
        first, again = (door.sweep(recipe, {"x": np.ones(2)}, moves, 5.0) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert len(ran.read_text()) == 3  # where nothing is moved, too
        np.testing.assert_array_equal(
            door.sweep(recipe, {"x": np.zeros(2)}, moves, 5.0), first - 2.0
        )
    finally:
        door.close()


def test_two_runs_say_the_same_whatever_the_order_of_a_set(tmp_path, monkeypatch):
    path = tmp_path / "homework.py"
    path.write_text(
        "LETTERS = list(set('abcdefghijklmnop'))\n"
        "def scale(x): return x * (2 + LETTERS.index('a'))\n"
        "def scale_backward(dx): return dx * (3 + LETTERS.index('a'))\n"
    )
    texts = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        [report] = judge_all([path], Limits(), 1)
        assert report.verdict == "disagree"
        texts.append(str(report))
    assert texts[0] == texts[1]


def test_a_report_has_the_kind_and_the_line_of_each_row(tmp_path):
    report = json.loads(json.dumps(judged(tmp_path, LAYER).to_dict()))
    [row] = report["functions"]
    assert (row["name"], row["kind"], row["line"]) == ("Sigmoid.backward", "backward", 9)


ELEMENTWISE = """
import numpy as np

def {name}_forward(x):
    y = {value}
    return y, (x, y)

def {name}_backward(dout, cache):
    x, y = cache
    dx = {wrong}
    return dx
"""


@pytest.mark.parametrize(
    ("name", "value", "wrong", "bug"),
    [
        ("relu", "np.maximum(0, x)", "dout", "derivative-missing"),
        ("relu", "np.maximum(0, x)", "dout * (dout > 0)", "derivative-of-upstream"),
        ("relu", "np.maximum(0, x)", "dout * (x < 0)", "derivative-inverted"),
        ("relu", "np.maximum(0, x)", "(x > 0) * 1.0", "upstream-missing"),
        ("tanh", "np.tanh(x)", "2 * dout * (1 - y**2)", "gradient-doubled"),
        ("tanh", "np.tanh(x)", "-dout * (1 - y**2)", "gradient-negated"),
        ("tanh", "np.tanh(x)", "dout * (1 + y**2)", "derivative-with-plus"),
        ("tanh", "np.tanh(x)", "dout * y", "derivative-is-activation"),
    ],
)
def test_a_mistake_in_an_activation_has_its_name_and_its_line(tmp_path, name, value, wrong, bug):
    report = judged(tmp_path, ELEMENTWISE.format(name=name, value=value, wrong=wrong))
    [finding] = report.diagnosis
    assert (finding.function, finding.tensor) == (f"{name}_backward", "dx")
    assert (finding.bug, finding.line) == (bug, 10)


POOL = """
import numpy as np

def max_pool_forward(x, pool_param):
    H, W, S = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    h, w = 1 + (x.shape[2] - H) // S, 1 + (x.shape[3] - W) // S
    out = np.zeros(x.shape[:2] + (h, w))
    for i in range(h):
        for j in range(w):
            out[:, :, i, j] = x[:, :, i * S : i * S + H, j * S : j * S + W].max(axis=(2, 3))
    return out, (x, out, pool_param)

def max_pool_backward(dout, cache):
    x, out, pool_param = cache
    H, W, S = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    dx = np.zeros_like(x)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            window = x[:, :, i * S : i * S + H, j * S : j * S + W]
            mask = window == out[:, :, i : i + 1, j : j + 1]
            part = mask * dout[:, :, i : i + 1, j : j + 1]
            dx[:, :, i * S : i * S + H, j * S : j * S + W] {sets} part
    return dx
"""


def test_windows_that_are_overwritten_are_found_where_they_overlap(tmp_path):
    assert judged(tmp_path, POOL.format(sets="+=")).verdict == "agree"
    [finding] = judged(tmp_path, POOL.format(sets="=")).diagnosis
    assert (finding.bug, finding.line) == ("last-part-only", 22)


NETWORK = """
import numpy as np

class Net:
    def __init__(self, input_size, hidden_size, output_size):
        self.params = {{
            "W1": np.random.randn(input_size, hidden_size), "b1": np.zeros(hidden_size),
            "W2": np.random.randn(hidden_size, output_size), "b2": np.zeros(output_size)}}

    def loss(self, X, y, reg=0.0):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        h = np.maximum(0, X @ W1 + b1)
        s = h @ W2 + b2
        p = np.exp(s - s.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        n = X.shape[0]
        loss = -np.log(p[np.arange(n), y]).mean() + 0.5 * reg * (np.sum(W1**2) + np.sum(W2**2))
        grads = {{}}
        ds = p.copy()
        ds[np.arange(n), y] -= 1
        ds /= n
        grads["W2"] = h.T @ ds + {penalty} * W2
        grads["b2"] = ds.sum(axis=0)
        dh = ds @ W2.T
        dh[h <= 0] = 0
        grads["W1"] = X.T @ dh + reg * W1
        grads["b1"] = dh.sum(axis=0)
        return loss, grads
"""


def test_a_network_of_a_class_is_judged_with_its_penalty(tmp_path):
    assert judged(tmp_path, NETWORK.format(penalty="reg")).verdict == "agree"
    report = judged(tmp_path, NETWORK.format(penalty="2 * reg"))
    [finding] = report.diagnosis
    assert (finding.function, finding.tensor, finding.line) == ("Net.loss", "W2", 22)
    assert finding.bug == "l2-doubled"


ENGINE = """
class Value:
    def __init__(self, data, _children=()):
        self.data = data
        self.grad = 0.0
        self._backward = lambda: None

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other))

        def _backward():
            self.grad {sets} other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    def backward(self):
        pass
"""


def test_an_operator_of_an_engine_adds_to_its_operands(tmp_path):
    assert rows(judged(tmp_path, ENGINE.format(sets="+="))) == {"Value.__mul__": "agree"}
    report = judged(tmp_path, ENGINE.format(sets="="))
    assert [(f.function, f.bug) for f in report.diagnosis] == [("Value.__mul__", "last-part-only")]


def test_inputs_come_from_the_files_own_calls_where_nothing_else_gives_them(tmp_path):
    text = """
    import numpy as np
    import matplotlib.pyplot as plt
    def blend(u, table):
        return u * table["gain"] + table["shift"]
    def blend_backward(du, u, table):
        return {{"gain": {gain}, "shift": du}}
    u = np.linspace(1.0, 2.0, 6).reshape(2, 3)
    table = {{"gain": np.ones((2, 3)) * 0.5, "shift": np.zeros((2, 3))}}
    plt.plot(u)
    out = blend(u, table)
    grads = blend_backward(np.ones((2, 3)), u, table)
    """
    assert rows(judged(tmp_path, text.format(gain="du * u"))) == {"blend_backward": "agree"}
    assert rows(judged(tmp_path, text.format(gain="du + u"))) == {"blend_backward": "disagree"}


WRONG = PAIR.replace("dout @ w.T", "np.sin(dout @ w.T)")


def _found(path, seed):
    report = judge_file(path, seed=seed).to_dict()
    return report["seed"], [finding["detail"] for finding in report["diagnosis"]], report["verdict"]


def test_inputs_are_drawn_from_the_seed_and_from_the_text_of_the_file(tmp_path):
    path = tmp_path / "homework.py"
    path.write_text(WRONG.replace("{db}", "dout.sum(0)"))
    first, again, other = (_found(path, seed) for seed in (0, 0, 1))
    path.write_text(WRONG.replace("{db}", "np.sum(dout, 0)"))
    rewritten = _found(path, 0)
    assert first == again
    assert first[0] != other[0] != rewritten[0] != first[0]
    assert {each[2] for each in (first, other, rewritten)} == {"disagree"}
    assert first[1]
    assert str(first[1]) != str(other[1]) != str(rewritten[1])


def test_what_the_textbook_judged_is_the_files_own_word_and_nothing_else(tmp_path):
    exercise = """
    import numpy as np

    def linear_backward(dZ, cache):
        A_prev, W, b = cache
        m = A_prev.shape[1]
        return np.dot(W.T, dZ), np.dot(dZ, A_prev.T) / m, np.sum(dZ, axis=1, keepdims=True) / m
    """
    assert judged(tmp_path, exercise).advisory == ("linear_backward",)
    assert judged(tmp_path, PAIR.replace("{db}", "dout.sum(0)")).advisory == ()


LINEAR = """
import numpy as np

def linear(A, W, b):
    return W @ A + b

def linear_backward(dZ, A, W, b):
    return W.T @ dZ, {dW}, {db}
"""

SOFTMAX = """
import numpy as np

def softmax_cross_entropy(Z, Y):
    e = np.exp(Z - Z.max(axis=0, keepdims=True))
    return -(Y * np.log(e / e.sum(axis=0, keepdims=True))).sum() / Z.shape[1]

def softmax_cross_entropy_backward(Z, Y):
    e = np.exp(Z - Z.max(axis=0, keepdims=True))
    return {dZ}
"""

RIGHT_SUM = "dZ.sum(axis=1, keepdims=True)"
A_MINUS_Y = "(e / e.sum(axis=0, keepdims=True) - Y)"


@pytest.mark.parametrize(
    ("text", "verdict", "bugs"),
    [
        (LINEAR.format(dW="dZ @ A.T", db=RIGHT_SUM), "agree", []),
        (LINEAR.format(dW="dZ @ A.T / A.shape[1]", db=RIGHT_SUM), "disagree",
         ["weights-averaged-twice"]),
        (LINEAR.format(dW="dZ @ A.T", db="dZ.mean(axis=1, keepdims=True)"), "disagree",
         ["bias-averaged-twice"]),
        (LINEAR.format(dW="dZ @ A.T", db="dZ"), "undecided", []),
        (SOFTMAX.format(dZ=f"{A_MINUS_Y} / Z.shape[1]"), "agree", []),
        (SOFTMAX.format(dZ=A_MINUS_Y), "disagree", None),
    ],
)  # fmt: skip
def test_what_is_right_for_one_example_alone_is_not_cleared(tmp_path, text, verdict, bugs):
    report = judged(tmp_path, text)
    assert report.verdict == verdict
    assert bugs is None or [finding.bug for finding in report.diagnosis] == bugs


@pytest.mark.parametrize(("dA", "verdict"), [("dA * mask / keep_prob", "agree"),
                                             ("dA * mask", "disagree"),
                                             ("dA / keep_prob", "disagree")])  # fmt: skip
def test_dropout_is_paired_by_its_name_and_its_mask_is_drawn(tmp_path, dA, verdict):
    text = f"""
    def dropout(A, mask, keep_prob):
        return A * mask / keep_prob

    def dropout_backward(dA, mask, keep_prob):
        return {dA}
    """
    assert judged(tmp_path, text).verdict == verdict


TRIPLET = """
import numpy as np

def triplet_loss(anchor, positive, negative, margin=1.0):
    '''anchor, positive, negative: (N, D).'''
    dp, dn = anchor - positive, anchor - negative
    v = margin + (dp ** 2).sum(1) - (dn ** 2).sum(1)
    on = (v > 0)[:, None] / len(anchor)
    return np.maximum(v, 0).mean(), 2 * on * (dp - dn), {positive}, 2 * on * dn

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))
"""


@pytest.mark.parametrize(
    ("positive", "verdict"), [("-2 * on * dp", "agree"), ("2 * on * dp", "disagree")]
)
def test_a_loss_that_returns_gradients_without_names_is_judged(tmp_path, positive, verdict):
    report = judged(tmp_path, TRIPLET.format(positive=positive))
    assert (rows(report)["triplet_loss"], report.verdict) == (verdict, verdict)


def test_a_layer_whose_name_has_norm_in_it_is_not_overlooked(tmp_path):
    text = """
    import numpy as np

    def relu(z):
        return np.maximum(z, 0)

    def relu_backward(d, z):
        return d * (z > 0)

    def layer_norm_forward(x, weight):
        rstd = 1 / np.sqrt((x**2).mean(axis=-1, keepdims=True))
        return weight * x * rstd, (x, rstd, weight)

    def layer_norm_backward(dout, cache):
        x, rstd, weight = cache
        return dout * weight * rstd, (dout * x * rstd).sum(0)
    """
    assert rows(judged(tmp_path, text)) == {
        "relu_backward": "agree",
        "layer_norm_backward": "disagree",
    }


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("layer_norm_backward", True),
        ("average_pool_backward", True),
        ("layer_norm_grad", False),
        ("grad_norm", False),
        ("clip_gradients", False),
        ("update_grad", False),
        ("average_gradients", False),
    ],
)
def test_a_word_of_what_only_uses_gradients_hides_no_layer(name, found):
    text = f"def {name}(dout, x):\n    dx = dout * x\n    return dx"
    assert bool(discover(read(text))) is found


ATTENTION = """
    import numpy as np

    def {forward}(q, k, v):
        e = np.exp(q @ k.T)
        return e / e.sum(axis=-1, keepdims=True) @ v

    def attention_vjp(q, k, v, {cotangent}):
        e = np.exp(q @ k.T)
        p = e / e.sum(axis=-1, keepdims=True)
        dp = {cotangent} @ v.T
        ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
        return ds @ k, ds.T @ {query}, p.T @ {cotangent}
"""


@pytest.mark.parametrize("forward", ["attention", "attention_forward"])
@pytest.mark.parametrize("cotangent", ["g", "ct", "cotangent"])
@pytest.mark.parametrize(("query", "verdict"), [("q", "agree"), ("q * 2", "disagree")])
def test_a_vjp_is_the_derivative_of_the_function_of_its_name(
    tmp_path, forward, cotangent, query, verdict
):
    text = ATTENTION.format(forward=forward, cotangent=cotangent, query=query)
    assert rows(judged(tmp_path, text)) == {"attention_vjp": verdict}


OBJECT = """
    import numpy as np

    class Net:
        def __init__(self, {arguments}):
            self.W = {weights}

        def forward(self, x):
            self.x = x
            return x @ self.W

        def backward(self, dout):
            self.dW = self.x.T @ dout
            return dout @ self.W.T
"""


def test_an_object_that_wants_a_size_and_a_generator_is_made(tmp_path):
    text = OBJECT.format(arguments="size, rng", weights="rng.standard_normal((size, size))")
    assert rows(judged(tmp_path, text)) == {"Net.backward": "agree"}


UNJUDGED = {
    "no object of its class could be made (the last try: Net raised AttributeError": OBJECT.format(
        arguments="config", weights="np.zeros((config.n, config.n))"
    ),
    ", rng Generator(PCG64)); one that the file makes": OBJECT.format(
        arguments="config, rng", weights="config.n"
    ),
    "warp_forward looks like its forward pass, but it was not found out": """
    def warp_forward(kk, zz, table):
        return zz @ table.look(kk)

    def warp_backward(g, kk, zz, table):
        return g * 2
    """,
    "no forward pass that belongs to it was found": """
    def warp_backward(dout, cache):
        x, w = cache
        return dout @ w.T, x.T @ dout
    """,
}


@pytest.mark.parametrize("says", UNJUDGED)
def test_what_stood_in_the_way_of_a_pass_is_said_as_it_is(tmp_path, says):
    [row] = judged(tmp_path, UNJUDGED[says]).functions
    assert row.verdict == "undecided"
    assert says in row.message
    assert " at 0x" not in row.message


def test_a_gradient_that_no_input_was_found_for_is_not_cleared_with_the_others(tmp_path):
    text = """
    def product_forward(u, v):
        return u * v

    def product_backward(dout, u, v):
        du, dsecond = dout * v, dout * v
        return du, dsecond
    """
    [row] = judged(tmp_path, text).functions
    assert row.verdict != "agree"


@pytest.mark.parametrize("suffix", ["_tmp", "_temp", "_new"])
@pytest.mark.parametrize(("db", "verdict"), [("dout", "agree"), ("2 * dout", "disagree")])
def test_a_gradient_may_be_called_new_or_temporary(tmp_path, suffix, db, verdict):
    text = f"""
    def affine_forward(x, w, b):
        return x * w + b

    def affine_backward(dout, x, w, b):
        dx{suffix}, dw{suffix}, db{suffix} = dout * w, dout * x, {db}
        return dx{suffix}, dw{suffix}, db{suffix}
    """
    assert rows(judged(tmp_path, text)) == {"affine_backward": verdict}


def test_a_gradient_that_begins_as_none_is_wrong_where_it_is_made(tmp_path):
    text = """
    import numpy as np

    def soft_forward(x):
        out = None
        out = np.log(1 + np.exp(x))
        return out, x

    def soft_backward(dout, cache):
        dx = None
        x = cache
        return dout * np.tanh(x) / (1 + np.exp(2 * x))
    """
    [finding] = judged(tmp_path, text).diagnosis
    assert finding.source == "return dout * np.tanh(x) / (1 + np.exp(2 * x))"


def test_what_is_judged_within_another_pass_must_have_run_there_whole(tmp_path):
    text = """
    import numpy as np

    def inner_backward(dout, cache):
        mode, x = cache
        if mode == "square":
            return dout * 2 * x
        {otherwise}

    def outer_forward(x):
        return 3 * x**2, ("square", x)

    def outer_backward(dout, cache):
        return inner_backward(3 * dout, cache)
    """
    refused = judged(tmp_path, text.format(otherwise="raise ValueError(mode)"))
    assert rows(refused) == {"inner_backward": "agree", "outer_backward": "agree"}
    unseen = judged(tmp_path, text.format(otherwise="return dout * 3"))
    assert rows(unseen) == {"inner_backward": "undecided", "outer_backward": "agree"}


CONSTRUCTORS = {
    "ein": ("size", "self.W = np.zeros((ein, aus))"),
    "form": ("shape", "a, b = form"),
    "liste": ("sizes", "for n in liste[1:]: self.W.append(n)"),
    "feld": ("array", "self.W = feld.reshape(3, 5)"),
    "was": ("function", "self.was = was; self.y = self.was(3.0)"),
    "ding": ("object", "self.ding = ding; self.ding.vor(3.0)"),
    "dinge": ("objects", "for each in dinge: each.vor(3.0)"),
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_what_a_constructor_does_with_an_argument_says_what_it_is(tmp_path, name):
    kind, statement = CONSTRUCTORS[name]
    path = tmp_path / "made.py"
    path.write_text(f"class Made:\n    def __init__(self, {name}, aus=3):\n        {statement}\n")
    assert wants(extract(path), "Made")[name].kind == kind


def test_a_layer_is_made_and_judged_by_the_base_that_lies_beside_its_file(tmp_path):
    (tmp_path / "base.py").write_text(
        "class Base:\n    def __init__(self, ein, aus):\n        self.ein, self.aus = ein, aus\n"
        "    def forward(self, x):\n        self.x = x\n        return self._forward(x)\n"
        "    def backward(self, dout):\n        return self._backward(dout)\n"
    )
    path = tmp_path / "layer.py"
    path.write_text(
        "import numpy as np\nfrom base import Base\n\n\nclass Layer(Base):\n"
        "    def __init__(self, ein, aus):\n        super().__init__(ein, aus)\n"
        "        self.W = np.random.randn(ein, aus)\n"
        "    def _forward(self, x):\n        return x @ self.W\n"
        "    def _backward(self, dout):\n        self.dW = self.x.T @ dout\n"
        "        return dout @ self.W.T\n"
    )
    (row,) = judge_file(path).functions
    assert (row.name, row.verdict) == ("Layer._backward", "agree")


NUMERICAL = """
def pendiente(f, x, paso=1e-5):
    grad = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        x[i] += paso
        mas = f(x)
        x[i] -= 2 * paso
        menos = f(x)
        x[i] += paso
        grad[i] = (mas - menos) / (2 * paso)
    return grad
"""


def test_a_numerical_derivative_is_no_backward_pass_in_any_language(tmp_path):
    assert judged(tmp_path, NUMERICAL).verdict == "nothing-to-check"


def test_no_pass_is_held_against_itself(tmp_path):
    text = """
    import numpy as np

    class Quadratic:
        def value_of(self, a, y):
            return 0.5 * np.sum((a - y) ** 2)

        def derived_value_of(self, a, y):
            dCda = a - y
            return dCda

    class Sigmoid:
        def at(self, z):
            return 1 / (1 + np.exp(-z))

        def diagonal_jacobian(self, z, **kwargs):
            a = kwargs["a"] if "a" in kwargs else self.at(z)
            dadz = a * (1 - a)
            return dadz
    """
    assert rows(judged(tmp_path, text)) == {
        "Quadratic.derived_value_of": "agree",
        "Sigmoid.diagonal_jacobian": "undecided",
    }


def test_a_slope_and_a_pullback_are_looked_for_too(tmp_path):
    text = """
    import numpy as np

    def swish(u):
        return u / (1 + np.exp(-u))

    def swish_slope(u):
        gate = 1 / (1 + np.exp(-u))
        return gate + {term}

    class Tanh:
        def __call__(self, H):
            self.out = np.tanh(H)
            return self.out

        def pullback(self, out_bar):
            return out_bar * (1 - self.out**2)
    """
    right = judged(tmp_path, text.format(term="u * gate * (1 - gate)"))
    assert rows(right) == {"swish_slope": "agree", "Tanh.pullback": "agree"}
    assert judged(tmp_path, text.format(term="u * gate")).verdict == "disagree"


def test_what_an_object_keeps_in_another_mode_is_not_cleared_by_what_it_returns_there(tmp_path):
    text = (Path(__file__).parent / "styles" / "classes_modes.py").read_text()
    asked = '        if self.mode == "test":\n            return dout'
    kept = '            self.grads["gamma"] = 3 * (dout * self.x_hat).sum(axis=0)\n'
    assert asked in text
    changed = text.replace(asked, asked.replace("            return", f"{kept}            return"))
    assert rows(judged(tmp_path, changed)) == {
        "Norm.backward": "undecided",
        "Dropout.backward": "agree",
    }


STRIDED = """
import numpy as np
from numpy.lib.stride_tricks import as_strided

def pairs(x, count):
    return as_strided(x, (count, 2), (8, 8)).sum(axis=1)
"""


def test_a_view_beyond_an_arrays_memory_raises_where_a_file_makes_it():
    found = read(STRIDED)
    door = open_door(lambda: open_workspace(found))
    try:
        within, beyond = (
            door.run(
                Recipe(
                    (("call", ("name", "pairs"), [("in", "x"), ("value", count)], {}),),
                    (("slot", 0),),
                ),
                {"x": np.array([1.0, 2.0, 4.0])},
            )
            for count in (2, 3)
        )
    finally:
        door.close()
    np.testing.assert_array_equal(within[0], [3.0, 6.0])
    assert isinstance(beyond, Raised)
    assert "within the memory of an array of shape (3,)" in beyond.sentence


def test_what_makes_test_cases_of_a_backward_pass_is_none():
    text = """
    def linear_backward_test_case():
        dZ, cache = np.ones((1, 2)), (1, 2)
        return dZ, cache
    """
    assert discover(read(text)) == []


ONE_PADDED = """
import numpy as np

def shift_forward(x, stride):
    return 2.0 * x[::stride]

def shift_backward(dout, x, stride):
    dx = np.zeros_like(x)
    dx[::2] = 2.0 * dout if stride == 2 else dout[::2]
    return dx
"""


def test_a_finding_says_in_which_setting_it_is(tmp_path):
    (finding,) = judged(tmp_path, ONE_PADDED).diagnosis
    assert "with stride 1, and right in another setting" in finding.detail


TWO_RETURNS = """
import numpy as np

class Either:
    def __init__(self, kind="square"):
        if kind not in ("square", "cube"):
            raise ValueError(kind)
        self.kind = kind

    def forward(self, x):
        self.x = x
        return x**2 if self.kind == "square" else x**3

    def backward(self, dy):
        if self.kind == "cube":
            return dy * 2 * self.x**2
        return dy * 2 * self.x
"""


def test_the_line_of_a_finding_is_that_of_the_return_which_ran(tmp_path):
    report = judged(tmp_path, TWO_RETURNS)
    assert [(f.line, f.bug) for f in report.diagnosis] == [(16, "gradient-scaled")]


STEPS = """
class Layer:
    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T

    def {name}(self, {given}):
        {body}
"""


@pytest.mark.parametrize(
    ("name", "given", "body", "found"),
    [
        ("gradient", "alpha", "self.W -= alpha * self.dW", False),
        ("gradient", "alpha", "[layer.gradient(alpha) for layer in self.layers]", False),
        ("gradient", "alpha", "self.W -= alpha * self.x.T @ self.x", True),
        ("gradient", "dy", "self.dW = self.x.T @ dy", True),
    ],
)
def test_a_step_along_gradients_that_another_method_made_is_no_pass(name, given, body, found):
    candidates = discover(read(STEPS.format(name=name, given=given, body=body)))
    assert ("Layer.gradient" in [candidate.name for candidate in candidates]) == found


@pytest.mark.parametrize(
    ("name", "function", "renamed", "verdict"),
    [
        ("plain_columns.py", "fwd", {"a1": "a1_temp", "z2": "z2_new"}, "agree"),
        ("plain_cache_only.py", "distance_forward", {"cache": "cache_new"}, "agree"),
        ("plain_lstm_dict_path.py", "lstm_forward", {"c_new": "c_new_new"}, "disagree"),
    ],
)
def test_what_a_forward_pass_calls_its_values_changes_no_verdict(
    tmp_path, name, function, renamed, verdict
):
    text = (Path(__file__).parent / "styles" / name).read_text(encoding="utf-8")
    node = extract_script(Path(name), text).functions[function]
    lines = text.splitlines()
    for number in range(node.lineno - 1, node.end_lineno):
        for old, new in renamed.items():
            lines[number] = re.sub(rf"\b{old}\b", new, lines[number])
    changed = "\n".join(lines)
    assert changed != text
    assert judged(tmp_path, changed).verdict == verdict


COLUMNS = """
import numpy as np

def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def cost_function(theta, X, y, lambdaa):
    m = len(y)
    h = np.zeros((m, 1))
    h[:, 0] = sigmoid(X.dot(theta))
    J = sum(-y.T.dot(np.log(h)) - (1 - y).T.dot(np.log(1 - h))) / m
    grad = (h - y).T.dot(X) / m
    grad_reg = lambdaa / m * theta
    return J + lambdaa / (2 * m) * np.sum(theta**2), grad_reg + grad
"""


def test_a_gradient_that_has_the_shape_of_the_data_beside_weights_is_no_accusation(tmp_path):
    assert judged(tmp_path, COLUMNS).verdict == "undecided"


def test_the_hint_of_the_courses_convolution_which_needs_padding_is_no_crash(tmp_path):
    text = (Path(__file__).parent / "styles" / "dlai_conv.py").read_text(encoding="utf-8")
    hint = "dA_prev[i, :, :, :] = da_prev_pad[pad:-pad, pad:-pad, :]"
    hinted = re.sub(r"dA_prev\[i.*\] = .*", hint, text)
    assert hinted != text
    assert judged(tmp_path, hinted).verdict == "agree"


HUBER = """
import numpy as np

def huber(pred, target, delta=1.0):
    r = pred - target
    return np.where(np.abs(r) <= delta, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta)).sum()

def huber_grad(pred, target, delta=1.0):
    r = pred - target
    return np.clip(r, -delta, {most})
"""


@pytest.mark.parametrize(("most", "verdict"), [("delta", "agree"), ("2 * delta", "undecided")])
def test_a_loss_of_any_numbers_is_not_cleared_by_chances_alone(tmp_path, most, verdict):
    assert judged(tmp_path, HUBER.format(most=most)).verdict == verdict


GUARDED = """
import numpy as np

EPS = {outside}

class Loss:
    def __init__(self, tiny=1e-4):
        self.tiny = tiny

    def forward(self, p, y):
        small = {inside}
        self.p, self.y = p, y
        return -np.sum(y * np.log(p + {added})) / y.size

    def backward(self, dout=1):
        return -self.y / self.p / self.y.size * {times}
"""


@pytest.mark.parametrize(
    ("outside", "inside", "added"),
    [
        ("1e-4", "0", "EPS"),
        ("0", "10**-4", "small"),
        ("0", "0", "1e-4"),
        ("0", "0", "self.tiny"),
        ("0", "np.finfo(np.float16).eps / 10", "np.finfo(np.float32).eps"),
    ],
)
@pytest.mark.parametrize(("times", "verdict"), [(1, "agree"), (1.01, "disagree")])
def test_a_guard_is_taken_out_wherever_it_comes_from(
    tmp_path, outside, inside, added, times, verdict
):
    text = GUARDED.format(outside=outside, inside=inside, added=added, times=times)
    assert judged(tmp_path, text).verdict == verdict


def test_a_number_that_is_no_guard_makes_another_function(tmp_path):
    text = GUARDED.format(outside="0", inside="0", added="1e-2", times=1)
    assert judged(tmp_path, text).verdict == "disagree"


ABSENT = """
import numpy as np
import cupyx

class Embedding:
    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]

    def forward(self, idx):
        self.idx = idx
        return self.params[0][idx]

    def backward(self, dout):
        cupyx.scatter_max(self.grads[0], self.idx, dout)
"""

INTO_A_BUFFER = """
import numpy as np

def top_forward(x, k):
    places = np.argsort(x, axis=1)[:, -k:]
    return np.take_along_axis(x, places, 1), places

def top_backward(out_grad, out_buffer, places):
    rows = np.arange(len(out_grad))[:, None]
    np.add.at(out_buffer, (rows, places + 2), out_grad)
"""


@pytest.mark.parametrize("text", [ABSENT, INTO_A_BUFFER])
def test_what_is_not_run_here_and_what_is_not_known_is_no_crash_of_a_file(tmp_path, text):
    assert judged(tmp_path, text).verdict == "undecided"


OUTPUT = """
import numpy as np

class {name}:
    def forward(self, inputs):
        self.output = {output}
        return self.output

    def backward(self, output_error):
        self.input_error = output_error
        return self.input_error
"""


@pytest.mark.parametrize(
    ("name", "output", "verdict"),
    [
        ("Sigmoid", "1 / (1 + np.exp(-inputs))", "undecided"),
        ("Tanh", "np.tanh(inputs)", "disagree"),
    ],
)
def test_an_outputs_activation_may_leave_its_derivative_to_the_loss(
    tmp_path, name, output, verdict
):
    report = judged(tmp_path, OUTPUT.format(name=name, output=output))
    assert report.verdict == verdict
    if verdict == "undecided":
        assert "hands the gradient on as it is" in report.functions[0].message
