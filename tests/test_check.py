"""`check` on functions of PyTorch: kernels right and wrong, in every precision and layout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from verify import check
from verify.testing import assert_check, tensors

torch = pytest.importorskip("torch", reason="functions of PyTorch take PyTorch")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch_kernels import KERNELS  # noqa: E402

PRECISIONS = ["float64", "float32", "bfloat16"]
WRONG = [(name, mistake) for name, kernel in KERNELS.items() for mistake in kernel.mistakes]


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors take longer on more, and other tests run beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def checked(name, mistake, precision, **options):
    kernel = KERNELS[name]
    args = kernel.args(getattr(torch, precision))
    return check(kernel.rule(mistake), args, kernel.plain, constants=kernel.constants, **options)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", KERNELS)
def test_a_right_kernel_agrees_in_every_precision_and_layout(name, precision):
    report = checked(name, "", precision)
    assert report.ok, str(report)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("name", "mistake"), WRONG)
def test_a_wrong_kernel_is_caught_in_every_precision(name, mistake, precision):
    report = checked(name, mistake, precision)
    assert report.verdict == "disagree", str(report)
    layout = report.conclusion.kind == "wrong-for-forms"
    assert layout == (mistake == "ignores strides"), str(report)


class TensorFloat(TorchDispatchMode):
    """Products of float32 with the ten bits of TensorFloat-32, as a GPU makes them if it may."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
            args = [self.rounded(x) for x in args]
        return function(*args, **(kwargs or {}))

    def rounded(self, x):
        if x.dtype != torch.float32:
            return x
        bits = x.contiguous().view(torch.int32)
        return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


@pytest.mark.parametrize("name", ["attention in tiles", "LSTM cell"])
@pytest.mark.slow
def test_products_of_tensorfloat_32_make_no_right_kernel_wrong(name):
    with TensorFloat():
        assert checked(name, "", "float32").ok
        for mistake in KERNELS[name].mistakes:
            assert checked(name, mistake, "float32").verdict == "disagree"


def rule(forward, backward):
    """Return an autograd.Function of functions that take no context but what is saved."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx, dy):
            return backward(dy, *ctx.saved_tensors)

    return Function


SQUARE = rule(lambda x: x * x, lambda dy, x: 2 * x * dy)
X = torch.tensor([[0.5, -1.2, 2.0], [0.3, 0.7, -0.4]], dtype=torch.float64)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "x", [X.T, X[:, ::2], X[:1].expand(2, 3), X[0, 0], X.clone().requires_grad_(), X.bfloat16()]
)
@pytest.mark.parametrize("function", [SQUARE, SQUARE.apply, lambda x: x * x])
def test_tensors_are_taken_as_they_are(function, x):
    seen = []

    def watched(y):
        seen.append((y.dtype, y.stride()))
        return function.apply(y) if function is SQUARE else function(y)

    assert check(watched, (x,)).ok
    if 0 not in x.stride():  # entries that share memory cannot be moved one by one
        assert {stride for _, stride in seen} == {x.stride()}
    assert {dtype for dtype, _ in seen} <= {x.dtype, torch.float64}


def test_what_only_contiguous_cotangents_are_right_for_is_said():
    report = checked("GELU", "ignores strides", "float32")
    assert report.meaning == (
        "The backward pass is right for contiguous cotangents alone: where the cotangent is "
        "strided ([..., ::2]) or transposed, darg0 is wrong. It does not follow the strides."
    )
    assert "on cpu" in str(report)


def test_only_the_layouts_that_are_asked_for_are_tried_and_the_others_are_named():
    report = checked("GELU", "ignores strides", "float64", layouts="contiguous")
    assert report.ok, str(report)
    (note,) = [each for each in report.notes if each.kind == "layouts-left-out"]
    assert note.values["layouts"] == ["strided", "transposed", "expanded"]
    assert "whether the backward pass follows the strides was not judged" in report.remarks[-1]
    assert "layouts=('contiguous',)" in report.repeat
    report = checked("GELU", "ignores strides", "float64", layouts=["transposed"])
    assert report.conclusion.kind == "wrong-for-forms"
    assert report.conclusion.values["forms"] == ["transposed"]
    every = checked("GELU", "", "float64", layouts=["expanded", "transposed", "strided"])
    assert "layouts-left-out" not in [each.kind for each in every.notes]
    assert "layouts" not in every.repeat


@pytest.mark.unchecked
def test_a_single_number_has_no_layouts_that_could_be_left_out():
    report = check(rule(lambda x: x * x, lambda dy, x: 2 * x * dy), (X[0, 0],), layouts="strided")
    assert "layouts-left-out" not in [each.kind for each in report.notes]


@pytest.mark.parametrize("layouts", [(), "fortran", ["strided", 3]])
def test_another_layout_is_refused(layouts):
    with pytest.raises(ValueError, match=r"layouts: got .*, expected some of contiguous, strided"):
        check(SQUARE, (X,), layouts=layouts)


def test_a_failing_report_says_layout_device_and_the_line_that_repeats_it():
    class Shifted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return torch.sin(x)

        @staticmethod
        def backward(ctx, dy):
            return dy

    text = str(check(Shifted.apply, (X.float().T,), seed=3))
    assert "Checked in float32 on cpu, x with strides (1, 3), with seed 3." in text
    assert "To repeat it: verify.check(Shifted.apply, args, seconds=" in text


def test_a_refused_layout_is_listed_and_not_called_wrong():
    def backward(dy, x):
        return 2 * x * dy.view(-1).view(x.shape)

    report = check(rule(lambda x: x * x, backward), (X,))
    assert report.ok
    (note,) = [each for each in report.notes if each.kind == "refused-forms"]
    assert note.values["forms"] == ["transposed"]


def test_a_cotangent_that_is_absent_is_tried():
    wrong = []

    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.set_materialize_grads(False)
            return x.sin(), x.cos()

        @staticmethod
        def backward(ctx, first, second):
            (x,) = ctx.saved_tensors
            if second is None:
                return x * 0 if wrong else first * x.cos()
            return (0 if first is None else first * x.cos()) - second * x.sin()

    assert check(Two, (X,)).ok
    wrong.append("where the second is absent")
    assert check(Two, (X,)).verdict == "disagree"


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_a_backward_pass_that_uses_up_what_it_saved_is_judged_by_its_first_answer(factor):
    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.gradient = factor * x.cos()  # as fused losses do: not by save_for_backward
            return x.sin()

        @staticmethod
        def backward(ctx, dy):
            return ctx.gradient.mul_(dy)

    report = check(Fused, (X,))
    assert report.ok == (factor == 1.0), str(report)


def test_second_order_finds_a_saved_intermediate():
    class Tanh(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(torch.tanh(x))  # neither an argument nor an output
            return torch.tanh(x)

        @staticmethod
        def backward(ctx, dy):
            (y,) = ctx.saved_tensors
            return dy * (1 - y**2)

    assert check(Tanh, (X,)).ok
    report = check(Tanh, (X,), order=2)
    assert report.verdict == "disagree"
    assert report.meaning.startswith("The gradient's own gradient: The gradient is wrong in dx")
    assert "The gradient agrees." in report.remarks
    assert check(SQUARE, (X,), lambda x: x * x, order=2).ok


def test_forward_mode_is_compared_with_differences():
    factor = []

    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return torch.sin(x)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, dy):
            return dy * torch.cos(ctx.saved_tensors[0])

        @staticmethod
        def jvp(ctx, tangent):
            return (1.01 if factor else 1) * tangent * torch.cos(ctx.saved_tensors[0])

    assert check(Sine, (X,), modes=("reverse", "forward")).ok
    factor.append("too large")
    report = check(Sine, (X,), modes=("reverse", "forward"))
    assert report.verdict == "disagree"
    assert report.meaning.startswith("The derivative in forward mode: ")
    assert check(Sine, (X,)).ok


def test_constant_arguments_are_moved_where_a_factor_would_not_show():
    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return x * w

        @staticmethod
        def backward(ctx, dy):
            x, _ = ctx.saved_tensors
            return dy, (dy * x).sum(0)  # lacks the factor w

    args = (X, torch.ones(3, dtype=torch.float64))
    report = check(Scaled, args)
    assert report.verdict == "disagree"
    assert "w was constant throughout, and moved to general values" in report.remarks[-1]
    assert check(Scaled, args, jitter=False).ok
    assert torch.equal(args[1], torch.ones(3))


def test_a_module_is_checked_with_its_parameters_and_left_as_it_was():
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    report = check(module.eval(), (X.float(),))
    assert report.ok, str(report)
    assert "parameters.0.weight" in [tensor.name for tensor in report.tensors]
    check(module.train(), (X.float(),), constants=("parameters",))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_what_requires_no_gradient_beside_what_does_is_a_constant_and_said():
    mask = torch.tensor([[1.0, 0, 1], [0, 1, 1]], dtype=torch.float64)
    report = check(lambda x, mask: x * mask, (X.clone().requires_grad_(), mask))
    assert [tensor.name for tensor in report.tensors] == ["x"]
    assert "mask requires no gradient, as others do, and was taken as constant." in report.remarks


def test_an_output_that_its_author_calls_undifferentiable_is_left_out_and_said():
    class WithNorm(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            largest = x.abs().max()
            ctx.mark_non_differentiable(largest)
            return x.sin(), largest, float(largest)

        @staticmethod
        def backward(ctx, dy, *_):
            return dy * ctx.saved_tensors[0].cos()

    report = check(WithNorm, (X,))
    assert report.ok, str(report)
    assert report.remarks[-1].startswith("The function says that its outputs 1 and 2 have no")
    assert check(lambda x: x.detach().sin(), (X,)).verdict == "disagree"


def test_a_constant_may_be_infinite_or_complex():
    mask = torch.tensor([[0.0, -torch.inf, 0.0], [0.0, 0.0, -torch.inf]], dtype=torch.float64)

    def masked(x, mask):
        return torch.softmax(x + mask, -1)

    assert check(masked, (X, mask), constants=("mask",)).ok
    assert check(masked, (X.clone().requires_grad_(), mask)).ok
    turn = torch.polar(torch.ones(2, 3, dtype=torch.float64), X)
    assert check(lambda x, turn: torch.view_as_real(x * turn), (X, turn), constants=(1,)).ok


def test_arguments_are_not_moved_to_where_the_function_fails():
    p = torch.tensor(0.0, dtype=torch.float64)

    def kept(x, p):
        if p.item() < 0 or p.item() > 0.5:
            raise RuntimeError("no probability")
        return x * (1 - p)

    assert check(kept, (X, p), constants=("p",)).ok
    with pytest.raises(ValueError, match="function: it raises RuntimeError: no probability"):
        check(kept, (X, p + 1))


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("function", "args", "options", "sentence"),
    [
        (
            torch.sin,
            (X.to_sparse(),),
            {},
            "got a tensor that is torch.sparse_coo, expected",
        ),
        (torch.sin, (X.to("meta"),), {}, "got a tensor that is meta, expected a dense"),
        (SQUARE, (X.numpy(),), {}, "args: got ndarray for x, expected tensors, as the function is"),
        (torch.sin, (torch.arange(3),), {}, "args: got int64 for"),
        (torch.mm, (X, X), {}, "function: it raises RuntimeError: mat1 and mat2 shapes cannot be"),
        (torch.sin, (X,), {"order": 3}, "order: got 3, expected 1 or 2"),
        (torch.sin, (X,), {"modes": "sideways"}, "modes: got 'sideways', expected some of reverse"),
        (torch.sin, (X,), {"constants": 0}, "constants: got every argument"),
        (3, (X,), {}, "function: got int, expected a function"),
        (torch.sin, (X,), {"reference": 3}, "reference: got int, expected a function"),
    ],
)
def test_faulty_input_is_one_sentence(function, args, options, sentence):
    with pytest.raises(ValueError, match="expected") as fault:
        check(function, args, **options)
    assert sentence in str(fault.value)


@pytest.mark.parametrize(
    "args",
    tensors(
        [(4, 6), (6,), (6,)],
        [(1, 3), (3,), (3,)],
        dtypes=["float32", "bfloat16"],
        layouts=["contiguous", "strided", "transposed"],
    ),
)
def test_a_kernel_is_checked_for_every_shape_dtype_and_layout_in_one_line(args):
    kernel = KERNELS["layer norm"]
    assert_check(kernel.rule(), args, kernel.plain)


def test_a_failed_assertion_shows_the_report():
    kernel = KERNELS["layer norm"]
    with pytest.raises(AssertionError, match=r"DISAGREE .* darg0"):
        assert_check(kernel.rule("forgets the mean"), kernel.args(torch.float32), kernel.plain)


def test_the_layouts_of_a_test_are_those_of_its_tensors():
    every = tensors([(3, 4)], layouts=["strided", "transposed"], dtypes=["bfloat16"])
    one, two = (each.values[0][0] for each in every)
    assert (one.stride(), two.stride()) == ((8, 2), (1, 3))
    assert torch.equal(one, two)
    assert one.dtype == torch.bfloat16
    with pytest.raises(ValueError, match=r"layouts: got 'odd', expected contiguous"):
        tensors([(3, 4)], layouts=["odd"])


@pytest.mark.slow
def test_the_test_in_the_guide_fails_as_it_says_and_passes_without_the_line(tmp_path):
    guide = (Path(__file__).parents[1] / "docs/guides/engineer.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```py\n(.*?)^```", guide, re.S | re.M)
    right = "".join(x for x in code.splitlines(True) if "# ignores its strides" not in x)
    assert right != code
    unhurried = "inspect.unwrap(verify.check).__kwdefaults__['seconds'] = float('inf')"
    (tmp_path / "conftest.py").write_text(f"import inspect, verify; {unhurried}", encoding="utf-8")
    for text, status in ((code, 1), (right, 0)):
        (tmp_path / "test_fused.py").write_text(text, encoding="utf-8")
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert run.returncode == status, run.stdout
        shown = re.sub(r"\s+(E\s+)?", " ", run.stdout)
        assert ("right for contiguous cotangents alone" in shown) == bool(status)
