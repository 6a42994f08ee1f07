"""Where somebody's code runs: its namespace, its calls, and the process that contains it."""
