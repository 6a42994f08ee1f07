"""Fuzz everything that takes somebody's input.

    python -m tests.fuzz --count 10000 --seed 1

Each input is damaged in its own way, drawn from the seed and its number. None may end in a
traceback, hang, leave a half-written file, or be refused without a name: that of the argument or of
the file. Prints every input that does, with its kind and number, and what became of all.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import cases
from .cases import FILES, IN_PROCESS, options

PATIENCE = 60
"""Seconds after which an input counts as a hang, on a machine that does other things too."""

SHARES = {"hdf5": 20, "mat": 10, "model": 20, "image": 20, "api": 14, "script": 8, "notebook": 5}
"""Of a hundred inputs, how many are of each kind; the others are command lines."""


def main() -> None:
    """Read the arguments, fuzz, and exit with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.monotonic()
    outcomes, wrong = fuzz(arguments.count, arguments.seed)
    for line in wrong:
        print(line)
    for (kind, outcome), count in sorted(outcomes.items()):
        print(f"{count:6} {kind:9} {outcome}")
    print(f"{arguments.count} inputs, {len(wrong)} wrong, {time.monotonic() - start:.0f} s")
    sys.exit(bool(wrong))


def fuzz(count: int, seed: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Return what became of so many inputs, and a line for each that went wrong."""
    import h5py  # noqa: F401
    import jax.numpy  # noqa: F401
    import PIL.Image
    import scipy.io  # noqa: F401

    import verify.cli.verify  # noqa: F401

    PIL.Image.init()
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    kinds += ["options"] * (100 - len(kinds))
    order = np.random.default_rng(seed).permutation(100)
    numbered = [(kinds[order[number % 100]], number) for number in range(count)]
    outcomes: Counter[tuple[str, str]] = Counter()
    wrong = []
    for kind, number in numbered:
        if kind not in FILES:
            outcome, what = apart(kind, number, seed)
            outcomes[kind, outcome] += 1
            if outcome == "wrong":
                wrong.append(f"{kind} {number}: {what}")
    files = [(kind, number) for kind, number in numbered if kind in FILES]
    for first in range(0, len(files), 200):
        for name, outcome, what in checked(files[first : first + 200], seed):
            outcomes[name[0], outcome] += 1
            if outcome == "wrong":
                wrong.append(f"{name[0]} {name[1]}: {what}")
    return outcomes, wrong


def apart(kind: str, number: int, seed: int) -> tuple[str, str]:
    """Run one input in a fork of this process, and return what became of it."""
    folder = tempfile.mkdtemp(prefix="fuzz-")
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks
        child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(PATIENCE)
        with contextlib.suppress(BaseException), os.fdopen(writer, "w", errors="replace") as stream:
            stream.write("\n".join(run(kind, np.random.default_rng([seed, number]), Path(folder))))
        os._exit(0)
    os.close(writer)
    try:
        with os.fdopen(reader, errors="replace") as stream:
            said = stream.read()
        _, status = os.waitpid(child, 0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return "wrong", "hangs" if name == "SIGALRM" else f"ended by {name}"
    outcome, _, what = said.partition("\n")
    return outcome or "wrong", what


def run(kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, str]:
    """Run one input in this process, and return the outcome and what was wrong with it."""
    warnings.simplefilter("ignore")
    if kind == "options":
        return command(options(rng, folder), folder)
    names: tuple[str, ...] = ()
    try:
        case = IN_PROCESS[kind](rng, folder)
        names = case.names
        with np.errstate(all="ignore"):
            case.run()
    except BaseException as fault:
        if traceback.extract_tb(fault.__traceback__)[-1].filename == cases.__file__:
            return "refused", ""  # by the function that the case itself gives
        if not isinstance(fault, ValueError | OSError | MemoryError):
            return "wrong", traceback.format_exc(limit=-4)
        if not any(name in str(fault) for name in names):
            return "wrong", f"names nothing: {type(fault).__name__}: {fault}"
        return "refused", ""
    return "taken", ""


def command(arguments: Sequence[str], folder: Path) -> tuple[str, str]:
    """Run a command line in this process."""
    from verify import cli

    out, errors = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            status = cli._status(list(arguments))
    except BaseException:
        return "wrong", f"{arguments}: {traceback.format_exc(limit=-4)}"
    says = errors.getvalue()
    left = [name for name in os.listdir(folder) if name != "out"]
    if left:
        return "wrong", f"{arguments}: left {left}"
    if status in (0, 1):
        return "taken", ""
    names = [name[2:] for name in arguments if name.startswith("--")]
    named = any(name in says or name.replace("-", "_") in says for name in names)
    one = status == 2 and says.startswith("Error: ") and says.count("\n") == 1
    if one and named and len(says) < 2000:
        return "refused", ""
    return "wrong", f"{arguments}: {status}: {says}"


def checked(files: Sequence[tuple[str, int]], seed: int) -> list[tuple[tuple[str, int], str, str]]:
    """Judge damaged homework, and return what became of each."""
    from verify.homework.judge import judge_all
    from verify.homework.run.sandbox import Limits

    result = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as top:
        paths = []
        for kind, number in files:
            folder = Path(top, str(number))
            folder.mkdir()
            paths.append(FILES[kind](np.random.default_rng([seed, number]), folder))
        reports = judge_all(paths, Limits(timeout=PATIENCE), os.cpu_count() or 1)
        for name, path, report in zip(files, paths, reports, strict=True):
            text = "".join((report.message, *report.remarks, *(f.name for f in report.functions)))
            if report.fault or report.path != str(path) or not report.message:
                result.append((name, "wrong", report.fault or repr(report)))
            elif not text.isprintable() or len(report.message) > 2000:
                result.append((name, "wrong", f"not printable: {report.message!r}"))
            elif report.verdict == "timeout":
                result.append((name, "wrong", report.message))
            else:
                result.append((name, report.verdict, ""))
    return result


if __name__ == "__main__":
    main()
