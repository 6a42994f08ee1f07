"""The command line: `backproof COMMAND`, or `python -m backproof COMMAND`."""

import sys

from backproof.name_clash import refuse_strangers


def main() -> None:
    """Run the command line; if Python finds somebody else's packages, say so and exit with 2."""
    try:
        refuse_strangers()
    except ImportError as fault:
        print(f"Error: {fault}", file=sys.stderr)
        sys.exit(2)
    from verify.cli import main as run

    run()


if __name__ == "__main__":
    main()
