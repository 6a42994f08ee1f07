"""Trees of arrays, as named flat dicts and back.

A tree is what JAX takes for one: dicts, lists, tuples, named tuples, None, and dataclasses
registered with JAX, nested in any way. Its leaves are named by their path, "layers.0.W"; the
sole leaf of a bare array is named by the argument itself. JAX sorts the keys of dicts; a tree
that is put together again has them in the order in which its owner put them. Tensors of PyTorch
are arrays like others; it is imported only where one comes in.

A complex leaf is taken out as its real and imaginary parts, along a last axis of two, and put
together again, so that all that lies between computes with real numbers. The gradient of a real
loss is then df/dRe + i df/dIm, which is PyTorch's convention.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from verify.evidence.precisions import BFLOAT16, COMPLEX, FLOATS
from verify.problem import as_array as numpy_array
from verify.problem import check_finite, check_unmasked

FRAMEWORKS = ("tensorflow", "mxnet", "cupy", "paddle")
"""Whose tensors are arrays neither of NumPy nor of JAX or PyTorch."""


@dataclass(frozen=True, eq=False)
class Tree:
    """The structure of a tree whose floating leaves are taken out, by name.

    `original` is the tree as it was given. `leaves` are all leaves in JAX's order, by name;
    those in `arrays` are floating and may be replaced, the others (integers, booleans, text) are
    constants; `arrays` are in the order in which the owner has them, complex ones as their parts
    (..., 2). `names` are the owner's for the elements of a tuple or a list, or for a bare array.
    """

    argument: str
    original: Any
    structure: Any
    leaves: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    names: Sequence[str] = ()

    def build(
        self,
        arrays: Mapping[str, np.ndarray],
        lay: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Any:
        """Return the tree with the floating leaves replaced, in whatever dtype they come.

        `lay` puts an array into the memory in which its leaf is to lie.
        """
        import jax

        if lay or not self._of_numpy:
            arrays = {name: self._made(name, array, lay) for name, array in arrays.items()}
        built = {**self.leaves, **arrays}
        if self.is_flat:
            return {name: built[name] for name in self.original}
        values = [*built.values()]
        if self._bare:
            return values[0]
        return _in_order_of(self.original, jax.tree_util.tree_unflatten(self.structure, values))

    def replaced(self, tree: Any, leaves: Mapping[str, Any]) -> Any:
        """Return a tree of the same structure with some leaves replaced, as `pick` has them."""
        import jax

        if self.complex:
            leaves = {name: self._whole(name, leaf) for name, leaf in leaves.items()}
        if self.is_flat:
            return {**tree, **leaves}
        values, structure = jax.tree_util.tree_flatten(tree)
        new = [leaves.get(k, x) for k, x in zip(self.leaves, values, strict=True)]
        return _in_order_of(tree, jax.tree_util.tree_unflatten(structure, new))

    @cached_property
    def _bare(self) -> bool:
        """Whether the tree is its only leaf."""
        from jax.tree_util import treedef_is_leaf

        return bool(treedef_is_leaf(self.structure))

    @cached_property
    def complex(self) -> frozenset[str]:
        """The names of the arrays that are the parts of complex numbers."""
        return frozenset(name for name in self.arrays if is_complex(self.leaves[name]))

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a floating leaf, as its owner has it."""
        shape = self.arrays[name].shape
        return shape[:-1] if name in self.complex else shape

    @property
    def dtypes(self) -> list[str]:
        """The dtypes of the floating leaves, each once."""
        return sorted({str(_dtype(self.leaves[name])) for name in self.arrays})

    @cached_property
    def _of_numpy(self) -> bool:
        """Whether every array is its leaf: real, and of NumPy."""
        leaves = [self.leaves[name] for name in self.arrays]
        return not self.complex and all(isinstance(leaf, np.ndarray) for leaf in leaves)

    def _made(
        self, name: str, array: np.ndarray, lay: Callable[[np.ndarray], np.ndarray] | None
    ) -> Any:
        whole = self._whole(name, array)
        return _like(self.leaves[name], lay(whole) if lay else whole)

    def _whole(self, name: str, leaf: Any) -> Any:
        return _joined(leaf) if name in self.complex else leaf

    @cached_property
    def is_flat(self) -> bool:
        """Whether the tree is a dict of leaves, as the arguments of most functions are."""
        return type(self.original) is dict and self.original.keys() == self.leaves.keys()

    def native(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return copies of the arrays in the dtypes that the leaves had, or their parts."""
        return {name: np.array(value, self.arrays[name].dtype) for name, value in arrays.items()}

    def without(self, names: Collection[str]) -> Tree:
        """Return the tree with some floating leaves made constants."""
        return replace(self, arrays={k: v for k, v in self.arrays.items() if k not in names})

    def under(self, branch: str) -> list[str]:
        """Return the names of the floating leaves below a top-level branch."""
        return [branch] if self.is_flat and branch in self.arrays else under(self.arrays, [branch])

    def read(self, argument: str, tree: Any, kinds: str = "fiu") -> dict[str, np.ndarray]:
        """Return the leaves of a tree of the same structure, as arrays of the same shapes.

        Only those are returned that are floating in this tree, bfloat16 as float32. Raises
        ValueError, naming the leaf, for any other structure or shape, or for a dtype of none of
        the kinds.
        """
        return {
            name: self._as_here(argument, name, leaf, kinds)
            for name, leaf in self._picked(argument, tree).items()
        }

    def pick(self, argument: str, tree: Any) -> dict[str, Any]:
        """Return the leaves of a tree of the same structure where this one is floating.

        Where this one is complex they are parts, as `arrays` are.
        """
        found = self._picked(argument, tree)
        return found | {name: parted(found[name]) for name in self.complex}

    def _picked(self, argument: str, tree: Any) -> dict[str, Any]:
        import jax

        # Nearly every call is of a few plain arrays, of which this is quicker than all below.
        if self.is_flat and type(tree) is dict and all(map(_is_plain, tree.values())):
            if tree.keys() == self.leaves.keys():
                return {name: tree[name] for name in self.arrays}
        elif self._bare and _is_plain(tree):
            return dict.fromkeys(self.arrays, tree)
        leaves, structure = jax.tree_util.tree_flatten(tree)
        if structure == self.structure:
            named = dict(zip(self.leaves, leaves, strict=True))
            for name in self.arrays:
                check_unmasked(argument if name == self.argument else name, named[name])
            return {name: named[name] for name in self.arrays}
        named = dict(_leaves(argument, tree, self.names)[0])
        theirs = {name: argument if name == self.argument else name for name in self.leaves}
        missing = [name for name in self.arrays if theirs[name] not in named]
        spare = sorted(set(named) - set(theirs.values()))
        if missing or spare:
            got = f"nothing for {missing[0]}" if missing else f"{spare[0]}, which is none of them"
            raise ValueError(
                f"{argument}: got {got}, expected one array for each of {self._listed()}"
            )
        return {name: named[theirs[name]] for name in self.arrays}

    def _as_here(self, argument: str, name: str, leaf: Any, kinds: str) -> np.ndarray:
        array = widened(leaf, f"{argument}: {name}")
        shape, parts = self.shape(name), name in self.complex
        if array.dtype.kind not in kinds + "c" * parts or array.shape != shape:
            raise ValueError(
                f"{argument}: got {array.dtype} of the shape {array.shape} for {name}, "
                f"expected {'complex' if parts else 'real'} numbers of the shape {shape}"
            )
        return parted(array) if parts else array

    def _listed(self) -> str:
        names = list(self.arrays)
        return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def under(leaves: Collection[str], branches: Sequence[str]) -> list[str]:
    """Return those of the leaves that are below some top-level branches."""
    return [
        name
        for name in leaves
        if any(name == branch or name.startswith(f"{branch}.") for branch in branches)
    ]


def flatten(
    argument: str,
    tree: Any,
    names: Sequence[str] = (),
    fixed: Callable[[Mapping[str, Any]], Collection[str]] | None = None,
) -> Tree:
    """Take a tree apart, its floating leaves finite.

    `fixed` returns which of the leaves, by name, are constants though they are floating; these
    need not be finite. Raises ValueError, naming the argument or the leaf, if none is floating, if
    one is not finite, or for a tensor of another framework.
    """
    if isinstance(tree, MappingProxyType):
        tree = dict(tree)  # the params of a Problem, which JAX would take for a leaf
    named, structure = _leaves(argument, tree, names)
    for name, leaf in named:
        if type(leaf).__module__.partition(".")[0] in FRAMEWORKS:
            raise ValueError(
                f"{name}: got a {type(leaf).__module__.partition('.')[0]} {type(leaf).__name__}, "
                "expected an array of NumPy, JAX or PyTorch"
            )
    constants = fixed(dict(named)) if fixed else ()
    arrays = {
        name: check_finite(name, _floating(leaf, name))
        for name, leaf in _leaves(argument, _as_owned(tree), names)[0]
        if is_floating(leaf) and name not in constants
    }
    if constants and not arrays and any(map(is_floating, dict(named).values())):
        raise ValueError("constants: got every argument, expected one to be differentiated")
    if not any(array.size for array in arrays.values()):
        got = ", ".join(f"{_kind(leaf)} for {name}" for name, leaf in named[:3])
        raise ValueError(
            f"{argument}: got {got or type(tree).__name__}, expected an array of floating-point "
            "numbers, or a tree with one in it"
        )
    return Tree(argument, tree, structure, dict(named), arrays, names)


def nameless(tree: Any) -> int:
    """Return how many elements of a tree have no names of their own, if the tree is one array 1."""
    from jax.tree_util import all_leaves

    return len(tree) if type(tree) in (tuple, list) else int(all_leaves([tree]))


def integers_as_numbers(argument: str, tree: Any) -> Any:
    """Return a tree with its plain integers as float64 where nothing in it is floating.

    So `theta = 4` is a number; beside floating leaves an integer is a constant, and stays.
    """
    import jax

    leaves = [leaf for _, leaf in _leaves(argument, tree)[0]]
    if any(map(is_floating, leaves)) or int not in map(type, leaves):
        return tree
    numbers = jax.tree_util.tree_map(lambda x: float(x) if type(x) is int else x, tree)
    return _in_order_of(tree, numbers)


def has_strides(leaf: Any) -> bool:
    """Say whether a leaf is an array in memory of any layout: of NumPy or PyTorch, not of JAX."""
    return isinstance(leaf, np.ndarray) or _is_tensor(leaf)


def widened(leaf: Any, name: str) -> np.ndarray:
    """Return a number or an array as NumPy's, bfloat16 as float32, which holds it exactly."""
    array = leaf if type(leaf) is np.ndarray else as_array(leaf, name)
    return array.astype(np.float32) if array.dtype == BFLOAT16 else array


def _floating(leaf: Any, name: str) -> np.ndarray:
    """Return a copy of a leaf that says that it is floating; raise ValueError if it is not.

    A complex one is its parts.
    """
    array = np.array(as_array(leaf, name), order="C")
    if array.dtype not in FLOATS + COMPLEX:
        got = f"{type(leaf).__name__} that NumPy reads as {array.dtype}"
        raise ValueError(f"{name}: got a {got}, expected an array of floating-point numbers")
    return array if array.dtype in FLOATS else parted(array)


def parted(leaf: Any) -> Any:
    """Return the real and imaginary parts of numbers along a last axis of two.

    Those of a tensor or of an array of JAX may be differentiated.
    """
    if _is_tensor(leaf):
        import torch

        whole = leaf if leaf.is_complex() else torch.complex(leaf, torch.zeros_like(leaf))
        return torch.view_as_real(whole.resolve_conj())
    if isinstance(leaf, (np.ndarray, np.generic, int, float, complex)):
        return np.stack([np.real(leaf), np.imag(leaf)], axis=-1)
    import jax.numpy as jnp

    return jnp.stack([jnp.real(leaf), jnp.imag(leaf)], axis=-1)


def _joined(parts: Any) -> Any:
    """Return the complex numbers whose parts lie along the last axis, in the same memory.

    Those of a tensor or of an array of JAX may be differentiated. Raises TypeError for parts that
    are complex: a complex step along a part is no complex number.
    """
    if _is_tensor(parts):
        import torch

        adjacent = parts.stride(-1) == 1 and not any(s % 2 for s in parts.stride()[:-1])
        return torch.view_as_complex(parts if adjacent else parts.contiguous())
    if isinstance(parts, np.ndarray):
        if parts.dtype.kind == "c":
            raise TypeError("the parts of complex numbers are complex")
        whole = np.ascontiguousarray(parts)
        return whole.view(np.result_type(whole, np.complex64))[..., 0]
    import jax

    return jax.lax.complex(parts[..., 0], parts[..., 1])


def as_array(leaf: Any, name: str) -> np.ndarray:
    """Return a number, an array or a tensor of PyTorch as an array of NumPy's, of its dtype.

    Sparse arrays of SciPy become dense.

    Raises ValueError, with the name, for what is none.
    """
    if not _is_tensor(leaf):
        sparse = type(leaf).__module__.startswith("scipy.sparse")
        return numpy_array(name, leaf.toarray() if sparse else leaf)
    import torch

    if leaf.dtype == torch.bfloat16:
        return np.asarray(leaf.detach().view(torch.int16).numpy(force=True)).view(BFLOAT16)
    return np.asarray(leaf.numpy(force=True))


def _is_plain(leaf: Any) -> bool:
    """Say whether a leaf is an array of NumPy's own type, without a mask, or of PyTorch."""
    return type(leaf) is np.ndarray or _is_tensor(leaf)


def _is_tensor(leaf: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(leaf, torch.Tensor)


def tensor_of(array: np.ndarray, device: Any) -> Any:
    """Return an array as a tensor of PyTorch on a device, with its strides, and its memory there.

    An array whose strides are 0 is one of a number's own, expanded.
    """
    import torch

    if array.size > 1 and 0 in array.strides:
        one = array[tuple(slice(1) for _ in array.shape)].copy()
        return tensor_of(one, device).expand(array.shape)
    if array.dtype == BFLOAT16:
        tensor = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(array)
    if tensor.device == device:
        return tensor
    there = tensor.to(device)
    if there.stride() == tensor.stride() or not array.size:
        return there
    span = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    memory = tensor.as_strided((span,), (1,)).to(device)
    return memory.as_strided(tensor.shape, tensor.stride())


def _leaves(argument: str, tree: Any, own: Sequence[str] = ()) -> tuple[list[tuple[str, Any]], Any]:
    """Return the leaves of a tree by name, and its structure; `own` name its elements."""
    from jax.tree_util import keystr, tree_flatten_with_path

    try:
        paths, structure = tree_flatten_with_path(tree)
    except ValueError as error:
        if "dictionary keys" not in str(error):
            raise
        raise ValueError(
            f"{argument}: got a dict whose keys cannot be sorted, expected keys of one type in a "
            "dict, as JAX does"
        ) from error
    names = [keystr(path, simple=True, separator=".") or argument for path, _ in paths]
    if own:
        names = [
            ".".join([own[path[0].idx if path else 0], *name.split(".")[1:]])
            for name, (path, _) in zip(names, paths, strict=True)
        ]
    if len(set(names)) < len(names):
        names = [keystr(path) for path, _ in paths]
    leaves = [(name, leaf) for name, (_, leaf) in zip(names, paths, strict=True)]
    for name, leaf in leaves:
        check_unmasked(name, leaf)
    return leaves, structure


def _in_order_of(original: Any, tree: Any) -> Any:
    """Put the keys of all dicts in a tree into the order that they have in the original."""
    from jax.tree_util import tree_map

    def ordered(ours: Any, theirs: Any) -> Any:
        if _is_dict(ours):
            for key, value in ours.items():
                theirs[key] = _in_order_of(value, theirs.pop(key))
        return theirs

    return tree_map(ordered, original, tree, is_leaf=_is_dict)


def _as_owned(tree: Any) -> Any:
    """Return the tree with its dicts as JAX leaves them in the order that they have."""
    from jax.tree_util import tree_map

    return tree_map(
        lambda x: OrderedDict((k, _as_owned(v)) for k, v in x.items()) if _is_dict(x) else x,
        tree,
        is_leaf=_is_dict,
    )


def _is_dict(node: Any) -> bool:
    """Return whether a node is of the kinds of dicts whose keys JAX sorts."""
    return type(node) in (dict, defaultdict)


def is_floating(leaf: Any) -> bool:
    """Return whether a leaf is a number or an array of floating point, real or complex."""
    dtype = _dtype(leaf)
    return dtype is not None and dtype in FLOATS + COMPLEX  # None is equal to float64


def is_complex(leaf: Any) -> bool:
    """Return whether a leaf is a complex number or an array of them."""
    dtype = _dtype(leaf)
    return dtype is not None and dtype in COMPLEX


def _dtype(leaf: Any) -> np.dtype | None:
    """Return the dtype of a number or an array, None for anything else."""
    dtype = getattr(leaf, "dtype", None)
    if _is_tensor(leaf):
        name = str(dtype).removeprefix("torch.")
        return np.dtype(name) if hasattr(np, name) or name == BFLOAT16.name else None
    if dtype is None and isinstance(leaf, (bool, int, float, complex)):
        return np.asarray(leaf).dtype
    return dtype if isinstance(dtype, np.dtype) else None


def _kind(leaf: Any) -> str:
    """Return what a leaf is, for somebody who meant it to be an array of numbers."""
    dtype = _dtype(leaf)
    if dtype is None:
        return "None" if leaf is None else type(leaf).__name__
    return f"an empty array of {dtype}" if np.size(leaf) == 0 else str(dtype)


def _like(leaf: Any, array: np.ndarray) -> Any:
    """Return the array as the kind of thing that the leaf is: a number, NumPy's or JAX's."""
    if isinstance(leaf, np.ndarray):
        return array
    if isinstance(leaf, (float, complex, np.generic)):
        return array[()]
    if _is_tensor(leaf):
        # What JAX traces stays what it is.
        if not isinstance(array, (np.ndarray, np.generic)):
            return array
        tensor = tensor_of(np.asarray(array), leaf.device)
        return tensor.requires_grad_() if leaf.requires_grad else tensor
    if array.dtype not in FLOATS and not is_complex(leaf):
        return array
    import jax.numpy as jnp

    return jnp.asarray(array)
