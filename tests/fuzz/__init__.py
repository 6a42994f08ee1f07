"""Thousands of damaged inputs, each drawn from a seed: what is at fault must be said by name."""
