"""The machine that times: what it is, and what it can do at best."""

from __future__ import annotations

import os
import platform
from datetime import date
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from verify.course.speed.timing import seconds

PACKAGES = ("numpy", "scipy", "jax", "scikit-learn", "autograd", "numba", "torch")
"""The packages whose versions bear on the times."""


def described() -> dict[str, Any]:
    """Return date, system, processor, cores, BLAS with its threads, and versions."""
    from threadpoolctl import threadpool_info

    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {
        "date": date.today().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "blas": sorted({f"{pool['internal_api']} {pool['version']}" for pool in blas}),
        "threads": max((pool["num_threads"] for pool in blas), default=None),
        "versions": {"python": platform.python_version()}
        | {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    """Return the processor's name, as Linux tells it, or as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def limits(dtype: str) -> tuple[float, float]:
    """Measure this machine: flop/s in a matrix product, byte/s in a copy."""
    n = 2048
    rng = np.random.default_rng(0)
    A, B = rng.random((2, n, n)).astype(dtype)
    product = min(seconds(np.matmul, A, B) for _ in range(15))
    source = rng.random(16_000_000).astype(dtype)
    target = np.empty_like(source)
    copy = min(seconds(np.copyto, target, source) for _ in range(15))
    return 2 * n**3 / product, 2 * source.nbytes / copy
