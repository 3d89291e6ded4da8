"""Commands that arrive after their request was told 503, by which time the session may have gone on or ended.

A thawed server, or a network that delivers late, carries out what nobody waits for any more.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from outage import ANY_HASH
from outage_site import BYSTANDER, HELD, WAYS, WRITES, Site
from proxy import Proxy, proxied
from redis.asyncio import Redis
from servers import OwnServer

EVERY_COMMIT = sorted(WRITES - {"create"})
KEEPS_ID = ("touch", "change")


class Late:
    """An app in two processes, of which one reaches its server through a proxy that can hold back what it sends.

    Attributes:
        here: the one behind the proxy; its request is told 503 before its commit has arrived.
        elsewhere: the other one; its browser has the same cookie.
    """

    def __init__(self, kind: str, server: OwnServer, proxy: Proxy, admin: Redis, key_prefix: str) -> None:
        self.here = Site(kind, WAYS[0], key_prefix, 0.6, redis_url=proxy.url)
        self.elsewhere = Site(kind, WAYS[0], key_prefix, 10, redis_url=server.url)
        self._proxy = proxy
        self._admin = admin

    async def request(self) -> None:
        """Make the request whose commit is held back."""
        await self.elsewhere.warm()
        await self.here.prepare()
        self.elsewhere.browser.cookies.update(self.here.browser.cookies)
        self.here.gate.clear()
        request = asyncio.create_task(self.here.request())
        await self.here.entered.wait()
        self._proxy.passing.clear()
        self.here.gate.set()
        await request
        assert self.here.seen.status == 503

    async def arrive(self) -> None:
        """Let the commit arrive, and wait until the server has carried it out."""
        before = sum(len(wire.sent) for wire in self._proxy.wires)
        self._proxy.passing.set()
        await self._proxy.sent(lambda sent: len(sent) > before)
        for _ in range(2):
            await self._admin.ping()

    async def shown(self) -> Any:
        """Return what the browser sees, after a look at whether the other browser sees its own."""
        bystander = (await self.here.bystander.get("/show")).json()
        assert bystander == {BYSTANDER: self.here.store.key_prefix}
        return (await self.here.browser.get("/show")).json()

    async def values(self) -> dict[str, bytes]:
        """Return what is stored of sessions."""
        keys = await self._admin.keys(f"{self.here.store.key_prefix}{ANY_HASH}")
        return {key.decode(): await self._admin.get(key) or b"" for key in keys}

    async def aclose(self) -> None:
        await self.here.aclose()
        await self.elsewhere.aclose()


@pytest.fixture
async def late(request: pytest.FixtureRequest, server: OwnServer, key_prefix: str) -> AsyncIterator[Late]:
    """A commit of the kind that the test is parametrised with, told 503 and held back."""
    async with proxied(server.url) as proxy, Redis.from_url(server.url) as admin:
        late = Late(request.param, server, proxy, admin, key_prefix)
        await late.request()
        yield late
        await late.aclose()


def late_commits(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("late", kinds, indirect=True)


@late_commits(*KEEPS_ID)
async def test_a_later_change_is_made_to_what_arrived(late: Late) -> None:
    """The session goes on from what the late commit made of it."""
    await late.arrive()
    assert (await late.here.browser.post("/grow")).status_code == 200
    assert await late.shown() == {**(late.here.kind.asked or {}), "c": 3}


@late_commits(*EVERY_COMMIT)
async def test_a_change_loaded_before_the_arrival_is_merged_or_comes_too_late(late: Late) -> None:
    """It is merged with a late change; where the late commit has ended the id, it brings nothing back."""
    late.elsewhere.gated = "/grow"
    late.elsewhere.gate.clear()
    growing = asyncio.create_task(late.elsewhere.browser.post("/grow"))
    await late.elsewhere.entered.wait()
    await late.arrive()
    late.elsewhere.gate.set()
    assert (await growing).status_code == 200
    if late.here.name in KEEPS_ID:
        assert await late.shown() == {**(late.here.kind.asked or {}), "c": 3}
    elif late.here.name == "login":  # its place in the user's index alone was sent, so the session is as it was
        assert await late.shown() == {**HELD, "c": 3}
    else:
        assert await late.shown() == {}
        assert not [value for value in (await late.values()).values() if b'"c":3' in value]


@late_commits("touch", "change", "empty", "rotate")
async def test_what_arrives_after_another_change_does_not_undo_it(late: Late) -> None:
    """A late compare-and-set finds another document than it has compared with, and does nothing."""
    assert (await late.elsewhere.browser.post("/grow")).status_code == 200
    await late.arrive()
    assert await late.shown() == {**HELD, "c": 3}


@late_commits(*EVERY_COMMIT)
async def test_what_arrives_after_a_logout_brings_nothing_back(late: Late) -> None:
    """The id that was logged out stays dead, whatever arrives for it."""
    key = late.here.store.key_for(late.here.cookie or "")
    assert (await late.elsewhere.browser.post("/leave")).status_code == 200
    await late.arrive()
    assert await late.shown() == {}
    assert (await late.values())[key] == b"dead"


@late_commits("create")
async def test_a_session_created_late_is_nobodys(late: Late) -> None:
    """The browser was given no id, so it starts anew; what was created is not shown to anyone."""
    await late.arrive()
    assert await late.shown() == {}
    assert (await late.here.browser.post("/grow")).status_code == 200
    assert await late.shown() == {"c": 3}
