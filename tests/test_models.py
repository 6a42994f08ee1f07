"""A model on disk comes back bit for bit, or is refused in one sentence; it is never half there."""

from __future__ import annotations

import dataclasses
import fcntl
import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from random import Random

import h5py
import numpy as np
import pytest

import manual
from verify.course.datasets import Dataset, Normalisation
from verify.course.model_files import FORMAT, USER_BLOCK, Model, _user_block, is_model, load, save
from verify.course.training import Checkpoint


def a_model(**changes) -> Model:
    rng = np.random.default_rng(0)
    sizes = changes.pop("sizes", (12, 4, 1))
    params = manual.initialize(sizes, "he", rng)
    features = sizes[0]
    facts = {
        "params": params,
        "hidden": ("relu",) * (len(sizes) - 2),
        "output": "sigmoid",
        "classes": ("no", "ja – oui"),
        "data": "pictures",
        "iteration": 300,
        "cost": 0.1 + 0.2,
        "costs": rng.random(3),
        "checkpoint": Checkpoint(250, manual.initialize(sizes, "he", rng)),
        "normalisation": Normalisation(rng.random((features, 1)), rng.random((features, 1)) + 1),
        "image_shape": (2, 2, 3),
        "settings": {"learning_rate": 0.1 + 0.2, "layers": [4], "output": None},
        "versions": {"numpy": "2.4"},
    }
    return Model(**{**facts, **changes})


def identical(a: Model, b: Model) -> bool:
    def bits(model):
        plain = dataclasses.asdict(model)
        for part in (plain["params"], plain["checkpoint"].params):
            for name, value in part.items():
                part[name] = (value.dtype, value.shape, value.tobytes())
        plain["costs"] = plain["costs"].tobytes()
        if plain["normalisation"]:
            plain["normalisation"] = [each.tobytes() for each in plain["normalisation"]]
        return plain

    return bits(a) == bits(b)


@pytest.mark.parametrize(
    "model",
    [
        a_model(),
        a_model(normalisation=None, image_shape=None, costs=np.empty(0), settings={}),
        a_model(sizes=(12, 1)),
        a_model(sizes=(12, 4, 3), output="softmax", classes=("a", "b", "c")),
    ],
)
def test_a_model_comes_back_bit_for_bit(model, tmp_path):
    save(model, tmp_path / "model.h5")
    assert identical(load(tmp_path / "model.h5"), model)
    assert os.listdir(tmp_path) == ["model.h5"]


def test_single_precision_comes_back_single(tmp_path):
    params = {name: value.astype("float32") for name, value in a_model().params.items()}
    model = a_model(params=params, checkpoint=Checkpoint(300, params))
    save(model, tmp_path / "model.h5")
    back = load(tmp_path / "model.h5")
    assert identical(back, model)
    assert back.params["W1"].dtype == np.float32


def test_any_hdf5_reader_can_look_inside(tmp_path):
    save(a_model(), tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5") as file:
        assert set(file["params"]) == {"W1", "b1", "W2", "b2"}
        assert file.attrs["data"] == "pictures"


def test_a_model_behind_a_link_is_written_where_the_link_points(tmp_path):
    save(a_model(), tmp_path / "first.h5")
    (tmp_path / "link.h5").symlink_to("first.h5")
    save(a_model(iteration=301), tmp_path / "link.h5")
    assert (tmp_path / "link.h5").is_symlink()
    assert load(tmp_path / "first.h5").iteration == 301


def test_probabilities_are_of_every_class_and_answers_the_likeliest():
    X = np.random.default_rng(1).normal(size=(12, 9))
    for model in (a_model(), a_model(sizes=(12, 4, 3), output="softmax", classes=("a", "b", "c"))):
        probabilities = model.probabilities(X)
        np.testing.assert_allclose(probabilities.sum(axis=0), 1, rtol=1e-15)
        assert np.array_equal(probabilities.argmax(axis=0), model.predict(X))


def test_data_are_read_with_the_normalisation_that_the_model_learned_with():
    model = a_model()
    raw = np.random.default_rng(2).random((12, 5))
    theirs = Normalisation(np.full((12, 1), 0.5), np.full((12, 1), 4.0))
    dataset = Dataset(
        "other", (raw - 0.5) / 4, np.zeros(5, int), ("no", "yes"), normalisation=theirs
    )
    shift, scale = model.normalisation
    np.testing.assert_allclose(model.read(dataset, dataset.X), (raw - shift) / scale, rtol=1e-13)
    same = dataclasses.replace(dataset, normalisation=model.normalisation)
    assert model.read(same, dataset.X) is dataset.X
    with pytest.raises(ValueError, match="got other with 3 features, expected 12"):
        model.read(dataset, raw[:3])


# Refusals.


def refused(path) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(ValueError, match=r".") as refusal:
        load(path)
    sentence = str(refusal.value)
    assert "\n" not in sentence
    assert path.name in sentence
    return sentence


def test_what_is_not_there_is_said_so(tmp_path):
    assert "which does not exist" in refused(tmp_path / "model.h5")
    (tmp_path / "model.h5").mkdir()
    assert "which is a folder" in refused(tmp_path / "model.h5")


def test_files_of_another_kind_are_not_taken_for_models(tmp_path):
    path = tmp_path / "model.h5"
    for content in (b"", b"hello", b"\x89HDF\r\n\x1a\n" + b"\0" * 2000):
        path.write_bytes(content)
        assert "not a model" in refused(path)
        assert not is_model(path)
    path.unlink()
    with h5py.File(path, "w") as file:
        file["params"] = [1.0]
    assert "not a model" in refused(path)


def test_every_truncation_and_every_damaged_byte_is_noticed(tmp_path):
    path = tmp_path / "model.h5"
    save(a_model(), path)
    whole, rng = path.read_bytes(), Random(0)
    lengths = [len(FORMAT), 100, USER_BLOCK, len(whole) - 1, *rng.sample(range(len(whole)), 40)]
    for length in lengths:
        path.write_bytes(whole[:length])
        assert refused(path)
    for place in [0, 20, 300, USER_BLOCK, *rng.sample(range(len(whole)), 40)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        assert refused(path)


def test_a_later_version_is_named(tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(FORMAT + b" 2 and whatever comes with that")
    assert "a model of format 2, and this Backproof reads 1; update it" in refused(path)
    assert is_model(path)


def forged(path, edit) -> None:
    """Change what a model file holds, and make its first line hold again."""
    save(a_model(), path)
    content = io.BytesIO(path.read_bytes())
    with h5py.File(content, "r+") as file:
        edit(file)
    body = content.getvalue()[USER_BLOCK:]
    path.write_bytes(_user_block(body) + body)


def without(part):
    def edit(file):
        if part in file:
            del file[part]
        else:
            del file.attrs[part]

    return edit


def with_array(part, array):
    def edit(file):
        del file[part]
        file[part] = array

    return edit


def with_attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (without("params"), "a part missing"),
        (without("params/W2"), "expected W1, b1, ..., WL, bL"),
        (without("costs"), "a part missing"),
        (without("classes"), "a part missing"),
        (without("normalisation/scale"), "a part missing"),
        (with_array("params/W2", np.zeros((1, 5))), r"W2: got the shape \(1, 5\)"),
        (with_array("params/b1", np.zeros((3, 1))), r"b1: got the shape \(3, 1\)"),
        (with_array("params/b1", np.full((4, 1), np.nan)), "b1: got nan"),
        (with_array("params/b1", "text"), "b1"),
        (with_array("checkpoint/W1", np.zeros((4, 13))), "checkpoint: got W1"),
        (with_array("normalisation/shift", np.zeros((3, 1))), r"shift: got the shape \(3, 1\)"),
        (with_array("normalisation/scale", np.zeros((12, 1))), "scale: got 0"),
        (with_attribute("classes", '["one"]'), "classes: got 1"),
        (with_attribute("classes", "[1, 2"), "Expecting"),
        (with_attribute("hidden", '["relu", "relu"]'), "hidden"),
        (with_attribute("hidden", '["swish"]'), "hidden: got 'swish'"),
        (with_attribute("output", "linear"), "output: got 'linear'"),
        (with_attribute("image_shape", "[5, 5, 3]"), "image_shape"),
        (with_attribute("image_shape", "[12, 1]"), "image_shape"),
        (with_attribute("iteration", "many"), "many"),
        (with_attribute("settings", "3"), "a part missing or of another type"),
    ],
)
def test_parts_that_do_not_fit_are_named(edit, sentence, tmp_path):
    path = tmp_path / "model.h5"
    forged(path, edit)
    with pytest.raises(ValueError, match=sentence):
        load(path)
    assert refused(path)


# Atomicity.


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "model.h5"
    save(a_model(), path)
    before = path.read_bytes()

    def fail(handle):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        save(a_model(iteration=999), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.h5"]


def test_the_drafts_of_dead_writers_are_cleared_and_those_of_live_ones_are_not(tmp_path):
    dead, live, other = (
        tmp_path / name for name in (".model.h5.a.draft", ".model.h5.b.draft", ".second.h5.c.draft")
    )
    for draft in (dead, live, other):
        draft.write_bytes(b"half a model")
    with open(live, "rb") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        save(a_model(), tmp_path / "model.h5")
    assert sorted(os.listdir(tmp_path)) == [live.name, other.name, "model.h5"]


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    """Kill a process that does nothing but save, at random moments, and load what it left."""
    path = tmp_path / "model.h5"
    save(a_model(), tmp_path / "a.h5")
    shutil.copy(tmp_path / "a.h5", path)
    script = textwrap.dedent("""
        import dataclasses, sys
        from verify.course.model_files import load, save
        model = load(sys.argv[1])
        print("ready", flush=True)
        while True:
            model = dataclasses.replace(model, iteration=model.iteration + 1)
            save(model, sys.argv[1])
    """)
    rng, reached = Random(0), [load(path).iteration]
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0.01, 0.15))
            process.send_signal(signal.SIGKILL)
        reached.append(load(path).iteration)
    assert reached == sorted(reached)
    assert reached[-1] > reached[0]
