"""The figures that the course documents print, recomputed and compared.

    for figure in load_figures():
        print(reproduce(figure))

The printed figures are kept with their sources in figures.json. `recipes` says how each kind is
computed, by the public functions of the two networks; `digits` says to how many digits printed
and computed figures agree, and how many are enough.
"""

from verify.course.reproduce.agreeing_digits import Reproduction, judge
from verify.course.reproduce.figure_functions import compute
from verify.course.reproduce.printed_figures import Computed, Figure, load_figures

__all__ = ["Computed", "Figure", "Reproduction", "compute", "judge", "load_figures", "reproduce"]


def reproduce(figure: Figure) -> Reproduction:
    """Recompute one figure and compare it with what is printed.

    A figure whose data is absent has `agree` None, and a remark that says how to get the data.
    """
    from verify.course.datasets import DataAbsentError

    try:
        return judge(figure, compute(figure))
    except DataAbsentError as absent:
        return Reproduction(figure["id"], agree=None, remark=str(absent))
