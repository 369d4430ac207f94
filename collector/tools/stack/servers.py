"""What is built: one entry for each folder with a `go.mod` beside this one, but the builder's and `schema`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOOLS_FOLDER: Final = Path(__file__).resolve().parent.parent
BUILDER_FOLDER: Final = TOOLS_FOLDER / "builder"
MODULE_FILES: Final = ("go.mod", "go.sum")
# Nothing here reads debugging information, and without it the compilers have a fifth less to do.
FLAGS: Final = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")


@dataclass(frozen=True)
class Tool:
    """One `go.mod`, and the programs that are built with it."""

    name: str
    version: str
    """As the project calls its release and tags its image; the modules themselves are pinned in go.mod."""
    binaries: tuple[str, ...]
    tags: str = ""
    stamp: str = ""
    """The Go variable with the version that the program tells of itself, which builds from a module leave empty."""
    components: Path | None = None
    """From which the Collector's builder generates the sources; of the others go.mod names the packages."""

    @property
    def folder(self) -> Path:
        """Where its `go.mod` and `go.sum` are."""
        return TOOLS_FOLDER / self.name

    @property
    def flags(self) -> tuple[str, ...]:
        """Of `go build`."""
        stamped = f" -X {self.stamp}={self.version}" if self.stamp else ""
        return (*FLAGS, f"-tags={self.tags}", f"-ldflags=-s -w{stamped}")

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that decide what is built."""
        folders = [self.folder, BUILDER_FOLDER] if self.components else [self.folder]
        modules = [folder / name for folder in folders for name in MODULE_FILES]
        return (*modules, self.components) if self.components else (*modules,)

    @property
    def go(self) -> str:
        """The oldest Go that its `go.mod` accepts, as in 1.26.7."""
        lines = re.findall(r"^go (\S+)$", (self.folder / "go.mod").read_text(), re.MULTILINE)
        return str(lines[0])


_PROMETHEUS_STAMP: Final = "github.com/prometheus/common/version.Version"
# In this order the large downloads run while the small servers compile.
TOOLS: Final = (
    Tool("telemetrygen", "0.161.0", ("telemetrygen",)),
    Tool("alertmanager", "0.31.1", ("alertmanager", "amtool"), stamp=_PROMETHEUS_STAMP),
    # Without its service discoveries (static targets stay) Prometheus compiles in a third of the time.
    Tool("prometheus", "3.16.0", ("prometheus", "promtool"), tags="remove_all_sd", stamp=_PROMETHEUS_STAMP),
    Tool("jaeger", "2.13.0", ("jaeger",), stamp="github.com/jaegertracing/jaeger/internal/version.latestVersion"),
    Tool("loki", "3.7.8", ("loki",), stamp="github.com/grafana/loki/v3/pkg/util/build.Version"),
    Tool("collector", "0.152.0", ("otelcol",), tags="remove_all_sd", components=TOOLS_FOLDER.parent / "builder.yaml"),
)
