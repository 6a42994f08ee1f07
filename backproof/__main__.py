"""The command line: `backproof COMMAND`, or `python -m backproof COMMAND`."""

import sys


def main() -> None:
    """Run the command line; say in one sentence if its packages are not to be found."""
    try:
        from backproof import _refuse_strangers

        _refuse_strangers()
    except ImportError as fault:
        print(f"Error: {fault}", file=sys.stderr)
        sys.exit(2)
    from verify.cli import main as run

    run()


if __name__ == "__main__":
    main()
