"""Pictures of any format, size and mode, as the numbers that a model reads.

As the course does it: the whole picture is resized to the model's size by bilinear interpolation,
whatever its proportions, in red, green and blue. Transparent parts become white, and the
orientation that a camera noted is applied. The full brightness of a pixel is the data's (255 for
the cats, 16 for the digits), so that both are 1 after the division by the data's scale.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import numpy as np

from verify.course.datasets import no_file
from verify.course.model_files import Model

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8
    from PIL.Image import Image as Picture

    Array = np.ndarray

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode by the number of channels."""


def read_image(path: str | os.PathLike[str], model: Model) -> Float[Array, "n_0 1"]:
    """Return a picture as one normalised column X (features, 1) of a model.

    Raises ValueError if Pillow cannot read all of it, or if the model was not trained on pictures.
    """
    if model.image_shape is None:
        raise ValueError(
            f"image: got {path} for a model of {model.data}, whose examples are not pictures, "
            "expected --data"
        )
    rows, columns, channels = model.image_shape
    pixels = _pixels(path, columns, rows, channels)
    raw = pixels.reshape(-1, 1).astype(np.float64)
    if model.normalisation is None:
        return raw / 255
    shift, scale = model.normalisation
    column: Array = (raw * (scale / 255) - shift) / scale
    return column


def _pixels(
    path: str | os.PathLike[str], width: int, height: int, channels: int
) -> UInt8[Array, "..."]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not os.path.isfile(path):
        raise ValueError(f"image: got {no_file(path)}, expected a picture")
    if os.path.getsize(path) == 0:
        raise ValueError(f"image: got {path}, an empty file, expected a picture")
    try:
        with warnings.catch_warnings():
            # Pillow warns of some pictures that it reads all the same.
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image)
                opaque = _on_white(_eight_bits(upright)).convert(MODES[channels])
                return np.asarray(opaque.resize((width, height), Image.Resampling.BILINEAR))
    except UnidentifiedImageError as fault:
        raise ValueError(
            f"image: got {path}, expected a picture of a format that Pillow reads"
        ) from fault
    except Exception as fault:
        # Each of Pillow's decoders fails in its own way: OSError, SyntaxError, struct.error, ....
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise ValueError(
            f"image: got {path}, which is damaged ({reason}), expected a whole picture"
        ) from fault


def _eight_bits(image: Picture) -> Picture:
    """Return a grey picture of 16 or 32 bits a pixel in 8."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, np.float64)
    wide = image.mode.startswith("I;16") or values.max() > 255
    top = 65535 if wide else 1 if image.mode == "F" and values.max() <= 1 else 255
    return Image.fromarray((255 * np.clip(values / top, 0, 1)).round().astype(np.uint8))


def _on_white(image: Picture) -> Picture:
    """Return the picture without its transparency, laid on white."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
