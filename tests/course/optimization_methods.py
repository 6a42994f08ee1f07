import numpy as np
from opt_utils import *

def update_parameters_with_gd(parameters, grads, learning_rate):
    for l in range(len(parameters) // 2):
        parameters["W" + str(l + 1)] = parameters["W" + str(l + 1)] - learning_rate * grads["dW" + str(l + 1)]
    return parameters

def random_mini_batches(X, Y, mini_batch_size=64, seed=0):
    return [(X, Y)]
