"""What each framework's how-to shows: the same counter, with a login and a logout."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal
from redis import Redis
from servers import OwnServer
from starlette.testclient import TestClient

from chirp.middleware.sessions import RedisSessionStore


@contextmanager
def visitor_without_lifespan(module: dict[str, Any]) -> Iterator[TestClient]:
    """Visit an app that knows no lifespan, on one event loop; close its store at the end."""
    with start_blocking_portal() as portal:
        client = TestClient(module["app"])
        client.portal = portal
        yield client
        portal.call(module["store"].aclose)


def sessions_in(store: RedisSessionStore, client: TestClient) -> list[Any]:
    """Return the users of the sessions that live, on the event loop of the app."""

    async def users() -> list[Any]:
        return [one.user_id async for scan in store.scan_sessions() for one in scan.sessions]

    assert client.portal is not None
    return client.portal.call(users)


def connections_at(redis_url: str) -> int:
    """Return how many connections the server has besides the one that asks."""
    with Redis.from_url(redis_url, socket_timeout=10) as redis:
        return len(redis.client_list()) - 1


def counts_and_signs_in(client: TestClient, store: RedisSessionStore) -> None:
    """Expect visits to be counted in Redis, a login to change the id, and a logout to leave nothing."""
    assert [client.get("/").json() for _ in range(2)] == [{"visits": 1}, {"visits": 2}]
    assert sessions_in(store, client) == [None]
    before = dict(client.cookies)
    assert client.post("/login/ada").json() == {"signed in": "ada"}
    after = dict(client.cookies)
    assert (set(after), after != before) == (set(before), True)
    assert sessions_in(store, client) == ["ada"]
    assert client.get("/").json() == {"visits": 1}
    assert client.post("/logout").json() == {"signed out": True}
    assert (sessions_in(store, client), dict(client.cookies)) == ([], {})


def is_refused_while_out(client: TestClient, server: OwnServer) -> None:
    """Expect a 503 while the server is gone, and an answer when it is back, which has forgotten."""
    assert client.get("/").status_code == 200
    server.kill()
    assert client.get("/").status_code == 503
    server.start()
    assert client.get("/").json() == {"visits": 1}
