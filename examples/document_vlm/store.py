"""Answered documents, in SQLite by default and in PostgreSQL by URL."""

from __future__ import annotations

import datetime
from typing import Any, Final

from sqlalchemy import JSON, DateTime, String, Text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .errors import UnknownDocument
from .question import Reply

_ASYNC_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}


def with_async_driver(url: str) -> URL:
    """The URL with an asynchronous driver where it names none."""
    parsed = make_url(url)
    return parsed.set(drivername=_ASYNC_DRIVERS.get(parsed.drivername, parsed.drivername))


class _Base(DeclarativeBase):
    pass


class StoredDocument(_Base):
    """One answered document."""

    __tablename__ = "documents"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    created: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True))
    kind: Mapped[str] = mapped_column(String(32))
    pages: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    fields: Mapped[list[dict[str, Any]]] = mapped_column(JSON)


class Store:
    """The documents' table.

    Args:
        url: SQLAlchemy URL; plain `sqlite://` and `postgresql://` get their async drivers.

    Raises:
        sqlalchemy.exc.ArgumentError: The URL can't be read.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(with_async_driver(url))
        self._session: async_sessionmaker[AsyncSession] = async_sessionmaker(self._engine, expire_on_commit=False)

    async def open(self) -> None:
        """Make the table where it is missing."""
        async with self._engine.begin() as connection:
            await connection.run_sync(_Base.metadata.create_all)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def add(self, reply: Reply, *, pages: int) -> None:
        """Keep an answered document."""
        async with self._session.begin() as session:
            session.add(
                StoredDocument(
                    id=reply.id,
                    created=datetime.datetime.fromtimestamp(reply.created, datetime.timezone.utc),
                    kind=reply.kind,
                    pages=pages,
                    text="\n".join(reply.lines),
                    answer=reply.text,
                    fields=[{"name": field.name, "text": field.text, "value": field.value} for field in reply.fields],
                )
            )

    async def get(self, identity: str) -> dict[str, Any]:
        """A stored document as JSON.

        Raises:
            UnknownDocument: There is none of this id.
        """
        async with self._session() as session:
            found = await session.get(StoredDocument, identity)
        if found is None:
            raise UnknownDocument(f"there is no document {identity!r}")
        return {
            "id": found.id,
            "created": int(found.created.replace(tzinfo=found.created.tzinfo or datetime.timezone.utc).timestamp()),
            "kind": found.kind,
            "pages": found.pages,
            "text": found.text,
            "answer": found.answer,
            "fields": found.fields,
        }
