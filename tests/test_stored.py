"""Examples on disk: read in parts, they are what they are where the file is read whole."""

from __future__ import annotations

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
from mesh_runs import environment, on_devices

from verify import build_problem, mask_schedule, train
from verify.course import stored as stored_module
from verify.course.datasets import load, targets
from verify.course.stored import open_stored


def pictures(path, m: int, side: int = 3):
    """Write a file of pictures of which the sum of the pixels tells the class; return its path."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (m, side, side, 3), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file["train_set_x"] = pixels
        file["train_set_y"] = (pixels.mean(axis=(1, 2, 3)) > 127).astype(int)
    return path


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A file, and blocks of four pictures."""
    monkeypatch.setattr(stored_module, "PIXELS", 4 * 27)
    return pictures(tmp_path / "small.h5", 23)


def test_parts_have_the_bits_of_the_whole(small):
    whole, parts = load(small), open_stored(str(small))
    assert (parts.m, parts.features, parts.classes) == (23, 27, whole.classes)
    assert np.array_equal(parts.X(slice(None)), whole.X)
    assert np.array_equal(parts.X(slice(5, 14)), whole.X[:, 5:14])
    assert np.array_equal(parts.X(slice(5, 14), np.float32), whole.X[:, 5:14].astype(np.float32))
    assert np.array_equal(
        parts.Y(slice(5, 14), "softmax"), targets(whole.labels, 2, "softmax")[:, 5:14]
    )
    assert np.array_equal(parts.predicted(lambda X: X.sum(axis=0)), whole.X.sum(axis=0))


def test_a_sample_is_of_the_file_s_examples_each_at_most_once_and_any_is_as_likely(small):
    whole, parts = load(small), open_stored(str(small))
    drawn = np.zeros(23)
    for seed in range(400):
        sample = parts.sample(5, seed)
        (rows,) = np.nonzero((whole.X[:, :, None] == sample.X[:, None]).all(axis=0).any(axis=1))
        assert len(rows) == 5
        assert np.array_equal(sample.labels, whole.labels[rows])
        drawn[rows] += 1
    # Each count is binomial: 400 draws with probability 5 / 23, here within five deviations.
    expected = 400 * 5 / 23
    assert np.abs(drawn - expected).max() < 5 * np.sqrt(expected * 18 / 23)
    assert np.array_equal(parts.sample(23, 7).X, whole.X)
    with pytest.raises(ValueError, match=r"^sample: got 24, expected 1 to 23$"):
        parts.sample(24, 0)


def test_training_reads_what_is_stored(small):
    parts = open_stored(str(small))
    whole = build_problem(load(small), layers=(4,), keep_prob=0.9)
    sample = build_problem(parts.sample(6, 1), layers=(4,), keep_prob=0.9)
    how = {
        "learning_rate": 0.1, "iterations": 30, "progress": False,
        "masks": mask_schedule(3, (4,), parts.m, whole.keep_prob),
    }  # fmt: skip
    expected, found = train(whole, **how), train(sample, examples=parts, **how)
    for name, value in expected.params.items():
        assert np.array_equal(found.params[name], value)
    with pytest.raises(ValueError, match=r"^masks: got those of a sample, expected a function of"):
        train(sample, examples=parts, learning_rate=0.1, iterations=1)
    with pytest.raises(ValueError, match=r"^examples: got some with the backend manual, expected"):
        train(sample, examples=parts, learning_rate=0.1, iterations=1, backend="manual")


def test_what_is_wrong_with_a_file_is_said_as_where_it_is_read_whole(tmp_path, small):
    with pytest.raises(
        ValueError, match=r"^sample: got the data set digits, expected an HDF5 file"
    ):
        open_stored("digits")
    with pytest.raises(ValueError, match=r"^data: got .*absent.h5, which does not exist, expected"):
        open_stored(str(tmp_path / "absent.h5"))
    with h5py.File(small, "a") as file:
        pixels = file["train_set_x"][()].astype(int)
        pixels[20, 0, 0, 0] = 256
        del file["train_set_x"]
        file["train_set_x"] = pixels
    parts = open_stored(str(small))
    assert parts.X(slice(0, 16)).shape == (27, 16)
    for read in (load, lambda path: open_stored(str(path)).X(slice(None))):
        with pytest.raises(ValueError, match=r"small.h5: train_set_x: got the pixel 256, expected"):
            read(small)


def backproof(devices: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backproof", *map(str, arguments)],
        env=environment(devices), capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_trains_on_all_and_checks_and_says_that_it_checked_a_sample(tmp_path):
    data, model = pictures(tmp_path / "data.h5", 300), tmp_path / "model.h5"
    how = ("train", "--data", data, "--layers", "4", "--format", "json")
    whole = json.loads(backproof(1, *how, "--iterations", 60).stdout)
    begun = backproof(8, *how, "--sample", 20, "--iterations", 40, "--save", model)
    assert begun.returncode == 0, begun.stderr
    went_on = backproof(3, "train", "--resume", model, "--iterations", 60, "--check",
                        "--format", "json")  # fmt: skip
    found = json.loads(went_on.stdout)
    assert found["cost"] == pytest.approx(whole["cost"], rel=1e-13)
    assert found["train"] == whole["train"]
    assert found["check"]["verdict"] == "agree"
    assert found["check"]["settings"]["examples"] == 20
    said = "The check was made on 20 of 300 examples, drawn with seed 1; any other set of so many"
    assert any(note.startswith(said) for note in found["check"]["remarks"])
    with h5py.File(data, "a") as file:
        file["train_set_x"][299, 0, 0, 0] ^= 1
    changed = backproof(1, "train", "--resume", model, "--iterations", 70)
    assert changed.returncode == 2
    assert "got a model of other data than" in changed.stderr


@pytest.mark.slow
def test_a_file_of_a_gigabyte_is_checked_in_less_memory(tmp_path):
    path, m = tmp_path / "large.h5", 81_380
    with h5py.File(path, "w") as file:
        file["train_set_y"] = np.arange(m) % 2
        pixels = file.create_dataset("train_set_x", (m, 64, 64, 3), np.uint8)
        rng = np.random.default_rng(0)
        pixels[m - 1] = 1  # the file is there in its full length, with holes
        for row in range(0, m, 100):
            pixels[row] = rng.integers(0, 256, (64, 64, 3))
    assert path.stat().st_size > 10**9
    found = on_devices(
        1, "within", megabytes=700,
        arguments=["verify", "--data", str(path), "--sample", "200", "--format", "json"],
    )  # fmt: skip
    print(f"{found['megabytes']:.0f} MB beyond importing")
    assert (found["status"], found["report"]["verdict"]) == (0, "agree")
    assert found["report"]["settings"]["examples"] == 200
    assert any("200 of 81,380 examples" in note for note in found["report"]["remarks"])
