"""Starts the server, as a program of its own: `python -P start.py HOME PROGRAM ARGUMENT...`.

The packages come from the folder `HOME` and from nowhere else, so that the server is of the same
checkout as the command that started it, whatever else is installed. The current folder, in which
somebody's numpy.py may lie, is not on the path (-P).
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

PACKAGES = ("manual", "autodiff", "verify")


def main(home: str, program: str, *arguments: str) -> None:
    """Import the packages from `home`, and hand the arguments to the `main` of the program."""
    for name in PACKAGES:
        spec = PathFinder.find_spec(name, [home])
        if spec is None or spec.loader is None:
            raise ImportError(f"{home}: got no package {name}, expected one")
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    importlib.import_module(program).main(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
