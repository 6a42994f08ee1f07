"""Compares, and drives."""
