"""The figures that the course documents print, recomputed and compared.

    for figure in load_figures():
        print(reproduce(figure))

The printed figures are facts, kept with their sources in figures.json. `recipes`
says how each kind is computed, by the public functions of the two networks; `judgement` to how
many digits the two agree, and how many are asked for.
"""

from verify.course.reproduce.figures import Computed, Figure, load_figures
from verify.course.reproduce.judgement import Outcome, judge
from verify.course.reproduce.recipes import compute

__all__ = ["Computed", "Figure", "Outcome", "compute", "judge", "load_figures", "reproduce"]


def reproduce(figure: Figure) -> Outcome:
    """Recompute one figure and compare it with what is printed.

    A figure whose data is absent comes back uncomputed, with the cure as its remark.
    """
    from verify.course.datasets import DataAbsentError

    try:
        return judge(figure, compute(figure))
    except DataAbsentError as absent:
        return Outcome(figure["id"], agree=None, remark=str(absent))
