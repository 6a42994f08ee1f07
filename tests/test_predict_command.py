"""`backproof predict`: pictures of every kind, and data sets, and what is neither."""

from __future__ import annotations

import io
import json

import h5py
import numpy as np
import pytest
from PIL import Image

import manual
from verify.cli import main
from verify.course.datasets import Normalisation
from verify.course.images import read_image
from verify.course.model_files import Model, save
from verify.course.training import Checkpoint


def picture_model(channels=3, white=255.0) -> Model:
    """Return a model of pictures of 6 rows and 8 columns."""
    features = 6 * 8 * channels
    params = manual.initialize((features, 4, 1), "he", np.random.default_rng(0))
    return Model(
        params=params, hidden=("relu",), output="sigmoid", classes=("no", "yes"), data="pictures",
        iteration=0, cost=0.7, costs=np.empty(0), checkpoint=Checkpoint(0, params),
        normalisation=Normalisation(np.zeros((features, 1)), np.full((features, 1), white)),
        image_shape=(6, 8, channels),
    )  # fmt: skip


@pytest.fixture
def model_path(tmp_path):
    save(picture_model(), tmp_path / "model.h5")
    return tmp_path / "model.h5"


@pytest.fixture
def predict(capsys):
    """Return a function that runs the command in this process: (status, stdout, stderr)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit:
            main(["predict", *map(str, arguments)])
        shown = capsys.readouterr()
        return exit.value.code, shown.out, shown.err

    return run


def photograph(size=(80, 60)) -> Image.Image:
    """Return a picture whose four quarters are red, green, blue and grey."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (200, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 180, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 220)
    pixels[height // 2 :, width // 2 :] = 90
    return Image.fromarray(pixels)


def column(path, model=None):
    """Return what a model reads of a picture, as rows, columns and channels."""
    model = model or picture_model()
    return read_image(path, model).reshape(model.image_shape)


def test_a_picture_of_the_right_size_is_read_pixel_by_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(column(tmp_path / "a.png"), pixels / 255)


def test_a_photograph_of_another_size_is_squeezed_bilinearly(tmp_path):
    photograph().save(tmp_path / "a.png")
    expected = np.asarray(photograph().resize((8, 6), Image.Resampling.BILINEAR)) / 255
    assert np.array_equal(column(tmp_path / "a.png"), expected)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.jpg", lambda image: image),
        ("a.webp", lambda image: image),
        ("a.bmp", lambda image: image),
        ("a.tiff", lambda image: image.convert("CMYK")),
        ("a.gif", lambda image: image.quantize(16)),
        ("a.png", lambda image: image.quantize(16)),
        ("a.png", lambda image: image.convert("RGBA")),
    ],
)
def test_formats_and_modes_show_the_same_picture(name, make, tmp_path):
    make(photograph()).save(tmp_path / name)
    expected = np.asarray(photograph().resize((8, 6), Image.Resampling.BILINEAR)) / 255
    # JPEG and WebP lose a little, quarters of one colour hardly anything.
    assert np.abs(column(tmp_path / name) - expected).max() < 0.06


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16", "I", "F"])
def test_grey_pictures_of_any_depth_are_grey(mode, tmp_path):
    grey = np.where(np.arange(8) < 4, 0, 255) * np.ones((6, 1))
    if mode == "I;16":
        image = Image.fromarray((grey * 257).astype(np.uint16))
    elif mode == "I":
        image = Image.fromarray((grey * 257).astype(np.int32))
    elif mode == "F":
        image = Image.fromarray((grey / 255).astype(np.float32))
    else:
        image = Image.fromarray(grey.astype(np.uint8)).convert(mode)
    image.save(tmp_path / "a.tiff")
    assert np.array_equal(column(tmp_path / "a.tiff"), np.repeat(grey[..., None], 3, axis=2) / 255)


def test_a_camera_s_note_of_which_side_is_up_is_obeyed(tmp_path):
    upright = photograph()
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate a quarter to the right to see it upright
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    upright.save(tmp_path / "b.png")
    assert np.array_equal(column(tmp_path / "a.png"), column(tmp_path / "b.png"))


def test_what_is_transparent_lies_on_white(tmp_path):
    image = photograph()
    image.putalpha(0)
    image.save(tmp_path / "a.png")
    assert (column(tmp_path / "a.png") == 1).all()


def test_white_is_one_whatever_the_data_called_white(tmp_path):
    Image.new("RGB", (30, 30), "white").save(tmp_path / "a.png")
    for white in (16.0, 255.0):
        for channels in (1, 3):
            assert (column(tmp_path / "a.png", picture_model(channels, white)) == 1).all()


def test_several_pictures_are_labelled_at_once(predict, model_path, tmp_path):
    names = []
    for index, colour in enumerate(("red", "white", "black")):
        names.append(tmp_path / f"{index}.png")
        Image.new("RGB", (10 + index, 20), colour).save(names[-1])
    status, out, err = predict(model_path, *names, "--format", "json")
    found = json.loads(out)["images"]
    assert (status, err) == (0, "")
    assert [each["path"] for each in found] == list(map(str, names))
    for each in found:
        assert sum(each["probabilities"].values()) == pytest.approx(1)
        assert max(each["probabilities"], key=each["probabilities"].get) == each["class"]
        assert each["probability"] == each["probabilities"][each["class"]]
    status, out, _ = predict(model_path, *names)
    assert [line.split()[1] for line in out.splitlines()] == [each["class"] for each in found]


def photograph_bytes(format) -> bytes:
    stream = io.BytesIO()
    photograph((300, 200)).save(stream, format)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jpg", b"dear diary", "expected a picture of a format that Pillow reads"),
        ("a.png", b"", "an empty file, expected a picture"),
        ("a.jpg", photograph_bytes("JPEG")[:1000], "which is damaged ("),
        ("a.png", photograph_bytes("PNG")[:200], "which is damaged ("),
        ("a.gif", photograph_bytes("GIF")[:100], "which is damaged ("),
    ],
)
def test_what_is_no_whole_picture_is_refused_in_one_sentence(
    name, content, sentence, predict, model_path, tmp_path
):
    (tmp_path / name).write_bytes(content)
    status, out, err = predict(model_path, tmp_path / name)
    assert (status, out) == (2, "")
    assert sentence in err
    assert name in err
    assert err.count("\n") == 1


def test_missing_pictures_and_models_are_named(predict, model_path, tmp_path):
    for arguments, sentence in [
        ((model_path, tmp_path / "no.png"), "no.png, which does not exist, expected a picture"),
        ((model_path, tmp_path), ", which is a folder, expected a picture"),
        ((tmp_path / "no.h5", "a.png"), "no.h5, which does not exist, expected a model"),
        ((model_path,), "expected either images or a data set by --data"),
        ((model_path, "a.png", "--data", "digits"), "expected either images"),
        (
            (model_path, "a.png", "--mislabelled", tmp_path),
            "mislabelled: got images, expected --data",
        ),
        ((model_path, "--data", "digits"), "10 classes, expected 2"),
        ((model_path, "--data", "circles"), "2 features, expected 144"),
        ((model_path, "--data", "elsewhere"), "data: got 'elsewhere'"),
    ]:
        status, out, err = predict(*arguments)
        assert (status, out) == (2, "")
        assert sentence in err
        assert err.count("\n") == 1


def test_a_model_of_numbers_takes_no_pictures(predict, tmp_path):
    params = manual.initialize((2, 1), "he", np.random.default_rng(0))
    model = Model(
        params=params, hidden=(), output="sigmoid", classes=("no", "yes"), data="circles",
        iteration=0, cost=0.7, costs=np.empty(0), checkpoint=Checkpoint(0, params),
    )  # fmt: skip
    save(model, tmp_path / "model.h5")
    photograph().save(tmp_path / "a.png")
    status, _, err = predict(tmp_path / "model.h5", tmp_path / "a.png")
    assert status == 2
    assert "whose examples are not pictures" in err
    status, out, _ = predict(tmp_path / "model.h5", "--data", "circles")
    assert status == 0
    assert "test accuracy" in out
    status, _, err = predict(
        tmp_path / "model.h5", "--data", "circles", "--mislabelled", tmp_path / "drawn"
    )
    assert status == 2
    assert "expected a data set of pictures" in err
    assert not (tmp_path / "drawn").exists()


def test_a_data_set_is_scored_and_its_mislabelled_pictures_drawn(predict, model_path, tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        for part, count in (("train", 9), ("test", 5)):
            file[f"{part}_set_x"] = rng.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
            file[f"{part}_set_y"] = np.arange(count) % 2
    status, out, err = predict(
        model_path, "--data", tmp_path / "data.h5", "--mislabelled", tmp_path / "drawn",
        "--format", "json",
    )  # fmt: skip
    result = json.loads(out)
    assert (status, err) == (0, "")
    assert (result["train"]["examples"], result["test"]["examples"]) == (9, 5)
    for path in result["pictures"]:
        with Image.open(path) as picture:
            assert picture.width > 300
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {"train.png", "test.png"}


def test_one_picture_that_cannot_be_read_costs_the_others_nothing(predict, model_path, tmp_path):
    photograph().save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    pictures = (tmp_path / "bad.png", tmp_path / "good.png")
    status, out, err = predict(model_path, *pictures)
    assert status == 2
    (line,) = out.splitlines()
    assert line.startswith(str(tmp_path / "good.png"))
    assert err.startswith("Error: ")
    assert "bad.png" in err
    status, out, err = predict(model_path, tmp_path / "bad.png")
    assert (status, out) == (2, "")
    assert "bad.png" in err


def test_a_picture_that_is_named_twice_is_labelled_twice(predict, model_path, tmp_path):
    photograph().save(tmp_path / "good.png")
    _, out, _ = predict(model_path, tmp_path / "good.png", tmp_path / "good.png")
    first, second = out.splitlines()
    assert first == second
