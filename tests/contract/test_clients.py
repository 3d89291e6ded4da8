"""With `record_client`, what is stored of a session says by which client it was seen last."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from visits import put_in as put

from chirp.middleware.sessions import Session, rotate_session
from chirp.middleware.sessions.cookie_store import CookieSessionStore
from chirp.testing import Browser, ManualClock

MONTH = 30 * 86400

MakeStore = Any


class Client(Browser):
    """A browser that says what it is and where it comes from."""

    agent = "one"

    async def _load(self) -> Session:
        headers = [(b"user-agent", self.agent.encode())]
        if self.cookie is not None:
            headers.append((b"cookie", f"{self.config.cookie_name}={self.cookie}".encode()))
        scope = {"type": "http", "scheme": "https", "headers": headers, "client": (f"address-{self.agent}", 1)}
        session: Session = await self.store.load(Request(scope))
        return session


async def seen(client: Client) -> tuple[str | None, str | None]:
    """Return what is stored."""
    session = (await client.begin()).session
    return session.user_agent, session.address


ONE, TWO = ("one", "address-one"), ("two", "address-two")


async def test_a_new_session_is_stored_with_its_client(make_store: MakeStore) -> None:
    """As the one that was seen last."""
    client = Client(make_store(record_client=True))
    await client.visit(put(a=1))
    assert await seen(client) == ONE


async def test_a_client_causes_no_write_of_its_own(make_store: MakeStore) -> None:
    """It lags as `last_seen_at` does."""
    client = Client(make_store(record_client=True))
    await client.visit(put(a=1))
    client.agent = "two"
    assert await client.visit() is None
    assert await seen(client) == ONE


async def test_a_touch_takes_the_client_along(make_store: MakeStore, clock: ManualClock) -> None:
    """Once it is due."""
    client = Client(make_store(record_client=True))
    await client.visit(put(a=1))
    client.agent = "two"
    clock.move(400)
    request = await client.begin()
    await request.finish()
    assert (request.session.user_agent, request.session.address) == TWO
    client.agent = "three"
    assert await seen(client) == TWO


async def test_a_change_that_slides_takes_the_client_along(make_store: MakeStore, clock: ManualClock) -> None:
    """Also where it is merged with what others have stored."""
    client = Client(make_store(record_client=True))
    await client.visit(put(a=1))
    client.agent = "two"
    clock.move(400)
    late = await client.begin()
    late.session["b"] = 1
    if not isinstance(client.store, CookieSessionStore):
        client.agent = "one"
        await client.twin().visit(put(c=1))
    await late.finish()
    client.agent = "three"
    assert await seen(client) == TWO


async def test_a_rotation_takes_the_client_along(make_store: MakeStore) -> None:
    """The document is written whole."""
    client = Client(make_store(record_client=True))
    await client.visit(put(a=1))
    client.agent = "two"
    await client.visit(lambda session: rotate_session())
    assert await seen(client) == TWO


async def test_a_lifetime_and_a_client_do_not_disturb_each_other(make_store: MakeStore, clock: ManualClock) -> None:
    """Both stand beside the data."""
    client = Client(make_store(record_client=True))
    await client.visit(put(a=1))
    await client.visit(lambda session: session.set_lifetime(MONTH))
    client.agent = "two"
    clock.move(400)
    await client.visit()
    assert (await seen(client), (await client.begin()).session.max_age) == (TWO, MONTH)


async def test_a_new_session_in_place_of_another_has_the_client_of_its_own(make_store: MakeStore) -> None:
    """Cleared and filled again."""
    client = Client(make_store(record_client=True))
    await client.visit(put(a=1))
    client.agent = "two"

    def anew(session: Session) -> None:
        session.clear()
        session["b"] = 1

    await client.visit(anew)
    assert await seen(client) == TWO


async def test_without_the_setting_nothing_is_recorded(make_store: MakeStore, clock: ManualClock) -> None:
    """Neither at first nor later."""
    client = Client(make_store())
    await client.visit(put(a=1))
    clock.move(400)
    await client.visit()
    assert await seen(client) == (None, None)


async def test_a_plain_dict_has_no_client(make_store: MakeStore) -> None:
    """A script saves it, not a browser."""
    store = make_store(record_client=True)
    response = await store.save(Response(), {"a": 1})
    client = Client(store)
    client.receive(response.headers["set-cookie"])
    assert await seen(client) == (None, None)


async def test_a_list_of_sessions_tells_the_client_of_each(make_server_store: MakeStore) -> None:
    """For a page on which people look at their devices."""
    client = Client(make_server_store(record_client=True))
    await client.visit(put(user_id=7))
    (info,) = await client.store.list_sessions(7)
    assert (info.user_agent, info.address) == ONE
