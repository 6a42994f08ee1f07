"""Finite differences: of any function, within a budget, and of every weight of a network."""
