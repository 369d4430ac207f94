"""`otelext collector validate`: what is wrong with a Collector's configuration, and what to write instead."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Final

import click

from otelext.cli._extras import extra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelext.pipeline.finding import Finding

_COLOURS: Final = {"error": "red", "warning": "yellow", "note": "cyan"}
_UNREADABLE: Final = 2


@click.command("validate", short_help="Say what is wrong with a configuration, and what to write instead.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--overlay",
    "overlays",
    metavar="FILE",
    multiple=True,
    help="Lay this file over each FILE, as a second --config of the Collector's; may be given several times.",
)
@click.option(
    "--environment", is_flag=True, help="Replace ${env:NAME} by the variables set here, not by defaults alone."
)
@click.option(
    "--severity",
    type=click.Choice(list(_COLOURS)),
    default="note",
    show_default=True,
    help="The least that counts as a finding.",
)
@click.option(
    "--ignore",
    "ignored",
    metavar="RULE",
    multiple=True,
    help="Leave out findings of this rule; may be given several times.",
)
@click.option("--json", "form", flag_value="json", help="Print the findings as JSON.")
@click.option("--sarif", "form", flag_value="sarif", help="Print them as SARIF 2.1.0, for code review.")
@click.option("--otelcol/--no-otelcol", default=True, show_default=True, help="Also ask a Collector that is on PATH.")
def command(
    files: tuple[str, ...],
    overlays: tuple[str, ...],
    environment: bool,
    severity: str,
    ignored: tuple[str, ...],
    form: str | None,
    otelcol: bool,
) -> None:
    """Print each fault of the configurations with its line, why it matters, and what to write instead.

    Several files are taken for the tiers of one pipeline. Exit code 0 when there is nothing to say, 1 when there is, 2
    when a file can't be read.
    """
    with extra("pipeline", "otelext collector validate"):
        from otelext.pipeline import otelcol as collector  # noqa: PLC0415 (needs an extra)
        from otelext.pipeline.sarif import sarif  # noqa: PLC0415
        from otelext.pipeline.validate import RULES, load, validate  # noqa: PLC0415
        from otelext.pipeline.yaml_tree import UnreadableError  # noqa: PLC0415

    rules = (*RULES, collector.REFUSED)
    unknown = set(ignored) - {rule.id for rule in rules}
    if unknown:
        known = ", ".join(sorted(rule.id for rule in rules))
        raise click.BadParameter(f"there is no rule {min(unknown)}; there are {known}", param_hint="--ignore")
    try:
        configurations = [load(file, overlays, os.environ if environment else None) for file in files]
    except UnreadableError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(_UNREADABLE) from error
    binary = collector.program() if otelcol else None
    findings = validate(configurations, _built_in(binary) if binary else frozenset())
    if binary:
        findings += _asked(binary, files, overlays)
    levels = list(_COLOURS)
    kept = [
        one
        for one in findings
        if one.rule.id not in ignored and levels.index(one.rule.severity) <= levels.index(severity)
    ]
    if form == "json":
        click.echo(json.dumps([one.as_dict() for one in kept], indent=2))
    elif form == "sarif":
        click.echo(json.dumps(sarif(kept, rules), indent=2))
    else:
        _print(kept, files)
    raise SystemExit(1 if kept else 0)


def _built_in(binary: str) -> frozenset[tuple[str, str]]:
    from otelext.pipeline import otelcol  # noqa: PLC0415 (needs an extra)

    try:
        return otelcol.components(binary)
    except (OSError, subprocess.SubprocessError) as error:
        click.echo(f"{binary} was not asked for its components: {error}", err=True)
        return frozenset()


def _asked(binary: str, files: Sequence[str], overlays: Sequence[str]) -> list[Finding]:
    from otelext.pipeline import otelcol  # noqa: PLC0415 (needs an extra)

    found: list[Finding] = []
    for file in files:
        try:
            found += otelcol.check(binary, [file, *overlays])
        except (OSError, subprocess.SubprocessError) as error:
            click.echo(f"{binary} was not asked: {error}", err=True)
    return found


def _print(findings: Sequence[Finding], files: Sequence[str]) -> None:
    for one in findings:
        severity = click.style(one.rule.severity, fg=_COLOURS[one.rule.severity], bold=True)
        rule = click.style(f"[{one.rule.id}]", dim=True)
        click.echo(f"{one.place.file}:{one.place.line}: {severity}: {one.message} {rule}")
        click.echo(f"    why: {one.rule.why}")
        click.echo(f"    instead: {one.instead}")
    count = Counter[str](one.rule.severity for one in findings)
    told = ", ".join(f"{count[level]} {level}{'s' if count[level] > 1 else ''}" for level in _COLOURS if count[level])
    click.echo(told or f"{', '.join(files)}: nothing to say")
