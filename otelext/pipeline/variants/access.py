"""Who may send: the files of `access/` in the file itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from otelext.pipeline.commented import load, put, reword, said
from otelext.pipeline.templates import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.pipeline.options import Options

BY_HAND: Final = "whoever else may send to this gateway is believed too. access/mtls.yaml leaves agents alone in."
"""What `gateway.yaml` says of who is believed, where nothing guards its receiver."""


def apply(root: CommentedMap, options: Options) -> None:
    """Ask senders for what was chosen, and show gateways the same."""
    for name in overlays(options):
        _lay_over(root, load(read(f"access/{name}.yaml")))
    if options.is_default or BY_HAND not in said(root["processors"], "transform/body"):
        return
    if "mtls" in options.auth:
        reword(root["processors"], "transform/body", BY_HAND, "whoever else shows such a certificate is believed too.")
    else:
        reword(root["processors"], "transform/body", "access/mtls.yaml leaves", "--auth mtls leaves")


def overlays(options: Options) -> Iterator[str]:
    """The names of the files.

    An agent's way to its gateways is Kafka's matter where it leads there, and no gateway's token is sent without TLS.
    """
    yield from sorted(options.auth)
    if options.tier == "agent" and options.kafka is None and "mtls" in options.auth:
        yield from (f"{name}_to_gateways" for name in ("mtls", "bearer") if name in options.auth)


def _lay_over(target: CommentedMap, overlay: CommentedMap) -> None:
    """Merge as the Collector does with a second file, but for the list of extensions, which is added to."""
    for key, value in overlay.items():
        there = target.get(key)
        if key == "extensions" and isinstance(value, CommentedSeq):
            there.extend(name for name in value if name not in there)
        elif isinstance(there, CommentedMap) and not _replaces(value, there):
            _lay_over(there, value)
        else:
            put(target, key, overlay)


def _replaces(value: CommentedMap, there: CommentedMap) -> bool:
    """Whether nothing of what is there would be left."""
    return set(there) <= set(value) and not any(isinstance(inner, CommentedMap) for inner in there.values())
