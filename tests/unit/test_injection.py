"""Text of a client's cannot split a header, forge a line of the log or name an id in it, wherever it enters."""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hostile import check_lines
from scripted import Scripted, scripted
from session_kit import COOKIE, SECRET, Site, app_under, call_asgi, config_with, cookies_set, http_scope
from starlette.responses import Response, StreamingResponse

from chirp.errors import SessionNotSerializable
from chirp.middleware.sessions import RedisSessionStore, get_session, regenerate_session, rotate_session
from chirp.middleware.sessions.steps import KEEP_TTL, Swap

FORGED = "x\r\nSet-Cookie: a=b\r\n\r\n\0\x1b[2J\x07\x7f\x9b31m\u2028\u202eä"
ONE = "1" * 43


@pytest.fixture(params=["asgi", "app"])
def site(request: pytest.FixtureRequest) -> Site:
    return Site(request.param)


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "chirp")


def lines(caplog: pytest.LogCaptureFixture, *secrets: str) -> list[str]:
    """Return what was logged, when each record is one readable line without any of these, and its fields are too."""
    logged = [record.getMessage() for record in caplog.records]
    fields = [str(vars(record).get(name)) for record in caplog.records for name in ("session", "handle", "previous")]
    check_lines([*logged, *fields], SECRET, *secrets)
    return logged


ENTRIES: dict[str, Callable[[], object]] = {
    "a value": lambda: get_session().update(name=FORGED),
    "a key": lambda: get_session().update({FORGED: 1}),
    "the user": lambda: get_session().update(user_id=FORGED),
    "a login": lambda: regenerate_session().update(user_id=FORGED, name=FORGED),
    "a rotation": lambda: (get_session().update({FORGED: FORGED}), rotate_session()),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_a_handler_stores_of_a_client_stays_in_the_session(
    site: Site, caplog: pytest.LogCaptureFixture, entry: str
) -> None:
    """It comes back as it was; the response has one cookie, and nothing of it is logged."""
    site.visit(lambda request: get_session().update(before=1))
    response = site.visit(lambda request: ENTRIES[entry]())
    assert response.status_code == 200
    assert all(line.isprintable() and line.startswith(f"{COOKIE}={site.cookie};") for line in cookies_set(response))
    assert set(response.headers) <= {"content-length", "set-cookie", "cache-control", "vary"}
    seen: dict[str, Any] = {}
    site.visit(lambda request: seen.update(get_session()))
    assert FORGED in (*seen, *seen.values())
    assert lines(caplog, str(site.cookie), "Set-Cookie") != []


def test_an_error_about_a_clients_key_is_one_readable_line(site: Site) -> None:
    """The path in it names the key, escaped."""
    with pytest.raises(SessionNotSerializable) as raised:
        site.visit(lambda request: get_session().update({FORGED: {FORGED: {1}}}))
    check_lines([str(raised.value), raised.value.path], SECRET)


def plant_handle(site: Site, handle: bytes) -> None:
    """Put a handle into the stored document that nobody minted."""
    key = site.store.key_for(str(site.cookie))
    document = site.store._values[key][0]
    before = document[document.index(b'"handle":') : document.index(b',"data"')]
    assert site.store._exchange(Swap(key, document, document.replace(before, b'"handle":' + handle), KEEP_TTL)) is True


def test_a_forged_handle_is_not_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A warning names a session by its handle; one that no store has minted is replaced."""
    site.visit(lambda request: get_session().update(cart=[]))
    plant_handle(site, b'"\\u001b[2J\\r\\nforged"')

    async def late() -> AsyncIterator[bytes]:
        yield b"a"
        get_session()["cart"].append(1)
        yield b"b"

    site.visit(lambda request: StreamingResponse(late()))
    assert "the change is lost" in lines(caplog, str(site.cookie), "forged")[-1]


@pytest.mark.parametrize("front", ["asgi", "app"])
@pytest.mark.parametrize("text", [b"/\r\nSet-Cookie: a=b", b"/%0d%0aSet-Cookie:%20a=b", b"/\0\x1b[2J", b"/\xff\xfe"])
async def test_a_path_reaches_no_header_and_no_log(front: str, text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Nor do the method, the query, the host and what a proxy says, for a request that fits no route."""
    app = app_under(front, lambda request: Response(), config_with(exclude_paths=("/static",)))
    scope = http_scope(
        path=text.decode("latin-1"), raw_path=text, query_string=text, method="POST\r\n", root_path="/a\r"
    )
    scope["headers"] = [(name, text) for name in (b"host", b"user-agent", b"referer", b"x-forwarded-for", b"cookie")]
    start, *_ = await call_asgi(app, scope)
    headers = [part for header in start["headers"] for part in header]
    assert all(part.isascii() and part.decode().isprintable() and b"a=b" not in part for part in headers)
    assert lines(caplog) == []


REFUSALS = {
    "quotes arguments": b"-ERR unknown command 'MGET', with args beginning with: '%s' \r\n",
    "quotes the key": b"-NOPERM no permissions to access the key '%s'\r\n",
    "commands the terminal": b"-ERR \x1b[2J\x07 forged\n2026-01-01 ERROR %s\x9b\r\n",
    "has no end": b"-ERR " + b"x" * 100_000 + b"%s\r\n",
}


@pytest.fixture
async def refusing() -> AsyncIterator[Scripted]:
    async with scripted() as server:
        yield server


@pytest.mark.parametrize("mode", ["unavailable", "anonymous"])
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_what_a_server_refuses_with_is_one_readable_line(
    refusing: Scripted, caplog: pytest.LogCaptureFixture, mode: Any, refusal: str
) -> None:
    """It may quote keys, which hold no id, and whatever else; the visitor is told none of it."""
    refusing.reply = lambda command: REFUSALS[refusal].replace(b"%s", command[1])
    store = RedisSessionStore(config_with(on_store_error=mode), refusing.url, "app:")
    app = app_under("asgi", lambda request: Response("done"), config_with(store=store, on_store_error=mode))
    start, body = await call_asgi(app, http_scope(headers=[(b"cookie", f"{COOKIE}={ONE}".encode())]))
    await store.aclose()
    (line,) = lines(caplog, ONE)
    assert "store unavailable" in line
    assert len(line) < 700
    assert (start["status"], body["body"]) == (
        (200, b"done") if mode == "anonymous" else (503, b"Sessions are unavailable at the moment.\n")
    )


async def test_what_a_server_is_asked_for_holds_no_id(refusing: Scripted) -> None:
    """So whatever it logs, quotes or shows to who watches it leads to no session."""
    store = RedisSessionStore(config_with(), refusing.url, "app:")
    refusing.reply = lambda command: b"*1\r\n$-1\r\n"
    await store.open(ONE, https=True)
    await store.aclose()
    (command,) = refusing.asked
    assert command == [b"MGET", store.key_for(ONE).encode()]
    assert ONE not in store.key_for(ONE)
