"""Whether the names `verify`, `manual` and `autodiff` find Backproof's own packages here.

Any project may have a module of one of these names. Nothing of ours is imported to find out.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

_HOME = Path(__file__).resolve().parent.parent


def refuse_strangers() -> None:
    """Raise ImportError if `import verify`, `manual` or `autodiff` would not find ours."""
    for name in ("verify", "manual", "autodiff"):
        found = _found(name)
        if not is_ours(found):
            raise ImportError(
                f"{name}: got {found or 'nothing'}, expected Backproof's own package in {_HOME}; "
                "rename yours, or start Python where it does not find yours first"
            )


def is_ours(file: str | None) -> bool:
    """Whether a file lies in a package beside this one."""
    return file is not None and Path(file).resolve().parent.parent == _HOME


def _found(name: str) -> str | None:
    """Return the file that `import name` gives: that of the loaded module, if there is one."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    spec = find_spec(name)
    return None if spec is None else spec.origin
