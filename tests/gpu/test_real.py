"""Each reading of a real GPU, against what `nvidia-smi -q -x` says at the same moment."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from otelext import semconv
from otelext.gpu.once import read_once

if TYPE_CHECKING:
    from otelext.gpu.snapshot import DeviceReadings

NVIDIA_SMI = shutil.which("nvidia-smi")
pytestmark = pytest.mark.skipif(NVIDIA_SMI is None, reason="no NVIDIA GPU here: nvidia-smi is not installed")

# Metric, the attribute that tells it apart, where nvidia-smi says it, from its unit to ours, and how far both may be
# apart, as neither reads at the very moment of the other: of a share of 1 or absolutely, and relatively.
READINGS = [
    (semconv.GPU_UTILIZATION.name, "general", "utilization/gpu_util", 0.01, 0.3, 0.0),
    (semconv.GPU_MEMORY_USAGE.name, "", "fb_memory_usage/used", 2**20, 2**27, 0.02),
    (semconv.GPU_MEMORY_LIMIT.name, "", "fb_memory_usage/total", 2**20, 2**20, 0.0),
    (semconv.HW_TEMPERATURE.name, "gpu", "temperature/gpu_temp", 1.0, 4.0, 0.0),
    (semconv.HW_TEMPERATURE.name, "memory", "temperature/memory_temp", 1.0, 4.0, 0.0),
    (semconv.HW_POWER.name, "", "gpu_power_readings/instant_power_draw", 1.0, 30.0, 0.3),
    (semconv.GPU_CLOCK.name, "sm", "clocks/sm_clock", 1e6, 3e8, 0.2),
    (semconv.GPU_CLOCK.name, "memory", "clocks/mem_clock", 1e6, 1e8, 0.05),
    (semconv.HW_FAN_SPEED_RATIO.name, "", "fan_speed", 0.01, 0.1, 0.0),
]


def told(gpu: ElementTree.Element, place: str) -> float | None:
    """The number that nvidia-smi says there, None where it has none."""
    first = (gpu.findtext(place) or "N/A").split()[0]
    try:
        return float(first)
    except ValueError:
        return None


def value(readings: DeviceReadings, metric: str, attribute: str) -> float | None:
    return next(
        (
            point.value
            for point in readings.points
            if point.metric == metric and (not attribute or attribute in dict(point.attributes).values())
        ),
        None,
    )


def test_every_reading_is_what_nvidia_smi_says() -> None:
    assert NVIDIA_SMI is not None
    snapshot = read_once()
    said = ElementTree.fromstring(subprocess.run([NVIDIA_SMI, "-q", "-x"], capture_output=True, check=True).stdout)
    assert snapshot.driver == said.findtext("driver_version")
    by_uuid = {gpu.findtext("uuid"): gpu for gpu in said.iter("gpu")}
    gpus = [one for one in snapshot.devices if one.device.parent is None]
    assert {one.device.uuid for one in gpus} == set(by_uuid)
    for one in gpus:
        gpu = by_uuid[one.device.uuid]
        assert one.device.name == gpu.findtext("product_name")
        assert one.device.pci_bus.lower() == (gpu.get("id") or "").lower()
        if any(each.device.parent == one.device.uuid for each in snapshot.devices):
            continue  # it is divided: nvidia-smi says of the whole what otelext leaves to its parts
        for metric, attribute, place, scale, apart, relative in READINGS:
            ours, theirs = value(one, metric, attribute), told(gpu, place)
            assert (ours is None) == (theirs is None), (metric, attribute, ours, theirs)
            if ours is not None and theirs is not None:
                assert ours == pytest.approx(theirs * scale, abs=apart, rel=relative), (metric, attribute)
