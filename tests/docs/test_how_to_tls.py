"""docs/how-to/tls.md is executed: its program reaches a server whose certificate is checked."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from programs import Document
from proxy import proxied
from visits import put, read

from chirp.errors import StoreUnavailable

PAGE = Document("docs/how-to/tls.md")


async def stored_over_tls(
    redis_url: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, *, name: str = "127.0.0.1"
) -> dict[str, Any]:
    """Store a session by the page's program, at a server that shows a certificate of this authority for this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    async with proxied(redis_url, tls=context) as proxy:
        monkeypatch.setenv("REDIS_URL", proxy.url)
        store = PAGE.run("url")["store"]
        try:
            cookie = await put(store, a=1)
            found = await read(store, cookie)
            await store.revoke_id(cookie)
            return found
        finally:
            await store.aclose()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The authority that the program is told to trust."""
    trusted = trustme.CA()
    trusted.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REDIS_CA", str(tmp_path / "authority.pem"))
    return trusted


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_url_program(redis_url: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stores a session at a server that the authority vouches for."""
    assert asyncio.run(stored_over_tls(redis_url, authority, monkeypatch)) == {"a": 1}


def test_a_certificate_of_somebody_else_is_an_outage(
    redis_url: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the page says."""
    with pytest.raises(StoreUnavailable):
        asyncio.run(stored_over_tls(redis_url, trustme.CA(), monkeypatch))


def test_a_certificate_for_another_name_is_an_outage(
    redis_url: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority vouches for it, and it is not this server's."""
    with pytest.raises(StoreUnavailable):
        asyncio.run(stored_over_tls(redis_url, authority, monkeypatch, name="redis.example.com"))
