"""Trainings and checks on simulated devices, each in a process of its own.

How many devices a processor pretends to be is fixed when JAX starts. A test calls `on_devices`,
which starts this file with so many; there the function of that name runs, and its result comes
back as JSON, to the last bit of every number.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from problems import random_problem

HERE = Path(__file__).parent
SIZES = {
    "small": ((4, 5, 3, 1), 11, "sigmoid"),
    "few": ((4, 5, 3, 3), 3, "softmax"),
    "cats": ((12288, 20, 7, 5, 1), 209, "sigmoid"),
    "wide": ((784, 512, 256, 1), 4096, "sigmoid"),
}
"""Layer sizes, examples and output; the last two are those of the page on speed."""
CHUNK = 250
"""Steps between two looks at how far two trainings are apart."""


def environment(devices: int) -> dict[str, str]:
    """Return the environment in which JAX has so many processors to compute on."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    paths = (str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", ""))
    path = os.pathsep.join(filter(None, paths))
    return {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": path}


def on_devices(devices: int, function: str, **arguments: Any) -> Any:
    """Return what a function of this file returns where there are so many devices."""
    run = subprocess.run(
        [sys.executable, __file__, function, json.dumps(arguments)],
        env=environment(devices), capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def trainings(
    counts: list[int | None], network: str, strategy: str, keep_prob: float, n: int
) -> dict[str, Any]:
    """Train on meshes of so many devices (None: without one); return the costs of each.

    And how far the parameters of all are apart, at most.
    """
    import autodiff
    from verify import mask_schedule, train

    sizes, m, output = SIZES[network]
    problem = random_problem(sizes=sizes, m=m, output=output, hidden="relu", keep_prob=keep_prob)
    masks = mask_schedule(3, sizes[1:-1], m, problem.keep_prob)
    results = [
        train(
            problem, learning_rate=0.0075, iterations=n, strategy=strategy, masks=masks, every=1,
            mesh=None if count is None else autodiff.example_mesh(count), progress=False,
        )
        for count in counts
    ]  # fmt: skip
    apart = [
        float(np.abs(results[0].params[name] - each.params[name]).max())
        for each in results
        for name in each.params
    ]
    return {"costs": [each.costs.tolist() for each in results], "apart": max(apart)}


def costs_apart(network: str, strategy: str, keep_prob: float, n: int) -> dict[str, float]:
    """Train with a mesh of all devices and without, a chunk at a time; return how far apart.

    For each chunk the number of steps so far is printed, and how far costs were apart, relative
    to those of one device, at most.
    """
    import autodiff
    from autodiff import span_descent
    from verify import mask_schedule

    sizes, m, output = SIZES[network]
    problem = random_problem(sizes=sizes, m=m, output=output, hidden="relu", keep_prob=keep_prob)
    masks = mask_schedule(3, sizes[1:-1], m, problem.keep_prob)
    ways: list[dict[str, Any]] = []
    for mesh in (None, autodiff.example_mesh()):
        X, Y = (autodiff.on_device(array, mesh=mesh) for array in (problem.X, problem.Y))
        gram = span_descent.gram(X) if strategy == "span" else None
        ways.append({"X": X, "Y": Y, "gram": gram})
    params, found = [problem.params] * 2, {}
    for start in range(0, n, CHUNK):
        costs = []
        for k, way in enumerate(ways):
            params[k], cost = autodiff.steps(
                params[k], masks=masks, n=min(CHUNK, n - start), start=start, m=m,
                learning_rate=0.0075, strategy=strategy, **way, **problem.options,
            )  # fmt: skip
            costs.append(cost)
        apart = float(np.abs(costs[1] / costs[0] - 1).max())
        found[str(start + CHUNK)] = max([*found.values(), apart])
        print(json.dumps(found), flush=True)
    return found


def grams(m: int) -> dict[str, Any]:
    """Multiply data by themselves where they lie in parts; return how wrong, and how they lie."""
    import autodiff
    from autodiff import span_descent

    X = np.random.default_rng(0).normal(size=(5, m))
    mesh = autodiff.example_mesh()
    K = span_descent.gram(autodiff.on_device(X, mesh=mesh))
    return {
        "wrong": float(np.abs(np.asarray(K)[:m, :m] - X.T @ X).max()),
        "shapes": [list(shard.data.shape) for shard in K.addressable_shards],
    }


def differences(sizes: list[int], m: int, output: str, hidden: list[str]) -> dict[str, Any]:
    """Difference every weight on one device and on all; return how the two compare.

    Values and bars in units of the bars of one, and whether the same entries are smooth.
    """
    import autodiff
    from verify.evidence.differences.exhaustive import exhaustive_differences

    problem = random_problem(sizes=sizes, m=m, output=output, hidden=hidden, keep_prob=0.8)
    alone = exhaustive_differences(problem)
    together = exhaustive_differences(problem, mesh=autodiff.example_mesh())
    pairs = [(alone[name], together[name]) for name in alone]
    return {
        "order": list(alone) == list(together),
        "value": max(float((np.abs(a.value - b.value) / a.bar).max()) for a, b in pairs),
        "bar": max(float(np.abs(b.bar / a.bar - 1).max()) for a, b in pairs),
        "smooth": all(np.array_equal(a.smooth, b.smooth) for a, b in pairs),
    }


def planted(size: float) -> dict[str, Any]:
    """Plant an error in a weight of each unit of the first layer in turn; return what is found.

    The verdict of the right gradient, and of each wrong one the verdict and the entry.
    """
    import autodiff
    import manual
    from verify.evidence.built_in_network import call_witnesses, evidence_on
    from verify.verdict import decide

    sizes, m, output = SIZES["cats"]
    problem = random_problem(sizes=sizes, m=m, output=output, hidden="relu")
    loss, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    witnesses, found = call_witnesses(problem, mesh=autodiff.example_mesh()), []
    for unit in range(0, sizes[1], 3):
        wrong = grads["W1"].copy()
        wrong[unit, 600 * unit] += size
        report = decide({"": evidence_on(witnesses, float(loss), grads | {"W1": wrong})})
        (worst,) = (each.worst for each in report.tensors if each.name == "W1")
        found.append([report.verdict, unit, *divmod(worst.index, sizes[0])])
    right = decide({"": evidence_on(witnesses, float(loss), grads)}).verdict
    return {"right": right, "wrong": found}


def costs() -> list[dict[str, Any]]:
    """Return what steps cost, by the model and by XLA."""
    from mesh_cost import measure

    return measure()


def within(megabytes: int, arguments: list[str]) -> dict[str, Any]:
    """Run a command with so much memory beyond what importing takes; return how much it took."""
    import contextlib
    import io
    import re
    import resource

    import jax

    from verify.cli import app
    from verify.course import datasets, stored, training  # noqa: F401
    from verify.network import three_way  # noqa: F401

    jax.devices()

    def held(what: str) -> int:
        status = Path("/proc/self/status").read_text()
        return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) * 1024

    before = held("VmRSS")
    most = held("VmData") + megabytes * 10**6
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        status = app.app.main(arguments, standalone_mode=False)
    return {
        "status": status or 0,
        "megabytes": (held("VmHWM") - before) / 1e6,
        "report": json.loads(shown.getvalue()),
    }


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
