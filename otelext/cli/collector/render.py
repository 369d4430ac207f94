"""`otelext collector render`: a complete, commented configuration of the Collector."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from otelext.cli._extras import extra
from otelext.pipeline.options import AUTH, KAFKA, LOGS, METRICS, SAMPLING, TIERS, TRACES, OptionError, Options

if TYPE_CHECKING:
    from otelext.pipeline.variables import Variable
    from otelext.pipeline.written import File


@click.command("render", short_help="Write a complete configuration for chosen backends.")
@click.argument("tier", type=click.Choice(TIERS), default="single")
@click.option("--traces", type=click.Choice(TRACES), help="Where traces go.  [default: jaeger]")
@click.option("--metrics", type=click.Choice(METRICS), help="Where metrics go.  [default: prometheus]")
@click.option("--logs", type=click.Choice(LOGS), help="Where logs go.  [default: loki]")
@click.option(
    "--sampling",
    type=click.Choice(SAMPLING),
    help="Keep every trace, or decide on each when it has ended.  [default: tail for gateway, else none]",
)
@click.option(
    "--auth",
    type=click.Choice(("none", *AUTH)),
    multiple=True,
    help="What senders have to show; may be given twice.  [default: none]",
)
@click.option("--kafka", type=click.Choice(KAFKA), help="This end of a Kafka between agents and gateways.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default="the current folder",
    help="Folder to write to.",
)
@click.option("--diff", is_flag=True, help="Write nothing; print what would change, and exit with 1 if anything would.")
@click.option("--force", is_flag=True, help="Overwrite files that were edited.")
def command(
    tier: str,
    traces: str | None,
    metrics: str | None,
    logs: str | None,
    sampling: str | None,
    auth: tuple[str, ...],
    kafka: str | None,
    out: Path,
    diff: bool,
    force: bool,
) -> None:
    """Write a complete configuration of the OpenTelemetry Collector, and say how to start it.

    TIER is `single` for everything on one node, `agent` or `gateway` for the first or second of two tiers.  [default: single]

    Exit code 1 when an edited file is in the way (or, with --diff, when something would change), 2 when choices don't go
    together.
    """
    if "none" in auth and len(set(auth)) > 1:
        raise click.UsageError("--auth none excludes every other --auth")
    if diff and force:
        raise click.UsageError("--diff and --force exclude each other: --diff writes nothing")
    try:
        options = Options(tier, traces, metrics, logs, sampling, frozenset(auth) - {"none"}, kafka)
    except OptionError as error:
        raise click.UsageError(str(error)) from error
    with extra("pipeline", "otelext collector render"):
        from otelext.pipeline.written import files  # noqa: PLC0415 (needs an extra)
    rendered = files(options, out)
    try:
        if diff:
            _compare(rendered)
        else:
            _write(rendered, force=force)
    except OSError as error:
        raise click.ClickException(f"{error.filename or out}: {error.strerror}") from error
    _explain(options, rendered)


def _compare(rendered: list[File]) -> None:
    differences = [file.difference() for file in rendered]
    click.echo("".join(differences), nl=False)
    sys.exit(1 if any(differences) else 0)


def _write(rendered: list[File], *, force: bool) -> None:
    from otelext.pipeline.written import State, write  # noqa: PLC0415 (needs an extra)

    states = {file.path: file.state for file in rendered}
    edited = [str(path) for path, state in states.items() if state is State.EDITED]
    if edited and not force:
        raise click.ClickException(
            f"{' and '.join(edited)} {'was' if len(edited) == 1 else 'were'} edited, or written by something else: nothing is"
            " written. --diff shows what would change, --out takes another folder, --force overwrites."
        )
    write(file for file in rendered if states[file.path] is not State.SAME)
    for path, state in states.items():
        click.echo(f"{'unchanged' if state is State.SAME else 'wrote'} {path}")


def _explain(options: Options, rendered: list[File]) -> None:
    from otelext.pipeline.variables import variables  # noqa: PLC0415

    paths = [file.path.resolve() for file in rendered]
    known = variables(options, rendered[0].text, paths[-1])
    must = [variable for variable in known if variable.must_be_set]
    may = [variable for variable in known if variable.often_set and not variable.must_be_set]
    rest = len(known) - len(must) - len(may)
    _list("These have to be set:", must)
    _list("These where the default doesn't fit:", may)
    click.echo(f"\n{rest} more have defaults that fit nearly everywhere, and stand in {rendered[0].path.name}.")
    for remark in options.remarks:
        click.echo(f"\n{remark}")
    click.echo("\nStart it:")
    for variable in must:
        if variable.value is not None:
            click.echo(f"  export {variable.name}={shlex.quote(variable.value)}")
    click.echo(f"  {shlex.join(options.start(str(paths[0])))}")


def _list(heading: str, found: list[Variable]) -> None:
    if not found:
        return
    click.echo(f"\n{heading}")
    for variable in found:
        value = variable.value if variable.value is not None else variable.default
        shown = click.style(variable.name, bold=True)
        if value:
            shown += f"={value}"
        elif value is None:
            shown += click.style("  (no default)", dim=True)
        click.echo(f"  {shown}")
        click.echo(f"      {variable.meaning.replace('`', '')}")
