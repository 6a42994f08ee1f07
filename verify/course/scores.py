"""Accuracy and confusion matrix, and a baseline to compare with.

The baseline is scikit-learn's logistic regression on the same examples, its strength of
regularisation chosen by cross-validation.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Score:
    """Counts of examples: confusion[true, predicted]."""

    confusion: Int[Array, "classes classes"]

    @property
    def count(self) -> int:
        """The number of examples."""
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        """The number of examples whose predicted class is the true one."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The share of examples that are right."""
        return self.right / self.count

    @property
    def only(self) -> int | None:
        """The class that is answered to every example, where the examples are of several."""
        answered, true = (np.flatnonzero(self.confusion.sum(axis=axis)) for axis in (0, 1))
        return int(answered[0]) if len(answered) == 1 and len(true) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Return the score as plain data."""
        return {
            "accuracy": self.accuracy,
            "right": self.right,
            "examples": self.count,
            "confusion": self.confusion.tolist(),
        }


def score(predicted: Int[Array, " m"], labels: Int[Array, " m"], classes: int) -> Score:
    """Count predicted classes (m,) against true ones (m,), both indices below `classes`."""
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    return Score(confusion)


def table(scored: Score, classes: Sequence[str]) -> str:
    """Return the confusion matrix as text: true classes in rows, predicted ones in columns."""
    rows = [f"is {name}" for name in classes]
    columns = [f"called {name}" for name in classes]
    first = max(map(len, rows))
    lines = [" " * first + "".join(f"  {column}" for column in columns)]
    for row, counts in zip(rows, scored.confusion, strict=True):
        cells = (f"  {count:>{len(column)}}" for count, column in zip(counts, columns, strict=True))
        lines.append(f"{row:<{first}}" + "".join(cells))
    return "\n".join(lines)


def logistic_regression(
    X: Float[Array, "n_0 m"], labels: Int[Array, " m"], others: Sequence[Float[Array, "n_0 _"]] = ()
) -> tuple[float, tuple[Int[Array, " _"], ...]]:
    """Fit scikit-learn's LogisticRegressionCV to X; predict the classes of X and of the others.

    Returns the inverse strength C of the penalty that it chose, and the predictions.

    Where features outnumber examples, both are first rotated into the span of X, where the
    penalised optimum lies (Kimeldorf & Wahba, 1971): the same fit from far fewer numbers.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegressionCV

    if X.shape[0] > X.shape[1]:
        basis, _ = np.linalg.qr(X)
        X, *others = (basis.T @ each for each in (X, *others))
    fitted = LogisticRegressionCV(max_iter=1000)
    with warnings.catch_warnings():
        # It warns of the defaults of later versions, and of a fit that stops early.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(X.T, labels)
    chosen = float(np.max(fitted.C_))
    return chosen, tuple(fitted.predict(each.T) for each in (X, *others))
