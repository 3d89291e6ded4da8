"""Signing in and out on top of a real session store."""

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from auth_site import CONFIG, COOKIE, Site, User

from chirp.middleware.auth import AnonymousUser, get_user, login, logout
from chirp.middleware.sessions import get_session, regenerate_session


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site()
    with one.client:
        yield one


def test_nobody_is_signed_in_at_first(site: Site) -> None:
    """`get_user()` gives an anonymous user, which is falsy in the one way that templates ask."""
    site.on("/", lambda: [get_user() == AnonymousUser(), get_user().is_authenticated, get_user().id])
    assert site.get("/") == [True, False, None]


def test_an_anonymous_user_cannot_be_changed() -> None:
    """All requests share it."""
    with pytest.raises(AttributeError):
        AnonymousUser().id = 1  # type: ignore[misc, assignment]


def test_login_lasts_across_requests(site: Site) -> None:
    """The next request finds the user by the id in the session."""
    site.get("/login/1")
    assert site.get("/who") == [1]


def test_login_is_seen_by_the_rest_of_the_request(site: Site) -> None:
    """A page can greet the user who has just signed in."""

    async def greet() -> list[bool]:
        login(site.users[1])
        return [get_user() is site.users[1]]

    site.on("/", greet)
    assert site.get("/") == [True]


def test_login_in_a_child_task_counts_for_the_request(site: Site) -> None:
    """The task's copy of the context holds the same object."""

    async def greet() -> list[Any]:
        async def child() -> None:
            login(site.users[1])

        await asyncio.create_task(child())
        return [get_user().id]

    site.on("/", greet)
    assert (site.get("/"), site.get("/who")) == ([1], [1])


def test_login_in_a_worker_thread_counts_for_the_middlewares_outside() -> None:
    """A sync handler's login is seen where its response passes."""
    seen: list[Any] = []

    async def noting(request: Any, following: Any) -> Any:
        response = await following(request)
        seen.append(get_user().id)
        return response

    site = Site()
    site.app.add_middleware(noting)
    with site.client:
        site.get("/login/1")
    assert seen == [1]


def test_the_id_before_login_leads_nowhere_afterwards(site: Site) -> None:
    """Session fixation: who planted the old id has neither the user nor the data."""
    site.get("/put/cart")
    planted = site.client.cookies[COOKIE]
    site.get("/login/1")
    assert (site.client.cookies[COOKIE] != planted, site.visit_with(planted, "/data")) == (True, {})


def test_login_drops_the_data_of_the_session_before(site: Site) -> None:
    """Only the user's id is left, under the session's user key, and the time."""
    site.get("/put/cart")
    site.get("/login/1")
    assert site.get("/data") == {"user_id": 1, "login_at": int(site.clock.now), "login_of": 1}


def test_login_uses_the_configured_user_key() -> None:
    """Another `user_key` is written and read."""
    site = Site(replace(CONFIG, user_key="member"))
    with site.client:
        site.get("/login/1")
        assert (site.get("/data")["member"], site.get("/who")) == (1, [1])


def test_keep_carries_the_named_keys_over(site: Site) -> None:
    """A cart survives the login, what is not named does not, and an absent name is ignored."""
    site.on_do("/login", lambda: login(site.users[1], keep=("cart", "absent")))
    site.get("/put/cart")
    site.get("/put/other")
    site.get("/login")
    assert site.get("/data").keys() == {"cart", "user_id", "login_at", "login_of"}


def test_keep_cannot_carry_over_the_user_before(site: Site) -> None:
    """The new user's id wins over a kept one."""
    site.on_do("/login", lambda: login(site.users[2], keep=("user_id",)))
    site.get("/login/1")
    site.get("/login")
    assert site.get("/who") == [2]


def test_a_mapping_with_an_id_can_be_signed_in(site: Site) -> None:
    """Rows of a database are users too."""
    site.on_do("/login", lambda: login({"id": 2, "name": "Row"}))
    site.get("/login")
    assert site.get("/who") == [2]


@pytest.mark.parametrize(
    ("user", "kind"),
    [(User(None), "NoneType"), (object(), "NoneType"), ({"name": "x"}, "NoneType"), (User(uuid.uuid4()), "UUID")],
    ids=["None", "no attribute", "no key", "no JSON"],
)
def test_a_user_without_a_usable_id_is_refused_and_the_session_stays(site: Site, user: Any, kind: str) -> None:
    """The error says what is needed, and comes before anything is dropped."""

    def refused() -> dict[str, Any]:
        with pytest.raises(TypeError, match=f"whose id is a {kind}; it needs"):
            login(user)
        return dict(get_session())

    site.get("/put/cart")
    site.on("/", refused)
    assert site.get("/") == {"cart": "kept"}


def test_a_single_str_for_keep_is_refused(site: Site) -> None:
    """It would be taken letter by letter, and the cart be lost without a word."""

    def refused() -> str:
        with pytest.raises(TypeError, match="keep='cart'"):
            login(site.users[1], keep="cart")
        return "refused"

    site.on("/", refused)
    assert site.get("/") == "refused"


def test_logout_signs_out_and_kills_the_id(site: Site) -> None:
    """In this request, in the next ones, and for whoever copied the cookie."""

    def leave() -> list[Any]:
        logout()
        return [get_user().id]

    site.on("/logout", leave)
    site.get("/login/1")
    copied = site.client.cookies[COOKIE]
    assert (site.get("/logout"), site.get("/who"), site.visit_with(copied, "/who")) == ([None], [None], [None])


def test_logout_leaves_no_data(site: Site) -> None:
    """The next person at this browser gets nothing of it."""
    site.on_do("/logout", logout)
    site.get("/login/1")
    site.get("/put/draft")
    site.get("/logout")
    assert site.get("/data") == {}


@pytest.mark.parametrize("end", [regenerate_session, lambda: get_session().clear()], ids=["regenerate", "clear"])
def test_a_session_ended_in_another_way_signs_out_at_once(site: Site, end: Callable[[], Any]) -> None:
    """A user is signed in exactly as long as the session holds their id."""

    def ending() -> list[Any]:
        end()
        return [get_user().id]

    site.on("/end", ending)
    site.get("/login/1")
    assert site.get("/end") == [None]


def test_load_user_is_asked_only_with_an_id() -> None:
    """A visitor costs no look-up, a user one per request."""
    asked: list[Any] = []
    site = Site(load_user=asked.append)
    with site.client:
        site.get("/who")
        site.get("/login/1")
        site.get("/who")
    assert asked == [1]


def test_load_user_may_be_async() -> None:
    """What it returns is awaited."""

    async def load(user_id: int) -> User:
        return User(user_id * 10)

    site = Site(load_user=load)
    with site.client:
        site.get("/login/1")
        assert site.get("/who") == [10]


def test_a_sync_load_user_runs_in_a_worker_thread() -> None:
    """It may block on a database."""
    threads: list[int] = []

    def load(user_id: int) -> None:
        threads.append(threading.get_ident())

    async def on_the_loop() -> str:
        threads.append(threading.get_ident())
        return ""

    site = Site(load_user=load)
    site.on("/", on_the_loop)
    with site.client:
        site.get("/login/1")
        site.get("/")
    assert len(set(threads)) == 2


def test_a_stored_user_id_of_another_kind_is_nobody() -> None:
    """What `login` would never store is not handed to `load_user`, which may not expect it (promise 13)."""
    site = Site()
    site.on_do("/odd", lambda: get_session().update(user_id=[1]))
    site.get("/odd")
    assert site.get("/who") == [None]
