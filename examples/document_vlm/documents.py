"""Sample documents, drawn from a seed: receipts, claim forms and prescriptions, with what stands in them.

`python -m document_vlm.documents DIRECTORY` draws the committed samples again. Nothing in them is taken from a
real document; people are numbers. A scan's quality is drawn too: some are small, blurred and noisy enough that a
reader really gets a digit wrong.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SAMPLES: Final = Path(__file__).with_name("samples")
SAMPLE_COUNT: Final = 12
RECEIPT: Final = "receipt"
CLAIM_FORM: Final = "claim_form"
PRESCRIPTION: Final = "prescription"
KINDS: Final = (RECEIPT, CLAIM_FORM, PRESCRIPTION)

_GOODS = ("Bandage 5 cm", "Saline 500 ml", "Thermometer", "Vitamin C 90", "Face masks 50", "Cough syrup", "Ice pack")
_DRUGS = ("Amoxicillin 500 mg", "Ibuprofen 200 mg", "Loratadine 10 mg", "Omeprazole 20 mg", "Metformin 850 mg")
_KCD_CODES = ("J20.9", "K29.7", "S93.4", "M54.5", "E11.9", "I10.9", "H10.3", "L23.8", "N39.0", "J45.0")


@dataclass(frozen=True)
class Scan:
    """How a page was scanned.

    Attributes:
        width: Page width in pixels.
        rotation: Counter-clockwise, in degrees.
        noise: Standard deviation of the grey levels' noise (grey runs from 0 to 255).
        blur: Gaussian blur's radius in pixels.
        contrast: Of ink to paper, 1 for black on white.
    """

    width: int
    rotation: float
    noise: float
    blur: float
    contrast: float


@dataclass(frozen=True)
class Truth:
    """What stands on a page.

    Attributes:
        kind: One of `KINDS`.
        fields: Critical fields by name, normalised: an amount in digits, a date in ISO 8601, a KCD code.
    """

    kind: str
    fields: dict[str, str]


@dataclass(frozen=True)
class Document:
    """A drawn page, its truth and how it was scanned."""

    image: Image.Image
    truth: Truth
    scan: Scan


def draw(seed: int) -> Document:
    """Draw the document of a seed; the same seed gives the same document.

    Kind and layout go round with the seed, so that twelve in a row hold every kind in both layouts, and every
    fourth is a poor scan.
    """
    dice = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    layout = (seed // len(KINDS)) % 2
    fields, rows = _content(kind, layout, dice)
    scan = _poor_scan(dice) if seed % 4 == 3 else _good_scan(dice)
    page = _paint(rows, layout)
    return Document(_scanned(page, scan, seed), Truth(kind, fields), scan)


def write_samples(directory: Path, count: int = SAMPLE_COUNT) -> list[Path]:
    """Draw the first `count` documents into a directory, each with its truth in a JSON file of the same name."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for seed in range(count):
        document = draw(seed)
        path = directory / f"{seed:02d}-{document.truth.kind}.jpg"
        document.image.save(path, quality=80, optimize=True)
        truth = {**asdict(document.truth), "scan": asdict(document.scan)}
        path.with_suffix(".json").write_text(json.dumps(truth, indent=2) + "\n")
        written.append(path)
    return written


def samples(directory: Path = SAMPLES) -> list[tuple[Path, Truth]]:
    """The committed images with their truth, in the order of their names.

    Raises:
        FileNotFoundError: The directory holds no samples.
    """
    found = []
    for path in sorted(directory.glob("*.jpg")):
        stored = json.loads(path.with_suffix(".json").read_text())
        found.append((path, Truth(stored["kind"], stored["fields"])))
    if not found:
        raise FileNotFoundError(f"no sample documents (*.jpg) in {directory}")
    return found


def _content(kind: str, layout: int, dice: random.Random) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Critical fields of a document, and its rows as (left, right); an empty right side is a full line."""
    day = f"{dice.randint(2021, 2025)}-{dice.randint(1, 12):02d}-{dice.randint(1, 28):02d}"
    shown_day = day if layout == 0 else day.replace("-", ".")
    patient = f"Patient {dice.randint(0, 9999):04d}"
    code = dice.choice(_KCD_CODES)
    prices = [dice.randint(12, 980) * 100 for _ in range(3)]
    total = sum(prices)
    if kind == RECEIPT:
        goods = dice.sample(_GOODS, 3)
        rows = [("RECEIPT", ""), (f"Register {dice.randint(1, 9)}", f"No. {dice.randint(1000, 9999)}")]
        rows += [("Date", shown_day), *((name, f"{price:,}") for name, price in zip(goods, prices, strict=True))]
        rows += [("TOTAL" if layout == 0 else "Amount due", f"KRW {total:,}"), ("Thank you", "")]
        return {"amount": str(total), "date": day}, rows
    if kind == CLAIM_FORM:
        rows = [("CLAIM FORM", ""), ("Insured", patient), ("Date of treatment", shown_day), ("KCD code", code)]
        rows += [("Ward fee", f"{prices[0]:,}"), ("Medication", f"{prices[1]:,}"), ("Tests", f"{prices[2]:,}")]
        rows += [("Total amount", f"KRW {total:,}"), ("Enclosed: receipts and report", "")]
        return {"amount": str(total), "date": day, "kcd_code": code}, rows
    drugs = dice.sample(_DRUGS, 2)
    rows = [("PRESCRIPTION", ""), ("Issued to", patient), ("Date", shown_day), ("KCD code", code)]
    rows += [(drug, f"{dice.randint(1, 3)} x {dice.randint(3, 14)} days") for drug in drugs]
    rows += [("Dispense within three days", "")]
    return {"date": day, "kcd_code": code}, rows


def _paint(rows: list[tuple[str, str]], layout: int) -> Image.Image:
    """The page before it was scanned: two columns in layout 0, labels with colons and a frame in layout 1."""
    width, margin, step, size = 720, 48, 52, 28
    page = Image.new("L", (width, 2 * margin + step * len(rows) + 24), 255)
    pen = ImageDraw.Draw(page)
    font, title = ImageFont.load_default(size), ImageFont.load_default(size * 1.4)
    y = margin
    for number, (left, right) in enumerate(rows):
        if number == 0:
            pen.text((margin if layout else width / 2, y), left, fill=0, font=title, anchor="la" if layout else "ma")
            y += step + 12
            continue
        if layout == 0:
            pen.text((margin, y), left, fill=0, font=font)
            pen.text((width - margin, y), right, fill=0, font=font, anchor="ra")
        else:
            pen.text((margin, y), f"{left}: {right}" if right else left, fill=0, font=font)
        y += step
    if layout:
        pen.rectangle((16, 16, width - 16, page.height - 16), outline=90, width=2)
    else:
        pen.line((margin, margin + step, width - margin, margin + step), fill=90, width=2)
    return page


def _good_scan(dice: random.Random) -> Scan:
    return Scan(
        width=dice.choice((480, 600, 720)),
        rotation=round(dice.uniform(-2.0, 2.0), 2),
        noise=round(dice.uniform(2.0, 8.0), 1),
        blur=round(dice.uniform(0.0, 0.6), 2),
        contrast=round(dice.uniform(0.75, 1.0), 2),
    )


def _poor_scan(dice: random.Random) -> Scan:
    return Scan(
        width=dice.choice((220, 240, 260)),
        rotation=round(dice.uniform(-3.0, 3.0), 2),
        noise=round(dice.uniform(11.0, 16.0), 1),
        blur=round(dice.uniform(0.4, 0.7), 2),
        contrast=round(dice.uniform(0.5, 0.6), 2),
    )


def _scanned(page: Image.Image, scan: Scan, seed: int) -> Image.Image:
    height = round(page.height * scan.width / page.width)
    image = page.rotate(scan.rotation, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    image = image.resize((scan.width, height), Image.Resampling.LANCZOS)
    if scan.blur:
        image = image.filter(ImageFilter.GaussianBlur(scan.blur))
    grey = 255.0 - (255.0 - np.asarray(image, dtype=np.float64)) * scan.contrast
    grey += np.random.default_rng(seed).normal(0.0, scan.noise, grey.shape)
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


def main() -> None:
    """Draw the samples into the directory given as the only argument, or beside this file."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    for path in write_samples(directory):
        print(path)


if __name__ == "__main__":
    main()
