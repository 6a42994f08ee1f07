"""The network by hand: NumPy, and nothing else.

Each operation stands beside its backward, and each is usable alone:

- `activations`: sigmoid, relu, tanh, leaky relu, softmax
- `layers`: linear, inverted dropout
- `losses`: cross-entropy from logits, the L2 penalty, the course's clipped cost
- `network`: the layers composed
- `rows`: softmax and normalisation where examples are rows
- `initializers`, `training`: where parameters come from, and where they go
- `span`: the same training where features far outnumber examples
"""

from manual.activations import (
    ACTIVATIONS,
    Activation,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
    tanh,
    tanh_backward,
)
from manual.initializers import INITIALIZERS, initialize
from manual.layers import (
    dropout,
    dropout_backward,
    linear,
    linear_backward,
    linear_backward_input,
    linear_backward_params,
)
from manual.losses import (
    clipped_cross_entropy,
    cross_entropy_backward,
    l2_penalty,
    l2_penalty_backward,
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)
from manual.network import (
    LOSSES,
    LayerCache,
    backward,
    forward,
    intermediate_grads,
    loss,
    loss_and_grads,
    output_backward,
    predict,
)
from manual.rows import (
    normalize,
    normalize_backward,
    normalize_rows,
    normalize_rows_backward,
    softmax_rows,
    softmax_rows_backward,
)
from manual.training import STRATEGIES, choose_strategy, descend, steps

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "LOSSES",
    "STRATEGIES",
    "Activation",
    "LayerCache",
    "backward",
    "choose_strategy",
    "clipped_cross_entropy",
    "cross_entropy_backward",
    "descend",
    "dropout",
    "dropout_backward",
    "forward",
    "initialize",
    "intermediate_grads",
    "l2_penalty",
    "l2_penalty_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "linear_backward_input",
    "linear_backward_params",
    "loss",
    "loss_and_grads",
    "normalize",
    "normalize_backward",
    "normalize_rows",
    "normalize_rows_backward",
    "output_backward",
    "predict",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "sigmoid_cross_entropy",
    "sigmoid_cross_entropy_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "softmax_rows",
    "softmax_rows_backward",
    "steps",
    "tanh",
    "tanh_backward",
]
