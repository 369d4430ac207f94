from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from PIL import Image

from document_vlm.critical_fields import EXPECTED
from document_vlm.documents import KINDS, SAMPLE_COUNT, SAMPLES, draw, samples, write_samples


def test_the_committed_samples_are_what_the_script_draws(tmp_path):
    write_samples(tmp_path)
    committed = sorted(path.name for path in SAMPLES.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == committed
    for name in committed:
        if name.endswith(".json"):
            assert (tmp_path / name).read_text() == (SAMPLES / name).read_text()
            continue
        with Image.open(tmp_path / name) as new, Image.open(SAMPLES / name) as old:
            # Another version of FreeType or libjpeg may move a few grey levels, not a letter.
            difference = np.asarray(new, dtype=np.float64) - np.asarray(old, dtype=np.float64)
        assert np.abs(difference).mean() < 3, name


def test_the_samples_are_a_dozen_small_images_of_every_kind():
    found = samples()
    assert len(found) == SAMPLE_COUNT == 12
    assert {truth.kind for _, truth in found} == set(KINDS)
    assert sum(path.stat().st_size for path, _ in found) < 1_500_000


@limits(max_examples=15)
@given(st.integers(min_value=0, max_value=10_000))
def test_a_seed_gives_one_document_with_the_fields_of_its_kind(seed):
    first, second = draw(seed), draw(seed)
    assert first.truth == second.truth
    assert first.scan == second.scan
    assert first.image.tobytes() == second.image.tobytes()
    assert set(first.truth.fields) == set(EXPECTED[first.truth.kind])


def test_a_directory_without_samples_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no sample documents"):
        samples(tmp_path)
