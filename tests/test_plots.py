"""Figures: what they show, that they read without colour, and that they land on disk whole."""

from __future__ import annotations

import subprocess
import sys
import threading
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.contour import ContourSet

from verify.report import PAIRS, Fact, Loss, Pair, Report, Resolution, Tensor, over_bar
from verify.show import plots
from verify.show.plots.evidence import MAP_SIDE


def ramp(X):
    """Return a network whose probability is 0.5 along x1 = 0.25."""
    return 1 / (1 + np.exp(-8 * (X[:1] - 0.25)))


def thirds(X):
    """Return a softmax network of three classes, split at x1 = -0.3 and x1 = 0.3."""
    logits = 20 * np.stack([-X[0] - 0.3, np.zeros(X.shape[1]), X[0] - 0.3])
    e = np.exp(logits - logits.max(axis=0))
    return e / e.sum(axis=0)


@pytest.fixture
def points():
    X = np.random.default_rng(0).uniform(-1, 1, (2, 60))
    return X, (X[0] > 0.25).astype(int)


def tensor(name, difference, bar, *, pair=PAIRS[0], index=None, directions=0):
    difference = np.asarray(difference, float)
    flat = difference.ravel()
    index = np.arange(flat.size) if index is None else np.asarray(index)
    bars = np.broadcast_to(np.asarray(bar, float), difference.shape).ravel()[index]
    ratio = float(over_bar(flat[index], bars).max(initial=0))
    compared = Pair(0.0, 0.0, ratio, ratio <= 1, index, flat[index], flat[index], bars)
    return Tensor(
        name,
        difference.shape,
        entries_checked=0,
        kinks=0,
        pairs={pair: compared},
        value=np.zeros(difference.shape),
        verdict="agree" if ratio <= 1 else "disagree",
        resolution=Resolution(0.0, 0.0, 1.0, "rounding"),
        directions_checked=directions,
    )


def report(*tensors, verdict="disagree"):
    return Report(verdict, Fact("three-agree"), Loss(0.0, 0.0, agree=True), tensors)


@pytest.fixture
def one_wrong_entry():
    differences = np.full((5, 4), 1e-17)
    differences[3, 2] = 1e-3
    return report(
        tensor("W1", differences, 1e-15),
        tensor("b1", np.zeros((5, 1)), 1e-15),
    )


ROWS = [
    {"name": "cats", "dtype": "float64", "ms_per_step": {"NumPy": 8.0, "JAX": 2.0, "Torch": 4.0}},
    {"name": "flower", "dtype": "float64", "ms_per_step": {"NumPy": 0.1, "JAX": 0.02}},
]


def every_figure(points, one_wrong_entry):
    X, labels = points
    return {
        "cost_curve": plots.cost_curve([0, 100, 200], [0.7, 0.5, 0.4]),
        "cost_curves": plots.cost_curves({"a": ([0, 1], [1, 2]), "b": ([0, 1], [2, 1])}),
        "decision_boundary": plots.decision_boundary(ramp, X, labels, ("no", "yes")),
        "decision_boundaries": plots.decision_boundaries(
            {"one": ramp, "two": ramp}, X, labels, ("no", "yes")
        ),
        "difference_maps": plots.difference_maps(one_wrong_entry),
        "error_bars": plots.error_bars(one_wrong_entry),
        "speed": plots.speed(ROWS),
    }


def test_every_axis_is_labelled_and_every_quantity_has_a_unit(points, one_wrong_entry):
    for name, figure in every_figure(points, one_wrong_entry).items():
        labels = [label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel())]
        counted = {"", "iteration", "row", "column"}
        assert any(labels), name
        assert all("(" in label for label in labels if label not in counted), (name, labels)


def test_drawing_leaves_matplotlib_as_it_was(points, one_wrong_entry):
    before = dict(matplotlib.rcParams)
    every_figure(points, one_wrong_entry)
    assert dict(matplotlib.rcParams) == before


def test_neither_importing_nor_drawing_loads_pyplot():
    script = (
        "import sys; from verify.show import plots; assert 'matplotlib' not in sys.modules;"
        "plots.cost_curve([0], [1.0]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)


def test_a_figure_can_be_drawn_and_saved_off_the_main_thread(tmp_path):
    def draw():
        plots.save(plots.cost_curve([0, 1], [1.0, 0.5]), tmp_path / "cost.png")

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join(30)
    assert (tmp_path / "cost.png").stat().st_size > 1000


# Costs.


def test_curves_differ_in_line_and_marker_as_well_as_in_shade():
    curves = {f"run {i}": ([0, 1, 2], [1.0, 0.5, 0.3]) for i in range(5)}
    lines = plots.cost_curves(curves).axes[0].get_lines()
    assert len({line.get_marker() for line in lines}) == 5
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in lines}) == 5


def test_a_cost_that_is_not_finite_is_a_gap_in_its_curve():
    line = plots.cost_curve([0, 1, 2], [np.inf, 0.5, np.nan]).axes[0].get_lines()[0]
    np.testing.assert_array_equal(line.get_ydata(), [np.nan, 0.5, np.nan])


def test_the_cost_axis_is_logarithmic_where_costs_span_decades_and_else_starts_at_zero():
    wide = plots.cost_curve([0, 1], [1773.6, 0.4]).axes[0]
    narrow = plots.cost_curve([0, 1], [0.7, 0.4]).axes[0]
    assert wide.get_yscale() == "log"
    assert narrow.get_yscale() == "linear"
    assert narrow.get_ylim()[0] == 0


def test_a_lone_curve_has_no_legend_and_several_have_theirs():
    assert plots.cost_curve([0], [1.0]).legends == []
    (legend,) = plots.cost_curves({"a": ([0], [1.0]), "b": ([0], [2.0])}).legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]


@pytest.mark.parametrize("label", ["none", "upstream-negated", "derivative-of-another-activation"])
def test_the_legend_of_many_curves_fits_and_covers_none_of_them(label):
    curves = {f"{label}{n}": ([0, 1, 2], [1.0, 0.01 * n, 0.9]) for n in range(7)}
    figure = plots.cost_curves(curves)
    figure.draw_without_rendering()
    (legend,), (axes,) = figure.legends, figure.axes
    box = legend.get_window_extent()
    assert box.y1 <= axes.get_tightbbox().y0
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1


# Decision boundaries.


def boundary_points(axes):
    """Return the vertices of the drawn boundary lines."""
    lines = [c for c in axes.collections if isinstance(c, ContourSet) and not c.filled]
    vertices = [path.vertices for line in lines for path in line.get_paths()]
    return np.concatenate([v for v in vertices if len(v)])


def test_the_boundary_is_drawn_where_the_probability_is_one_half(points):
    X, labels = points
    axes = plots.decision_boundary(ramp, X, labels, ("no", "yes")).axes[0]
    drawn = boundary_points(axes)
    np.testing.assert_allclose(drawn[:, 0], 0.25, atol=1e-3)


def test_the_boundary_of_three_classes_is_drawn_where_the_winner_changes(points):
    X, _ = points
    labels = np.digitize(X[0], [-0.3, 0.3])
    axes = plots.decision_boundary(thirds, X, labels, ("a", "b", "c")).axes[0]
    drawn = boundary_points(axes)
    np.testing.assert_allclose(np.abs(drawn[:, 0]), 0.3, atol=2e-3)
    assert {-1.0, 1.0} == set(np.sign(drawn[:, 0]))


def test_a_network_that_never_decides_has_no_boundary(points):
    X, labels = points
    flat = plots.decision_boundary(lambda X: np.full((1, X.shape[1]), 0.5), X, labels, ("n", "y"))
    with_line = plots.decision_boundary(ramp, X, labels, ("n", "y"))
    assert len(flat.axes[0].collections) == len(with_line.axes[0].collections) - 2


def test_examples_lie_above_the_boundary_each_class_with_its_own_marker(points):
    X, labels = points
    axes = plots.decision_boundary(ramp, X, labels, ("no", "yes")).axes[0]
    scatters = [c for c in axes.collections if isinstance(c, PathCollection)]
    assert [len(s.get_offsets()) for s in scatters] == [np.sum(labels == 0), np.sum(labels == 1)]
    assert len({len(s.get_paths()[0].vertices) for s in scatters}) == 2
    others = [c.get_zorder() for c in axes.collections if c not in scatters]
    assert min(s.get_zorder() for s in scatters) > max(others)


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (3, 3), (4, 4), (5, 3), (7, 4), (9, 3)])
def test_a_grid_has_one_titled_panel_a_network_in_rows_as_even_as_can_be(points, count, columns):
    X, labels = points
    networks = {f"{n} units": ramp for n in range(count)}
    figure = plots.decision_boundaries(networks, X, labels, ("no", "yes"), title="sweep")
    assert [axes.get_title() for axes in figure.axes[:-1]] == list(networks)
    assert figure.axes[0].get_subplotspec().get_gridspec().ncols == columns


def test_the_lowest_panel_of_every_column_says_what_its_axis_is(points):
    X, labels = points
    networks = {str(n): ramp for n in range(7)}
    panels = plots.decision_boundaries(networks, X, labels, ("no", "yes")).axes[:-1]
    assert [bool(axes.get_xlabel()) for axes in panels] == [False] * 3 + [True] * 4


def test_a_boundary_of_other_than_two_features_is_refused():
    with pytest.raises(ValueError, match="X: got 3 features, expected 2"):
        plots.decision_boundary(ramp, np.zeros((3, 4)), np.zeros(4, int), ("no", "yes"))


def test_points_on_one_line_can_still_be_drawn():
    X = np.stack([np.linspace(-1, 1, 5), np.zeros(5)])
    figure = plots.decision_boundary(ramp, X, np.arange(5) % 2, ("no", "yes"))
    low, high = figure.axes[0].get_ylim()
    assert low < 0 < high


# Mislabelled pictures.


def test_each_picture_says_what_it_is_and_what_it_was_called():
    figure = plots.mislabelled(np.zeros((2, 4, 4, 3)), ["cat", "dog"], ["dog", "cat"])
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["is cat\ncalled dog", "is dog\ncalled cat"]


def test_bytes_and_fractions_show_the_same_picture():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 4, 3), dtype=np.uint8)
    shown = [
        plots.mislabelled(images, ["a"], ["b"]).axes[0].images[0].get_array()
        for images in (pixels, pixels / 255)
    ]
    np.testing.assert_array_equal(*shown)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
def test_grey_pictures_and_coloured_ones_are_drawn(shape, tmp_path):
    figure = plots.mislabelled([np.full(shape, 0.5)], ["a"], ["b"])
    plots.save(figure, tmp_path / "one.png")
    assert figure.axes[0].images[0].get_array().shape[:2] == shape[:2]


def test_of_many_pictures_the_first_are_drawn_and_the_count_is_said():
    figure = plots.mislabelled(np.zeros((23, 2, 2)), ["a"] * 23, ["b"] * 23, most=20)
    assert len([axes for axes in figure.axes if axes.images]) == 20
    assert figure.get_suptitle() == "23 mislabelled, 20 shown"


def test_no_mislabelled_picture_is_said_too(tmp_path):
    figure = plots.mislabelled([], [], [])
    plots.save(figure, tmp_path / "none.png")
    assert figure.get_suptitle() == "No image is mislabelled"


# The evidence of a check.


def circles(axes):
    """Return the circled entries of a heat map as (row, column)."""
    offsets = [c.get_offsets() for c in axes.collections]
    return {(int(row), int(column)) for offset in offsets for column, row in offset}


def test_the_entry_beyond_its_bar_is_circled_and_named(one_wrong_entry):
    W, b = plots.difference_maps(one_wrong_entry).axes[:2]
    assert circles(W) == {(3, 2)}
    assert W.get_title(loc="left") == "dW1\n1e+12 at [3, 2]"
    assert circles(b) == set()
    assert b.get_title(loc="left") == "db1\nequal"


def test_at_most_so_many_entries_are_circled_the_worst_first():
    differences = np.arange(12.0).reshape(3, 4)
    axes = plots.difference_maps(report(tensor("W", differences, 1.0)), marked=2).axes[0]
    assert circles(axes) == {(2, 3), (2, 2)}


def test_a_single_wrong_entry_of_a_huge_matrix_is_not_averaged_away():
    differences = np.zeros((20, 12288))
    differences[7, 11_003] = 1.0
    axes = plots.difference_maps(report(tensor("W", differences, 1e-15))).axes[0]
    cells = axes.images[0].get_array()
    assert cells.shape == (20, MAP_SIDE)
    assert np.argwhere(cells > 1).tolist() == [[7, 11_003 * MAP_SIDE // 12288]]


def test_entries_that_were_not_compared_stay_empty():
    sampled = tensor("W", np.ones((2, 3)), 10.0, index=[4])
    cells = plots.difference_maps(report(sampled)).axes[0].images[0].get_array()
    assert np.argwhere(np.isfinite(np.ma.filled(cells, np.nan))).tolist() == [[1, 1]]


def test_a_difference_without_a_bar_is_beyond_it(tmp_path):
    figure = plots.difference_maps(report(tensor("W", [[1.0, 0.0]], 0.0)))
    plots.save(figure, tmp_path / "map.png")
    assert circles(figure.axes[0]) == {(0, 0)}


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_tensors_of_any_shape_have_a_map(shape, tmp_path):
    figure = plots.difference_maps(report(tensor("x", np.full(shape, 2.0), 1.0)))
    plots.save(figure, tmp_path / "map.png")


def test_differences_along_directions_have_no_map():
    along = tensor("W", np.ones((1, 4)), 1.0, pair=PAIRS[1], directions=4)
    with pytest.raises(ValueError, match="along directions"):
        plots.difference_maps(report(along), PAIRS[1])


@pytest.mark.parametrize("draw", [plots.difference_maps, plots.error_bars])
def test_a_pair_of_ways_that_was_not_compared_is_refused(draw, one_wrong_entry):
    with pytest.raises(ValueError, match="pair: got 'autodiff_vs_finite_difference'"):
        draw(one_wrong_entry, PAIRS[2])


def test_what_is_beyond_its_bar_lies_above_the_diagonal(one_wrong_entry):
    axes = plots.error_bars(one_wrong_entry).axes[0]
    scatters = [c for c in axes.collections if isinstance(c, PathCollection)]
    above = [int(np.sum(s.get_offsets()[:, 1] > s.get_offsets()[:, 0])) for s in scatters]
    assert above == [1, 0]


def test_the_worst_of_very_many_entries_is_always_drawn():
    differences = np.full((1, 100_000), 1e-18)
    differences[0, 54_321] = 1e-6
    axes = plots.error_bars(report(tensor("W", differences, 1e-15))).axes[0]
    heights = axes.collections[0].get_offsets()[:, 1]
    assert len(heights) < 5000
    assert heights.max() == 1e-6


def test_bars_of_nothing_do_not_stretch_the_axes():
    bars = np.array([[1e-15, 1e-15, 1e-307]])
    axes = plots.error_bars(report(tensor("W", [[1e-17, 2e-16, 0.0]], bars))).axes[0]
    assert axes.get_xlim()[0] > 1e-20


def test_equal_ways_are_drawn_without_a_warning(tmp_path):
    figure = plots.error_bars(report(tensor("W", np.zeros((2, 2)), 0.0), verdict="agree"))
    plots.save(figure, tmp_path / "equal.png")


# Times.


def test_a_bar_is_as_long_as_its_time_and_missing_where_a_way_was_not_timed():
    axes = plots.speed(ROWS).axes[0]
    drawn = {c.get_label(): [bar.get_width() for bar in c] for c in axes.containers}
    assert drawn == {"NumPy": [8.0, 0.1], "JAX": [2.0, 0.02], "Torch": [4.0]}


def test_the_bars_of_two_workloads_do_not_overlap():
    axes = plots.speed(ROWS).axes[0]
    spans = sorted((bar.get_y(), bar.get_y() + bar.get_height()) for bar in axes.patches)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


# Files.


# Diagrams.


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_network_has_a_circle_a_unit_and_a_line_a_weight(tmp_path):
    figure = plots.network((2, 4, 1))
    markers = [line.get_marker() for line in figure.axes[0].lines]
    assert markers.count("o") == 2 + 4 + 1
    assert len(markers) - markers.count("o") == 4 * 2 + 1 * 4
    assert {"input X\n2 features", "layer 1\n4 units", "output\n1 unit"} <= set(texts(figure))
    plots.save(figure, tmp_path / "network.png")


def test_a_wide_layer_is_drawn_in_part_and_counted_whole():
    figure = plots.network((300, 2))
    assert "⋮" in texts(figure)
    assert "input X\n300 features" in texts(figure)


def test_the_graph_has_every_value_and_every_gradient(tmp_path):
    figure = plots.computation_graph(("relu", "sigmoid"))
    values = {"$X$", "$Z_{1}$", "$A_{1}$", "$Z_{2}$", "$A_{2}$", "$J$"}
    gradients = {"$dZ_{1}$", "$dA_{1}$", "$dZ_{2}$", "$dA_{2}$"}
    parameters = {f"${d}W_{{{n}}}, {d}b_{{{n}}}$" for d in ("", "d") for n in (1, 2)}
    assert values | gradients | parameters | {"relu", "sigmoid"} <= set(texts(figure))
    assert "$dX$" not in texts(figure)
    plots.save(figure, tmp_path / "graph.png")


def test_a_network_without_layers_is_refused():
    with pytest.raises(ValueError, match="layers: got"):
        plots.network((2,))
    with pytest.raises(ValueError, match="activations: got none"):
        plots.computation_graph(())


def test_a_suffix_that_is_no_picture_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"path: got cost.xyz, expected a suffix of .*png"):
        plots.save(plots.cost_curve([0], [1.0]), tmp_path / "new" / "cost.xyz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "PNG"])
def test_missing_folders_are_made_and_nothing_is_left_beside_the_picture(tmp_path, suffix):
    path = tmp_path / "a" / "b" / f"cost.{suffix}"
    assert plots.save(plots.cost_curve([0], [1.0]), path) == path
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "cost.png"
    path.write_bytes(b"old")
    figure = plots.cost_curve([0], [1.0])

    def fail(file, **options):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
