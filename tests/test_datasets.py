"""Every data set loads, is what it says, and says in one sentence what is wrong with a file."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

import manual
from verify.course import datasets
from verify.course.datasets import NAMES, load, targets

GENERATED = (
    "flower",
    "spiral",
    "two-arms",
    "noisy-circles",
    "moons",
    "blobs",
    "quantiles",
    "noise",
)
EMBEDDED = ("digits", "breast-cancer", "circles", *GENERATED)

needs_data = pytest.mark.skipif(
    not os.environ.get("BACKPROOF_DATA"), reason="BACKPROOF_DATA does not name the course's files"
)


@pytest.fixture
def pictures():
    """Return the contents of a right file: seven pictures to train on and three to test on."""
    rng = np.random.default_rng(0)
    return {
        "train_set_x": rng.integers(0, 256, (7, 4, 5, 3), dtype=np.uint8),
        "train_set_y": np.array([0, 1, 0, 1, 0, 1, 1]),
        "test_set_x": rng.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8),
        "test_set_y": np.array([1, 0, 1]),
        "list_classes": np.array([b"dog", b"fish"]),
    }


@pytest.fixture
def write(tmp_path):
    """Return a function that writes arrays to an HDF5 file and returns its path."""

    def write(contents: dict, name: str = "pictures.h5") -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            for key, value in contents.items():
                file[key] = value
        return tmp_path / name

    return write


def check(data):
    """Assert what every data set promises."""
    for X, labels in ((data.X, data.labels), (data.X_test, data.labels_test)):
        if X is None:
            assert labels is None
            continue
        assert X.dtype == np.float64
        assert np.isfinite(X).all()
        assert X.shape == (len(data.X), len(labels))
        assert labels.dtype.kind == "i"
        assert set(labels) <= set(range(len(data.classes)))
    assert set(data.labels) == set(range(len(data.classes)))


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_data_set_is_whole_and_the_same_each_time(name):
    data, again = load(name), load(name)
    check(data)
    assert data.name == name
    np.testing.assert_array_equal(data.X, again.X)
    np.testing.assert_array_equal(data.labels_test, again.labels_test)


@pytest.mark.parametrize("name", EMBEDDED)
def test_no_example_to_test_on_was_trained_on(name):
    data = load(name)
    shared = set(map(bytes, np.ascontiguousarray(data.X.T))) & set(
        map(bytes, np.ascontiguousarray(data.X_test.T))
    )
    assert not shared


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_seed_moves_the_drawn_data_sets_and_no_other(name):
    same = np.array_equal(load(name, seed=1).X, load(name, seed=2).X)
    assert same == (name not in GENERATED)


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_first_forty_examples_hold_every_class(name):
    data = load(name)
    assert set(data.labels[:40]) == set(range(len(data.classes)))


def test_loading_leaves_the_global_random_state_alone():
    before = np.random.get_state()[1].copy()
    for name in EMBEDDED:
        load(name)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_circles_are_the_courses_own():
    # The first four figures of the course's He run depend on every one of the 300 points.
    data = load("circles")
    params = manual.initialize((2, 10, 5, 1), "he", np.random.RandomState(3))
    cost = manual.loss(params, data.X, targets(data.labels, 2, "sigmoid"))
    assert cost == pytest.approx(0.8830537463419762, rel=1e-15 * 300)
    assert data.X.shape == (2, 300)
    assert data.X_test.shape == (2, 100)


def test_flower_has_two_classes_of_four_petals():
    data = load("flower")
    assert data.X.shape == (2, 400)
    assert np.bincount(data.labels).tolist() == [200, 200]
    # |r| is at most 4 and a normal error of 0.2, of which 400 do not reach five deviations.
    assert 3.5 < np.hypot(*data.X).max() < 4 + 5 * 0.2
    # With X = r sin t and Y = r cos t, the angle modulo pi tells the half turn but not the sign
    # of r; each class's radii must follow |4 sin 4t| wherever t is recovered up to pi, since
    # sin 4(t + pi) = sin 4t.
    t = np.arctan2(*data.X)
    error = np.abs(np.abs(4 * np.sin(4 * t)) - np.hypot(*data.X))
    assert np.median(error) < 0.2


def test_two_arms_grow_with_the_square_of_the_angle():
    data = load("two-arms")
    assert np.bincount(data.labels).tolist() == [200, 200]
    radius, angle = np.hypot(*data.X), np.arctan2(*data.X)
    for label, growth in enumerate((0.3, 0.2)):
        turns = (np.sqrt(radius / growth) - angle)[data.labels == label] / (2 * np.pi)
        np.testing.assert_allclose(turns, np.round(turns), atol=1e-12)
        assert set(np.round(turns)) == {0, 1, 2}


def test_noisy_circles_are_two_that_overlap():
    data = load("noisy-circles")
    radius = np.hypot(*data.X)
    mean = [radius[data.labels == label].mean() for label in (0, 1)]
    # The mean radius of a circle with noise s is above its own by at most about s^2 / (2 r).
    assert mean[0] == pytest.approx(1 + 0.3**2 / 2, abs=5 * 0.3 / 10)
    assert 0.5 < mean[1] < 0.5 + 0.3**2 + 5 * 0.3 / 10
    assert radius[data.labels == 1].max() > radius[data.labels == 0].min()


def test_no_class_is_called_by_a_colour_that_a_picture_does_not_give_it():
    names = {name for data in EMBEDDED for name in load(data).classes}
    assert not names & {"red", "green", "blue", "yellow", "black", "white"}


def test_spiral_has_three_arms_and_blobs_cannot_be_cut_by_a_line():
    assert len(load("spiral").classes) == 3
    blobs = load("blobs")
    plane = np.linalg.lstsq(
        np.vstack([blobs.X, np.ones(blobs.X.shape[1])]).T, 2 * blobs.labels - 1.0, rcond=None
    )[0]
    right = ((plane[:2] @ blobs.X + plane[2] > 0) == blobs.labels).mean()
    assert right < 0.75


def test_breast_cancer_is_standardised_by_its_training_part_and_says_how():
    from sklearn.datasets import load_breast_cancer

    data = load("breast-cancer")
    m = data.X.shape[1]
    # A mean of m numbers of size 1 carries at most m rounding units; a feature with a mean of
    # many deviations brings that ratio too.
    shift, scale = data.normalisation
    bar = m * np.finfo(float).eps * (1 + np.abs(shift / scale))[:, 0]
    assert (np.abs(data.X.mean(axis=1)) <= bar).all()
    assert (np.abs(data.X.std(axis=1) - 1) <= bar).all()
    everything = (load_breast_cancer().data.T - shift) / scale
    both = np.concatenate([data.X, data.X_test], axis=1)
    np.testing.assert_array_equal(np.sort(both, axis=1), np.sort(everything, axis=1))


def test_digits_are_pictures_between_0_and_1():
    data = load("digits")
    assert data.image_shape == (8, 8, 1)
    assert (data.X.min(), data.X.max()) == (0, 1)
    assert data.X.shape[1] + data.X_test.shape[1] == 1797
    assert (data.X * data.normalisation.scale % 1 == 0).all()


@needs_data
def test_cats_are_the_courses_photographs():
    data = load("cats")
    check(data)
    assert data.X.shape == (12288, 209)
    assert data.X_test.shape == (12288, 50)
    assert data.classes == ("non-cat", "cat")
    assert data.image_shape == (64, 64, 3)
    params = manual.initialize((12288, 20, 7, 5, 1), "fan-in", np.random.RandomState(1))
    cost = manual.loss(params, data.X, targets(data.labels, 2, "sigmoid"))
    assert round(float(cost), 6) == 0.771749


@needs_data
def test_football_is_the_courses_field():
    data = load("football")
    check(data)
    assert data.X.shape == (2, 211)
    assert data.X_test.shape == (2, 200)
    params = manual.initialize((2, 20, 3, 1), "fan-in", np.random.RandomState(3))
    cost = manual.loss(params, data.X, targets(data.labels, 2, "sigmoid"))
    assert cost == pytest.approx(0.6557412523481002, rel=1e-15 * 211)


def test_a_file_of_pictures_is_read_by_its_path_whole(write, pictures):
    path = write(pictures)
    for given in (path, str(path)):
        data = load(given)
        check(data)
        assert data.name == str(path)
        assert data.classes == ("dog", "fish")
        assert data.image_shape == (4, 5, 3)
        raw = data.X * data.normalisation.scale + data.normalisation.shift
        # Times 255 after a division by 255 is off by a rounding unit at most.
        np.testing.assert_array_equal(
            np.rint(raw).T.reshape(7, 4, 5, 3), pictures["train_set_x"].astype(float)
        )
        np.testing.assert_array_equal(data.X.T.reshape(7, 4, 5, 3), pictures["train_set_x"] / 255)
        np.testing.assert_array_equal(data.labels_test, pictures["test_set_y"])


def test_a_name_without_a_separator_is_a_path_by_its_ending(write, pictures, monkeypatch):
    monkeypatch.chdir(write(pictures, "mine.HDF5").parent)
    assert load("mine.HDF5").X.shape == (60, 7)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_file_may_hold_one_part_alone(write, pictures, part):
    path = write({f"{part}_set_{axis}": pictures[f"{part}_set_{axis}"] for axis in "xy"})
    data = load(path)
    assert data.X.shape == (60, len(pictures[f"{part}_set_y"]))
    assert data.X_test is None
    assert data.classes == ("0", "1")


def test_labels_may_be_written_as_floats_and_classes_may_be_more_than_two(write, pictures):
    pictures["list_classes"] = ["dog", "fish", "owl"]
    pictures["train_set_y"] = np.array([0.0, 1, 2, 0, 1, 2, 0])
    data = load(write(pictures))
    assert data.classes == ("dog", "fish", "owl")
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]


NOT_A_NUMBER = np.array([0, 1, 0, 1, np.nan, 1, 1])
PIXELS = np.zeros((7, 4, 5, 3), int)

FAULTS = {
    "a label of 2": (
        {"train_set_y": np.array([0, 1, 0, 1, 2, 1, 1])},
        "train_set_y: got the label 2 at 4, expected 0 and 1",
    ),
    "a label of -1": ({"test_set_y": [-1, 0, 1]}, "test_set_y: got the label -1 at 0"),
    "half a label": ({"test_set_y": [0.5, 0, 1]}, "test_set_y: got the label 0.5 at 0"),
    "a label that is no number": (
        {"train_set_y": NOT_A_NUMBER},
        "train_set_y: got the label nan at 4, expected 0 and 1",
    ),
    "labels in words": ({"test_set_y": ["a", "b", "c"]}, "test_set_y: got object of the shape"),
    "a table of labels": (
        {"train_set_y": np.zeros((7, 1))},
        "train_set_y: got float64 of the shape (7, 1), expected (7,) whole numbers",
    ),
    "too few labels": (
        {"train_set_y": np.zeros(6)},
        "train_set_y: got 6 labels for 7 examples, expected one each",
    ),
    "no labels": ({"train_set_y": None}, "got no dataset train_set_y"),
    "no pictures": ({"train_set_x": None}, "got no dataset train_set_x"),
    "no test pictures": ({"test_set_x": None}, "got no dataset test_set_x"),
    "nothing": (
        dict.fromkeys(("train_set_x", "train_set_y", "test_set_x", "test_set_y")),
        "got no dataset train_set_x",
    ),
    "empty": (
        {"train_set_x": np.zeros((0, 4, 5, 3), int), "train_set_y": np.zeros(0)},
        "train_set_x: got the shape (0, 4, 5, 3), expected (m, rows, columns, channels)",
    ),
    "flat pictures": (
        {"train_set_x": np.zeros((7, 60), int)},
        "train_set_x: got the shape (7, 60), expected (m, rows, columns, channels)",
    ),
    "one number for all pictures": ({"train_set_x": 3}, "train_set_x: got the shape ()"),
    "real pixels": (
        {"train_set_x": PIXELS / 255},
        "train_set_x: got float64, expected whole-number pixels from 0 to 255",
    ),
    "a bright pixel": (
        {"train_set_x": PIXELS + 256},
        "train_set_x: got the pixel 256, expected whole numbers from 0 to 255",
    ),
    "a dark pixel": ({"train_set_x": PIXELS - 1}, "train_set_x: got the pixel -1"),
    "two sizes": (
        {"test_set_x": np.zeros((3, 4, 4, 3), int)},
        "test_set_x: got pictures of (4, 4, 3), expected (4, 5, 3), as train_set_x has them",
    ),
    "one class": (
        {"list_classes": ["dog"]},
        "list_classes: got object of the shape (1,), expected at least two names",
    ),
    "classes by number": ({"list_classes": [0, 1]}, "list_classes: got int64"),
    "a void": ({"train_set_x": h5py.Empty("f")}, "train_set_x: got no array"),
}


def refusal(name) -> str:
    """Return the one sentence with which a data set is refused."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        load(name)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(write, pictures, fault):
    changes, sentence = FAULTS[fault]
    contents = {key: value for key, value in (pictures | changes).items() if value is not None}
    path = write(contents)
    said = refusal(path)
    assert str(path) in said
    assert sentence in said


def test_a_group_in_place_of_a_data_set_is_refused(write, pictures):
    path = write(pictures)
    with h5py.File(path, "a") as file:
        del file["train_set_x"]
        file.create_group("train_set_x")
    assert "train_set_x: got no array" in refusal(path)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(write, pictures, share):
    path = write(pictures)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert f"{path}: not a readable HDF5 file (" in refusal(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "notes.h5"
    path.write_text("not HDF5")
    assert f"{path}: not a readable HDF5 file (" in refusal(path)


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    path = tmp_path / "missing.h5"
    assert refusal(path).startswith(f"data: got {path}, which does not exist, expected")
    assert refusal(tmp_path).startswith(f"data: got {tmp_path}, which is a folder, expected")


@pytest.mark.parametrize("name", ["dogs", "", "Cats", "h5"])
def test_an_unknown_name_is_answered_with_those_that_are_known(name):
    said = refusal(name)
    assert f"got {name!r}" in said
    assert all(known in said for known in NAMES)


@pytest.mark.parametrize(
    ("name", "file"), [("cats", "train_catvnoncat.h5"), ("football", "data.mat")]
)
def test_a_missing_course_file_is_named_with_where_it_was_looked_for(
    name, file, monkeypatch, tmp_path
):
    monkeypatch.delenv("BACKPROOF_DATA", raising=False)
    said = refusal(name)
    assert file in said
    assert said.startswith("BACKPROOF_DATA: got nothing, expected the folder")
    monkeypatch.setenv("BACKPROOF_DATA", str(tmp_path))
    said = refusal(name)
    assert str(tmp_path / file) in said
    assert "expected BACKPROOF_DATA to name the folder" in said


@pytest.fixture
def football(monkeypatch, tmp_path):
    """Return a function that writes a football file with changes, a key of None left out."""
    from scipy.io import savemat

    def write(**changes) -> Path:
        arrays = {
            "X": np.arange(8.0).reshape(4, 2),
            "y": np.array([[0], [1], [1], [0]]),
            "Xval": np.arange(4.0).reshape(2, 2),
            "yval": np.array([[1], [0]]),
        } | changes
        savemat(
            tmp_path / "data.mat",
            {key: value for key, value in arrays.items() if value is not None},
        )
        return tmp_path / "data.mat"

    monkeypatch.setenv("BACKPROOF_DATA", str(tmp_path))
    return write


def test_football_reads_points_in_rows_and_labels_in_a_column(football):
    football()
    data = load("football")
    np.testing.assert_array_equal(data.X, [[0, 2, 4, 6], [1, 3, 5, 7]])
    assert data.labels.tolist() == [0, 1, 1, 0]
    assert data.labels_test.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"yval": None}, "got no variable yval"),
        ({"y": np.array([[0], [2], [1], [0]])}, "y: got the label 2 at 1, expected 0 and 1"),
        ({"y": np.array([[0.0], [1], [np.nan], [0]])}, "y: got the label nan at 2"),
        ({"y": np.zeros((3, 1))}, "y: got 3 labels for 4 examples"),
        ({"X": np.full((4, 2), np.inf)}, "X: got inf, expected finite numbers"),
        ({"X": np.zeros((4, 3))}, "X: got float64 of the shape (4, 3), expected (m, 2) numbers"),
    ],
)
def test_what_is_wrong_with_the_football_file_is_said_in_one_sentence(football, changes, sentence):
    path = football(**changes)
    assert f"{path}: {sentence}" in refusal("football")


@pytest.mark.parametrize("damage", [lambda raw: raw[:200], lambda raw: raw[:50], lambda raw: b"no"])
def test_a_damaged_football_file_is_refused(football, damage):
    path = football()
    path.write_bytes(damage(path.read_bytes()))
    assert f"{path}: not a readable MATLAB file (" in refusal("football")


def test_targets_are_the_labels_for_a_sigmoid_and_one_hot_columns_for_a_softmax():
    labels = np.array([1, 0, 1])
    Y = targets(labels, 2, "sigmoid")
    assert Y.dtype == np.float64
    np.testing.assert_array_equal(Y, [[1, 0, 1]])
    np.testing.assert_array_equal(
        targets(np.array([2, 0, 2, 1]), 4, "softmax"),
        [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]],
    )


def test_a_sigmoid_for_ten_classes_is_refused():
    with pytest.raises(ValueError, match="output: got sigmoid for 10 classes, expected softmax"):
        targets(np.arange(10), 10, "sigmoid")


def test_every_name_has_one_loader_in_the_order_of_the_documentation():
    assert tuple(datasets.LOADERS) == NAMES
    assert set(NAMES) == {*EMBEDDED, "football", "cats"}
