"""What is installed: distributions and entry points, in the order in which `opentelemetry-instrument` finds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import distributions
from importlib.util import find_spec
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint


@dataclass(frozen=True)
class Package:
    """One installed distribution.

    Attributes:
        name: In its normal form, such as `nvidia-ml-py`: https://peps.python.org/pep-0503/#normalized-names
        version: As it is written in its metadata.
        entry_points: What it offers to others.
        folder: Where its metadata lies; empty where that is no folder.
        distribution: What `importlib.metadata` knows of it.
    """

    name: str
    version: str
    entry_points: tuple[EntryPoint, ...]
    folder: str
    distribution: Distribution

    @cached_property
    def requires(self) -> tuple[str, ...]:
        """Its requirements, those of extras too."""
        return tuple(self.distribution.requires or ())

    @property
    def parsed(self) -> Version | None:
        """Its version, None where it is none by PEP 440."""
        try:
            return Version(self.version)
        except InvalidVersion:
            return None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Plugin:
    """One entry point, and the distribution that brings it."""

    name: str
    package: Package
    entry_point: EntryPoint

    @property
    def value(self) -> str:
        """Module and object, such as `otelext.distro:OtelextDistro`."""
        return self.entry_point.value

    @property
    def module(self) -> str:
        """The package that it is imported from, such as `otelext`."""
        return self.entry_point.module.partition(".")[0]

    @property
    def is_there(self) -> bool:
        """Whether its outermost package can be found; deeper ones are found only by importing those around them."""
        try:
            return find_spec(self.module) is not None
        except (ImportError, ValueError):
            return False


@dataclass(frozen=True)
class Installed:
    """What the interpreter that asks can import.

    Attributes:
        packages: The distribution that counts of each name, in the order of the path.
        hidden: Further ones of the same names, which come later on the path and don't count.
    """

    packages: tuple[Package, ...]
    hidden: tuple[Package, ...]

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str) -> Package | None:
        """The package of that name, None where it isn't installed."""
        normal = canonicalize_name(name)
        return next((package for package in self.packages if package.name == normal), None)

    def plugins(self, group: str) -> tuple[Plugin, ...]:
        """The entry points of a group, in the order in which `importlib.metadata.entry_points` has them."""
        return tuple(
            Plugin(entry_point.name, package, entry_point)
            for package in self.packages
            for entry_point in package.entry_points
            if entry_point.group == group
        )


def installed() -> Installed:
    """What is installed now; nothing of it is imported."""
    first: dict[str, Package] = {}
    hidden = []
    for distribution in distributions():
        # What an interrupted installation left behind has no name.
        metadata = distribution.metadata  # is read anew each time
        if metadata is None or not (name := metadata["Name"]):
            continue
        package = Package(
            canonicalize_name(name),
            metadata["Version"] or "",
            tuple(distribution.entry_points),
            str(getattr(distribution, "_path", "")),
            distribution,
        )
        if package.name in first:
            hidden.append(package)
        else:
            first[package.name] = package
    return Installed(tuple(first.values()), tuple(hidden))
