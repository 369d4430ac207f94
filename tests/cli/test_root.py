from __future__ import annotations

import subprocess
import sys

import pytest

from otelext._version import __version__
from tests.viewer.running import run_cli

WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["otelext", *{arguments!r}]
from otelext.cli import main
main()
"""


def test_help_names_the_commands() -> None:
    found = run_cli("--help")
    assert found.returncode == 0
    for command in ("doctor", "report", "view"):
        assert f"\n  {command} " in found.stdout


@pytest.mark.parametrize("command", ["view", "report"])
def test_a_command_has_help(command: str) -> None:
    found = run_cli(command, "--help")
    assert found.returncode == 0
    assert "--store" in found.stdout


def test_the_version_is_the_package_s() -> None:
    assert run_cli("--version").stdout == f"otelext {__version__}\n"


def test_an_unknown_command_is_wrong_use() -> None:
    found = run_cli("veiw")
    assert (found.returncode, found.stdout) == (2, "")
    assert "No such command 'veiw'" in found.stderr


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("click", ["--help"], "cli"),
        ("duckdb", ["view"], "viewer"),
        ("grpc", ["view"], "viewer"),
        ("httpx", ["report"], "viewer"),
        ("rich", ["report"], "viewer"),
        ("grpc", ["doctor"], "doctor"),
        ("httpx", ["doctor"], "doctor"),
        ("requests", ["doctor"], "doctor"),
        ("rich", ["doctor"], "doctor"),
    ],
)
def test_a_missing_package_names_the_extra(package: str, arguments: list[str], extra: str) -> None:
    code = WITHOUT.format(package=package, arguments=arguments)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (1, "")
    assert f'needs the package {package}: pip install "otelext[{extra}]"' in found.stderr
    assert "Traceback" not in found.stderr
