"""Hand-written backpropagation, proved right three ways.

    import backproof

    backproof.compare(loss, grads, params)

hands on the public names of `verify`, each when it is first used (PEP 562): importing it loads
neither JAX nor matplotlib. There is no logic here but one check: `verify`, `manual` and `autodiff`
are names that other projects have too, so where a name of ours is asked for and Python would
import somebody else's module, that is said in one sentence.
"""

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verify import *  # noqa: F403

_OURS = ("verify", "manual", "autodiff")


def _refuse_strangers() -> None:
    """Raise ImportError if `import verify`, `manual` or `autodiff` would not find ours."""
    home = Path(__file__).resolve().parent.parent
    for name in _OURS:
        spec = find_spec(name)
        found = None if spec is None else spec.origin
        if found is None or Path(found).resolve().parent.parent != home:
            raise ImportError(
                f"{name}: got {found or 'nothing'}, expected Backproof's own package of that name "
                f"in {home}; rename yours, or run Python where it is not found first"
            )


if "_pytest" not in sys.modules:
    # pytest imports this package for its plugin, in projects that never use it.
    _refuse_strangers()


def __getattr__(name: str) -> object:
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module 'backproof' has no attribute {name!r}")
    _refuse_strangers()
    verify = importlib.import_module("verify")
    if name != "__all__" and name not in verify.__all__:
        raise AttributeError(f"module 'backproof' has no attribute {name!r}")
    return getattr(verify, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module("verify").__all__})
