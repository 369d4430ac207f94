from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from document_vlm.critical_fields import Field
from document_vlm.errors import UnknownDocument
from document_vlm.question import Reply
from document_vlm.store import Store, with_async_driver
from document_vlm.vision import Recognition


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://user@host/name", "postgresql+asyncpg"),
        ("postgres://user@host/name", "postgresql+asyncpg"),
        ("sqlite:///a.db", "sqlite+aiosqlite"),
        ("postgresql+psycopg://user@host/name", "postgresql+psycopg"),
    ],
)
def test_a_url_without_a_driver_gets_the_asynchronous_one(url, driver):
    assert with_async_driver(url).drivername == driver
    assert with_async_driver(url).database == make_url(url).database


async def test_a_stored_document_is_read_back(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'documents.db'}")
    await store.open()
    reply = Reply(text="A receipt.", kind="receipt", recognitions=[Recognition(("TOTAL 1,000", "naïve 한글"), 0.9)])
    reply.fields = [Field("amount", "1,000", "1000")]
    await store.add(reply, pages=1)
    await store.close()
    again = Store(f"sqlite:///{tmp_path / 'documents.db'}")
    await again.open()
    found = await again.get(reply.id)
    assert found == {
        "id": reply.id,
        "created": reply.created,
        "kind": "receipt",
        "pages": 1,
        "text": "TOTAL 1,000\nnaïve 한글",
        "answer": "A receipt.",
        "fields": [{"name": "amount", "text": "1,000", "value": "1000"}],
    }
    with pytest.raises(UnknownDocument, match="'none'"):
        await again.get("none")
    await again.close()
