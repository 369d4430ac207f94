"""What can go wrong with a store, in words for the person who asked for it."""

from __future__ import annotations


class StoreError(Exception):
    """A store cannot be opened, read or written; the message says which and what would help."""


class StoreLockedError(StoreError):
    """Another process, most likely a running viewer, holds the store."""


class StoreBusyError(StoreError):
    """More is waiting to be written than the store keeps up with; the sender should try again."""


class BatchTooLargeError(StoreError):
    """One request's records are larger than the store takes at once; sending them again would not help."""


class QueryError(Exception):
    """What was asked cannot be answered; the message says what would be right."""


class PortInUseError(Exception):
    """A port cannot be bound; the message names the port and the option that chooses another."""


class UnreachableError(Exception):
    """No viewer answers at the address that was asked."""
