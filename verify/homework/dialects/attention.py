"""Attention: queries, keys and values, of one sequence, of several, and of several heads."""

from __future__ import annotations

from typing import Any

SETTINGS: dict[str, tuple[Any, ...]] = {}

_NAMES = {
    "queries": ("q", "Q", "query", "queries"),
    "keys": ("k", "K", "key", "keys"),
    "values": ("v", "V", "value", "values"),
}


def _form(before: tuple[int, ...], keys: int) -> dict[str, tuple[Any, ...]]:
    """Return four queries of five numbers, and so many keys with values of three."""
    shapes = {"queries": (4, 5), "keys": (keys, 5), "values": (keys, 3)}
    return {
        name: ("array", (*before, *shapes[what]))
        for what, names in _NAMES.items()
        for name in names
    }


_FORMS = tuple(_form(before, keys) for keys in (6, 4) for before in ((), (2,), (2, 3)))
"""As many keys as queries last: a causal mask is square."""

_STEMS = (
    "attention", "self_attention", "causal_attention", "dot_product_attention",
    "scaled_dot_product_attention", "sdpa",
)  # fmt: skip

ARGUMENTS: dict[str, tuple[dict[str, tuple[Any, ...]], ...]] = dict.fromkeys(_STEMS, _FORMS)
