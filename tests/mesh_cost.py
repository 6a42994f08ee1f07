"""What a step on a mesh costs a device: by a model of a few terms, and by XLA's own analysis.

    python -m tests.mesh_cost

measures both on 1, 2, 4 and 8 simulated devices and writes `tests/benchmarks/results/mesh.json`,
from which `python -m tests.pages` writes the table of `docs/mesh.md`. That page derives the model.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "benchmarks/results/mesh.json"
NETWORKS = {
    "cats": ((12288, 20, 7, 5, 1), 209),
    "wide": ((784, 512, 256, 1), 4096),
    "deep": ((100, 1000, 1000, 1), 64),
    "tall": ((8, 64, 64, 1), 20_000),
}
"""Layer sizes and examples: few examples and many, few inputs and many."""
COUNTS = (1, 2, 4, 8)
ITEM = 8
"""Bytes of a number, float64."""
TOUCHED = 11
"""How often a step reads or writes a number for each hidden unit and example."""
KEPT = 2.5
"""How many numbers for each hidden unit and example are held at once; measured, not derived."""


@dataclass(frozen=True)
class Cost:
    """What one step of the loop costs one device.

    Floating-point operations; bytes that it reads and writes in its own memory; bytes that it adds
    up with the other devices; bytes of memory that it holds.
    """

    operations: float
    accessed: float
    added_up: float
    held: float


def predicted(layers: tuple[int, ...], m: int, devices: int, item: int = ITEM) -> Cost:
    """Return the cost by the model: m examples, shared out; relu, no penalty, no dropout."""
    own = -(-m // devices)
    weights = [n_in * n_out for n_in, n_out in pairwise(layers)]
    P, N, X = sum(weights) + sum(layers[1:]), sum(layers[1:-1]) * own, layers[0] * own
    together = devices > 1
    return Cost(
        operations=2 * own * (3 * sum(weights) - weights[0]) + 2 * P,
        accessed=item * (2 * X + (5 + 2 * together) * P + sum(weights[1:]) + TOUCHED * N),
        added_up=item * (P + 1) * together,
        held=item * (X + P + max((1 + together) * P, KEPT * N)),
    )


def sent(layers: tuple[int, ...], devices: int, item: int = ITEM) -> float:
    """Return the bytes that a device sends a step, where they are added up in a ring."""
    P = sum(n_in * n_out + n_out for n_in, n_out in pairwise(layers))
    return 2 * (devices - 1) / devices * item * (P + 1)


def analysed(layers: tuple[int, ...], m: int, devices: int) -> Cost:
    """Return the cost by XLA's analysis of the compiled loop, whose body it counts once."""
    import jax
    import numpy as np
    from jax.sharding import NamedSharding, PartitionSpec

    from autodiff.mesh import AXIS, example_mesh
    from autodiff.training import CHUNK, _chunk

    mesh = example_mesh(devices)

    def array(shape: tuple[int, int], *spec: str | None) -> Any:
        sharding = NamedSharding(mesh, PartitionSpec(*spec))
        return jax.ShapeDtypeStruct(shape, np.float64, sharding=sharding)

    columns = -(-m // devices) * devices
    with jax.enable_x64(True):
        params = {}
        for layer, (n_in, n_out) in enumerate(pairwise(layers), start=1):
            params |= {f"W{layer}": array((n_out, n_in)), f"b{layer}": array((n_out, 1))}
        hidden = ("relu",) * (len(layers) - 2)
        compiled = _chunk.lower(
            array((layers[0], columns), None, AXIS), array((layers[-1], columns), None, AXIS),
            np.array([0.1, 0.0, *(1.0 for _ in hidden)]), params, None, 3, hidden=hidden,
            output="sigmoid", scheduled=False, penalised=False, length=CHUNK, m=m, mesh=mesh,
        ).compile()  # fmt: skip
    counted, memory = compiled.cost_analysis(), compiled.memory_analysis()
    return Cost(
        counted["flops"],
        counted["bytes accessed"],
        _added_up(compiled.as_text()),
        memory.argument_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes,
    )


def _added_up(program: str) -> int:
    """Return the bytes of all arrays that a program adds up over the devices."""
    total = 0
    for line in re.findall(r"= (.*?) all-reduce\(", program):
        for shape in re.findall(r"f64\[([\d,]*)\]", line):
            sizes = [int(size) for size in shape.split(",") if size]
            count = 1
            for size in sizes:
                count *= size
            total += ITEM * count
    return total


def measure() -> list[dict[str, Any]]:
    """Return a row for each network and number of devices: both costs."""
    return [
        {
            "network": name,
            "devices": devices,
            "predicted": asdict(predicted(layers, m, devices)),
            "analysed": asdict(analysed(layers, m, devices)),
        }
        for name, (layers, m) in NETWORKS.items()
        for devices in COUNTS
    ]


def tables() -> str:
    """Return the committed measurement as a table, for the page."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))
    lines = [
        "| network | devices | operations | model | accessed | model | added up | model "
        "| held | model |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = []
        for name, value in row["analysed"].items():
            model = row["predicted"][name]
            cells += [f"{value:.3g}", f"{model / value:.2f}" if value else ""]
        lines.append(f"| {row['network']} | {row['devices']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    from mesh_runs import on_devices

    rows = on_devices(max(COUNTS), "costs")
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
