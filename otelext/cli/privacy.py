"""`otelext privacy`: what would leave a service that is started in this environment, and what one that runs let out."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otelext.viewer.formats import plain

if TYPE_CHECKING:
    from otelext.distro.config import Config
    from otelext.distro.dry_run import Row

_WIDEST_PLACE = 40


@click.command("privacy", short_help="Show what would leave a service, and what does not.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option("--all", "everything", is_flag=True, help="Print each attribute of the list too, not only what changes.")
@click.option(
    "--samples",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What a running service lets out: the file that OTELEXT_PRIVACY_SAMPLES names there.",
)
def command(as_json: bool, everything: bool, samples: Path | None) -> None:
    """Print what would leave a service that is started in this environment: a dry run of everything it could export.

    Nothing is sent. Give it the environment of the service (OTELEXT_CAPTURE, OTELEXT_ALLOW_ATTRIBUTES, OTELEXT_TENANTS,
    OTELEXT_HASH_KEY, ...). With OTELEXT_PRIVACY_SAMPLES a running service writes a sample of each thing that leaves it
    to a file on its machine, which is read here too.

    Exit code 2 when used wrongly.
    """
    from otelext.distro import config as settings  # noqa: PLC0415 (loads the SDK)
    from otelext.distro.dry_run import dry_run  # noqa: PLC0415
    from otelext.distro.privacy import rules_of  # noqa: PLC0415
    from otelext.processors import allowed  # noqa: PLC0415

    config = settings.read()
    if samples is None and config.privacy_samples and Path(config.privacy_samples).is_file():
        samples = Path(config.privacy_samples)
    left = _read(samples) if samples is not None else []
    rows = dry_run(rules_of(config), config.tenants)
    if as_json:
        found = {
            "settings": _settings(config),
            "dry_run": [vars(row) for row in rows],
            "left_out": allowed.LEFT_OUT,
            "samples": left,
        }
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    _head("What holds")
    for name, value in _settings(config).items():
        click.echo(f"  {name:24}{value}")
    _print_rows(rows, everything=everything)
    _head("Not on the list, on purpose")
    for names, reason in allowed.LEFT_OUT.items():
        click.echo(_wrapped(f"{names}: {reason}"))
    if samples is not None:
        _print_samples(left, samples)


def _settings(config: Config) -> dict[str, str]:
    tenants = ", ".join(config.tenants)
    return {
        "opened": ", ".join(config.capture) or "nothing (OTELEXT_CAPTURE)",
        "attributes besides": ", ".join(config.allow_attributes) or "none (OTELEXT_ALLOW_ATTRIBUTES)",
        "tenant.id": f"{tenants}; others as other" if tenants else "always other (OTELEXT_TENANTS)",
        "user.id": "as HMAC-SHA-256" if config.hash_key else "does not leave (OTELEXT_HASH_KEY)",
        "baggage": ", ".join(config.baggage_keys) or "none (OTELEXT_BAGGAGE_KEYS)",
        "baggage of requests": "taken" if config.baggage_trust else "ignored (OTELEXT_BAGGAGE_TRUST)",
    }


def _print_rows(rows: list[Row], *, everything: bool) -> None:
    stays = sum(row.leaves == row.given for row in rows)
    _head("A dry run: what is put in, and what would leave")
    # What lets data out comes first: it is what an auditor looks for.
    for row in sorted(rows, key=lambda row: not _is_open(row)):
        if row.leaves == row.given and not everything and not _is_open(row):
            continue
        leaves = "does not leave" if row.leaves is None else "stays" if row.leaves == row.given else plain(row.leaves)
        if _is_open(row):
            leaves = click.style(f"LEAVES: {plain(row.leaves or '')}", fg="red")
        place = f"{row.signal}: {row.place}"
        click.echo(f"  {place:{_WIDEST_PLACE}}  {leaves}")
    click.echo(f"  {stays} of {len(rows)} leave as they are" + ("" if everything else ", which --all prints"))


def _is_open(row: Row) -> bool:
    from otelext.distro.dry_run import TYPED  # noqa: PLC0415 (loads the SDK)

    return row.leaves is not None and TYPED in row.leaves


def _read(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            sample = json.loads(line)
            found.append({key: sample[key] for key in ("signal", "place", "name", "value", "pid")})
        except (ValueError, KeyError, TypeError) as error:
            raise click.BadParameter(
                f"{str(path)!r} has a line that is no sample: {line[:80]!r}; give the file that a service writes to"
                " OTELEXT_PRIVACY_SAMPLES",
                param_hint="--samples",
            ) from error
    return found


def _print_samples(samples: list[dict[str, Any]], path: Path) -> None:
    processes = len({sample["pid"] for sample in samples})
    _head(f"What left {processes} running process{'' if processes == 1 else 'es'}, by {path}")
    for sample in samples:
        place = f"{sample['signal']}: {sample['place']} {sample['name']}"
        value = "" if sample["value"] == sample["name"] else f"  {plain(str(sample['value']))}"
        click.echo(f"  {plain(place):{_WIDEST_PLACE}}{value}")


def _head(text: str) -> None:
    click.echo(click.style(f"\n{text}", bold=True))


def _wrapped(text: str) -> str:
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, max(width, 40), initial_indent="  ", subsequent_indent="    ", break_long_words=False)
