"""What may stand at one place of a component's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind: TypeAlias = Literal["any", "bool", "bytes", "duration", "float", "id", "int", "secret", "string"]
"""Of a scalar: `id` is a component's, `secret` is never printed, `bytes` a size, and `any` takes every value."""

Fate: TypeAlias = Literal["known", "refused", "ignored", "any"]
"""What the Collector does about a name: it knows it, ends, passes over it in silence, or takes any."""


@dataclass(frozen=True)
class Key:
    """A place, which may take more than one form, such as a list and a map."""

    kind: Kind | None = None
    default: str | float | bool | None = None
    """Of `endpoint`, `enabled`, `max_elapsed_time`, `routing_key` and `transport`, where it is not empty, false or 0.

    It holds once the section around it is given. `enabled` is true in a section that is on without being given.
    """
    keys: Mapping[str, Key] | None = None
    """The names that are known here."""
    unknown: Fate = "refused"
    """What becomes of other names than these."""
    items: Key | None = None
    """What a list holds."""
    values: Key | None = None
    """What a map holds under names of the user's choice."""
    by: str = ""
    """The name whose value selects one of the variants, as `type` does in the operators of file_log."""
    variants: Mapping[str, Key] = field(default_factory=dict)

    def form(self, config: object) -> Key | None:
        """Return the variant that a configuration selects, the key itself where there are none, None if it is unknown."""
        if not self.by:
            return self
        choice = config.get(self.by) if isinstance(config, dict) else None
        return self.variants.get(choice) if isinstance(choice, str) else None

    def child(self, step: str | int) -> Key | None:
        """What stands under a name, or at a place in a list; None where that is not known."""
        if isinstance(step, int):
            return self.items
        return (self.keys or {}).get(step, self.values)

    def fate(self, name: str) -> Fate:
        """What becomes of a name."""
        if self.keys is None or self.values is not None:
            return "any"
        return "known" if name in self.keys else self.unknown
