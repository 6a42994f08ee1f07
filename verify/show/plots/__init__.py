"""Every figure, each a function that returns a matplotlib `Figure` with one message.

    cost_curve(iterations, costs)                    the cost of one training
    cost_curves({label: (iterations, costs)})        of several, to compare
    decision_boundary(network, X, labels, classes)   the probabilities of a network of two features
    decision_boundaries({title: network}, X, ...)    of several: sizes, initialisers, penalties
    mislabelled(images, true, predicted)             the pictures that a model got wrong
    difference_maps(report)                          where two gradients differ, entry by entry
    error_bars(report)                               every difference against its error bar
    network(layers)                                  the units of a network, and its weights
    computation_graph(activations)                   its operations, forward and back
    speed(rows)                                      how long a step takes by each implementation
    save(figure, path)                               whole or not at all

A `network` is a function from X (2, k) to the output AL, (1, k) for sigmoid or (classes, k)
for softmax: `lambda X: manual.forward(params, X, hidden=hidden, output=output)[0]`.

Nothing here touches pyplot or matplotlib's global settings, so it draws the same in a thread,
a notebook and a pipe; matplotlib is imported when a figure is asked for. Every figure reads in
greyscale: maps are perceptually uniform (Nuñez, Anderton & Renslow, 2018), and what differs in
colour differs in marker, line or hatch too.
"""

from verify.show.plots.canvas import save
from verify.show.plots.diagrams import computation_graph, network
from verify.show.plots.evidence import difference_maps, error_bars, speed
from verify.show.plots.learning import (
    Network,
    cost_curve,
    cost_curves,
    decision_boundaries,
    decision_boundary,
    mislabelled,
)

__all__ = [
    "Network",
    "computation_graph",
    "cost_curve",
    "cost_curves",
    "decision_boundaries",
    "decision_boundary",
    "difference_maps",
    "error_bars",
    "mislabelled",
    "network",
    "save",
    "speed",
]
