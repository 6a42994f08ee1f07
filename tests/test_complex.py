"""Complex arguments: the gradient of a real loss is df/dRe + i df/dIm, as PyTorch has it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verify import check, check_vjp, compare

pytestmark = pytest.mark.unchecked


def drawn(*shape, seed=0, dtype=np.complex128):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


A = drawn(3, 3, seed=1)


def energy(p):
    return float(np.sum(np.abs(p["z"] @ A) ** 2)) + p["w"] ** 3


def energy_gradient(p):
    return {"z": 2 * p["z"] @ A @ A.conj().T, "w": 3 * p["w"] ** 2}


def energy_in_jax(p):
    return jnp.sum(jnp.abs(p["z"] @ A) ** 2) + p["w"] ** 3


POINT = {"z": drawn(2, 3), "w": 0.7}


def test_a_gradient_by_complex_and_real_parameters_agrees():
    report = compare(energy, energy_gradient, POINT)
    assert report.ok, str(report)
    assert report.settings["dtype"] == "complex128, float64"
    assert "2×3 complex" in str(report)
    assert compare(energy, energy_gradient, POINT, energy_in_jax).ok


def test_a_forgotten_conjugate_is_named():
    def conjugated(p):
        return {**energy_gradient(p), "z": energy_gradient(p)["z"].conj()}

    report = compare(energy, conjugated, POINT)
    assert report.verdict == "disagree"
    assert report.meaning.startswith("The gradient is wrong in dz")
    assert "dz is the complex conjugate of what is expected." in " ".join(report.remarks)
    (z, _) = report.tensors
    expected = energy_gradient(POINT)["z"]
    place = np.unravel_index(z.worst.index, (2, 3, 2))
    part = expected[place[:2]].real if place[2] == 0 else expected[place[:2]].imag
    assert z.worst.expected == pytest.approx(part, rel=1e-6)
    assert z.entry(z.worst.index) == f"[{place[0]}, {place[1]}]{('.real', '.imag')[place[2]]}"
    assert f"dz{z.entry(z.worst.index)}: found" in str(report)


def test_a_gradient_of_jax_is_the_conjugate():
    report = compare(energy_in_jax, jax.grad(energy_in_jax), POINT)
    assert report.verdict == "disagree"
    assert "conjugate" in " ".join(report.remarks)


def test_another_mistake_is_not_called_a_conjugate():
    def doubled(p):
        return {**energy_gradient(p), "z": 2 * energy_gradient(p)["z"]}

    report = compare(energy, doubled, POINT)
    assert report.verdict == "disagree"
    assert "conjugate" not in " ".join(report.remarks)


def test_complex64_is_judged_within_its_own_rounding():
    point = {"z": POINT["z"].astype(np.complex64), "w": np.float32(0.7)}
    assert compare(energy, energy_gradient, point).ok

    def off(p):
        return {**energy_gradient(p), "z": 1.001 * energy_gradient(p)["z"]}

    assert compare(energy, off, point).verdict == "disagree"


def test_a_real_gradient_of_a_complex_parameter_has_no_imaginary_part():
    z = drawn(4)
    assert compare(lambda z: np.sum(z.real**2), lambda z: 2 * z.real, z).ok
    report = compare(lambda z: np.sum(np.abs(z) ** 2), lambda z: 2 * z.real, z)
    assert report.verdict == "disagree"
    assert report.tensors[0].entry(report.tensors[0].worst.index).endswith(".imag")


def test_a_single_complex_number_is_a_parameter():
    assert compare(lambda z: abs(z - 1j) ** 2, lambda z: 2 * (z - 1j), 0.3 + 2j).ok


def test_an_analytic_loss_of_complex_parameters_has_no_complex_step():
    z = drawn(3)
    report = compare(lambda z: np.sum(z**3).real, lambda z: 3 * np.conj(z**2), z)
    assert report.ok, str(report)
    assert compare(lambda z: np.sum(z**3).real, lambda z: 3 * z**2, z).verdict == "disagree"


def transform(x, z):
    return np.fft.fft(x * z, axis=0)


def transform_backward(dy, x, z):
    inner = np.fft.ifft(dy, axis=0) * len(x)
    return (inner * z.conj()).real.sum(axis=1, keepdims=True), inner * x


def without_conjugate(dy, x, z):
    inner = np.fft.fft(dy, axis=0)  # the transform, not its adjoint
    return transform_backward(dy, x, z)[0], inner * x


ARGS = (np.random.default_rng(2).standard_normal((3, 1)), drawn(3, 2))


def test_a_layer_from_real_and_complex_to_complex_agrees():
    def mirror(x, z):
        return jnp.fft.fft(x * z, axis=0)

    report = check_vjp(transform, transform_backward, ARGS)
    assert report.ok, str(report)
    assert {"strided", "transposed", "expanded"} <= {*report.settings["forms"]}
    assert check_vjp(transform, transform_backward, ARGS, mirror).ok


def test_a_mirror_of_another_shape_is_refused_by_the_shape_that_it_has():
    sentence = r"mirror: it returned the shape \(2, 2\) for forward, expected \(3, 2\), as forward"
    with pytest.raises(ValueError, match=sentence):
        check_vjp(transform, transform_backward, ARGS, lambda x, z: (x * z)[:2])


def test_a_layer_without_its_adjoint_disagrees_under_named_cotangents():
    report = check_vjp(transform, without_conjugate, ARGS)
    assert report.verdict == "disagree"
    assert report.meaning.startswith("The gradient is wrong in dz: ")
    assert any(".imag" in label for label in report.settings["cotangents"])


def test_a_complex_gradient_of_a_real_argument_is_refused():
    def unreal(dy, x, z):
        inner = np.fft.ifft(dy, axis=0) * len(x)
        return (inner * z.conj()).sum(axis=1, keepdims=True), inner * x

    with pytest.raises(ValueError, match=r"got complex128 of the shape \(3, 1\) for x, expected"):
        check_vjp(transform, unreal, ARGS)


def product_of_jax(conjugate):
    @jax.custom_vjp
    def product(a, b):
        return a @ b

    def backward(saved, dy):
        a, b = saved
        return dy @ (b.conj().T if conjugate else b.T), a.T @ dy

    product.defvjp(lambda a, b: (a @ b, (a, b)), backward)
    return product


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.slow
def test_rules_of_jax_are_held_to_its_own_convention(dtype):
    with jax.enable_x64(True):
        args = tuple(jnp.asarray(x, dtype) for x in (drawn(3, 2), drawn(2, 4, seed=3)))
        assert check(product_of_jax(False), args, jnp.matmul, order=2).ok
        report = check(product_of_jax(True), args)
        assert report.verdict == "disagree"
        assert report.meaning.startswith("The gradient is wrong in da: ")


def test_jax_in_both_modes():
    with jax.enable_x64(True):
        args = (jnp.asarray(drawn(3, 2)), jnp.asarray(ARGS[0]))
        report = check(
            lambda z, x: (jnp.abs(z) ** 2 * x, jnp.fft.fft(z)),
            args,
            order=2,
            modes=("reverse", "forward"),
        )
        assert report.ok, str(report)


class TestTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch", reason="PyTorch's functions")

    def product(self, torch, adjoint):
        class Product(torch.autograd.Function):
            @staticmethod
            def forward(ctx, a, b):
                ctx.save_for_backward(a, b)
                return a @ b

            @staticmethod
            def backward(ctx, dy):
                a, b = ctx.saved_tensors
                return dy @ adjoint(b), a.mH @ dy

        return Product

    @pytest.mark.parametrize("dtype", ["complex128", "complex64"])
    def test_functions_agree_and_a_forgotten_conjugate_disagrees(self, torch, dtype):
        args = [torch.tensor(x).to(getattr(torch, dtype)) for x in (drawn(3, 2), drawn(4, 2))]
        strided = (args[0], args[1].T)
        right = check(self.product(torch, lambda b: b.mH), strided, torch.matmul)
        assert right.ok, str(right)
        assert right.settings["layouts"] == {"b": "strides (1, 2)"}
        report = check(self.product(torch, lambda b: b.mT), strided)
        assert report.verdict == "disagree"
        assert report.meaning.startswith("The gradient is wrong in da: ")
        lazy = (args[0].conj(), args[1].mH)
        assert check(self.product(torch, lambda b: b.mH), lazy).ok

    def test_every_order_and_mode(self, torch):
        args = (torch.tensor(drawn(3, 2)), torch.tensor(ARGS[0]))
        report = check(
            lambda z, x: torch.abs(z) ** 2 + z.angle() * x,
            args,
            order=2,
            modes=("reverse", "forward"),
        )
        assert report.ok, str(report)
        assert check(torch.fft.fft, args[:1], order=2, modes=("reverse", "forward")).ok

    def test_only_contiguous_cotangents_are_followed(self, torch):
        class Halved(torch.autograd.Function):
            @staticmethod
            def forward(ctx, z):
                return z / 2

            @staticmethod
            def backward(ctx, dy):
                return torch.as_strided(dy, dy.shape, (dy.shape[-1], 1)) / 2

        report = check(Halved, (torch.tensor(drawn(3, 2)),))
        assert report.verdict == "disagree"
        assert report.meaning.startswith("The backward pass is right for contiguous cotangents")

    def test_constant_arguments_are_moved(self, torch):
        z = torch.ones(2, 3, dtype=torch.complex128)
        report = check(lambda x, z: x * z, (torch.tensor(drawn(2, 3)), z))
        assert report.ok
        assert "z was constant throughout" in " ".join(report.remarks)

    def test_parameters_and_buffers_of_a_module(self, torch):
        class Turned(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = torch.nn.Linear(2, 3, dtype=torch.complex64)
                self.register_buffer("turn", torch.tensor(drawn(3, dtype=np.complex64)))
                self.register_buffer("scale", torch.arange(1.0, 4.0))

            def forward(self, z):
                return self.linear(z) * self.turn * self.scale

        assert check(Turned(), (torch.tensor(drawn(3, 2, dtype=np.complex64)),)).ok

    @pytest.mark.parametrize("layout", ["contiguous", "strided", "transposed"])
    def test_tensors_of_a_test_may_be_complex(self, torch, layout):
        from verify.testing import assert_check, tensors

        ((z, w),) = tensors([(3, 2), ()], dtypes=["complex64"], layouts=[layout])[0].values
        assert (z.dtype, w.dtype) == (torch.complex64, torch.complex64)
        assert tuple(w.shape) == ()
        assert z.imag.any()
        assert z.is_contiguous() == (layout == "contiguous")
        assert_check(lambda z, w: z * w.conj(), (z, w))

    def test_16_bits_are_refused_by_name(self, torch):
        with pytest.warns(UserWarning, match="ComplexHalf"):
            z = torch.zeros(2, dtype=torch.complex32)
        with pytest.raises(ValueError, match="got a tensor that is complex in 16 bits, expected"):
            check(lambda z: z, (z,))
