"""What a handler asks of its session, and the functions that find it in a request."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import anyio.to_thread
import pytest

from chirp.errors import SessionClosed
from chirp.middleware.sessions import Session, get_session, regenerate_session, rotate_session, session_id
from chirp.middleware.sessions.current import current_session
from chirp.middleware.sessions.decision import Ask, Found


@pytest.fixture
def current() -> Iterator[Session]:
    """The session of a request that is under way."""
    session = live(a=1)
    token = current_session.set(session)
    yield session
    current_session.reset(token)


def live(**data: Any) -> Session:
    """Return a session as it is after loading."""
    session = Session(data)
    session._found = Found.LIVE
    session.id, session.is_new, session._handle = "i" * 43, False, "handle"
    return session


def test_the_handle_stays_while_the_session_does() -> None:
    """Asking twice gives the same name."""
    session = Session()
    assert session.handle == session.handle


@pytest.mark.parametrize("text", ["", "no good", "<b>", "line\n", "ä", "h" * 65])
def test_a_stored_handle_that_is_none_is_replaced(text: str) -> None:
    """A handle is shown and logged, and whoever can write to the store could put anything there."""
    session = Session()
    session._handle = text
    assert session_id.is_handle(session.handle)
    assert session.handle == session.handle


def test_a_stored_handle_is_kept() -> None:
    """It survives every request."""
    session = Session()
    session._handle = "Abc_-123"
    assert session.handle == "Abc_-123"


def test_user_id_is_the_value_under_the_user_key() -> None:
    """Whatever that key is called; None when nobody is signed in."""
    session = Session(account=7)
    session.user_key = "account"
    assert (session.user_id, Session().user_id) == (7, None)


@pytest.mark.parametrize("function", [regenerate_session, rotate_session])
def test_a_closed_session_takes_no_new_id(function: Callable[[], Session], current: Session) -> None:
    """The cookie cannot be set any more."""
    current._closed = True
    with pytest.raises(SessionClosed):
        function()
    assert (current._ask, dict(current)) == (Ask.KEEP, {"a": 1})


def test_clearing_asks_for_an_end() -> None:
    """Of the document that was loaded; what follows it gets another handle."""
    session = live(a=1)
    session.clear()
    assert (session._ask, session.handle == "handle") == (Ask.END, False)


@pytest.mark.parametrize("found", [Found.NOTHING_PRESENTED, Found.UNKNOWN, Found.ENDED])
def test_clearing_what_is_not_stored_asks_for_nothing(found: Found) -> None:
    """There is no document to end."""
    session = Session(a=1)
    session._found = found
    session.clear()
    assert (session._ask, dict(session)) == (Ask.KEEP, {})


def test_emptying_by_removing_keys_is_no_end() -> None:
    """Another request may have added data meanwhile."""
    session = live(a=1)
    session.pop("a")
    assert session._ask is Ask.KEEP


def test_regenerate_returns_the_same_object_emptied(current: Session) -> None:
    """With nothing left of what it was."""
    assert regenerate_session() is current
    assert (dict(current), current.id, current.is_new, current.handle == "handle") == ({}, None, True, False)


def test_rotate_keeps_data_and_handle(current: Session) -> None:
    """Only the id is new, and that at the end of the request."""
    assert rotate_session() is current
    assert (dict(current), current.handle, current._ask) == ({"a": 1}, "handle", Ask.ROTATE)


ORDERS = {
    "clear, then rotate": ([Session.clear, lambda one: rotate_session()], Ask.END),
    "rotate, then clear": ([lambda one: rotate_session(), Session.clear], Ask.END),
    "regenerate, then rotate": ([lambda one: regenerate_session(), lambda one: rotate_session()], Ask.REGENERATE),
    "rotate, then regenerate": ([lambda one: rotate_session(), lambda one: regenerate_session()], Ask.REGENERATE),
    "regenerate, then clear": ([lambda one: regenerate_session(), Session.clear], Ask.REGENERATE),
    "clear, then regenerate": ([Session.clear, lambda one: regenerate_session()], Ask.REGENERATE),
}


@pytest.mark.parametrize("name", ORDERS)
def test_of_several_asks_the_stronger_stands(name: str, current: Session) -> None:
    """A later rotate never takes back that the old session has to die."""
    calls, expected = ORDERS[name]
    for call in calls:
        call(current)
    assert current._ask is expected


@pytest.mark.parametrize("function", [get_session, regenerate_session, rotate_session])
def test_outside_a_request_there_is_no_session(function: Callable[[], Session]) -> None:
    """The error names the places where that is so."""
    with pytest.raises(LookupError, match="outside a request"):
        function()


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_of_two_rotations_asked_for_the_stricter_one_holds(current: Session, order: tuple[bool, bool]) -> None:
    """A renewal never weakens what a change of privilege has asked for."""
    for follow in order:
        rotate_session(follow=follow)
    assert current._ask is Ask.ROTATE


def test_a_renewal_is_a_wish_of_its_own(current: Session) -> None:
    """It leaves a way for requests in flight."""
    rotate_session(follow=True)
    assert current._ask is Ask.RENEW


def test_getting_the_session_marks_it_accessed(current: Session) -> None:
    """Though the handler may find it empty."""
    assert get_session() is current
    assert (current.accessed, current.modified) == (True, False)


ASKS = pytest.mark.parametrize(
    ("function", "ask"), [(regenerate_session, Ask.REGENERATE), (rotate_session, Ask.ROTATE)]
)


@ASKS
async def test_a_new_id_can_be_asked_for_in_a_worker_thread(
    function: Callable[[], Session], ask: Ask, current: Session
) -> None:
    """Where sync handlers run: the object is marked, not the thread's context."""
    token = current_session.set(current)
    await anyio.to_thread.run_sync(function)
    current_session.reset(token)
    assert current._ask is ask


@ASKS
async def test_a_new_id_can_be_asked_for_in_a_child_task(
    function: Callable[[], Session], ask: Ask, current: Session
) -> None:
    """What a child task sets in its context is lost; what it does to the session is not."""

    async def child() -> None:
        function()

    token = current_session.set(current)
    await asyncio.create_task(child())
    current_session.reset(token)
    assert current._ask is ask
