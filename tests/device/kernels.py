"""Fused kernels of PyTorch on its device, right and wrong, in every precision.

    python -m tests.device.kernels --output-file tests/device/results/kernels.json

The kernels of `tests/torch_kernels.py` in float64, in float32 with products of TensorFloat-32 off
and on, in bfloat16 and in float16, each beside the same written plainly. What must hold: no right
one disagrees and no wrong one agrees; without TensorFloat-32, in 32 and 64 bits, right ones agree
and wrong ones disagree. Exits with 1 if that is not so.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from torch_kernels import KERNELS

from verify import check

PRECISIONS = {
    "float64": (torch.float64, False),
    "float32": (torch.float32, False),
    "float32, TF32": (torch.float32, True),
    "bfloat16": (torch.bfloat16, False),
    "float16": (torch.float16, False),
}
"""The type of the arguments, and whether products of float32 may be of TensorFloat-32."""
DECIDED = ("float64", "float32")
"""Where every kernel must be decided."""
LARGE = 64
"""Rows and columns of a product that the GPU makes of TensorFloat-32, if it may."""


def main() -> int:
    """Check every kernel, and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.device.kernels")
    parser.add_argument("--output-file", type=Path)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_default_device(device)
    start = time.perf_counter()
    name = torch.cuda.get_device_name() if device == "cuda" else device
    result: dict[str, Any] = {"device": name, "torch": torch.__version__, "rows": [], "wrong": []}
    for precision in PRECISIONS:
        for kernel in KERNELS:
            for mistake in ("", *KERNELS[kernel].mistakes):
                verdict = verdict_on(precision, kernel, mistake)
                row = {"precision": precision, "kernel": kernel, "mistake": mistake} | verdict
                result["rows"].append(row)
                if not holds(row):
                    result["wrong"].append(row)
                    print(json.dumps(row), flush=True)
    result["tf32_error"] = tf32_error()
    result["seconds"] = round(time.perf_counter() - start, 1)
    counts = Counter((r["precision"], bool(r["mistake"]), r["verdict"]) for r in result["rows"])
    for (precision, mistaken, verdict), count in counts.items():
        print(f"{precision:15} {'wrong' if mistaken else 'right'} {verdict}: {count}")
    print(f"{len(result['wrong'])} do not hold, {result['seconds']} s, {result['tf32_error']}")
    if options.output_file is not None:
        options.output_file.parent.mkdir(parents=True, exist_ok=True)
        options.output_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(bool(result["wrong"]))


def verdict_on(precision: str, name: str, mistake: str) -> dict[str, Any]:
    """Return the verdict on a kernel, and the coarsest resolution of its tensors."""
    dtype, tensor_float = PRECISIONS[precision]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tensor_float
    kernel = KERNELS[name]
    report = check(
        kernel.rule(mistake),
        kernel.args(dtype),
        kernel.plain,
        constants=kernel.constants,
        seconds=60,
    )
    sees = max((tensor.resolution.entry for tensor in report.tensors), default=0.0)
    return {"verdict": report.verdict, "sees": sees}


def holds(row: dict[str, Any]) -> bool:
    """Say whether a verdict is one that it may be."""
    right, wrong = ("agree", "disagree")
    expected, never = (wrong, right) if row["mistake"] else (right, wrong)
    return row["verdict"] == expected or (
        row["precision"] not in DECIDED and row["verdict"] != never
    )


def tf32_error() -> dict[str, float]:
    """Return how far a product of float32 is off, over its largest entry, TF32 off and on."""
    torch.manual_seed(0)
    a, b = (torch.randn(LARGE, LARGE, dtype=torch.float64) for _ in range(2))
    errors = {}
    for label, allowed in (("off", False), ("on", True)):
        torch.backends.cuda.matmul.allow_tf32 = allowed
        found = (a.float() @ b.float()).double()
        errors[label] = float((found - a @ b).abs().max() / (a @ b).abs().max())
    return errors


if __name__ == "__main__":
    sys.exit(main())
