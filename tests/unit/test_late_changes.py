"""After the response has started a session can be read and not changed, under both fronts (promise 19)."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from session_kit import Site
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from chirp.errors import SessionClosed
from chirp.middleware.sessions import (
    get_session,
    regenerate_session,
    rotate_session,
)

FRONTS = ("asgi", "app")


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def site(front: str) -> Site:
    return Site(front, exclude_paths=("/static",))


def put(**data: Any) -> Any:
    return lambda request: get_session().update(data)


def streamed(step: Any) -> Any:
    """Return a handler whose body takes a step while it is sent."""

    def handler(request: Request) -> Response:
        session = get_session()

        def body() -> Iterator[str]:
            yield "start "
            yield str(step(session))

        return StreamingResponse(body())

    return handler


def test_a_stream_reads_the_session(site: Site) -> None:
    """Promise 19: through the object and through `get_session()` alike."""
    site.visit(put(a=1))
    response = site.visit(streamed(lambda session: [session["a"], get_session()["a"]]))
    assert response.text == "start [1, 1]"


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.update(b=1),
        lambda session: session.clear(),
        lambda session: regenerate_session(),
        lambda session: rotate_session(),
    ],
    ids=["change", "clear", "regenerate", "rotate"],
)
def test_a_stream_that_changes_the_session_is_told(site: Site, change: Any) -> None:
    """Promise 19: nothing can be saved after the response has started."""
    told: list[str] = []

    def step(session: Any) -> None:
        try:
            change(session)
        except SessionClosed as error:
            told.append(str(error))

    site.visit(put(a=1))
    site.visit(streamed(step))
    assert len(told) == 1


def test_a_nested_change_in_a_stream_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Promise 19: it is lost, and no dict method sees it. The log names the session's handle and not its id."""
    site.visit(put(cart=[]))
    with caplog.at_level(logging.WARNING, "chirp.sessions"):
        site.visit(streamed(lambda session: session["cart"].append(1)))
    (record,) = caplog.records
    assert ("the change is lost" in record.getMessage(), str(site.cookie) in caplog.text) == (True, False)


@pytest.mark.parametrize("late", [lambda session: session["cart"], lambda session: None], ids=["read", "nothing"])
def test_a_stream_that_changes_nothing_is_not_logged(site: Site, caplog: pytest.LogCaptureFixture, late: Any) -> None:
    """A warning for nothing would hide the others."""
    site.visit(put(cart=[]))
    site.visit(streamed(late))
    assert not caplog.records
