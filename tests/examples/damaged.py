"""Pages that only just can't be read, for the tests of this folder."""

from __future__ import annotations

import io
import struct

from PIL import Image


def broken_exif() -> bytes:
    """A JPEG whose EXIF says that it is turned, and that its height is a text."""
    turned = struct.pack("<HHI4s", 0x0112, 3, 1, b"\x06\0\0\0")
    height = struct.pack("<HHI4s", 0x0101, 2, 4, b"abc\0")
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + height + turned + bytes(4)
    buffer = io.BytesIO()
    Image.new("L", (60, 40), 200).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()
