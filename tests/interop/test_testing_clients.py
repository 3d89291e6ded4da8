"""Test clients of other frameworks and of httpx are put into sessions as Starlette's is."""

from dataclasses import replace
from typing import Any

import fastapi.testclient
import httpx
import litestar
import litestar.testing
import pytest
from session_kit import app_under, config_with
from starlette.responses import JSONResponse

from chirp.middleware.sessions import ASGISessionMiddleware, MemorySessionStore, get_session
from chirp.testing import put_session, put_session_sync, read_session, read_session_sync

CONFIG = config_with()


@pytest.fixture
def store() -> MemorySessionStore:
    return MemorySessionStore(CONFIG)


def test_fastapi_s_client(store: MemorySessionStore) -> None:
    """It is Starlette's, under another name."""
    app = fastapi.FastAPI()
    app.add_middleware(ASGISessionMiddleware, config=replace(CONFIG, store=store))

    @app.get("/")
    def read() -> dict[str, Any]:
        return dict(get_session())

    with fastapi.testclient.TestClient(app) as client:
        put_session_sync(client, store, {"a": 1})
        assert client.get("/").json() == {"a": 1}
        assert read_session_sync(client, store) == {"a": 1}


@pytest.mark.parametrize("base_url", ["http://testserver.local", "https://testserver.local"])
def test_litestar_s_client(store: MemorySessionStore, base_url: str) -> None:
    """It runs the app in a loop of its own as well."""

    @litestar.get("/")
    async def read() -> dict[str, Any]:
        return dict(get_session())

    app = ASGISessionMiddleware(litestar.Litestar([read]), replace(CONFIG, store=store))
    with litestar.testing.TestClient(app, base_url=base_url) as client:
        put_session_sync(client, store, {"a": 1})
        assert client.get("/").json() == {"a": 1}
        assert read_session_sync(client, store) == {"a": 1}


async def test_httpx_s_async_client(store: MemorySessionStore) -> None:
    """In the loop of the test."""
    app = app_under("app", lambda request: JSONResponse(dict(get_session())), replace(CONFIG, store=store))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        await put_session(client, store, {"a": 1})
        assert (await client.get("/")).json() == {"a": 1}
        assert await read_session(client, store) == {"a": 1}
