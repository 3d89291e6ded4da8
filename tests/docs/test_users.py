"""docs/how-to/users.md is executed: each of its programs does what the text around it says."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from programs import Document
from servers import OwnServer
from starlette.testclient import TestClient

from chirp import regenerate_session
from chirp.testing import Browser

PAGE = Document("docs/how-to/users.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_devices_program(own_server: Callable[..., OwnServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices are listed, one is signed out, then all others."""
    monkeypatch.setenv("REDIS_URL", own_server().url)
    app = PAGE.run("devices")["app"]
    with TestClient(app) as here:
        phone, tablet, stranger = (TestClient(app) for _ in range(3))
        for client, name in ((here, "ada"), (phone, "ada"), (tablet, "ada"), (stranger, "bob")):
            client.portal = here.portal  # one event loop for all of them, as one process has
            client.post(f"/login/{name}")
        listed = here.get("/devices").json()
        assert sorted(device["this one"] for device in listed) == [False, False, True]
        (bobs,) = stranger.get("/devices").json()
        assert here.delete(f"/devices/{bobs['handle']}").json() == {"ended": False}
        (phones,) = [device for device in phone.get("/devices").json() if device["this one"]]
        assert here.delete(f"/devices/{phones['handle']}").json() == {"ended": True}
        assert phone.get("/devices").json() == []
        assert here.delete("/devices").json() == {"ended": 1}
        assert [len(client.get("/devices").json()) for client in (here, tablet, stranger)] == [1, 0, 1]


def test_the_password_program() -> None:
    """The session that changed it stays, the others are gone."""
    module: dict[str, Any] = PAGE.run("password")
    store = module["store"]

    async def changed() -> list[dict[str, Any]]:
        browsers = [Browser(store) for _ in range(3)]
        for browser in browsers:
            await browser.visit(lambda session: regenerate_session().update(user_id="ada"))
        request = await browsers[0].begin()
        change = request.run(lambda session: asyncio.ensure_future(module["change_password"]("ada", "new")))
        assert await change == 2
        await request.finish()
        return [await browser.read() for browser in browsers]

    assert asyncio.run(changed()) == [{"user_id": "ada"}, {}, {}]
    assert module["passwords"] == {"ada": "new"}
