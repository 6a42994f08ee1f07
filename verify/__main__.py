"""`python -m verify`: the command line, where the `backproof` script is not on the path."""

from verify.cli import main

main()
