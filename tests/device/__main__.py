"""The three ways and the training steps with JAX on its default device: a GPU, where there is one.

    python -m tests.device --output-file tests/device/results/NAME.json

Takes under four minutes on a GPU, and runs on a processor alone too. Every check is a claim that
must hold; what was measured beside it goes into the file. Exits with 1 if a claim does not hold.

- Three-way agreement of the four networks of `backproof speed` in float64 and float32.
- Every weight of the cats' network by differences.
- TensorFloat-32, of which NVIDIA's products of float32 are made unless they are told not to be, is
  off in `autodiff`; switched on, it is seen.
- Steps of JAX beside PyTorch's on the same device: eager, compiled, and as a CUDA graph.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

import autodiff
from verify import three_way
from verify.course.speed.implementations import implementations
from verify.course.speed.timing import Run, interleaved, steps_in
from verify.course.speed.workloads import Workload, standard_workloads

SECONDS = 0.2
"""How long a repetition of a timing takes."""
REPETITIONS = 5


def main() -> int:
    """Check and measure, and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.device", description=__doc__)
    parser.add_argument("--output-file", type=Path)
    options = parser.parse_args()
    start = time.perf_counter()
    result: dict[str, Any] = {"machine": machine(), "checks": [], "steps": []}
    for dtype in ("float64", "float32"):
        for workload in standard_workloads(dtype):
            result["checks"].append(show(agreement(workload)))
    result["checks"].append(show(tensor_float()))
    for dtype in ("float64", "float32"):
        for workload in standard_workloads(dtype):
            if not workload.name.endswith("-reg"):
                result["steps"].append(show(steps(workload)))
    memory = jax.devices()[0].memory_stats() or {}
    result["peak_bytes_on_device"] = memory.get("peak_bytes_in_use")
    result["seconds"] = round(time.perf_counter() - start, 1)
    if options.output_file is not None:
        options.output_file.parent.mkdir(parents=True, exist_ok=True)
        options.output_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    failed = [check["name"] for check in result["checks"] if not check["holds"]]
    print(f"{len(failed)} of {len(result['checks'])} do not hold {failed}, {result['seconds']} s")
    return int(bool(failed))


def show(found: dict[str, Any]) -> dict[str, Any]:
    """Print what was found as it comes, and return it."""
    print(json.dumps(found), flush=True)
    return found


def machine() -> dict[str, Any]:
    """Return what ran where."""
    device = jax.devices()[0]
    versions = {module.__name__: module.__version__ for module in (jax, np)}
    if (torch := with_torch()) is not None:
        versions["torch"] = torch.__version__
    return {"platform": device.platform, "device": device.device_kind, "versions": versions}


def with_torch() -> Any:
    """Return PyTorch, or None where it is absent or has no device of JAX's kind."""
    try:
        import torch
    except ImportError:
        return None
    return torch if (jax.default_backend() == "gpu") == torch.cuda.is_available() else None


def agreement(workload: Workload) -> dict[str, Any]:
    """Check that all three ways agree on a network, every weight differenced."""
    before = time.perf_counter()
    report = three_way(workload.problem, finite_difference="exhaustive")
    tensors = {tensor.name: tensor for tensor in report.tensors}
    return {
        "name": f"three ways agree: {workload.name} {workload.problem.dtype}",
        "holds": report.verdict == "agree",
        "verdict": report.verdict,
        "weights": sum(tensor.entries_checked for tensor in report.tensors),
        "most_in_bars": max(
            pair.bar_ratio for tensor in report.tensors for pair in tensor.pairs.values()
        ),
        "resolution": {name: tensor.resolution.entry for name, tensor in tensors.items()},
        "seconds": round(time.perf_counter() - before, 2),
    }


def tensor_float() -> dict[str, Any]:
    """Check that products of float32 are made of float32, by JAX itself with other products."""
    problem = next(w.problem for w in standard_workloads("float32") if w.name == "wide")
    exact = problem.astype(np.float64)
    _, right = autodiff.loss_and_grads(*exact.arguments, **exact.options)
    size = max(float(np.abs(g).max()) for g in right.values())

    def error(grads: Any) -> float:
        return max(float(np.abs(np.asarray(grads[k]) - right[k]).max()) for k in right) / size

    _, ours = autodiff.loss_and_grads(*problem.arguments, **problem.options)
    loss = partial(autodiff.loss, **problem.options)
    coarse = {}
    for precision in ("highest", "tensorfloat32", "bfloat16"):
        with jax.default_matmul_precision(precision):
            coarse[precision] = error(jax.jit(jax.grad(loss))(*problem.arguments))
    return {
        "name": "products of float32 are of float32: wide",
        "holds": error(ours) < 1e-5,
        "error": error(ours),
        "error_of_jax_at": coarse,
    }


def steps(workload: Workload) -> dict[str, Any]:
    """Measure a training step by every implementation that keeps its arrays on the device."""
    prepared = implementations(workload)
    runs: dict[str, Run] = {
        name: prepared[name]()
        for name in ("autodiff-jit", "autodiff-loop", "autodiff-span")
        if name in prepared
    }
    if (torch := with_torch()) is not None:
        runs |= {name: make() for name, make in of_torch(torch, workload)}
    counts = {name: steps_in(run, SECONDS) for name, run in runs.items()}
    times = interleaved(runs, counts, REPETITIONS)
    return {
        "name": workload.name,
        "dtype": str(workload.problem.dtype),
        "ms_per_step": {name: float(np.median(each)) for name, each in times.items()},
    }


def of_torch(torch: Any, workload: Workload) -> Iterator[tuple[str, Callable[[], Run]]]:
    """Yield the steps in PyTorch on the device: eager, compiled, and as a CUDA graph."""
    problem, rate = workload.problem, workload.learning_rate
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False

    def tensor(array: np.ndarray) -> Any:
        return torch.from_numpy(np.array(array)).to(device)

    X, Y = tensor(problem.X), tensor(problem.Y)
    L = len(problem.hidden) + 1

    def loss(params: dict[str, Any]) -> Any:
        A = X
        for layer, activation in enumerate(problem.hidden, start=1):
            A = getattr(torch, activation)(params[f"W{layer}"] @ A + params[f"b{layer}"])
        logits = params[f"W{L}"] @ A + params[f"b{L}"]
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, Y)

    def step(params: dict[str, Any]) -> dict[str, Any]:
        grads = torch.func.grad(loss)(params)
        return {name: params[name] - rate * grads[name] for name in params}

    def start() -> dict[str, Any]:
        return {name: tensor(value) for name, value in problem.params.items()}

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def repeated(one: Callable[[dict[str, Any]], dict[str, Any]]) -> Run:
        def run(n: int) -> Any:
            params = start()
            with torch.no_grad():
                for _ in range(n):
                    params = one(params)
            wait()
            return params

        return run

    def eager() -> Run:
        def run(n: int) -> Any:
            params = {name: value.requires_grad_() for name, value in start().items()}
            for _ in range(n):
                grads = torch.autograd.grad(loss(params), list(params.values()))
                with torch.no_grad():
                    for value, grad in zip(params.values(), grads, strict=True):
                        value -= rate * grad
            wait()
            return params

        return run

    def compiled() -> Run:
        torch.compiler.reset()
        return repeated(torch.compile(step, fullgraph=True))

    def graph() -> Run:
        params = start()
        with torch.no_grad():
            for _ in range(3):  # as its documentation asks, before a capture
                step(params)
            wait()
            captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(captured):
                for name, value in step(params).items():
                    params[name].copy_(value)

        def run(n: int) -> Any:
            for _ in range(n):
                captured.replay()
            wait()
            return params

        return run

    yield "torch", eager
    yield "torch-compile", compiled
    if device == "cuda":
        yield "torch-cuda-graph", graph


if __name__ == "__main__":
    sys.exit(main())
