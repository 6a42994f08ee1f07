"""`backproof predict`: label images, or a data set, with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from verify.cli.output import output_options, write, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verify.course.model_files import Model


@click.command("predict")
@click.argument("model_path", metavar="MODEL.h5", type=click.Path(path_type=Path))
@click.argument("images", metavar="[IMAGE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--data", metavar="NAME|FILE.h5", help="Label a data set instead of images.")
@click.option(
    "--mislabelled",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Draw into this folder the images of the data set that the model labels wrong.",
)
@output_options("table", "json")
def command(
    model_path: Path,
    images: tuple[Path, ...],
    data: str | None,
    folder: Path | None,
    format_: str,
    output_file: Path | None,
) -> int:
    """Label images, or a data set, with a model that `backproof train` saved.

    Images may have any format and size; each is resized to the size that the model was trained
    on. One that cannot be read is named, with exit status 2, and costs the others nothing.
    """  # fmt: skip
    from verify.course.model_files import load

    if bool(images) == bool(data):
        raise ValueError("predict: expected either images or a data set by --data")
    if folder is not None and data is None:
        raise ValueError("mislabelled: got images, expected --data: only a data set has labels")
    model = load(model_path)
    unread: list[str] = []
    if images:
        result, text = labelled(model, images, unread)
    else:
        result, text = judged(model, str(data), folder)
    if format_ == "json":
        write_json({"model": str(model_path), **result}, output_file)
    else:
        write(text, output_file)
    for sentence in unread:
        click.echo(f"Error: {sentence}", err=True)
    return 2 if unread else 0


def labelled(model: Model, images: Sequence[Path], unread: list[str]) -> tuple[dict[str, Any], str]:
    """Return each image's class and its probability, as plain data and as text.

    What is wrong with an image that cannot be read is added to `unread`. Raises ValueError if
    none can.
    """
    from verify.course.images import read_image

    paths, columns = [], []
    for path in images:
        try:
            columns.append(read_image(path, model))
        except (ValueError, OSError) as fault:
            unread.append(str(fault))
        else:
            paths.append(path)
    if not paths:
        raise ValueError(" ".join(unread))
    X = np.concatenate(columns, axis=1)
    probabilities = model.probabilities(X)
    found = [
        {
            "path": str(path),
            "class": model.classes[index],
            "probability": float(column[index]),
            "probabilities": dict(zip(model.classes, map(float, column), strict=True)),
        }
        for path, index, column in zip(paths, model.predict(X), probabilities.T, strict=True)
    ]
    widths = [max(len(each[column]) for each in found) for column in ("path", "class")]
    lines = (
        f"{each['path']:<{widths[0]}}  {each['class']:<{widths[1]}}  {each['probability']:.4f}"
        for each in found
    )
    return {"images": found}, "\n".join(lines)


def judged(model: Model, data: str, folder: Path | None) -> tuple[dict[str, Any], str]:
    """Return the accuracy of the model on a data set, as plain data and as text."""
    from verify.cli.training_report import accuracy, mislabelled, parts
    from verify.course.datasets import load
    from verify.course.scores import score, table
    from verify.show import plots

    dataset = load(data)
    if len(dataset.classes) != len(model.classes):
        raise ValueError(
            f"data: got {dataset.name} with {len(dataset.classes)} classes, expected "
            f"{len(model.classes)}, as {model.data} has them"
        )
    if folder is not None and model.image_shape is None:
        raise ValueError(f"mislabelled: got {dataset.name}, expected a data set of pictures")
    result: dict[str, Any] = {"data": dataset.name}
    lines = []
    for part, raw, labels in parts(dataset):
        X = model.read(dataset, raw)
        scored = score(model.predict(X), labels, len(model.classes))
        result[part] = scored.to_dict()
        lines += [accuracy(part, scored), table(scored, model.classes), ""]
        if folder is not None:
            path = plots.save(mislabelled(model, X, labels, part), folder / f"{part}.png")
            result.setdefault("pictures", []).append(str(path))
    if folder is not None:
        lines.append(f"drawn: {', '.join(result['pictures'])}")
    return result, "\n".join(lines).rstrip()
