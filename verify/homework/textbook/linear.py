"""The linear step, alone and with its activation, and the backward of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import manual
from verify.activations import ACTIVATIONS
from verify.evidence.trace import apply
from verify.homework.passes.derivative import Own
from verify.homework.read.syntax import words
from verify.homework.run.calls import array_of, fresh
from verify.homework.run.workspace import Workspace
from verify.homework.textbook import stand_ins
from verify.homework.textbook.activations import leak_of, sloped
from verify.homework.textbook.arguments import BindError
from verify.homework.textbook.draws import BEND, M
from verify.homework.textbook.recognise import Role, meaning
from verify.homework.textbook.workbench import Alternative, Bench, Result, own_of, settle

Arrays = dict[str, np.ndarray]


def _linear_problem() -> Arrays:
    rng = np.random.default_rng(13)
    return {
        "A_prev": rng.standard_normal((4, M)),
        "W": rng.standard_normal((3, 4)),
        "b": rng.standard_normal((3, 1)),
        "dZ": rng.standard_normal((3, M)),
    }


def judge_linear_forward(bench: Bench, role: Role) -> None:
    """Judge Z = W A + b."""
    given = _linear_problem()
    A, W, b = (given[name] for name in ("A_prev", "W", "b"))
    result = bench.call(bench.plain, role, fresh(given))
    found = result[0] if isinstance(result, tuple) and result else result
    expected, scale = W @ A + b, np.abs(W) @ np.abs(A) + np.abs(b)
    alternatives = [
        Alternative("forward-bias-missing", "The bias is not added.", "W @ A", W @ A),
        Alternative("forward-bias-negated", "The bias is subtracted.", "W @ A - b", W @ A - b),
    ]
    settle(bench, role, [Result("Z", found, expected, "W @ A + b", 4 * scale, alternatives)])


def judge_linear_backward(bench: Bench, role: Role) -> None:
    """Judge dA_prev, dW and db."""
    given = _linear_problem()
    A, W, dZ = given["A_prev"], given["W"], given["dZ"]
    forward = bench.role("linear_forward", role)
    found = _linear_results(bench, role, forward, given)
    own = _own_linear(bench, role, forward, given) if forward is not None else None
    settle(bench, role, _linear_expected(found, A, W, dZ), own)


def _linear_expected(
    found: Sequence[Any], A: np.ndarray, W: np.ndarray, dZ: np.ndarray
) -> list[Result]:
    m = A.shape[1]
    dA_prev, dW, db = (*found, None, None, None)[:3]
    dW_right, db_right = dZ @ A.T / m, dZ.sum(axis=1, keepdims=True) / m
    size = np.abs(dZ)
    return [
        Result(
            "dW",
            dW,
            dW_right,
            "dZ @ A_prev.T / m",
            4 * size @ np.abs(A).T / m,
            [
                Alternative("weights-not-averaged", f"dW is not divided by m: it is m = {m} "
                            "times too large.", "dZ @ A_prev.T", m * dW_right),
                Alternative("weights-averaged-twice", "dW is divided by m twice.",
                            "dZ @ A_prev.T / m**2", dW_right / m),
                Alternative("weights-negated", "dW has the wrong sign.", "-dZ @ A_prev.T / m",
                            -dW_right),
                Alternative("weights-averaged-over-units", "dW is divided by the number of units "
                            "instead of examples.", f"dZ @ A_prev.T / {A.shape[0]}",
                            dW_right * m / A.shape[0]),
            ],
        ),
        Result(
            "db",
            db,
            db_right,
            "mean of dZ over the examples",
            4 * size.sum(axis=1, keepdims=True) / m,
            [
                Alternative("bias-not-averaged", f"db is not divided by m: it is m = {m} times too "
                            "large.", "np.sum(dZ, axis=1, keepdims=True)", m * db_right),
                Alternative("bias-averaged-twice", "db is divided by m twice.",
                            "np.sum(dZ, axis=1, keepdims=True) / m**2", db_right / m),
                Alternative("bias-negated", "db has the wrong sign.", "-np.sum(dZ, ...) / m",
                            -db_right),
            ],
        ),
        Result(
            "dA_prev",
            dA_prev,
            W.T @ dZ,
            "W.T @ dZ",
            4 * np.abs(W.T) @ size,
            [
                Alternative("upstream-averaged-twice", "dA_prev is divided by m, which dW and db "
                            "are too.", "W.T @ dZ / m", W.T @ dZ / m),
                Alternative("upstream-negated", "dA_prev has the wrong sign.", "-W.T @ dZ",
                            -W.T @ dZ),
            ],
        ),
    ]  # fmt: skip


def _linear_results(
    bench: Bench, role: Role, forward: Role | None, given: Mapping[str, np.ndarray]
) -> Sequence[Any]:
    """Return dA_prev, dW and db, from the cache of the file's own linear_forward if it has one."""
    cache: Any = (given["A_prev"], given["W"], given["b"])
    if forward is not None:
        result = bench.call(bench.plain, forward, fresh(dict(given)))
        if isinstance(result, tuple) and len(result) == 2:
            cache = result[1]
    values = fresh({**given, "cache": cache})
    return _three(bench.call(bench.plain, role, values))


def _three(result: Any) -> Sequence[Any]:
    """Return dA_prev, dW and db of a tuple or a dict."""
    if isinstance(result, dict):
        lower = {str(key).lower(): value for key, value in result.items()}
        return [
            next((lower[k] for k in keys if k in lower), None)
            for keys in (("da_prev", "da", "daprev"), ("dw",), ("db",))
        ]
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _own_linear(bench: Bench, role: Role, forward: Role, given: Arrays) -> Own | None:
    """Check dA_prev and m dW, m db as the gradient of <dZ, linear_forward(A, W, b)>."""
    at = {name: given[name] for name in ("A_prev", "W", "b")}
    m = at["A_prev"].shape[1]

    def cost(workspace: Workspace, values: Mapping[str, Any]) -> Any:
        result = bench.call(workspace, forward, fresh(dict(values)))
        Z = result[0] if isinstance(result, tuple) else result
        return apply(np.sum, apply(np.multiply, given["dZ"], Z))

    def gradient(arrays: Arrays) -> Arrays:
        found = _linear_results(bench, role, forward, {**arrays, "dZ": given["dZ"]})
        dA_prev, dW, db = (np.asarray(array_of(x)) for x in found)
        return {"A_prev": dA_prev, "W": m * dW, "b": (m * db).reshape(at["b"].shape)}

    return own_of(bench, cost, gradient, at)


# The linear step and the activation together.


def _branches(bench: Bench, role: Role) -> list[tuple[str, str]]:
    """Return the activations that a function knows, at least the course's two, as it names them."""
    if not any(meaning(argument, {"activation"}) for argument in role.arguments):
        raise BindError(role.shown, "takes no activation")
    said = set(words(role.node))
    known = [(name, own) for name, row in ACTIVATIONS.items() for own in row.names if own in said]
    return known or [("sigmoid", "sigmoid"), ("relu", "relu")]


def judge_linear_activation_forward(bench: Bench, role: Role) -> None:
    """Judge the linear step and the activation together, for each that it knows."""
    given = _generic_linear_problem()
    A, W, b = (given[name] for name in ("A_prev", "W", "b"))
    Z = W @ A + b
    results = []
    for name, own in _branches(bench, role):
        values = fresh({**given, "activation": own})
        result = bench.call(bench.plain, role, values)
        found = result[0] if isinstance(result, tuple) and result else result
        leak = leak_of(name, found, Z, lambda slope: Z * slope)
        expected = (
            manual.ACTIVATIONS[name].forward(Z) if leak is None else Z * sloped(name, Z, leak)
        )
        others = [
            Alternative("forward-activation", f'For "{own}" it applies {row.symbol}.',
                        f"{row.symbol}(Z)", row.value(Z))
            for other, row in ACTIVATIONS.items() if other != name
        ]  # fmt: skip
        others.append(Alternative("forward-activation", f'For "{own}" it applies nothing.', "Z", Z))
        scale = np.abs(W) @ np.abs(A) + np.abs(b) + np.abs(expected)
        formula = f'{ACTIVATIONS[name].symbol}(Z) for "{own}"'
        results.append(Result("A", found, expected, formula, 4 * scale, others))
    settle(bench, role, results)


def _generic_linear_problem() -> Arrays:
    """Return a linear step whose Z is nowhere near 0, where a relu bends."""
    for seed in range(100):
        rng = np.random.default_rng((14, seed))
        given = {
            "A_prev": rng.standard_normal((4, M)),
            "W": 0.7 * rng.standard_normal((3, 4)),
            "b": rng.standard_normal((3, 1)),
            "dA": rng.standard_normal((3, M)),
        }
        if np.abs(given["W"] @ given["A_prev"] + given["b"]).min() > BEND:
            return given
    raise AssertionError("no linear step without a Z near 0 in 100 draws")


_SWAPPED = "derivative-of-another-activation"


def judge_linear_activation_backward(bench: Bench, role: Role) -> None:
    """Judge the backward of both together, for each activation that it knows."""
    given = _generic_linear_problem()
    A, W, b, dA = (given[name] for name in ("A_prev", "W", "b", "dA"))
    Z = W @ A + b
    forward = bench.role("linear_activation_forward", role)
    results: list[Result] = []
    owns = []
    for name, own_name in _branches(bench, role):
        found = _both_results(bench, role, forward, given, own_name)
        if forward is None:
            leak = leak_of(name, found[0], Z, lambda slope: W.T @ (dA * slope))
        else:
            made = bench.call(bench.plain, forward, fresh({**given, "activation": own_name}))
            leak = leak_of(name, made[0] if isinstance(made, tuple) else made, Z, lambda s: Z * s)
        dZ = dA * sloped(name, Z, leak)
        wrong = {
            row.symbol: dA * row.slope(Z) for other, row in ACTIVATIONS.items() if other != name
        } | {"no activation": dA}
        for position, result in enumerate(_linear_expected(found, A, W, dZ)):
            extra = [
                Alternative(
                    "derivative-missing" if other == "no activation" else _SWAPPED,
                    f'For "{own_name}" it takes the derivative of {other}.',
                    f"the backward of {other}",
                    _linear_expected(found, A, W, other_dZ)[position].expected,
                )
                for other, other_dZ in wrong.items()
            ]
            results.append(
                Result(
                    result.tensor,
                    result.found,
                    result.expected,
                    result.formula,
                    2 * result.scale,
                    [*result.alternatives, *extra],
                )
            )
        if forward is not None:
            owns.append(_own_both(bench, role, forward, given, own_name))
    own = next(
        (o for o in owns if o is not None and o.faithful is False), owns[0] if owns else None
    )
    settle(bench, role, _once(results), own)


def _once(results: Sequence[Result]) -> list[Result]:
    """Return the results, those of later activations only where the first is right."""
    kept: dict[str, Result] = {}
    for result in results:
        previous = kept.get(result.tensor)
        if previous is None or _agrees(previous):
            kept[result.tensor] = result
    return list(kept.values())


def _agrees(result: Result) -> bool:
    array = array_of(result.found)
    return (
        array is not None
        and array.shape == result.expected.shape
        and np.allclose(array, result.expected, rtol=1e-4)
    )


def _both_results(
    bench: Bench, role: Role, forward: Role | None, given: Mapping[str, np.ndarray], name: str
) -> Sequence[Any]:
    A, W, b = given["A_prev"], given["W"], given["b"]
    cache: Any = stand_ins.linear_activation_forward(A, W, b, name)[1]
    if forward is not None:
        values = fresh({**given, "activation": name})
        result = bench.call(bench.plain, forward, values)
        if isinstance(result, tuple) and len(result) == 2:
            cache = result[1]
    values = fresh({"dA": given["dA"], "cache": cache, "activation": name})
    return _three(bench.call(bench.plain, role, values))


def _own_both(bench: Bench, role: Role, forward: Role, given: Arrays, name: str) -> Own | None:
    at = {key: given[key] for key in ("A_prev", "W", "b")}
    m = at["A_prev"].shape[1]

    def cost(workspace: Workspace, values: Mapping[str, Any]) -> Any:
        arguments = fresh({**values, "activation": name})
        result = bench.call(workspace, forward, arguments)
        A = result[0] if isinstance(result, tuple) else result
        return apply(np.sum, apply(np.multiply, given["dA"], A))

    def gradient(arrays: Arrays) -> Arrays:
        found = _both_results(bench, role, forward, {**arrays, "dA": given["dA"]}, name)
        dA_prev, dW, db = (np.asarray(array_of(x)) for x in found)
        return {"A_prev": dA_prev, "W": m * dW, "b": (m * db).reshape(at["b"].shape)}

    return own_of(bench, cost, gradient, at)
