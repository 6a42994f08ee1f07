"""Which function is which: by its name, its arguments, and what it is imported from."""

import ast
import math
import textwrap
from pathlib import Path

import numpy as np
import pytest

from verify.homework.read.extract import extract_script
from verify.homework.run.calls import CallError
from verify.homework.run.namespace import open_workspace
from verify.homework.run.substitute_modules import FLOAT, AbsentError, NumpyModule
from verify.homework.textbook import course_modules
from verify.homework.textbook.course_calls import BindError, bind, read_forward, read_grads
from verify.homework.textbook.network import networks
from verify.homework.textbook.roles import depth, recognise, role_by_name


def roles(text):
    found = extract_script(Path("homework.py"), textwrap.dedent(text))
    return {role.shown: role for role in recognise(found)}


def workspace(text, folder="."):
    found = extract_script(Path(folder, "homework.py"), textwrap.dedent(text))
    return open_workspace(found, helpers=course_modules.HELPERS)


@pytest.mark.parametrize(
    ("name", "role", "qualifiers", "prefix"),
    [
        ("propagate", "propagate", set(), ""),
        ("func_L_model_backward", "backward", {"model"}, "func"),
        ("my_linear_activation_forward", "linear_activation_forward", set(), "my"),
        ("forwardPropagation", "forward", set(), ""),
        ("back_prop", "backward", set(), ""),
        ("ReLU", "relu", set(), ""),
        ("compute_cost_with_regularization", "cost", {"reg"}, ""),
        ("backward_propagation_with_dropout", "backward", {"dropout"}, ""),
        ("forward_propagation_n", "forward", {"n"}, ""),
        ("gradient_check_n", "gradient_check", {"n"}, ""),
        ("sigmoid_derivative", "sigmoid_backward", set(), ""),
        ("stable_softmax", "softmax", set(), "stable"),
        ("leaky_relu", "leaky-relu", set(), ""),
        ("leakyReLU", "leaky-relu", set(), ""),
        ("lrelu_prime", "leaky-relu_backward", set(), ""),
        ("my_leaky_relu", "leaky-relu", set(), "my"),
    ],
)
def test_a_name_says_the_role(name, role, qualifiers, prefix):
    assert role_by_name(name) == (role, qualifiers, prefix)


@pytest.mark.parametrize(
    "name",
    ["leaky_softmax", "log_softmax", "test_propagate", "plot_cost", "model", "propagate_test",
     "hard_sigmoid", "update_parameters", "print_cost"],
)  # fmt: skip
def test_a_word_that_makes_another_function_of_it_is_no_prefix(name):
    assert role_by_name(name) is None


def test_arguments_that_a_role_has_no_values_for_make_it_none():
    found = roles(
        """
        def propagate(image, depth): pass
        def relu(image, threshold): pass
        def forward_propagation(X, parameters): pass
        def forward(images): pass
        def propagate_test(target): pass
        """
    )
    assert set(found) == {"forward_propagation"}


def test_methods_are_recognised_without_self():
    found = roles(
        """
        class Net:
            def __init__(self, layers): pass
            def forward(self, X): pass
            def backward(self, X, Y): pass
            @staticmethod
            def sigmoid(z): pass
        """
    )
    assert set(found) == {"Net.forward", "Net.backward", "Net.sigmoid"}
    assert found["Net.sigmoid"].arguments == ["z"]


def test_functions_of_theta_are_those_of_one_variable():
    found = roles("def forward_propagation(x, theta): pass")
    assert found["forward_propagation"].qualifiers == {"1d"}


@pytest.mark.parametrize(
    ("signature", "bound"),
    [
        ("X, Y, cache", "X Y cache"),
        ("parameters, cache, X, Y", "parameters cache X Y"),
        ("x, labels, memory, Lambd", "X Y cache lambd"),
        ("Z1, A1, W2, X, Y", "Z1 A1 W2 X Y"),
        ("X, Y, cache, verbose=False", "X Y cache"),
    ],
)
def test_arguments_are_bound_by_what_their_names_mean(signature, bound):
    [role] = roles(f"def backward_propagation({signature}): pass").values()
    values = {n: n for n in ["X", "Y", "cache", "parameters", "lambd", "AL", "Z1", "A1", "W2"]}
    assert list(bind(role, values).values()) == bound.split()


def test_an_argument_that_is_not_known_is_named():
    [role] = roles("def propagate(w, b, X, Y): pass").values()
    with pytest.raises(BindError, match="propagate asks for X"):
        bind(role, {"w": 1, "b": 2, "Y": 3})


def test_a_regularised_backward_pass_goes_with_the_regularised_cost():
    text = """
    def compute_cost(AL, Y): pass
    def compute_cost_with_regularization(AL, Y, parameters, lambd): pass
    def forward_propagation(X, parameters): pass
    def forward_propagation_with_dropout(X, parameters, keep_prob): pass
    def backward_propagation(X, Y, cache): pass
    def backward_propagation_with_regularization(X, Y, cache, lambd): pass
    def backward_propagation_with_dropout(X, Y, cache, keep_prob): pass
    """
    found = {n.backward.name: n for n in networks(list(roles(text).values()))}
    plain, reg, dropout = found.values()
    assert (plain.cost.name, plain.l2, plain.keep_prob) == ("compute_cost", 0, 1)
    assert reg.cost.name == "compute_cost_with_regularization"
    assert reg.l2 > 0
    assert dropout.forward.name == "forward_propagation_with_dropout"
    assert dropout.keep_prob < 1


def test_the_depth_is_read_off_the_numbers_in_names_keys_and_attributes():
    def of(text):
        return depth([ast.parse(textwrap.dedent(text)).body[0]])

    assert of("def f(p): return p['W2'], p['b1']") == 2
    assert of("def f(): dW3 = 1") == 3
    assert of("def f(self): self.dW2 = error @ self.A1.T") == 2
    assert of("def f(p): return p['W' + str(1)]") is None


def test_results_are_read_as_dicts_tuples_and_in_any_order():
    sizes = {"W1": 6, "b1": 2, "W2": 2, "b2": 1}
    arrays = {name: np.full(size, float(i)) for i, (name, size) in enumerate(sizes.items())}
    as_dict = {f"d{name}": value for name, value in arrays.items()} | {"dZ1": np.ones((2, 3))}
    grads, intermediates = read_grads(as_dict, None, sizes)
    assert grads.keys() == arrays.keys()
    assert set(intermediates) == {"dZ1"}
    [role] = roles("def backward_propagation(X, Y, cache): return dW2, db2, dW1, db1").values()
    in_order = tuple(arrays[name] for name in ("W2", "b2", "W1", "b1"))
    for said in (role, None):
        grads, _ = read_grads(in_order, said, sizes)
        assert all(grads[name] is arrays[name] for name in sizes)
    [role] = roles("def backward_propagation(X, Y, cache): return dW1_here, db1, it, db2").values()
    grads, _ = read_grads(tuple(arrays.values()), role, sizes)
    assert all(grads[name] is arrays[name] for name in sizes)


def test_the_output_is_told_from_the_cache():
    AL, cache = np.ones((1, 4)), {"A1": 1}
    assert read_forward((AL, cache), None, 1, False).AL is AL
    assert read_forward((cache, AL), None, 1, False).AL is AL
    assert read_forward({"A1": np.ones((3, 4)), "A2": AL}, None, 1, False).AL is AL
    [role] = roles("def forward_prop(X, parameters): return Z1, A1, Z2, A2").values()
    four = (np.ones((3, 4)), np.ones((3, 4)), np.zeros((1, 4)), AL)
    assert read_forward(four, role, 1, False).AL is AL
    assert read_forward((0.5, cache), None, 1, True).cost == 0.5


@pytest.mark.parametrize(
    "name",
    [
        "dnn_utils",
        "dnn_utils_v2",
        "dnn_app_utils_v2",
        "dnn_app_utils_v3",
        "init_utils",
        "reg_utils",
        "gc_utils",
        "planar_utils",
        "lr_utils",
        "testCases",
        "testCases_v3",
        "testCases_v4a",
        "public_tests",
        "opt_utils",
        "opt_utils_v1a",
        "test_utils",
    ],
)
def test_the_courses_helper_modules_are_stood_in_for(name):
    assert course_modules.module(name) is not None
    space = workspace(f"from {name} import *\nimport {name}\nfrom {name} import whatever\n")
    assert not space.failed


def test_other_modules_can_be_imported_and_not_called():
    space = workspace(
        """
        import matplotlib.pyplot as plt, h5py, tensorflow.keras.layers
        from PIL import Image
        from scipy import ndimage
        from numba import njit

        @njit(cache=True)
        def f(x): return x

        def plot(): plt.plot([1])
        """
    )
    assert not space.failed
    assert space.names["f"](3) == 3
    with pytest.raises(AbsentError, match=r"matplotlib\.pyplot\.plot"):
        space.names["plot"]()


def test_a_module_beside_the_file_comes_before_the_stand_in(tmp_path):
    (tmp_path / "dnn_utils.py").write_text("def relu(z): return 'mine'\nraise SystemExit\n")
    space = workspace("from dnn_utils import relu", tmp_path)
    assert space.names["relu"](1) == "mine"
    assert not space.remarks


def test_a_helper_that_is_never_imported_is_found_in_the_form_that_is_asked_for():
    pair = workspace("def f(Z):\n    A, cache = relu(Z)\n    return A")
    assert pair.names["relu"](-1.0) == (0.0, -1.0)
    single = workspace("def f(Z):\n    return relu(Z)")
    assert single.names["relu"](-1.0) == 0.0
    assert "relu is not defined in the file; ours was used instead." in single.remarks


def test_a_default_that_needs_the_training_costs_its_function_alone():
    space = workspace("def f(x=trained): pass\ndef g(): return 1")
    assert "name 'trained' is not defined" in space.failed["f"]
    assert space.names["g"]() == 1


def test_random_numbers_are_the_files_own_and_begin_again():
    before = np.random.get_state()[1].copy()
    space = workspace("import numpy as np\ndef f(): return np.random.rand(3)")
    first = space.names["f"]()
    space.random.restart()
    np.testing.assert_array_equal(space.names["f"](), first)
    np.testing.assert_array_equal(space.random.draws[-1], first)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_a_1_by_1_array_is_a_number_to_float_and_math_as_it_used_to_be():
    space = workspace("import numpy as np, math\ndef f(x): return float(np.array([[x]]))")
    assert space.names["f"](2.0) == 2.0
    assert space.names["math"].exp(np.array([[0.0]])) == 1.0
    assert FLOAT("3") == 3.0
    assert isinstance(2.0, FLOAT)
    assert np.zeros(2, dtype=FLOAT).dtype == np.float64


def test_names_that_numpy_has_dropped_are_replaced_and_noted():
    module = NumpyModule(np.random)
    assert module.product([2, 3]) == 6
    assert module.Inf == math.inf
    assert module.legacy == {"np.product", "np.Inf"}
    with pytest.raises(AttributeError):
        _ = module.no_such_name


def test_the_stand_ins_forward_and_backward_agree_with_the_textbook():
    import manual
    from verify.homework.textbook.problems import draw

    problem = draw((4, 5, 3, 1), 7, hidden=("relu", "relu"), output="sigmoid", l2=0.7)
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    A3, cache = course_modules.forward_propagation(problem.X, problem.params)
    found = course_modules.backward_propagation_with_regularization(
        problem.X, problem.Y, cache, 0.7
    )
    cost = course_modules.compute_cost_with_regularization(A3, problem.Y, problem.params, 0.7)
    np.testing.assert_allclose(cost, manual.loss(*problem.arguments, **problem.options))
    for name in grads:
        np.testing.assert_allclose(found[f"d{name}"], grads[name], rtol=1e-10, atol=1e-15)
    AL, caches = course_modules.L_model_forward(problem.X, problem.params)
    np.testing.assert_allclose(AL, A3)
    deep = course_modules.L_model_backward(AL, problem.Y, caches)
    plain = course_modules.backward_propagation(problem.X, problem.Y, cache)
    for name in grads:
        np.testing.assert_allclose(deep[f"d{name}"], plain[f"d{name}"], rtol=1e-10, atol=1e-15)


def test_what_a_function_raises_is_said_with_its_line():
    from verify.homework.textbook.course_calls import call

    text = "def propagate(w, b, X, Y):\n    return undefined\n"
    space = workspace(text)
    [role] = roles(text).values()
    match = "raised NameError at line 2: name 'undefined' is not"
    with pytest.raises(CallError, match=match) as caught:
        call(space, role, {"w": 1, "b": 1, "X": 1, "Y": 1})
    assert (caught.value.function, caught.value.raised) == ("propagate", "NameError")
    assert (caught.value.place.cell, caught.value.place.line) == (None, 2)


def test_what_a_function_raises_is_said_with_the_way_there_and_the_shapes():
    from verify.homework.textbook.course_calls import call

    text = (
        "def inner(a, b):\n    return a @ b\ndef propagate(w, b, X, Y):\n    return inner(w, X)\n"
    )
    space = workspace(text)
    values = {"w": np.ones((4, 1)), "b": 0.5, "X": {"W1": np.ones((4, 7))}, "Y": (np.ones(3), "on")}
    with pytest.raises(CallError) as caught:
        call(space, roles(text)["propagate"], values)
    sentence = str(caught.value)
    assert sentence.startswith("propagate raised ValueError at line 2 in inner, called at line 4: ")
    assert sentence.endswith("called with w (4, 1), b 0.5, X {W1 (4, 7)}, Y ((3,), 'on').")


def test_a_name_that_is_made_by_what_is_not_run_is_no_crash():
    from verify.homework.textbook.course_calls import call

    text = "train_X = load()\ndef propagate(w, b, X, Y):\n    return train_X\n"
    space = workspace(text)
    with pytest.raises(CallError, match="makes it outside of its functions") as caught:
        call(space, roles(text)["propagate"], {"w": 1, "b": 1, "X": 1, "Y": 1})
    assert caught.value.verdict == "undecided"


NET = """
import numpy as np
train_Y = load()
def forward_propagation(X, parameters):
    A1 = np.tanh(parameters["W1"] @ X + parameters["b1"])
    return 1 / (1 + np.exp(-parameters["W2"] @ A1 - parameters["b2"])), {"A1": A1}
def compute_cost(A2, Y):
    return -np.mean(train_Y * np.log(A2) + (1 - train_Y) * np.log(1 - A2))
def backward_propagation(parameters, cache, X, Y):
    return {"dW1": cache["A0"]}
"""


def test_what_raises_costs_no_other_function_its_verdict(tmp_path):
    from verify.homework.judge import judge_file

    path = tmp_path / "homework.py"
    path.write_text(NET)
    report = judge_file(path)
    found = {function.name: function for function in report.functions}
    assert {name: function.verdict for name, function in found.items()} == {
        "forward_propagation": "agree",
        "compute_cost": "undecided",
        "backward_propagation": "crashed",
    }
    assert "train_Y" in found["compute_cost"].message
    assert "KeyError at line 10: 'A0'" in found["backward_propagation"].message


@pytest.mark.parametrize("depth", [4, 6, 9])
def test_there_is_a_generic_problem_for_a_network_of_any_depth_that_is_numbered(depth):
    from verify.homework.textbook.problems import draw, is_generic

    forward = roles(f"def forward_propagation(X, parameters): W{depth} = 1")
    [network] = networks(list(forward.values()))
    [sizes] = network.sizes
    assert len(sizes) == depth + 1
    assert is_generic(draw(sizes, 7, hidden=("relu",) * (depth - 1), output="sigmoid"))
