"""Pictures of any format, size and mode, as the numbers that a model reads.

As the course does it: the whole picture, squeezed to the model's size by bilinear interpolation
whatever its own proportions, in red, green and blue; what is transparent lies on white, and a
camera's note of which side is up is obeyed. A pixel's full brightness is the data's: 255 for
the cats, 16 for the digits, so that both come to 1 once divided by the data's scale.
"""

from __future__ import annotations

import os
import warnings

import numpy as np

from verify.course.models import Model

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode for so many channels."""


def read_image(path: str | os.PathLike[str], model: Model) -> np.ndarray:
    """Return a picture as one normalised column X (features, 1) of a model.

    Raises ValueError if it is no picture that Pillow reads whole, or if the model learned from
    something other than pictures.
    """
    if model.image_shape is None:
        raise ValueError(
            f"image: got {path} for a model of {model.data}, whose examples are no pictures; "
            "expected --data"
        )
    rows, columns, channels = model.image_shape
    pixels = _pixels(path, columns, rows, channels)
    raw = pixels.reshape(-1, 1).astype(np.float64)
    if model.normalisation is None:
        return raw / 255
    shift, scale = model.normalisation
    return (raw * (scale / 255) - shift) / scale


def _pixels(path: str | os.PathLike[str], width: int, height: int, channels: int) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not os.path.isfile(path):
        found = "a directory" if os.path.isdir(path) else "no such file"
        raise ValueError(f"image: looked for {path} and found {found}")
    if os.path.getsize(path) == 0:
        raise ValueError(f"{path}: an empty file, not a picture")
    try:
        with warnings.catch_warnings():
            # Pillow warns of what it then reads nevertheless; a bomb it refuses outright.
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image)
                opaque = _on_white(_eight_bits(upright)).convert(MODES[channels])
                return np.asarray(opaque.resize((width, height), Image.Resampling.BILINEAR))
    except UnidentifiedImageError as fault:
        raise ValueError(f"{path}: not a picture of a format that Pillow reads") from fault
    except Exception as fault:
        # Each of Pillow's decoders fails in its own way: OSError, SyntaxError, struct.error, ....
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise ValueError(f"{path}: a picture that cannot be read whole ({reason})") from fault


def _eight_bits(image):
    """Return a grey picture of 16 or 32 bits a pixel in 8."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, np.float64)
    wide = image.mode.startswith("I;16") or values.max() > 255
    top = 65535 if wide else 1 if image.mode == "F" and values.max() <= 1 else 255
    return Image.fromarray((255 * np.clip(values / top, 0, 1)).round().astype(np.uint8))


def _on_white(image):
    """Return the picture without its transparency, laid on white."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
