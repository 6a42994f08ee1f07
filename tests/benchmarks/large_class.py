"""A class of thousands, checked as a teacher does: how long, how much memory, and what is lost.

    python tests/benchmarks/large_class.py --count 2000 --jobs 2 --seed 1

The class is made from the files of `tests/course` and `tests/styles`: of each function some local
variables get other names, and neighbouring functions change places. Its folder is checked

1. once, from an empty cache: files a minute, of the wall's time and of one processor's, and how
   much memory the command and the server take, and all processes together, in each fifth of it,
2. again, from the cache: seconds,
3. anew, interrupted at random moments (Ctrl-C or a kill) and resumed: no verdict is lost or
   doubled, and every report is that of the first run but for its time (not with
   `--interruptions 0`).

Exit status 1 if a report was lost, doubled or another. Which verdicts are not those of the files
that they were made from is printed: names are part of what a file says.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from verify.homework.run.processes import descendants

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "tests" / "course", ROOT / "tests" / "styles")
FIFTHS = 5
SAMPLED = 1.0
"""Seconds between two looks at the memory."""

Edit = tuple[int, int, str]
"""Where a text is replaced, from byte to byte, and by what."""


# The class.


def make_class(folder: Path, count: int, seed: int) -> dict[str, str]:
    """Write `count` files made from the sources; return the verdict that each source deserves."""
    sources = [
        (home / name, row["verdict"])
        for home in SOURCES
        for name, row in json.loads((home / "expected.json").read_text(encoding="utf-8")).items()
        if "/" not in name
    ]
    deserved = {}
    for number in range(count):
        source, verdict = sources[number % len(sources)]
        rng = random.Random(f"{seed} {number}")
        path = folder / f"{number:05d}_{source.name}"
        path.write_text(rewritten(source, number, rng), encoding="utf-8")
        deserved[str(path)] = verdict
    return deserved


def rewritten(source: Path, number: int, rng: random.Random) -> str:
    """Return the text of a file with other names in another order, unlike any other's."""
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".py":
        return f"{reordered(renamed(text, rng), rng)}\n# Student {number}\n"
    try:
        book = json.loads(text)
    except ValueError:
        return f"{text}\n"
    for cell in book.get("cells", ()):
        if cell["cell_type"] == "code":
            code = reordered(renamed("".join(cell["source"]), rng), rng)
            cell["source"] = code.splitlines(keepends=True)
    book["metadata"]["student"] = number
    return json.dumps(book)


def renamed(text: str, rng: random.Random) -> str:
    """Return a text in which each local variable has another name, or half of the time its own."""
    tree = parsed(text)
    if tree is None:
        return text
    place = Places(text)
    edits = []
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            names = {
                name: f"{name}_{rng.choice(('new', 'temp', 'tmp'))}"
                for name in sorted(locals_of(function))
                if rng.random() < 0.5
            }
            edits += [
                (place.of(node.lineno, node.col_offset), place.end(node), names[node.id])
                for node in ast.walk(function)
                if isinstance(node, ast.Name) and node.id in names
            ]
    return edited(text, edits)


def locals_of(function: ast.FunctionDef) -> set[str]:
    """Return the variables of a function that a renaming of every place leaves as they were.

    That is none of a function with functions in it, or that looks names up; and none that is an
    argument, is global, stands in an f-string or is bound by anything but an assignment or loop.
    """
    inside = [node for node in ast.walk(function) if node is not function]
    closed = (
        ast.FunctionDef,
        ast.Lambda,
        ast.ClassDef,
        ast.Global,
        ast.Nonlocal,
        ast.ExceptHandler,
    )
    looks = {"exec", "eval", "locals", "vars", "globals"}
    names = [node for node in inside if isinstance(node, ast.Name)]
    if any(isinstance(node, closed) for node in inside) or looks & {node.id for node in names}:
        return set()
    arguments = {node.arg for node in inside if isinstance(node, ast.arg)}
    shown = {
        node.id
        for text in inside
        if isinstance(text, ast.JoinedStr)
        for node in ast.walk(text)
        if isinstance(node, ast.Name)
    }
    imported = {
        alias.asname or alias.name
        for node in inside
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return stored - arguments - shown - imported


def reordered(text: str, rng: random.Random) -> str:
    """Return a text in which functions that stand one after another have changed places."""
    tree = parsed(text)
    if tree is None:
        return text
    place = Places(text)
    edits = []
    for functions, run in groupby(tree.body, lambda node: isinstance(node, ast.FunctionDef)):
        spans = [(place.start(node), place.end(node)) for node in run] if functions else []
        blocks = [place.text(*span) for span in spans]
        rng.shuffle(blocks)
        edits += [(*span, block) for span, block in zip(spans, blocks, strict=True)]
    return edited(text, edits)


def parsed(text: str) -> ast.Module | None:
    """Return the tree of a text, or None if it is no Python, as with a magic in it."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


class Places:
    """Where the nodes of a text's tree stand in its bytes."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self.lines = [0]
        for line in self.data.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def of(self, line: int, column: int) -> int:
        return self.lines[line - 1] + column

    def start(self, node: ast.FunctionDef) -> int:
        """Return where a function begins, with its decorators."""
        first = node.decorator_list[0] if node.decorator_list else node
        return self.of(first.lineno, 0)

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.of(node.end_lineno, node.end_col_offset)

    def text(self, begin: int, end: int) -> str:
        return self.data[begin:end].decode()


def edited(text: str, edits: Sequence[Edit]) -> str:
    """Return a text with pieces of its bytes replaced; each piece once."""
    data = text.encode()
    for begin, end, new in sorted(set(edits), reverse=True):
        data = data[:begin] + new.encode() + data[end:]
    return data.decode()


# The checks.


class Check:
    """A check of the class at work, as a process."""

    def __init__(self, folder: Path, output: Path, *options: str) -> None:
        self.output = output
        self.journal = output.with_name(output.name + ".journal")
        self.start = time.monotonic()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "backproof", "check", str(folder)),
                *("--format", "json", "--output-file", str(output), *options),
            ],
            cwd=ROOT,
            env=os.environ | {"XDG_CACHE_HOME": str(output.parent / "cache")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait_for(self, count: int) -> None:
        """Wait until its journal has so many verdicts, or it has ended."""
        while self.process.poll() is None and len(verdicts(self.journal)) < count:
            time.sleep(0.05)

    def files(self) -> list[dict]:
        """Return the reports that it wrote, without their times."""
        assert self.process.wait() in (0, 1, 2)
        files = json.loads(self.output.read_text(encoding="utf-8"))["files"]
        return [{k: v for k, v in file.items() if k != "seconds"} for file in files]


def verdicts(journal: Path) -> list[str]:
    """Return which contents a journal has whole lines of, in its order."""
    if not journal.exists():
        return []
    lines = journal.read_bytes().split(b"\n")[1:-1]
    return [json.loads(line)["content"] for line in lines]


def measured(check: Check, count: int) -> list[tuple[float, float, float]]:
    """Return the most megabytes in each fifth of a check: of the command, its server, of all."""
    most = [(0.0, 0.0, 0.0)] * FIFTHS
    while check.process.poll() is None:
        pid = check.process.pid
        below = descendants(pid)
        server = [megabytes(child, "Rss") for child in below if parent(child) == pid]
        now = (
            megabytes(pid, "Rss"),
            max(server, default=0.0),
            sum(megabytes(one, "Pss") for one in (pid, *below)),
        )
        done = check.journal.read_bytes().count(b"\n") - 1 if check.journal.exists() else 0
        fifth = min(max(done, 0) * FIFTHS // count, FIFTHS - 1)
        most[fifth] = tuple(map(max, most[fifth], now))
        time.sleep(SAMPLED)
    return most


def megabytes(pid: int, kind: str) -> float:
    """Return a process's memory, whole (Rss) or with its share of what is shared (Pss)."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as stream:
            return next(int(line.split()[1]) for line in stream if line.startswith(kind)) / 1024
    except (OSError, StopIteration):
        return 0.0


def parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return int(stream.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def main() -> int:
    """Make the class, check it three times, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--interruptions", type=int, default=5)
    asked = parser.parse_args()
    options = ("--jobs", str(asked.jobs), "--seed", str(asked.seed))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "class")
        folder.mkdir()
        deserved = make_class(folder, asked.count, asked.seed)
        first = first_run(folder, Path(name, "first.json"), asked.count, options)
        other = [
            f"{file['path']}: {file['verdict']}, not {deserved[file['path']]}"
            for file in first
            if file["verdict"] != deserved[file["path"]]
        ]
        print(f"\n{len(other)} verdicts are not those of their source", *other, sep="\n  ")
        same = [from_cache(folder, Path(name, "first.json"), options) == first]
        if asked.interruptions:
            same += resumed(folder, Path(name, "resumed.json"), first, asked, options)
    print("nothing lost, doubled or changed" if all(same) else "NOT the same reports")
    return 0 if all(same) else 1


def first_run(folder: Path, output: Path, count: int, options: Sequence[str]) -> list[dict]:
    """Check from an empty cache, and say how long it took and with how much memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    check = Check(folder, output, *options)
    memory = measured(check, count)
    files = check.files()
    wall = time.monotonic() - check.start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{count} files in {wall:.0f} s: {60 * count / wall:.1f} a minute;", end=" ")
    print(f"of processors {busy:.0f} s: {60 * count / busy:.1f} a minute a core")
    print(Counter(file["verdict"] for file in files))
    for number, (command, server, total) in enumerate(memory, 1):
        print(
            f"fifth {number}: command {command:.0f} MB, server {server:.0f} MB, all {total:.0f} MB"
        )
    return files


def from_cache(folder: Path, output: Path, options: Sequence[str]) -> list[dict]:
    """Check again, and say how long it took."""
    check = Check(folder, output, *options)
    files = check.files()
    print(f"\nagain, from the cache: {time.monotonic() - check.start:.1f} s")
    return files


def resumed(
    folder: Path,
    output: Path,
    first: Sequence[dict],
    asked: argparse.Namespace,
    options: Sequence[str],
) -> Iterator[bool]:
    """Check anew, interrupted and resumed; yield whether verdicts were kept and are the same."""
    rng = random.Random(asked.seed)
    options = (*options, "--no-cache")
    check = Check(folder, output, *options)
    for moment in sorted(rng.sample(range(1, asked.count), asked.interruptions)):
        check.wait_for(moment)
        time.sleep(rng.uniform(0, 0.2))
        if check.process.poll() is not None:
            print("the check ended before it could be interrupted again")
            break
        how = rng.choice((signal.SIGINT, signal.SIGKILL))
        check.process.send_signal(how)
        check.process.wait()
        kept = verdicts(check.journal)
        check = Check(folder, output, *options, "--resume")
        check.wait_for(len(kept) + 1)
        whole = len(kept) >= moment and len(set(kept)) == len(kept)
        whole = whole and verdicts(check.journal)[: len(kept)] == kept
        print(
            f"{how.name} after {len(kept)} verdicts: {'all kept' if whole else 'LOST or doubled'}"
        )
        yield whole
    files = check.files()
    paths = Counter(file["path"] for file in files)
    print(f"{len(files)} reports of {len(paths)} files after {asked.interruptions} interruptions")
    differ = [mine["path"] for mine, theirs in zip(files, first, strict=False) if mine != theirs]
    print(f"{len(differ)} reports differ from the first run's", *differ[:20], sep="\n  ")
    yield len(files) == len(paths) == asked.count and not differ


if __name__ == "__main__":
    sys.exit(main())
