"""The command line: `backproof COMMAND`, from its arguments to its exit status.

Wrong input raises a ValueError, an OSError or a MemoryError somewhere below; it is written as one
sentence on stderr, with status 2. Ctrl-C and SIGTERM both raise a KeyboardInterrupt, so that
what is temporary is removed. The commands and click are imported after Ctrl-C is caught, because
importing them takes a while.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

AGREES, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 2, 130, 143


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status; after a closed pipe, by SIGPIPE as usual."""
    _open_closed_streams()
    terminated: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: _interrupt(terminated, number))
    try:
        status = _status(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python ignores SIGPIPE by default; here nobody reads the output any more.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.raise_signal(signal.SIGPIPE)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr, flush=True)
        # Threads of JAX or PyTorch, stopped halfway, may crash the interpreter as it ends.
        os._exit(TERMINATED if terminated else INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(status)


def _interrupt(received: list[int], number: int) -> None:
    received.append(number)
    raise KeyboardInterrupt


def _open_closed_streams() -> None:
    """Open standard streams that are closed on /dev/null, so that no file gets their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _status(arguments: list[str] | None) -> int:
    """Run the command line and return its status."""
    import click

    from verify.cli.app import app

    try:
        with _interruptible():
            given = sys.argv[1:] if arguments is None else arguments
            return app.main(given, standalone_mode=False, obj=given) or AGREES
    except SystemExit as exited:
        # click ends so when it has completed a word for the shell, with status 0; both click and
        # rich do with status 1 when standard output is a closed pipe.
        if not exited.code:
            return AGREES
        raise BrokenPipeError from exited
    except click.exceptions.NoArgsIsHelpError as fault:
        print(fault.format_message(), file=sys.stderr)
        return BAD_INPUT
    except click.ClickException as fault:
        return _refuse(_in_our_words(fault))
    except click.Abort as fault:
        raise KeyboardInterrupt from fault
    except (ValueError, OSError) as fault:
        return _refuse(str(fault))
    except MemoryError as fault:
        return _refuse(f"not enough memory: {fault}")


def _in_our_words(fault: click.ClickException) -> str:
    """Return what click refuses as all else is refused: what it got, and what is expected."""
    import click

    says = fault.format_message()
    if not isinstance(fault, click.BadParameter) or fault.param is None:
        return says
    name = max(fault.param.opts, key=len).lstrip("-")
    for pattern, kinds in _REFUSALS.items():
        if found := re.search(pattern, says):
            got, expected = found.groups()
            return f"{name}: got {got}, expected {kinds.get(expected, expected)}"
    return says


_REFUSALS: dict[str, dict[str, str]] = {
    r": (\S+) is not a valid (float|integer)": {"float": "a number", "integer": "a whole number"},
    r": (\S+) is not in the range (\S+)\.$": {},
}
"""What click says, with what it got and what it expects, and these in our words."""


@contextmanager
def _interruptible() -> Iterator[None]:
    """Send Ctrl-C again where it came during a callback of C code, which drops all exceptions.

    JAX runs such a callback at every garbage collection.
    """
    hook = sys.unraisablehook

    def deliver(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            hook(unraisable)

    sys.unraisablehook = deliver
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _refuse(sentence: str) -> int:
    from verify.printable import echo

    print(f"Error: {' '.join(map(echo, sentence.split()))}", file=sys.stderr)
    return BAD_INPUT
