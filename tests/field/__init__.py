"""The field test: planted mistakes and hard correct gradients, put to every checker there is.

    python -m tests.field [--json FILE] [--only NAME ...] [--list]

- `cases`: the problems, the mistakes, and what makes a correct gradient hard
- `oracle`: what the gradient is, in extended precision, without a line of calculus
- `checkers`: ours and the others, each a function from a case to whether it accepts it
"""
