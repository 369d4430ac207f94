"""Versions that clash: requirements that are not met, packages of several releases, and what overwrites another."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.requirements import InvalidRequirement, Requirement

from otelext.doctor.environment.start import OURS
from otelext.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.doctor.environment.installed import Installed, Package

_REQUIREMENT: Final = "environment.requirement"
_OPENTELEMETRY: Final = "opentelemetry-"
# What opentelemetry-python and -contrib release at one time, as 1.N and 0.(N+21)b.
_ONE_RELEASE: Final = re.compile(
    r"opentelemetry-(api|sdk|proto|semantic-conventions|instrumentation|distro|configuration|util-http"
    r"|exporter-(otlp.*|prometheus|http-transport)"
    r"|instrumentation-(asgi|fastapi|starlette|logging|sqlalchemy|threading|httpx|requests|urllib3?|aiohttp-(client|server)))"
)
_BETA_AHEAD: Final = 21
_GENERATED_FOR: Final = re.compile(r"^GRPC_GENERATED_VERSION = '([\d.]+)'", re.MULTILINE)
_STUB: Final = "opentelemetry/proto/collector/trace/v1/trace_service_pb2_grpc.py"


def examine(here: Installed) -> Iterator[Finding]:
    """A finding for each clash; nothing is imported."""
    broken = set()
    for package in here.packages:
        if package.name == OURS or package.name.startswith(_OPENTELEMETRY):
            for requirement, found in _unmet(package, here):
                broken.update({package.name, requirement.name})
                yield _clash(package, requirement, found)
    yield from _lines(here, broken)
    for package in here.hidden:
        first = here.get(package.name)
        if first is not None and (package.name == OURS or package.name.startswith(_OPENTELEMETRY)):
            yield _twice(first, package)
    yield from _pynvml(here)
    yield from _grpc(here)


def _unmet(package: Package, here: Installed) -> Iterator[tuple[Requirement, Package | None]]:
    """What a package needs and doesn't find; of its extras only what is there in a version that it can't take."""
    seen = set()
    for text in package.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        plain = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if not plain and (package.name != OURS or not _is_of_an_extra(requirement)):
            continue
        key = requirement.name, str(requirement.specifier)
        if key in seen:
            continue
        seen.add(key)
        found = here.get(requirement.name)
        if found is None:
            if plain:
                yield requirement, None
        elif not requirement.specifier.contains(found.version, prereleases=True):
            yield requirement, found


def _is_of_an_extra(requirement: Requirement) -> bool:
    """Whether it holds here, of whatever extra it is."""
    assert requirement.marker is not None
    extra = re.search(r"""extra == ['"]([^'"]+)['"]""", str(requirement.marker))
    return extra is not None and requirement.marker.evaluate({"extra": extra[1]})


def _clash(package: Package, requirement: Requirement, found: Package | None) -> Finding:
    wanted = f"{requirement.name}{requirement.specifier}"
    there = f"{found} is installed" if found else "it is not installed"
    if package.name == OURS:
        step = f'python -m pip install "{wanted}"'
        why = "otelext is tested with that range alone."
    else:
        step = f'python -m pip install --upgrade "{package.name}" "{requirement.name}"'
        why = "Packages of OpenTelemetry are released together, and one of another release may lack what it imports."
    return Finding(_REQUIREMENT, "error", f"{package} needs {wanted}, and {there}", why, step)


def _lines(here: Installed, broken: set[str]) -> Iterator[Finding]:
    """Packages of one release's that are of several, where nothing else says so."""
    by_line: dict[int, list[Package]] = {}
    for package in here.packages:
        if _ONE_RELEASE.fullmatch(package.name) and (line := _line(package)) is not None:
            by_line.setdefault(line, []).append(package)
    if len(by_line) < 2:  # noqa: PLR2004  # more than one
        return
    usual = Counter({line: len(packages) for line, packages in by_line.items()}).most_common(1)[0][0]
    odd = [
        package
        for line, packages in sorted(by_line.items())
        if line != usual
        for package in packages
        if package.name not in broken
    ]
    if odd:
        yield Finding(
            "environment.release",
            "warning",
            f"{', '.join(map(str, odd))}: not of the release 1.{usual} and 0.{usual + _BETA_AHEAD}b, of which the other"
            " packages of OpenTelemetry are",
            "They are released together, and one of another release may lack what it imports.",
            f"python -m pip install --upgrade {' '.join(package.name for package in odd)}",
        )


def _line(package: Package) -> int | None:
    """The N of 1.N or 0.(N+21)b."""
    version = package.parsed
    if version is None or len(version.release) < 2:  # noqa: PLR2004  # major and minor
        return None
    major, minor = version.release[:2]
    if major == 1 and version.pre is None:
        return minor
    return minor - _BETA_AHEAD if major == 0 and version.pre is not None and version.pre[0] == "b" else None


def _twice(first: Package, second: Package) -> Finding:
    return Finding(
        "environment.twice",
        "warning",
        f"{second.name} is installed twice: {first.version} in {Path(first.folder).parent}, which counts, and"
        f" {second.version} in {Path(second.folder).parent}",
        "What is on the path first is imported, and an installation may have left the other's files behind.",
        f"python -m pip uninstall {second.name}, as often as it finds one, and install it again",
    )


def _pynvml(here: Installed) -> Iterator[Finding]:
    deprecated = here.get("pynvml")
    if deprecated is None:
        return
    version = deprecated.parsed
    # From 12 on it brings no module of that name, and asks for nvidia-ml-py instead.
    overwrites = version is not None and version.major < 12 and "nvidia-ml-py" in here  # noqa: PLR2004
    yield Finding(
        "environment.pynvml",
        "error" if overwrites else "warning",
        f"{deprecated} is installed, which is deprecated"
        + (f", beside {here.get('nvidia-ml-py')}: both bring a module pynvml" if overwrites else ""),
        "`import pynvml` is what nvidia-ml-py provides, and whichever was installed last has overwritten it."
        if overwrites
        else "`import pynvml` is what nvidia-ml-py provides.",
        "python -m pip uninstall --yes pynvml && python -m pip install --force-reinstall nvidia-ml-py",
    )


def _grpc(here: Installed) -> Iterator[Finding]:
    """Stubs that were generated for a newer gRPC: https://github.com/grpc/grpc/blob/master/doc/python/README.md."""
    proto, grpc = here.get("opentelemetry-proto"), here.get("grpcio")
    if proto is None or grpc is None or grpc.parsed is None:
        return
    try:
        generated = _GENERATED_FOR.search(Path(str(proto.distribution.locate_file(_STUB))).read_text(encoding="utf-8"))
    except OSError:
        return
    if generated and grpc.parsed.release < tuple(int(part) for part in generated[1].split(".")):
        yield Finding(
            "environment.grpc",
            "error",
            f"{grpc} is older than the {generated[1]} that {proto} was generated for",
            "Its stubs warn or raise when they are imported, so that nothing leaves by gRPC.",
            f'python -m pip install --upgrade "grpcio>={generated[1]}"',
        )
