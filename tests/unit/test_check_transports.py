"""`chirp check` looks at the way to the server: TLS, its certificate, and how long a round trip takes."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from check_kit import ERROR, GOOD, PREFIX, WARNING, bad, findings, only
from proxy import Proxy, proxied
from servers import StartServer

from chirp.checks.examine import examine
from chirp.checks.finding import Finding
from chirp.errors import StoreUnavailable


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path) -> str:
    """What a URL needs to trust the authority."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return f"ssl_ca_certs={path}"


@asynccontextmanager
async def over_tls(url: str, authority: trustme.CA, days: float = 90, name: str = "127.0.0.1") -> AsyncIterator[Proxy]:
    """Encrypt the way to a server, with a certificate for that name and so many days."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=datetime.now(UTC) + timedelta(days=days)).configure_cert(context)
    async with proxied(url, tls=context) as proxy:
        yield proxy


async def looked_at(url: str) -> list[Finding]:
    return await asyncio.to_thread(findings, url)


async def test_tls_as_it_should_be_has_no_finding(
    own_server: StartServer, authority: trustme.CA, trusting: str
) -> None:
    """The certificate's days are told."""
    async with over_tls(own_server(*GOOD).url, authority) as proxy:
        found = await looked_at(f"{proxy.url}?{trusting}")
    assert bad(found) == []
    assert only(found, "certificate").found == "valid for 90 days"


@pytest.mark.parametrize(("option", "severity"), [("ssl_cert_reqs=none", ERROR), ("ssl_check_hostname=false", WARNING)])
async def test_a_certificate_that_is_not_checked_is_found(
    own_server: StartServer, authority: trustme.CA, trusting: str, option: str, severity: str
) -> None:
    """It protects from nobody in between."""
    async with over_tls(own_server(*GOOD).url, authority) as proxy:
        found = await looked_at(f"{proxy.url}?{trusting}&{option}")
    assert bad(found) == [("tls", severity)]
    assert option.partition("=")[0] in only(found, "tls").found


@pytest.mark.parametrize(("days", "severity"), [(20, WARNING), (3, ERROR)])
async def test_a_certificate_that_expires_soon_is_found(
    own_server: StartServer, authority: trustme.CA, trusting: str, days: int, severity: str
) -> None:
    """In time, and as an error in the last week."""
    async with over_tls(own_server(*GOOD).url, authority, days) as proxy:
        assert bad(await looked_at(f"{proxy.url}?{trusting}")) == [("certificate", severity)]


@pytest.mark.parametrize(
    ("days", "name", "told"),
    [(-1, "127.0.0.1", "certificate has expired"), (90, "127.0.0.2", "IP address mismatch")],
)
async def test_a_certificate_that_is_not_accepted_is_told(
    authority: trustme.CA, trusting: str, days: int, name: str, told: str
) -> None:
    """With the reason."""
    async with over_tls("redis://127.0.0.1:1", authority, days, name) as proxy:
        with pytest.raises(StoreUnavailable, match=told):
            await looked_at(f"{proxy.url}?{trusting}")


async def test_a_certificate_that_nobody_vouches_for_is_told(authority: trustme.CA) -> None:
    """With the way to name its authority."""
    async with over_tls("redis://127.0.0.1:1", authority) as proxy:
        with pytest.raises(StoreUnavailable, match=r"certificate is not accepted \(.*\?ssl_ca_certs=FILE"):
            await looked_at(proxy.url)


async def test_a_slow_way_is_found(own_server: StartServer) -> None:
    """By what round trips take at the median."""
    async with proxied(own_server(*GOOD).url) as proxy:
        proxy.delay = lambda: 0.02
        found = await asyncio.to_thread(examine, proxy.url, PREFIX)
    assert bad(found) == [("latency", WARNING)]
    assert "limits: 10 ms and 500 ms" in only(found, "latency").found


async def test_a_way_that_stands_still_at_times_is_found(own_server: StartServer) -> None:
    """By the worst round trip, where the others are fast."""
    async with proxied(own_server(*GOOD).url) as proxy:
        proxy.delay = lambda: 0.6 if b"".join(wire.sent for wire in proxy.wires).count(b"GET") == 12 else 0.0
        found = await asyncio.to_thread(examine, proxy.url, PREFIX)
    assert bad(found) == [("latency", WARNING)]


async def test_a_server_that_is_loading_is_told(own_server: StartServer) -> None:
    """It has begun, and has not read all that it had stored."""
    async with proxied(own_server().url) as proxy:
        proxy.error = b"-LOADING Redis is loading the dataset in memory\r\n"
        with pytest.raises(StoreUnavailable, match="is still loading what it had stored"):
            await looked_at(proxy.url)


async def test_a_server_that_goes_away_is_told(own_server: StartServer) -> None:
    """In the middle of it."""
    async with proxied(own_server(*GOOD).url) as proxy:
        proxy.lose_reply_to = b"TIME"
        with pytest.raises(StoreUnavailable, match="does not answer: "):
            await looked_at(proxy.url)
