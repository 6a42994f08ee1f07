"""Hand-written backpropagation, proved right three ways.

    import backproof

    backproof.compare(loss, grads, params)

hands on the public names of `verify`, each when it is first used (PEP 562): importing it loads
neither JAX nor matplotlib. There is no logic here but one check: `verify`, `manual` and `autodiff`
are names that other projects have too, so where Python would import somebody else's module by
one of them, `import backproof` says so in one sentence.
"""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backproof.name_clash import refuse_strangers

# pytest imports this package for its plugin, in projects that never use it: there the check waits
# until a name is used. The command line says the same without a traceback.
if "_pytest" not in sys.modules and Path(*sys.argv[:1]).stem not in ("-m", "backproof"):
    refuse_strangers()


def load_ipython_extension(shell: Any) -> None:
    """Add the magic `%%backproof` to a notebook: what `%load_ext backproof` calls."""
    refuse_strangers()
    from verify.notebook import load_ipython_extension

    load_ipython_extension(shell)


if TYPE_CHECKING:
    from backproof import testing as testing
    from verify import *  # noqa: F403
else:

    def __getattr__(name: str) -> object:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module 'backproof' has no attribute {name!r}")
        refuse_strangers()
        if name == "testing":
            return importlib.import_module("backproof.testing")
        import verify

        if name != "__all__" and name not in verify.__all__:
            raise AttributeError(f"module 'backproof' has no attribute {name!r}")
        value = getattr(verify, name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        refuse_strangers()
        import verify

        return sorted({*globals(), *verify.__all__})
