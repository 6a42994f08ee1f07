"""Somebody else's .py and .ipynb files: read, run where it does no harm, judged, reported."""
