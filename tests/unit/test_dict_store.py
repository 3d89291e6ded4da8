"""Stores of others that deal in plain dicts, under `SessionMiddleware`."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from session_kit import COOKIE, NEW_ID, WatchedStore, browser, config_with, cookies_set
from starlette.requests import Request
from telemetry_kit import fields_of

from chirp.app import App
from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.auth import AuthConfig, AuthMiddleware, login
from chirp.middleware.sessions import (
    Session,
    SessionMiddleware,
    SessionStore,
    get_session,
    regenerate_session,
    rotate_session,
)

CONFIG = config_with()


SET = f"{COOKIE}=theirs"


class DictStore:
    """A store of somebody else's: plain dicts, by cookie value."""

    def __init__(self, **kept: dict[str, Any]) -> None:
        self.kept = kept
        self.saves: list[tuple[dict[str, Any], str | None]] = []

    async def load(self, request: Request) -> dict[str, Any]:
        return dict(self.kept.get(request.cookies.get(COOKIE, ""), {}))

    async def save(self, response: Any, session: dict[str, Any], *, regenerate_old_id: str | None = None) -> Any:
        assert type(session) is dict
        self.saves.append((session, regenerate_old_id))
        response.headers.append("set-cookie", SET)
        return response


def site(handler: Any, store: SessionStore, **settings: Any) -> Any:
    app = App()
    app.add_middleware(SessionMiddleware(config_with(store=store, **settings)))
    app.route("/", methods=("GET", "POST"))(handler)
    return browser(app)


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore(CONFIG)


@pytest.fixture
def theirs() -> DictStore:
    return DictStore(known={"a": 1})


def visited(theirs: DictStore, action: Any, cookie: str | None = "known") -> Any:
    """Visit a handler that does something to the session."""

    def handler() -> str:
        action()
        return ""

    headers = {} if cookie is None else {"Cookie": f"{COOKIE}={cookie}"}
    return site(handler, theirs).get("/", headers=headers)


def test_a_dict_store_is_a_session_store() -> None:
    """The protocol asks for `load` and `save` alone."""
    assert isinstance(DictStore(), SessionStore)


def test_what_a_dict_store_loads_is_a_session(theirs: DictStore) -> None:
    """With the attributes and functions of one."""
    seen: list[Any] = []
    visited(
        theirs, lambda: seen.append((isinstance(get_session(), Session), dict(get_session()), get_session().is_new))
    )
    assert seen == [(True, {"a": 1}, False)]


def test_a_changed_session_is_saved_as_a_plain_dict(theirs: DictStore) -> None:
    """Which is what such a store knows."""
    visited(theirs, lambda: get_session().update(b=2))
    assert theirs.saves == [({"a": 1, "b": 2}, None)]


def test_an_unchanged_session_is_saved_too(theirs: DictStore) -> None:
    """Sliding its expiry is the store's to decide."""
    visited(theirs, lambda: None)
    assert theirs.saves == [({"a": 1}, None)]


def test_an_empty_session_that_stays_empty_is_not_saved(theirs: DictStore) -> None:
    """A visitor who stores nothing gets no cookie."""
    response = visited(theirs, lambda: None, cookie=None)
    assert (theirs.saves, cookies_set(response)) == ([], [])


ENDS = {
    "regenerate": (lambda: regenerate_session().update(b=2), {"b": 2}),
    "regenerate, left empty": (regenerate_session, {}),
    "clear": (lambda: get_session().clear(), {}),
    "rotate": (rotate_session, {"a": 1}),
    "change of user": (lambda: get_session().update(user_id=7), {"a": 1, "user_id": 7}),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_or_a_new_id_names_the_presented_one_as_dead(theirs: DictStore, name: str) -> None:
    """Such a store learns it from `regenerate_old_id`."""
    action, data = ENDS[name]
    visited(theirs, action)
    assert theirs.saves == [(data, "known")]


def test_a_user_key_of_the_apps_own_ties_a_dict_stores_session_to_its_user(theirs: DictStore) -> None:
    """The config names it."""

    def handler() -> str:
        get_session()["account"] = 7
        return str(get_session().user_id)

    response = site(handler, theirs, user_key="account").get("/", headers={"Cookie": f"{COOKIE}=known"})
    assert (response.text, theirs.saves[0][1]) == ("7", "known")


def test_a_dict_store_that_is_out_is_a_503(theirs: DictStore) -> None:
    """Promise 9: before the handler runs."""

    async def load(request: Request) -> dict[str, Any]:
        raise StoreUnavailable("out")

    theirs.load = load  # type: ignore[method-assign]
    response = visited(theirs, lambda: None)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


def test_a_save_of_a_dict_store_that_fails_replaces_the_response(theirs: DictStore) -> None:
    """Promise 11: nothing is acknowledged."""

    async def save(response: Any, session: Any, *, regenerate_old_id: str | None = None) -> Any:
        raise StoreUnavailable("out")

    theirs.save = save  # type: ignore[method-assign]
    response = visited(theirs, lambda: get_session().update(b=2))
    assert (response.status_code, cookies_set(response)) == (503, [])


def test_a_dict_stores_cookie_varies(theirs: DictStore) -> None:
    """Promise 18: a response that sets the cookie carries it, though the handler did not ask for the session."""
    assert visited(theirs, lambda: None).headers["vary"] == "Cookie"


def test_a_dict_stores_new_id_is_not_cached(theirs: DictStore) -> None:
    """Promise 18: whoever set the cookie."""
    response = visited(theirs, lambda: get_session().update(b=2), cookie=None)
    assert (cookies_set(response), response.headers.get("cache-control")) == ([SET], NEW_ID)


def test_a_store_around_one_of_this_package_keeps_its_sessions(store: WatchedStore) -> None:
    """A `Session` that an inner store opened is not wrapped again."""

    class Around:
        load = staticmethod(store.load)
        save = staticmethod(store.save)

    def handler() -> str:
        get_session().setdefault("a", 1)
        return str(get_session().id is not None)

    client = site(handler, Around())  # type: ignore[arg-type]
    assert [client.get("/").text for _ in range(2)] == ["False", "True"]


def test_a_dict_store_may_keep_what_json_cannot() -> None:
    """What a third-party store can hold is its own business."""
    theirs = DictStore(known={"when": dt.date(2026, 1, 1)})
    visited(theirs, lambda: get_session().update(b=2))
    assert theirs.saves == [({"when": dt.date(2026, 1, 1), "b": 2}, None)]


class FailingStore(DictStore):
    """Loads, and cannot save."""

    async def save(self, response: Any, session: dict[str, Any], *, regenerate_old_id: str | None = None) -> Any:
        raise StoreUnavailable("down")


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (lambda: get_session().update(b=2), 200),
        (lambda: get_session().pop("a"), 503),
        (regenerate_session, 503),
    ],
    ids=["change", "emptied", "end"],
)
def test_anonymous_mode_loses_changes_of_a_dict_store_and_no_ends(action: Callable[[], Any], status: int) -> None:
    """What cannot be kept is lost and logged; an end must not be pretended (promise 9)."""

    def handler() -> str:
        action()
        return ""

    client = site(handler, FailingStore(known={"a": 1}), on_store_error="anonymous")
    assert client.get("/", headers={"Cookie": f"{COOKIE}=known"}).status_code == status


@pytest.mark.parametrize("failing", ["load", "save"])
def test_an_outage_of_a_dict_store_is_an_event(failing: str, caplog: pytest.LogCaptureFixture) -> None:
    """In anonymous mode; of which session, is known to the store alone."""

    async def fail(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("down")

    def handler() -> str:
        get_session().update(b=2)
        return ""

    theirs = DictStore(known={"a": 1})
    setattr(theirs, failing, fail)
    client = site(handler, theirs, on_store_error="anonymous")
    client.get("/", headers={"Cookie": f"{COOKIE}=known"})
    (record,) = caplog.records
    assert fields_of(record) == {"event": "unavailable", "session": None}


def test_a_lifetime_is_refused_where_nothing_could_keep_it(theirs: DictStore) -> None:
    """Rather than to forget in silence that somebody wanted to be remembered."""

    def handler() -> str:
        with pytest.raises(ConfigurationError, match="load and save alone keeps no lifetime"):
            get_session().set_lifetime(60)
        return "refused"

    assert site(handler, theirs).get("/").text == "refused"


def test_a_login_that_cannot_be_remembered_leaves_the_session_as_it_was(theirs: DictStore) -> None:
    """The handler may go on without: nothing has ended by then."""
    app = App()
    app.add_middleware(SessionMiddleware(config_with(store=theirs)))
    app.add_middleware(AuthMiddleware(AuthConfig(load_user=lambda user_id: {"id": user_id})))

    @app.route("/")
    def handler() -> dict[str, Any]:
        with pytest.raises(ConfigurationError):
            login({"id": 1}, remember=True)
        return dict(get_session())

    assert browser(app).get("/", headers={"Cookie": f"{COOKIE}=known"}).json() == {"a": 1}
