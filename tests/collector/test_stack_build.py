"""`make stack`, with a stand-in for Go: what it builds, where it puts it, and what it says."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
TOOLS = ["telemetrygen", "alertmanager", "prometheus", "jaeger", "loki", "collector"]
PROGRAMS = ["alertmanager", "amtool", "jaeger", "loki", "otelcol", "prometheus", "promtool", "telemetrygen"]


@dataclass
class Checkout:
    """A copy of `collector/`, a cache, and a PATH whose Go is the stand-in."""

    root: pathlib.Path
    cache: pathlib.Path
    fake: pathlib.Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "PYTEST", "COV"))}
        path = os.pathsep.join([str(self.fake), "/usr/bin", "/bin"])
        return {**kept, "PATH": path, "FAKE_GO": str(self.fake), "OTELEXT_STACK_CACHE": str(self.cache), **self.more}

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "collector.tools.stack", *arguments]
        with subprocess.Popen(
            command, cwd=self.root, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                yield process
            finally:
                process.terminate()

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """What it printed, standard output and standard error."""
        with self.running(*arguments) as process:
            output, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        return output, errors

    @property
    def calls(self) -> list[str]:
        path = self.fake / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def built(self) -> list[str]:
        """The folders that look finished."""
        folders = sorted(path for path in self.cache.iterdir() if path.is_dir()) if self.cache.exists() else []
        return [path.name for path in folders]

    def waits(self, tool: str) -> None:
        """From now on the build of this tool hands over its compiler's process id, and waits for `proceed`."""
        (self.fake / "waits").write_text(tool)
        for name in ("started", "gate"):
            os.mkfifo(self.fake / name)

    def compiler(self) -> int:
        """The process id, once the build has begun."""
        return int((self.fake / "started").read_text())

    def proceed(self) -> None:
        (self.fake / "gate").write_text("\n")


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> Checkout:
    root, fake = tmp_path / "checkout", tmp_path / "fake"
    shutil.copytree(ROOT / "collector", root / "collector", ignore=shutil.ignore_patterns("__pycache__"))
    fake.mkdir()
    shutil.copy(pathlib.Path(__file__).parent / "fake_go.sh", fake / "go")
    (fake / "go").chmod(0o755)
    shutil.copy(ROOT / "collector/tools/collector/go.mod", fake)
    shutil.copy(ROOT / "collector/tools/builder/go.mod", fake / "builder.mod")
    return Checkout(root, tmp_path / "cache", fake)


def test_a_first_run_builds_every_program_and_says_what_it_does(checkout: Checkout) -> None:
    output, progress = checkout.run("--print", "json")
    paths = json.loads(output)
    assert sorted(paths) == PROGRAMS
    assert {pathlib.Path(path).parent.parent for path in paths.values()} == {checkout.cache}
    assert all(pathlib.Path(path).is_file() for path in paths.values())
    for number, tool in enumerate(TOOLS, 1):
        for step in ("downloading modules", "compiling", "built in 0:0"):
            assert re.search(rf"^==> {number} of 6, {tool} [\d.]+: {step}", progress, re.MULTILINE)


def test_a_second_run_starts_no_build_and_says_in_one_line_where_the_servers_are(checkout: Checkout) -> None:
    checkout.run()
    before = checkout.calls
    output, progress = checkout.run()
    assert checkout.calls == before
    assert output == ""
    assert progress == f"==> the servers are in {checkout.cache}\n"


def test_only_the_named_tool_is_built(checkout: Checkout) -> None:
    output, _ = checkout.run("--only", "prometheus", "--print", "path")
    folder = pathlib.Path(output.strip())
    assert [path.name for path in sorted(folder.iterdir())] == ["prometheus", "promtool"]
    assert checkout.built == [folder.name]


def test_an_unknown_tool_and_a_pause_of_nothing_are_refused(checkout: Checkout) -> None:
    _, errors = checkout.run("--only", "grafana", code=2)
    assert "'grafana'" in errors
    assert "telemetrygen" in errors
    _, errors = checkout.run("--every", "0", code=2)
    assert "--every: 0 is not above 0" in errors


@pytest.mark.parametrize(
    ("variable", "value"),
    [("FAKE_GO_VERSION", "go1.99.1"), ("GOARCH", "arm64"), ("GOFLAGS", "-tags=other")],
)
def test_another_go_another_platform_and_other_flags_build_anew(checkout: Checkout, variable: str, value: str) -> None:
    checkout.run("--only", "loki")
    checkout.more = {variable: value}
    checkout.run("--only", "loki")
    assert len(checkout.built) == 2


@pytest.mark.parametrize(
    ("file", "tool"),
    [
        ("tools/loki/go.mod", "loki"),
        ("tools/jaeger/go.sum", "jaeger"),
        ("tools/collector/go.mod", "collector"),
        ("tools/builder/go.sum", "collector"),
        ("builder.yaml", "collector"),
    ],
)
def test_a_changed_file_builds_its_tool_anew_and_no_other(checkout: Checkout, file: str, tool: str) -> None:
    checkout.run()
    before = checkout.built
    path = checkout.root / "collector" / file
    path.write_text(path.read_text() + "\n")
    shutil.copy(checkout.root / "collector/tools/collector/go.mod", checkout.fake)
    checkout.run()
    assert [name.split("-")[0] for name in checkout.built if name not in before] == [tool]


def test_changed_build_tags_build_anew(checkout: Checkout) -> None:
    checkout.run("--only", "prometheus")
    servers = checkout.root / "collector/tools/stack/servers.py"
    text = servers.read_text()
    servers.write_text(text.replace("remove_all_sd", "other_tag"))
    assert servers.read_text() != text
    checkout.run("--only", "prometheus")
    assert len(checkout.built) == 2


def test_two_checkouts_share_what_is_built(checkout: Checkout, tmp_path: pathlib.Path) -> None:
    checkout.run()
    before = checkout.calls
    other = Checkout(tmp_path / "other", checkout.cache, checkout.fake)
    shutil.copytree(checkout.root, other.root)
    other.run()
    assert checkout.calls == before


def test_the_cache_follows_the_users_cache_folder(checkout: Checkout, tmp_path: pathlib.Path) -> None:
    checkout.more = {"OTELEXT_STACK_CACHE": "", "XDG_CACHE_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path / "home")}
    checkout.run("--only", "loki")
    assert list((tmp_path / "xdg/otelext/stack").glob("loki-*/loki"))
    checkout.more["XDG_CACHE_HOME"] = ""
    checkout.run("--only", "loki")
    assert list((tmp_path / "home/.cache/otelext/stack").glob("loki-*/loki"))


def test_a_cache_that_cannot_be_made_is_one_sentence(checkout: Checkout) -> None:
    checkout.cache.write_text("")
    _, errors = checkout.run(code=1)
    assert len(errors.splitlines()) == 1
    assert str(checkout.cache) in errors
    assert "OTELEXT_STACK_CACHE" in errors


# --- Go ---------------------------------------------------------------------------------------------------------------


def test_a_missing_go_is_one_sentence_that_says_what_to_do(checkout: Checkout) -> None:
    (checkout.fake / "go").unlink()
    checkout.more = {"PATH": str(checkout.fake)}
    _, errors = checkout.run(code=2)
    assert len(errors.splitlines()) == 1
    assert "no Go is on PATH" in errors
    assert "install Go 1.26.7 or newer" in errors
    assert "docker-compose.otel.yml" in errors
    assert not checkout.cache.exists()


@pytest.mark.parametrize("version", ["go1.26.6", "go1.9", ""])
def test_a_go_that_is_too_old_is_one_sentence_that_says_what_to_do(checkout: Checkout, version: str) -> None:
    checkout.more = {"FAKE_GO_VERSION": version}
    _, errors = checkout.run(code=2)
    assert len(errors.splitlines()) == 1
    assert f"{version or 'the Go on PATH'} is too old" in errors
    assert "install Go 1.26.7 or newer" in errors
    assert not checkout.cache.exists()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("echo 'go: cannot find GOROOT directory' >&2; exit 2", "cannot find GOROOT directory"),
        ("echo a game", "Expecting value"),
    ],
)
def test_a_go_that_does_not_run_is_not_called_missing(checkout: Checkout, program: str, said: str) -> None:
    (checkout.fake / "go").write_text(f"#!/bin/sh\n{program}\n")
    _, errors = checkout.run(code=2)
    assert len(errors.splitlines()) == 1
    assert "the Go on PATH does not run (" in errors
    assert said in errors


def test_an_old_go_that_fetches_a_newer_one_builds_everything_with_that(checkout: Checkout) -> None:
    checkout.more = {"FAKE_GO_VERSION": "go1.24.0", "FAKE_GO_FETCHES": "go1.26.7"}
    checkout.run()
    assert all(_setting("GOTOOLCHAIN", call) == ["go1.26.7"] for call in checkout.calls)
    assert checkout.calls


def test_a_go_that_suffices_fetches_no_other(checkout: Checkout) -> None:
    checkout.more = {"FAKE_GO_VERSION": "go1.26.7", "FAKE_GO_FETCHES": "go1.98.0", "GOTOOLCHAIN": "auto"}
    checkout.run()
    assert all(_setting("GOTOOLCHAIN", call) == ["local"] for call in checkout.calls)
    assert checkout.calls


def _setting(name: str, call: str) -> list[str]:
    return re.findall(rf" {name}=(\S*)", call)


def test_the_users_settings_of_proxy_and_checksums_reach_go_as_they_are(checkout: Checkout) -> None:
    checkout.run("--only", "loki")
    assert all(" GOPROXY= GOSUMDB= " in call for call in checkout.calls)
    checkout.more = {"GOPROXY": "https://proxy.example", "GOSUMDB": "sum.example", "FAKE_GO_VERSION": "go1.99.1"}
    before = len(checkout.calls)
    checkout.run("--only", "loki")
    assert all(" GOPROXY=https://proxy.example GOSUMDB=sum.example " in call for call in checkout.calls[before:])


def test_programs_are_told_the_version_that_they_are(checkout: Checkout) -> None:
    checkout.run("--only", "prometheus")
    assert "-X github.com/prometheus/common/version.Version=3.16.0" in checkout.calls[-1]


def test_module_files_are_never_changed_and_programs_need_no_c_library(checkout: Checkout) -> None:
    checkout.run()
    assert all("CGO_ENABLED=0" in call and "-mod=readonly" in call and "-trimpath" in call for call in checkout.calls)


# --- builds that do not go well ---------------------------------------------------------------------------------------


def test_a_failed_build_shows_the_end_of_its_log_and_keeps_what_was_built_before(checkout: Checkout) -> None:
    (checkout.fake / "fails").write_text("prometheus")
    _, errors = checkout.run(code=1)
    (log,) = re.findall(
        r"3 of 6, prometheus 3\.16\.0: compiling failed \(1\); the end of (\S+):$", errors, re.MULTILINE
    )
    assert "line 1 of the compiler\n" in pathlib.Path(log).read_text()
    assert errors.rstrip().endswith("line 100 of the compiler")
    assert "line 60 of the compiler" not in errors
    assert [name.split("-")[0] for name in checkout.built] == ["alertmanager", "telemetrygen"]

    (checkout.fake / "fails").unlink()
    before = len(checkout.calls)
    checkout.run()
    built = [call.split()[1] for call in checkout.calls[before:] if call.startswith("build")]
    assert built == ["prometheus", "jaeger", "loki", "collector"]


def test_modules_that_cannot_be_had_end_the_run_at_once(checkout: Checkout) -> None:
    checkout.waits("telemetrygen")
    (checkout.fake / "lacks").write_text("collector")
    with checkout.running() as process:
        compiler = checkout.compiler()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "6 of 6, collector 0.152.0: downloading modules failed (1)" in errors
    assert errors.rstrip().endswith("module lookup: not found")
    assert not _runs(compiler)


def test_a_build_of_other_programs_than_expected_does_not_pass_for_built(checkout: Checkout) -> None:
    go = checkout.fake / "go"
    go.write_text(go.read_text().replace("programs='prometheus promtool'", "programs=prometheus"))
    _, errors = checkout.run("--only", "prometheus", code=1)
    assert "promtool" in errors
    assert checkout.built == []


def test_a_killed_build_leaves_nothing_that_looks_finished(checkout: Checkout) -> None:
    checkout.waits("jaeger")
    with checkout.running("--only", "jaeger") as process:
        compiler = checkout.compiler()
        process.kill()
    os.killpg(os.getpgid(compiler), signal.SIGKILL)
    (checkout.fake / "waits").unlink()
    output, _ = checkout.run("--only", "jaeger", "--print", "json")
    assert pathlib.Path(json.loads(output)["jaeger"]).read_text() == "jaeger\n"
    assert checkout.built == [pathlib.Path(json.loads(output)["jaeger"]).parent.name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_build_that_is_told_to_stop_ends_the_compilers_too(checkout: Checkout, number: signal.Signals) -> None:
    checkout.waits("jaeger")
    with checkout.running() as process:
        compiler = checkout.compiler()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"ended by {number.name}" in errors.splitlines()[-1]
    assert not _runs(compiler)
    assert [name.split("-")[0] for name in checkout.built] == ["alertmanager", "prometheus", "telemetrygen"]


def _runs(pid: int) -> bool:
    """Whether it runs: an orphan that ended may wait for init to collect it."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


# --- while it takes ---------------------------------------------------------------------------------------------------


def test_of_two_runs_at_once_one_builds_and_the_other_says_that_it_waits(checkout: Checkout) -> None:
    checkout.waits("telemetrygen")
    with checkout.running() as first:
        checkout.compiler()
        with checkout.running("--print", "json") as second:
            assert second.stderr is not None
            assert "waiting for another build" in second.stderr.readline()
            checkout.proceed()
            output, _ = second.communicate(timeout=60)
            first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted(json.loads(output)) == PROGRAMS
    assert [call.split()[1] for call in checkout.calls if call.startswith("build")] == TOOLS


def test_a_long_step_shows_signs_of_life(checkout: Checkout) -> None:
    checkout.waits("loki")
    with checkout.running("--only", "loki", "--every", "0.01") as process:
        assert process.stderr is not None
        checkout.compiler()
        line = next(line for line in process.stderr if "1 of 2 packages" in line)
        checkout.proceed()
        process.communicate(timeout=60)
    assert re.fullmatch(r"==> 1 of 1, loki 3\.7\.8: compiling, 0:\d\d, 1 of 2 packages\n", line)


def test_modules_of_the_next_tools_arrive_while_one_compiles(checkout: Checkout) -> None:
    checkout.waits("telemetrygen")
    with checkout.running() as process:
        assert process.stderr is not None
        checkout.compiler()
        assert any("6 of 6, collector" in line and "downloading modules" in line for line in process.stderr)
        checkout.proceed()
        process.communicate(timeout=60)
    assert process.returncode == 0


# --- what the tests and the builder ask -------------------------------------------------------------------------------


def test_the_tests_learn_where_the_programs_are_and_what_is_missing(checkout: Checkout) -> None:
    program = """
import json
from collector.tools import stack
try:
    print(json.dumps({name: str(path) for name, path in stack.binaries().items()}))
except (stack.NotBuilt, stack.NoGo) as error:
    print(f"{type(error).__name__}: {error}")
"""
    command = [sys.executable, "-c", program]

    def ask() -> str:
        return subprocess.run(
            command, cwd=checkout.root, env=checkout.env, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    checkout.run("--only", "loki")
    answer = ask()
    assert answer.startswith("NotBuilt: ")
    assert "telemetrygen, alertmanager, prometheus, jaeger, collector; `make stack`" in answer
    output, _ = checkout.run("--print", "json")
    assert json.loads(ask()) == json.loads(output)
    checkout.more = {"FAKE_GO_VERSION": "go1.20"}
    assert ask().startswith("NoGo: ")


def test_the_collector_is_generated_from_builder_yaml_with_our_module_files_beside_it(checkout: Checkout) -> None:
    checkout.run("--only", "collector")  # the stand-in compares go.mod
    generated, listed, built = checkout.calls
    assert generated.startswith("run collector ")
    assert f"--config={checkout.root}/collector/builder.yaml --skip-compilation --skip-get-modules" in generated
    assert listed.startswith("list collector ")
    assert built.endswith("-tags=remove_all_sd -ldflags=-s -w .")


def test_the_collectors_builder_is_of_the_collectors_version() -> None:
    modules = (ROOT / "collector/tools/builder/go.mod").read_text()
    assert re.findall(r"^\tgo\.opentelemetry\.io/collector/cmd/builder (\S+)", modules, re.MULTILINE) == ["v0.152.0"]


def test_builder_yaml_and_go_mod_name_the_same_components() -> None:
    builder = (ROOT / "collector/builder.yaml").read_text()
    assert re.search(r"^  version: 0\.152\.0\n  output_path: \./dist$", builder, re.MULTILINE)
    modules = (ROOT / "collector/tools/collector/go.mod").read_text()
    components = set(re.findall(r"^ +- gomod: (\S+) (\S+)$", builder, re.MULTILINE))
    kinds = r"(?:receiver|processor|exporter|connector|extension|confmap/provider)/\S+"
    required = set(re.findall(rf"^\t(\S+/{kinds}) (\S+)$", modules, re.MULTILINE))
    assert components == required


@pytest.mark.parametrize(
    ("tool", "module", "version"),
    [
        ("telemetrygen", "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen", "v0.161.0"),
        ("alertmanager", "github.com/prometheus/alertmanager", "v0.31.1"),
        ("prometheus", "github.com/prometheus/prometheus", "v0.316.0"),  # of 3.16.0
        ("jaeger", "github.com/jaegertracing/jaeger", "v1.76.0"),  # of 2.13.0
        ("loki", "github.com/grafana/loki/v3", "v3.7.8"),
        ("collector", "go.opentelemetry.io/collector/otelcol", "v0.152.0"),
    ],
)
def test_the_versions_that_folders_are_named_after_are_those_of_the_modules(
    checkout: Checkout, tool: str, module: str, version: str
) -> None:
    modules = (ROOT / "collector/tools" / tool / "go.mod").read_text()
    assert re.findall(rf"^(?:require |\t){re.escape(module)} (\S+)", modules, re.MULTILINE) == [version]
    output, _ = checkout.run("--only", tool, "--print", "path")
    named = {"v0.316.0": "3.16.0", "v1.76.0": "2.13.0"}.get(version, version.removeprefix("v"))
    assert pathlib.Path(output).name.startswith(f"{tool}-{named}-")
