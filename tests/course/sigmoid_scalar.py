import math

def basic_sigmoid(x):
    """One number at a time."""
    return 1 / (1 + math.exp(-x))
