"""Pages as they arrive and as the vision stage wants them: bytes, images, arrays."""

from __future__ import annotations

import io
import logging
import struct
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import EmptyBody, ImageTooLarge, ImageTooThin, NotAnImage, TruncatedImage

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MOST_SIDES_RATIO: Final = 10
"""Longer side over shorter one. The detector scales a page by its shorter side: its work grows with this."""

# What Pillow lets through for damaged pixels and damaged EXIF.
_DAMAGED: Final = (OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, ArithmeticError, struct.error)

Pixels = npt.NDArray[np.uint8]


def quiet() -> None:
    """Keep Pillow from logging a line at level ERROR for each page that it can't read: our refusal says it."""
    logging.getLogger("PIL").setLevel(logging.CRITICAL)


def decode(data: bytes, max_pixels: int) -> Image.Image:
    """Decode one page, upright and in RGB.

    The size is read from the header alone and checked before a pixel is decoded, since a few kilobytes can
    announce gigabytes (https://en.wikipedia.org/wiki/Zip_bomb).

    Raises:
        EmptyBody: There is no byte.
        NotAnImage: The bytes are in none of `FORMATS`.
        ImageTooLarge: The header announces more than `max_pixels`.
        ImageTooThin: The header announces sides further apart than `MOST_SIDES_RATIO`.
        TruncatedImage: The pixels can't be decoded to the end, or the metadata is damaged.
    """
    if not data:
        raise EmptyBody("the page is empty: 0 bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"the page has too many pixels: {error}") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise NotAnImage(f"the page of {len(data)} bytes is no image in one of {', '.join(FORMATS)}") from error
    if image.width * image.height > max_pixels:
        raise ImageTooLarge(
            f"the page has {image.width} x {image.height} = {image.width * image.height} pixels, "
            f"more than the {max_pixels} allowed"
        )
    if max(image.size) > MOST_SIDES_RATIO * min(image.size):
        raise ImageTooThin(
            f"the page has {image.width} x {image.height} pixels; "
            f"its longer side may be at most {MOST_SIDES_RATIO} times its shorter one"
        )
    try:
        return ImageOps.exif_transpose(image).convert("RGB")
    except _DAMAGED as error:
        raise TruncatedImage(f"the page is damaged or cut off: {error}") from error


def prepare(image: Image.Image, least_width: int = 320) -> Pixels:
    """A page as the vision stage reads it: (height, width, 3), blue first, contrast stretched.

    Pages narrower than `least_width` are doubled in size, since detection loses strokes of less than two pixels.
    """
    if image.width < least_width:
        image = image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC)
    stretched = ImageOps.autocontrast(image, cutoff=1)
    return np.ascontiguousarray(np.asarray(stretched, dtype=np.uint8)[:, :, ::-1])
