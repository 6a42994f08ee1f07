"""What goes through the door: trees of plain values and arrays, as bytes.

A message is a JSON header and the arrays' bytes behind it. Whatever is neither a plain value nor
an array crosses as an `Opaque` of its type's name, and stays where it is.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

MOST_BYTES = 256 << 20
"""The largest message that is read."""

DEEPEST, MOST_NODES, LONGEST_TEXT = 12, 50_000, 50_000
_KINDS = "fiub"
_HEAD = struct.Struct("<QQ")


class Opaque(NamedTuple):
    """Something that cannot cross: an object of the file's own."""

    kind: str


class Stored(NamedTuple):
    """An object of a live process's own run, of which a recipe can have copies."""

    key: str


class WireError(ValueError):
    """A message is not what it should be."""


def encode(tree: Any) -> bytes:
    """Return a tree of dicts, lists, tuples, plain values and arrays as bytes."""
    blobs: list[bytes] = []
    nodes = [0, 0]
    header = json.dumps(_plain(tree, blobs, nodes, 0)).encode()
    return b"".join([_HEAD.pack(len(header), nodes[1]), header, *blobs])


def _plain(value: Any, blobs: list[bytes], nodes: list[int], depth: int) -> Any:
    nodes[0] += 1
    if nodes[0] > MOST_NODES or depth > DEEPEST:
        return {"o": "too much"}
    if value is None or type(value) in (bool, float):
        return value
    if type(value) is int:
        return value if abs(value) < 1 << 63 else {"o": "int"}
    if type(value) is str:
        return value[:LONGEST_TEXT].encode("utf-8", "replace").decode()
    if isinstance(value, Opaque):
        return {"o": value.kind}
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.dtype.kind not in _KINDS or array.nbytes > MOST_BYTES // 4:
            return {"o": "array"}
        data = np.ascontiguousarray(array).tobytes()
        start = nodes[1]
        nodes[1] += len(data)
        blobs.append(data)
        return {"a": [array.dtype.str, list(array.shape), start]}
    if isinstance(value, Mapping):
        items = [[k, v] for k, v in value.items() if type(k) in (str, int)]
        return {"d": [[k, _plain(v, blobs, nodes, depth + 1)] for k, v in items]}
    if isinstance(value, (list, tuple)):
        parts = [_plain(item, blobs, nodes, depth + 1) for item in value]
        return {"t" if isinstance(value, tuple) else "l": parts}
    return {"o": str(type(value).__name__)[:60]}


def decode(data: bytes) -> Any:
    """Return the tree of a message. Raises WireError for bytes that are none."""
    try:
        header, _ = _HEAD.unpack_from(data)
        tree = json.loads(data[_HEAD.size : _HEAD.size + header])
        return _built(tree, memoryview(data)[_HEAD.size + header :])
    except (ValueError, KeyError, TypeError, IndexError, struct.error, RecursionError) as fault:
        raise WireError(f"a message is damaged ({type(fault).__name__})") from None


def _built(node: Any, blob: memoryview) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "a":
        dtype, shape, start = np.dtype(content[0]), tuple(map(int, content[1])), int(content[2])
        if dtype.kind not in _KINDS or min((start, *shape)) < 0:
            raise WireError("an array is damaged")
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(blob, dtype, count, start).reshape(shape).copy()
    if kind == "d":
        return {key: _built(value, blob) for key, value in content}
    if kind == "l":
        return [_built(item, blob) for item in content]
    if kind == "t":
        return tuple(_built(item, blob) for item in content)
    return Opaque(str(content))


def send(stream: int, tree: Any) -> None:
    """Write a tree to a file descriptor, as a message."""
    write(stream, encode(tree))


def write(stream: int, message: bytes) -> None:
    """Write a message to a file descriptor."""
    data = memoryview(message)
    while data:
        data = data[os.write(stream, data) :]


def receive(stream: int) -> Any:
    """Read a message from a file descriptor; None where the other side is gone."""
    head = _exactly(stream, _HEAD.size)
    if head is None:
        return None
    header, blob = _HEAD.unpack(head)
    if header + blob > MOST_BYTES:
        raise WireError("a message is too large")
    rest = _exactly(stream, header + blob)
    return None if rest is None else decode(head + rest)


def _exactly(stream: int, size: int) -> bytes | None:
    parts = []
    while size:
        part = os.read(stream, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
