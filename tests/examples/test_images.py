from __future__ import annotations

import io
import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from document_vlm.errors import EmptyBody, ImageTooLarge, ImageTooThin, NotAnImage, TruncatedImage
from document_vlm.images import decode, prepare, quiet
from tests.examples.damaged import broken_exif

MOST = 25_000_000


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and has a few bytes of pixels."""
    announced = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", announced), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_the_usual_formats_are_decoded_to_rgb(kind):
    picture = decode(encoded(Image.new("L", (30, 20), 200), kind), MOST)
    assert (picture.mode, picture.size) == ("RGB", (30, 20))


def test_a_turned_photograph_is_set_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(Image.new("RGB", (30, 20)), "JPEG", exif=exif), MOST).size == (20, 30)


@pytest.mark.parametrize("data", [b"this is no image", b"\xff\xd8", bytes(range(256)), b"%PDF-1.7\n"])
def test_other_bytes_are_no_image(data):
    with pytest.raises(NotAnImage, match=f"{len(data)} bytes"):
        decode(data, MOST)


def test_no_bytes_are_an_empty_page():
    with pytest.raises(EmptyBody, match="0 bytes"):
        decode(b"", MOST)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_cut_off_image_is_truncated(kind):
    noise = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(TruncatedImage):
        decode(data[: len(data) // 2], MOST)


def test_a_decompression_bomb_is_refused_by_its_header():
    # Its pixels are missing: only a check before decoding can call it too large instead of truncated.
    with pytest.raises(ImageTooLarge, match="pixels"):
        decode(png_header(20_000, 10_000), MOST)
    with pytest.raises(TruncatedImage):
        decode(png_header(200, 100), MOST)


def test_an_image_of_one_pixel_too_many_is_refused():
    data = encoded(Image.new("L", (11, 10)))
    assert decode(data, 110).size == (11, 10)
    with pytest.raises(ImageTooLarge, match="110 pixels, more than the 109 allowed"):
        decode(data, 109)


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (10, 3000), (4000, 8), (101, 10)])
def test_a_page_too_thin_to_be_scaled_is_refused(size):
    with pytest.raises(ImageTooThin, match=f"{size[0]} x {size[1]} pixels; its longer side may be at most 10 times"):
        decode(encoded(Image.new("L", size)), MOST)


@pytest.mark.parametrize("size", [(1, 1), (3000, 300)])
def test_the_vision_stage_takes_every_page_that_is_not_too_thin(vision, size):
    vision.read(prepare(decode(encoded(Image.new("L", size, 255)), MOST)))


def test_damaged_exif_is_a_damaged_page():
    with pytest.raises(TruncatedImage, match="damaged"):
        decode(broken_exif(), MOST)


def test_pillow_logs_nothing_for_a_page_that_it_can_not_read(caplog, monkeypatch):
    # So that the level is set back after the test.
    monkeypatch.setattr(logging.getLogger("PIL"), "level", logging.NOTSET)
    samples = struct.pack("<HHII", 277, 4, 1, 5000)
    sides = b"".join(struct.pack("<HHII", tag, 4, 1, 8) for tag in (256, 257))
    page = b"II*\0\x08\0\0\0" + struct.pack("<H", 3) + sides + samples + bytes(4)
    for silent in (False, True):
        if silent:
            quiet()
        caplog.clear()
        with pytest.raises(NotAnImage):
            decode(page, MOST)
        assert ("More samples per pixel" in caplog.text) is not silent


def test_a_page_is_prepared_blue_first_and_small_ones_are_doubled():
    page = Image.new("RGB", (400, 100))
    page.paste((255, 0, 0), (0, 0, 200, 100))
    array = prepare(page)
    assert array.shape == (100, 400, 3)
    assert array[50, 100].tolist() == [0, 0, 255]
    assert prepare(Image.new("RGB", (200, 100))).shape == (200, 400, 3)
