"""The rows of the end-of-request table that need a server, and the promises about ids."""

from collections.abc import Callable
from typing import Any

import pytest
from visits import put_in as put

from chirp.errors import SessionTooLarge
from chirp.middleware.sessions import Session, regenerate_session, rotate_session, session_id
from chirp.middleware.sessions.server_side import ServerSideStore
from chirp.middleware.sessions.steps import Create, Delete
from chirp.middleware.sessions.store import BuiltInStore
from chirp.testing import Browser, ManualClock

MakeStore = Callable[..., BuiltInStore]

UNKNOWN_ID = "u" * 43


async def stored(store: ServerSideStore, cookie: str | None) -> bytes | None:
    """What stands under the key that a cookie leads to."""
    assert cookie is not None
    return await store._read(store.key_for(cookie))


async def test_the_cookie_is_a_well_formed_id_and_the_key_is_its_hash(server_browser: Browser) -> None:
    """The store never sees the id itself."""
    await server_browser.visit(put(a=1))
    assert session_id.is_well_formed(server_browser.cookie or "")
    assert (server_browser.cookie or "") not in server_browser.store.key_for(server_browser.cookie)
    assert b'"a":1' in (await stored(server_browser.store, server_browser.cookie) or b"")


async def test_an_unknown_id_is_never_adopted(server_browser: Browser) -> None:
    """A session started under a cookie that leads nowhere gets an id of its own."""
    server_browser.cookie = UNKNOWN_ID
    await server_browser.visit(put(a=1))
    assert server_browser.cookie != UNKNOWN_ID
    assert await server_browser.read() == {"a": 1}
    assert await stored(server_browser.store, UNKNOWN_ID) is None


async def test_an_unknown_id_left_empty_changes_nothing(server_browser: Browser) -> None:
    """No deletion is sent: it could wipe the cookie of a login running beside."""
    server_browser.cookie = UNKNOWN_ID
    assert await server_browser.visit() is None


async def test_regenerate_kills_the_old_id(server_browser: Browser) -> None:
    """Whoever still holds the old cookie has an empty session, and nothing is stored for it (promise 4)."""
    await server_browser.visit(put(a=1))
    thief = Browser(server_browser.store, server_browser.cookie)
    await server_browser.visit(lambda session: regenerate_session().update(user_id=7))
    assert await thief.read() == {}
    assert await thief.visit(put(b=2)) is None
    assert await thief.read() == {}


async def test_regenerate_left_empty_sets_a_new_id_and_stores_nothing(server_browser: Browser) -> None:
    """A logout leaves the browser with an id that leads nowhere."""
    await server_browser.visit(put(a=1))
    old = server_browser.cookie
    header = await server_browser.visit(lambda session: regenerate_session())
    assert header is not None
    assert server_browser.cookie not in (None, old)
    assert await stored(server_browser.store, server_browser.cookie) is None


async def test_regenerate_with_nothing_presented_stores_the_new_session(server_browser: Browser) -> None:
    """A login without a cookie needs nothing to end."""
    await server_browser.visit(lambda session: regenerate_session().update(user_id=7))
    assert await server_browser.read() == {"user_id": 7}


async def test_a_planted_id_leads_nowhere_after_login(server_browser: Browser) -> None:
    """An attacker who knows the pre-login id, live or made up, never reaches the session (promise 6)."""
    attacker = Browser(server_browser.store)
    await attacker.visit(put(planted=1))
    for planted in (attacker.cookie, UNKNOWN_ID):
        victim = Browser(server_browser.store, planted)
        await victim.visit(lambda session: regenerate_session().update(user_id=7))
        thief = Browser(server_browser.store, planted)
        assert await thief.read() == {}
        await thief.visit(put(mine=1))
        assert await victim.read() == {"user_id": 7}


async def test_a_planted_id_leads_nowhere_after_the_user_key_is_set(server_browser: Browser) -> None:
    """The same without `regenerate_session()`, which an app may forget (promise 6)."""
    await server_browser.visit(put(planted=1))
    thief = Browser(server_browser.store, server_browser.cookie)
    await server_browser.visit(put(user_id=7))
    assert await thief.read() == {}


async def test_a_rotated_id_is_dead_and_names_its_successor_to_the_store_only(server_browser: Browser) -> None:
    """Without `follow` the old id reaches nothing, not even within the grace."""
    await server_browser.visit(put(a=1))
    old = Browser(server_browser.store, server_browser.cookie)
    await server_browser.visit(lambda session: rotate_session())
    assert await old.read() == {}
    assert await server_browser.read() == {"a": 1}


async def test_rotate_of_a_session_that_does_not_exist_does_nothing(server_browser: Browser) -> None:
    """There is nothing to move, so there is no cookie."""
    server_browser.cookie = UNKNOWN_ID
    assert await server_browser.visit(lambda session: rotate_session()) is None


async def test_a_dead_id_is_detached_whatever_is_stored(server_browser: Browser) -> None:
    """A tombstone's session is empty, is not persisted, and sets no cookie."""
    await server_browser.visit(put(a=1))
    dead = Browser(server_browser.store, server_browser.cookie)
    await server_browser.visit(lambda session: session.clear())
    for handler in (put(b=1), lambda session: session.clear(), lambda session: rotate_session()):
        assert await dead.visit(handler) is None
    assert await dead.read() == {}


async def test_a_login_on_a_dead_id_gets_a_new_session(server_browser: Browser) -> None:
    """Only a request for a new id leads out of a dead one."""
    await server_browser.visit(put(a=1))
    late = Browser(server_browser.store, server_browser.cookie)
    await server_browser.visit(lambda session: session.clear())
    await late.visit(lambda session: regenerate_session().update(user_id=7))
    assert await late.read() == {"user_id": 7}


async def test_a_zero_grace_leaves_no_tombstone(make_server_store: Any) -> None:
    """`rotation_grace_seconds=0` deletes instead of remembering."""
    browser = Browser(make_server_store(rotation_grace_seconds=0))
    for end in (lambda session: session.clear(), lambda session: rotate_session()):
        browser.cookie = None
        await browser.visit(put(a=1))
        old = browser.cookie
        await browser.visit(end)
        assert await stored(browser.store, old) is None


async def test_a_change_before_the_touch_is_due_keeps_the_time_it_was_last_seen(
    server_browser: Browser, clock: ManualClock
) -> None:
    """Only a touch slides the limits; a write in between sets no cookie."""
    await server_browser.visit(put(a=1))
    seen = clock.now
    clock.move(100)
    assert await server_browser.visit(put(a=2)) is None
    assert (await server_browser.begin()).session.last_seen_at == seen
    clock.move(250)
    assert await server_browser.visit(put(a=3)) is not None
    assert (await server_browser.begin()).session.last_seen_at == seen + 350


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"null",
        b"\xff\xfe",
        b'{"data":{}}',
        b'{"__created_at":"x","__last_seen_at":1,"handle":"h","data":{}}',
        b'{"__created_at":1e308,"__last_seen_at":1e308,"handle":"h","data":{}}',
        b'{"__created_at":1,"__last_seen_at":1,"handle":"h","data":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
        b"moved ../../elsewhere",
    ],
)
async def test_a_corrupt_value_is_an_anonymous_session_and_a_warning(
    server_browser: Browser, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing that stands in the store makes an error, and the log names no id (promises 12 and 13)."""
    await server_browser.visit(put(a=1))
    store, cookie = server_browser.store, server_browser.cookie
    assert isinstance(store, ServerSideStore)
    await store._run([Delete(store.key_for(cookie or ""))])
    await store._run([Create(store.key_for(cookie or ""), value, 60_000)])
    assert await server_browser.read() == {}
    assert "corrupt or foreign" in caplog.text
    assert (cookie or "") not in caplog.text
    await server_browser.visit(put(b=2))
    assert await server_browser.read() == {"b": 2}


async def test_load_and_save_take_requests_and_responses(server_browser: Browser) -> None:
    """A script needs only cookies on the one and `headers.append` on the other."""
    from starlette.responses import Response  # noqa: PLC0415

    class Request:
        def __init__(self) -> None:
            self.cookies: dict[str, str] = {}

    store, request, response = server_browser.store, Request(), Response()
    session = await store.load(request)  # type: ignore[arg-type]
    session["a"] = 1
    await store.save(response, session)
    server_browser.receive(response.headers["set-cookie"])
    assert "Secure" in response.headers["set-cookie"]  # nothing says how the request came
    request.cookies = {"chirp_session": server_browser.cookie or ""}
    assert dict(await store.load(request)) == {"a": 1}  # type: ignore[arg-type]


async def test_save_of_a_plain_dict_with_an_old_id_ends_that_one(server_browser: Browser) -> None:
    """The contract's `regenerate_old_id`: a new session, and the old id is dead."""
    from starlette.responses import Response  # noqa: PLC0415

    await server_browser.visit(put(a=1))
    old, response = server_browser.cookie, Response()
    await server_browser.store.save(response, {"b": 2}, regenerate_old_id=old)
    server_browser.receive(response.headers["set-cookie"])
    assert await server_browser.read() == {"b": 2}
    assert await Browser(server_browser.store, old).read() == {}


async def test_save_of_an_empty_plain_dict_does_nothing(server_browser: Browser) -> None:
    """There is nothing to keep, so there is no cookie."""
    from starlette.responses import Response  # noqa: PLC0415

    response = await server_browser.store.save(Response(), {})
    assert isinstance(response, Response)
    assert "set-cookie" not in response.headers


async def test_logs_and_errors_never_show_an_id(server_browser: Browser) -> None:
    """The session's own repr is a dict's, and shows no id."""
    await server_browser.visit(put(a=1))
    session: Session = (await server_browser.begin()).session
    assert (server_browser.cookie or "-") not in repr(session)
    assert (server_browser.cookie or "-") not in repr(server_browser.store)


async def test_data_saved_after_an_end_is_a_new_session(server_browser: Browser) -> None:
    """Saving the same object again is right, also after it has ended (section 2)."""
    await server_browser.visit(put(a=1))
    request = await server_browser.begin()
    request.session.clear()
    await request.finish()
    request.session["b"] = 2
    await request.finish()
    assert await server_browser.read() == {"b": 2}


async def test_a_session_saved_with_an_old_id_gets_another_handle(server_browser: Browser) -> None:
    """As after `regenerate_session()`: the new session cannot be told from the old one's public name."""
    from starlette.responses import Response  # noqa: PLC0415

    await server_browser.visit(put(a=1))
    session = (await server_browser.begin()).session
    before, old = session.handle, server_browser.cookie
    response = await server_browser.store.save(Response(), session, regenerate_old_id=old)
    server_browser.receive(response.headers["set-cookie"])
    after = (await server_browser.begin()).session
    assert (dict(after), after.handle != before) == ({"a": 1}, True)


async def test_ending_a_corrupt_value_is_no_death(server_browser: Browser) -> None:
    """Only a document can die, and only a death deletes the browser's cookie."""
    from chirp.middleware.sessions.steps import Create, End  # noqa: PLC0415

    store = server_browser.store
    assert isinstance(store, ServerSideStore)
    key = store.key_for("c" * 43)
    assert await store._run([Create(key, b"corrupt", 60_000), End(key, 30_000)]) == [True, False]
    assert await store._run([End(key, 30_000)]) == [b"dead"]


async def test_load_finds_the_last_well_formed_cookie(server_browser: Browser) -> None:
    """As the middlewares do, where the request has headers."""
    from starlette.requests import Request  # noqa: PLC0415

    await server_browser.visit(put(a=1))
    header = f"chirp_session={'u' * 43}; chirp_session={server_browser.cookie}; chirp_session=malformed"
    request = Request({"type": "http", "headers": [(b"cookie", header.encode())]})
    assert dict(await server_browser.store.load(request)) == {"a": 1}


def document_of(data: bytes) -> bytes:
    """Return a session's document, last seen long enough ago that a touch is due."""
    stamp = b"%d" % (ManualClock().now - 4000)
    return b'{"__created_at":%s,"__last_seen_at":%s,"handle":"abc","data":%s}' % (stamp, stamp, data)


@pytest.mark.parametrize(
    "data", [b'{"a":["%s"]}' % (b"x" * 300), b'{"a":[%s]}' % b",".join([b"1e15"] * 30)], ids=["large", "other spelling"]
)
@pytest.mark.parametrize(
    "handler", [lambda session: None, lambda session: session.get("a")], ids=["untouched", "looked into"]
)
async def test_reading_a_document_that_has_outgrown_max_bytes_slides_it(
    make_server_store: MakeStore, data: bytes, handler: Callable[[Session], object]
) -> None:
    """Such as after the limit was lowered: the limit is for what a request stores, and this one stores nothing."""
    browser = Browser(make_server_store(max_bytes=256), UNKNOWN_ID)
    store = browser.store
    assert isinstance(store, ServerSideStore)
    await store._run([Create(store.key_for(UNKNOWN_ID), document_of(data), 60_000)])
    assert "Max-Age" in (await browser.visit(handler) or "")
    assert list(await browser.read()) == ["a"]
    assert b"%d" % store.clock() in (await stored(store, UNKNOWN_ID) or b"")


async def test_saving_what_another_program_has_spelled_at_more_length_is_no_outage(
    make_server_store: MakeStore,
) -> None:
    """What is stored stays as it is spelled; it is what the session holds all the same."""
    store = make_server_store(max_bytes=256)
    assert isinstance(store, ServerSideStore)
    numbers = b'{"a":[%s]}' % b",".join([b"1e15"] * 30)
    await store._run([Create(store.key_for(UNKNOWN_ID), document_of(numbers), 60_000)])
    request = await Browser(store, UNKNOWN_ID).begin()
    request.session.get("a")
    await request.session.save()
    assert numbers in (await stored(store, UNKNOWN_ID) or b"")


async def test_changing_a_document_that_has_outgrown_max_bytes_is_refused(make_server_store: MakeStore) -> None:
    """What a request stores is bound by the limit, and what stood there stays."""
    browser = Browser(make_server_store(max_bytes=256), UNKNOWN_ID)
    store = browser.store
    assert isinstance(store, ServerSideStore)
    document = document_of(b'{"a":["%s"]}' % (b"x" * 300))
    await store._run([Create(store.key_for(UNKNOWN_ID), document, 60_000)])
    with pytest.raises(SessionTooLarge):
        await browser.visit(lambda session: session["a"].append(1))
    assert await stored(store, UNKNOWN_ID) == document
