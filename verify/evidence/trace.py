"""A stand-in for numpy, backed by jax.numpy, so that JAX can differentiate somebody's NumPy code.

A `Traced` is an array with two faces: the value that NumPy computes, and the tracer by which
JAX follows the same steps. Control flow, shapes, indices, comparisons, assertions and printing
see the value, so that code which JAX itself could not trace runs as it always did; arithmetic
is done on both. It answers NumPy's own protocols (`__array_ufunc__`, `__array_function__`), so
that functions which were given the real NumPy work on it as well. Arrays that NumPy makes from
nothing (`np.zeros`) are made Traced too, without a tracer until something traced is put in.

The derivative follows the courses where JAX's own convention is another: wherever `maximum`,
`minimum` or `clip` compares a variable with a constant that it equals, the constant is taken,
so that relu'(0) = 0 (JAX halves it). Comparisons, rounding and `argmax` are constants.

What cannot be followed raises `UntraceableError`, which names it; what loses the derivative on the
way (a conversion to a Python number) is noted in `losses`. The last word is the caller's: the
value that the tracer arrives at must be NumPy's own, or the trace is not believed.
"""

from __future__ import annotations

import builtins
import math
import operator
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np


class UntraceableError(Exception):
    """JAX cannot follow this code; the message says where."""


losses: list[str] = []
"""What turned a traced value into a plain number since the list was last cleared."""


class Traced:
    """An array with a NumPy value and, unless it is a constant, JAX's tracer of it."""

    __slots__ = ("base", "tracer", "value")
    __array_priority__ = 1e6
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Any, tracer: Any = None, base: tuple[Traced, Any] | None = None):
        self.value = value
        self.tracer = tracer
        self.base = base

    # NumPy's protocols: every ufunc and every public function arrives here.

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if method == "reduce" and ufunc in _REDUCTIONS:
            kwargs.setdefault("axis", 0)
            return apply(_REDUCTIONS[ufunc], *inputs, **kwargs)
        if method != "__call__":
            if any(_is_variable(x) for x in inputs):
                raise UntraceableError(f"np.{ufunc.__name__}.{method}")
            return getattr(ufunc, method)(*map(concrete, inputs), **kwargs)
        result = apply(ufunc, *inputs, **kwargs)
        if out is None:
            return result
        if not isinstance(out[0], Traced):
            raise UntraceableError(f"np.{ufunc.__name__} with an `out` that is a plain array")
        return out[0]._become(result)

    def __array_function__(self, func, kinds, args, kwargs):
        out = kwargs.pop("out", None)
        result = apply(func, *args, **kwargs)
        return result if out is None else out._become(result)

    def __array__(self, dtype=None, copy=None):
        if self.tracer is not None:
            raise UntraceableError("a conversion to a plain array")
        return np.array(self.value, dtype=dtype)

    # Python's protocols see the value.

    def __bool__(self):
        return bool(self.value)

    def __float__(self):
        self._note("float()")
        return builtins.float(np.asarray(self.value).reshape(-1)[0])

    def __int__(self):
        return int(np.asarray(self.value).item())

    def __index__(self):
        return operator.index(self.value)

    def __complex__(self):
        return complex(builtins.float(self))

    def __len__(self):
        return len(self.value)

    def __iter__(self) -> Iterator:
        return (self[i] for i in range(len(self.value)))

    def __contains__(self, item):
        return concrete(item) in self.value

    def __repr__(self):
        return repr(self.value)

    def __str__(self):
        return str(self.value)

    def __format__(self, spec):
        value = self.value
        return format(value.item() if spec and np.size(value) == 1 else value, spec)

    def __round__(self, digits=0):
        return apply(np.round, self, digits)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def _note(self, what: str) -> None:
        if self.tracer is not None:
            losses.append(what)

    # Reading and writing.

    def __getitem__(self, index):
        index = concrete(index)
        value = self.value[index]
        tracer = None if self.tracer is None else reconcile(self.tracer[index], value)
        is_view = isinstance(value, np.ndarray) and np.shares_memory(value, self.value)
        return Traced(value, tracer, (self, index) if is_view else None)

    def __setitem__(self, index, item):
        index = concrete(index)
        if _is_variable(item) or self.tracer is not None:
            own = _tracer(self)
            new = _tracer(item)
            slot = np.shape(self.value[index])
            if np.shape(new) != slot and np.size(new) == math.prod(slot):
                new = new.reshape(slot)
            self.tracer = own.at[index].set(new)
        self.value[index] = concrete(item)
        self._write_through()

    def _become(self, other: Any) -> Traced:
        """Take another's contents in place, as `A += B` does."""
        value = concrete(other)
        if np.shape(value) != np.shape(self.value):
            self.value[...] = value  # broadcasts, or raises as NumPy would
        else:
            self.value = np.array(value, dtype=self.value.dtype, subok=True)
        tracer = other.tracer if isinstance(other, Traced) else None
        if tracer is not None and tracer.shape != self.value.shape:
            tracer = _jnp().broadcast_to(tracer, self.value.shape)
        self.tracer = None if tracer is None else tracer.astype(self.value.dtype)
        self._write_through()
        return self

    def _write_through(self) -> None:
        if self.base is not None:
            owner, index = self.base
            owner[index] = Traced(np.array(self.value), self.tracer)

    # Attributes and methods: those of the value, done on both.

    shape = property(lambda self: np.shape(self.value))
    ndim = property(lambda self: np.ndim(self.value))
    size = property(lambda self: np.size(self.value))
    dtype = property(lambda self: np.asarray(self.value).dtype)
    T = property(lambda self: apply(np.transpose, self))
    A = property(lambda self: apply(np.asarray, self))
    A1 = property(lambda self: apply(np.ravel, apply(np.asarray, self)))
    real = property(lambda self: self)
    flat = property(lambda self: iter(self.ravel()))

    def __getattr__(self, name: str):
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(f"'numpy.ndarray' object has no attribute '{name}'")
        attribute, func = getattr(self.value, name), getattr(np, name, None)
        if not callable(attribute):
            return attribute
        if func is None:
            raise UntraceableError(f"the method .{name}()")
        return lambda *args, **kwargs: apply(func, self, *args, **kwargs)

    def reshape(self, *shape, **kwargs):
        """Return it in another shape."""
        return apply(np.reshape, self, shape[0] if len(shape) == 1 else shape, **kwargs)

    def transpose(self, *axes):
        """Return it with its axes permuted."""
        return apply(np.transpose, self, *(axes[:1] if len(axes) == 1 else [axes] if axes else []))

    def flatten(self, order="C"):
        """Return it in one axis."""
        return apply(np.ravel, self)

    def copy(self, order="C"):
        """Return a copy."""
        if not isinstance(self.value, np.ndarray):
            return Traced(self.value, self.tracer)
        return Traced(np.array(self.value, subok=True), self.tracer)

    def astype(self, dtype, **kwargs):
        """Return it in another dtype; what is no floating-point number loses its tracer."""
        value = np.asanyarray(self.value).astype(concrete(dtype))
        if value.dtype.kind != "f" or self.tracer is None:
            return Traced(value)
        return Traced(value, self.tracer.astype(value.dtype))

    def item(self, *index):
        """Return one entry as a number."""
        return self[index] if index else as_number(self)

    def tolist(self):
        """Return nested lists of numbers."""
        return [x.tolist() for x in self] if self.ndim else self

    def fill(self, value):
        """Set every entry."""
        self[...] = value

    # Arithmetic.

    def __add__(self, other):
        return apply(np.add, self, other)

    def __radd__(self, other):
        return apply(np.add, other, self)

    def __sub__(self, other):
        return apply(np.subtract, self, other)

    def __rsub__(self, other):
        return apply(np.subtract, other, self)

    def __mul__(self, other):
        return apply(_product(self, other), self, other)

    def __rmul__(self, other):
        return apply(_product(other, self), other, self)

    def __truediv__(self, other):
        return apply(np.true_divide, self, other)

    def __rtruediv__(self, other):
        return apply(np.true_divide, other, self)

    def __floordiv__(self, other):
        return apply(np.floor_divide, self, other)

    def __rfloordiv__(self, other):
        return apply(np.floor_divide, other, self)

    def __mod__(self, other):
        return apply(np.remainder, self, other)

    def __pow__(self, other):
        if isinstance(self.value, np.matrix):
            return apply(np.linalg.matrix_power, self, other)
        return apply(np.power, self, other)

    def __rpow__(self, other):
        return apply(np.power, other, self)

    def __matmul__(self, other):
        return apply(np.matmul, self, other)

    def __rmatmul__(self, other):
        return apply(np.matmul, other, self)

    def __neg__(self):
        return apply(np.negative, self)

    def __pos__(self):
        return self

    def __abs__(self):
        return apply(np.absolute, self)

    def __invert__(self):
        return np.invert(self.value)

    def __lt__(self, other):
        return self.value < concrete(other)

    def __le__(self, other):
        return self.value <= concrete(other)

    def __gt__(self, other):
        return self.value > concrete(other)

    def __ge__(self, other):
        return self.value >= concrete(other)

    def __eq__(self, other):
        return self.value == concrete(other)

    def __ne__(self, other):
        return self.value != concrete(other)

    def __and__(self, other):
        return self.value & concrete(other)

    def __or__(self, other):
        return self.value | concrete(other)

    def _in_place(self, result):
        # NumPy's scalars are immutable: `cost += x` gives the name a new one.
        return self._become(result) if isinstance(self.value, np.ndarray) else result

    def __iadd__(self, other):
        return self._in_place(self + other)

    def __isub__(self, other):
        return self._in_place(self - other)

    def __imul__(self, other):
        return self._in_place(self * other)

    def __itruediv__(self, other):
        return self._in_place(self / other)

    def __ipow__(self, other):
        return self._in_place(self**other)


def apply(func: Callable, /, *args, **kwargs) -> Any:
    """Call a NumPy function on values, and its counterpart on tracers if any argument has one."""
    value = func(*concrete(args), **concrete(kwargs))
    name = func.__name__
    if not _is_variable((args, kwargs)):
        return _wrap_constant(value)
    if name in CONSTANT:
        return value
    try:
        if name in _CHOICES:
            known = {key: _known(x) for key, x in kwargs.items()}
            tracer = _CHOICES[name](*map(_known, args), **known)
        else:
            if isinstance(func, np.ufunc):  # JAX's take no lists
                args = tuple(_array(x) if isinstance(x, (list, tuple)) else x for x in args)
            tracer = _counterpart(func)(*_tracer(args), **_keywords(kwargs))
    except UntraceableError:
        raise
    except Exception as fault:
        raise UntraceableError(f"np.{name} ({first_line(fault)})") from fault
    return _pair(value, tracer)


def concrete(tree: Any) -> Any:
    """Return a tree with every Traced replaced by its value."""

    def leaf(x):
        if isinstance(x, Traced):
            return x.value
        return getattr(x, "stands_for", x) if isinstance(x, type) else x

    return _map(tree, leaf)


def reconcile(tracer: Any, value: Any) -> Any:
    """Return a tracer in the shape and dtype of NumPy's value (np.matrix keeps two axes)."""
    shape, dtype = np.shape(value), np.asarray(value).dtype
    if tracer.shape != shape:
        if math.prod(tracer.shape) != math.prod(shape):
            raise UntraceableError(f"a result of shape {shape}, which JAX makes {tracer.shape}")
        tracer = tracer.reshape(shape)
    return tracer if tracer.dtype == dtype else tracer.astype(dtype)


def as_number(x: Traced) -> Traced:
    """Return a Traced of one entry as a number, which like Python's cannot be changed in place."""
    flat = apply(np.reshape, apply(np.asarray, x), ())
    return Traced(np.asarray(flat.value)[()], flat.tracer)


def is_scalar(x: Any) -> bool:
    """Say whether x is one number, traced or not, in however many brackets."""
    return isinstance(x, (Traced, np.ndarray, np.generic)) and np.size(concrete(x)) == 1


def scalar_type(real: type) -> type:
    """Return a stand-in for `float` or `np.float64` that takes (1, 1) arrays and tracers.

    NumPy no longer turns a (1, 1) array into a number, which much older code relies on.
    """

    class Meta(type):
        def __instancecheck__(cls, x):
            return isinstance(x, real) or (isinstance(x, Traced) and x.ndim == 0)

        def __subclasscheck__(cls, kind):
            return issubclass(kind, real)

        def __call__(cls, x=0, *rest):
            if isinstance(x, Traced):
                return as_number(x) if x.size == 1 else x.astype(real)
            if isinstance(x, np.ndarray) and x.size == 1 and real is builtins.float:
                return builtins.float(x.item())
            return real(x, *rest)

        def __eq__(cls, other):
            return other is cls or other is real

        def __hash__(cls):
            return hash(real)

        def __repr__(cls):
            return repr(real)

    return Meta(real.__name__, (), {"dtype": np.dtype(real), "stands_for": real})


FLOAT = scalar_type(builtins.float)

LEGACY: dict[str, Any] = {
    "float": FLOAT,
    "int": int,
    "object": object,
    "str": str,
    "complex": complex,
    "float_": np.float64,
    "product": np.prod,
    "cumproduct": np.cumprod,
    "sometrue": np.any,
    "alltrue": np.all,
    "in1d": np.isin,
    "mat": np.asmatrix,
    "Inf": np.inf,
    "infty": np.inf,
    "NaN": np.nan,
    "row_stack": np.vstack,
    "trapz": getattr(np, "trapezoid", None),
    "asscalar": lambda x: x.item(),
}
"""Names that NumPy has dropped, which the files of older courses still use."""


class Face(types.ModuleType):
    """The module that a file gets when it imports numpy: NumPy, with the names it has dropped."""

    def __init__(self, overrides: Mapping[str, Any], doc: str):
        super().__init__("numpy", doc)
        self.__dict__.update(overrides)
        self.__dict__["__all__"] = [
            *(n for n in np.__all__ if n not in ("long", "ulong")),
            *(n for n in overrides if not n.startswith("_")),
        ]
        self.__dict__["legacy"] = set()

    def __getattr__(self, name: str):
        if name not in np.__dict__ and name in LEGACY:
            self.legacy.add(f"np.{name}")
            return LEGACY[name]
        return getattr(np, name)


def numpy_face(random: Any) -> Face:
    """Return NumPy itself, with its dropped names and a `random` that can be observed."""
    return Face({"random": random, "math": math_face()}, "NumPy.")


def mirror_face(random: Any) -> Face:
    """Return NumPy's names, made for arrays that may be Traced."""
    made = {name: _maker(getattr(np, name)) for name in _MAKERS}
    kinds = {n: scalar_type(getattr(np, n)) for n in ("float64", "float32", "float16", "double")}
    overrides = {
        **made,
        **kinds,
        "array": _array,
        "asarray": lambda a, *args, **kwargs: _array(a, *args, share=True, **kwargs),
        "asanyarray": lambda a, *args, **kwargs: _array(a, *args, share=True, **kwargs),
        "ascontiguousarray": lambda a, *args, **kwargs: _array(a, *args, share=True, **kwargs),
        "matrix": _matrix,
        "asmatrix": _matrix,
        "mat": _matrix,
        "ndarray": _instance_check("ndarray", np.ndarray),
        "vectorize": _vectorize,
        "asscalar": lambda x: x.item(),
        "random": random,
        "math": math_face(),
    }
    return Face(overrides, "NumPy, backed by jax.numpy.")


def math_face() -> types.ModuleType:
    """Return the module `math` whose functions take (1, 1) arrays and tracers."""
    module = types.ModuleType("math", math.__doc__)
    for name, value in vars(math).items():
        module.__dict__[name] = _math_function(value) if callable(value) else value
    return module


def _math_function(func):
    counterpart = getattr(np, {"pow": "power"}.get(func.__name__, func.__name__), None)

    def call(*args):
        if any(_is_variable(x) for x in args):
            if counterpart is None:
                raise UntraceableError(f"math.{func.__name__}")
            return apply(counterpart, *(_as_scalar(x) for x in args))
        return func(*(x.item() if is_scalar(x) else x for x in concrete(args)))

    call.__name__ = func.__name__
    return call


def _as_scalar(x):
    return apply(np.reshape, x, ()) if isinstance(x, Traced) else x


_MAKERS = tuple(
    (
        "zeros ones empty full zeros_like ones_like empty_like full_like eye identity arange "
        "linspace"
    ).split()
)

CONSTANT = frozenset(
    tuple(
        """less less_equal greater greater_equal equal not_equal logical_and logical_or logical_not
    logical_xor isnan isfinite isinf isclose allclose array_equal array_equiv sign floor ceil rint
    trunc round around floor_divide heaviside argmax argmin argsort nanargmax nanargmin nonzero
    argwhere flatnonzero any all shape size ndim count_nonzero zeros_like ones_like empty_like
    unique array2string array_repr array_str result_type searchsorted digitize histogram bincount
    signbit isreal iscomplexobj isrealobj may_share_memory shares_memory bitwise_and bitwise_or
    invert savetxt min_scalar_type isin""".split()
    )
)
"""Functions whose derivative is 0 wherever it exists, or that return no array."""

_REDUCTIONS: dict[Any, Callable] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}


def _jnp():
    import jax.numpy

    return jax.numpy


def _counterpart(func: Callable) -> Callable:
    """Return what does in JAX what a function does in NumPy (or in scipy.special)."""
    import jax

    name = func.__name__
    if name in ("asarray", "asanyarray", "array", "asmatrix"):
        return jax.numpy.asarray
    home = getattr(func, "__module__", "") or ""
    places = [jax.numpy.linalg] if home.startswith("numpy.linalg") else [jax.numpy]
    for place in (*places, jax.scipy.special):
        if hasattr(place, name):
            return getattr(place, name)
    raise UntraceableError(f"np.{name}")


class _Known(NamedTuple):
    """What a choice has to look at: the value, beside what JAX is given of it."""

    value: Any
    tracer: Any
    is_constant: bool


def _known(x: Any) -> _Known | None:
    if x is None:
        return None
    return _Known(concrete(x), _tracer(x), not _is_variable(x))


def _choice(compare: Callable) -> Callable:
    """Return the maximum or minimum of two, decided by NumPy's comparison."""

    def choose(a: _Known, b: _Known) -> Any:
        tie_goes_to_a = a.is_constant and not b.is_constant
        first = np.where(a.value == b.value, tie_goes_to_a, compare(a.value, b.value))
        return _jnp().where(first, a.tracer, b.tracer)

    return choose


def _clip(a: _Known, a_min: _Known | None = None, a_max: _Known | None = None, **bounds: _Known):
    value, tracer = a.value, a.tracer
    for bound, reaches in (
        (bounds.get("min", a_min), operator.le),
        (bounds.get("max", a_max), operator.ge),
    ):
        if bound is not None:
            outside = reaches(value, bound.value)
            tracer = _jnp().where(outside, bound.tracer, tracer)
            value = np.where(outside, bound.value, value)
    return tracer


def _where(cond: _Known, a: _Known, b: _Known) -> Any:
    return _jnp().where(cond.value, a.tracer, b.tracer)


_CHOICES: dict[str, Callable] = {
    "maximum": _choice(operator.gt),
    "fmax": _choice(operator.gt),
    "minimum": _choice(operator.lt),
    "fmin": _choice(operator.lt),
    "clip": _clip,
    "where": _where,
}
"""Functions that choose, and so have to look at values."""


def _tracer(tree: Any) -> Any:
    """Return a tree with every Traced replaced by its tracer, or by its value if it has none."""

    def leaf(x):
        if isinstance(x, Traced):
            return _jnp().asarray(x.value) if x.tracer is None else x.tracer
        if isinstance(x, np.ndarray) and x.dtype != object:
            return _jnp().asarray(np.asarray(x))
        return x

    return _map(tree, leaf)


def _keywords(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    dropped = ("order", "casting", "subok", "out", "like")
    kept = {k: _tracer(v) for k, v in kwargs.items() if k not in dropped}
    return {k: concrete(v) if isinstance(v, type) else v for k, v in kept.items()}


def _is_variable(tree: Any) -> bool:
    """Say whether anything in a tree has a tracer."""
    if isinstance(tree, Traced):
        return tree.tracer is not None
    if isinstance(tree, (list, tuple)):
        return any(map(_is_variable, tree))
    if isinstance(tree, dict):
        return any(map(_is_variable, tree.values()))
    return False


def _map(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    if isinstance(tree, (list, tuple)) and type(tree) in (list, tuple):
        return type(tree)(_map(x, leaf) for x in tree)
    if type(tree) is dict:
        return {k: _map(v, leaf) for k, v in tree.items()}
    return leaf(tree)


def _pair(value: Any, tracer: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_pair(v, t) for v, t in zip(value, tracer, strict=True))
    return Traced(value, reconcile(tracer, value))


def _wrap_constant(value: Any) -> Any:
    """Make an array Traced, so that something traced can be put into it later."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return Traced(value)
    return value


def _product(a: Any, b: Any) -> Callable:
    a, b = concrete(a), concrete(b)
    is_matrix = isinstance(a, np.matrix) or isinstance(b, np.matrix)
    return np.dot if is_matrix and np.ndim(a) and np.ndim(b) else np.multiply


def _maker(func: Callable) -> Callable:
    def make(*args, **kwargs):
        if func.__name__ in ("full", "full_like") and _is_variable((args, kwargs)):
            blank = Traced(func(args[0], 0.0))
            blank[...] = args[1]
            return blank
        return _wrap_constant(func(*concrete(args), **concrete(kwargs)))

    return make


def _array(a: Any, dtype: Any = None, *, share: bool = False, **kwargs: Any) -> Any:
    """Stand in for np.array and np.asarray, on whatever nest of lists holds tracers."""
    kwargs.pop("like", None)
    dtype = concrete(dtype)
    if isinstance(a, Traced):
        result = a if share else a.copy()
        return result if dtype is None else result.astype(dtype)
    value = np.array(concrete(_as_lists(a)), dtype=dtype, **kwargs)
    if not _is_variable(_as_lists(a)):
        return _wrap_constant(value)
    return Traced(value, reconcile(_jnp().asarray(_tracer(_as_lists(a))), value))


def _as_lists(a: Any) -> Any:
    return list(a) if isinstance(a, (tuple, map, zip, types.GeneratorType)) else a


def _matrix(a: Any, *args: Any, **kwargs: Any) -> Any:
    if isinstance(a, Traced):
        value = np.matrix(a.value)
        return Traced(value, None if a.tracer is None else reconcile(a.tracer, value))
    return Traced(np.matrix(concrete(a), *args, **kwargs))


def _instance_check(name: str, real: type) -> type:
    class Meta(type):
        def __instancecheck__(cls, x):
            return isinstance(x, real) or (
                isinstance(x, Traced) and isinstance(x.value, np.ndarray)
            )

        def __eq__(cls, other):
            return other is cls or other is real or other is Traced

        def __hash__(cls):
            return hash(real)

    return Meta(name, (), {})


def _vectorize(func: Callable | None = None, **options: Any) -> Callable:
    if func is None:
        return lambda f: _vectorize(f, **options)
    plain = np.vectorize(func, **options)

    def call(*args):
        if not any(_is_variable(x) for x in args):
            return _wrap_constant(plain(*concrete(args)))
        shape = np.broadcast_shapes(*(np.shape(concrete(x)) for x in args))
        columns = [apply(np.ravel, apply(np.broadcast_to, x, shape)) for x in args]
        flat = [func(*(column[i] for column in columns)) for i in range(math.prod(shape))]
        return apply(np.reshape, _array(flat), shape)

    return call


def first_line(fault: BaseException) -> str:
    """Return the beginning of what an exception says."""
    return (str(fault).strip().split("\n") or [""])[0][:120] or type(fault).__name__
