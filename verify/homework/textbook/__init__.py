"""The exercises of which the right function is known: deeplearning.ai, courses 1 and 2."""
