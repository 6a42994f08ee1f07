"""What holds on a GPU: `python -m tests.device`."""
