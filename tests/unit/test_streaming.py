"""A context variable that streamed bodies and background tasks see."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.testclient import TestClient

from chirp.app import App
from chirp.middleware.protocol import AnyResponse, Next
from chirp.middleware.streaming import keep_context

name: ContextVar[str] = ContextVar("name")


def app_keeping(response: Response, ended: list[bool]) -> App:
    """Make an app with one response, whose middleware keeps the name and notes the end."""

    async def keeping(request: Request, following: Next) -> AnyResponse:
        response = await following(request)
        return keep_context(response, name, "kept", lambda: ended.append(True))

    app = App()
    app.route("/")(lambda: response)
    app.add_middleware(keeping)
    return app


async def async_names() -> AsyncIterator[str]:
    yield name.get()
    await asyncio.sleep(0)
    yield name.get()


def sync_names() -> Iterator[str]:
    yield name.get()
    yield name.get()


@pytest.mark.parametrize("names", [async_names, sync_names], ids=["async", "sync"])
def test_every_step_of_a_streamed_body_sees_the_variable(names: Any) -> None:
    """Also the steps of a sync generator, which run in worker threads."""
    assert TestClient(app_keeping(StreamingResponse(names()), [])).get("/").text == "keptkept"


def test_a_background_task_sees_the_variable() -> None:
    """With a plain response as well."""
    seen: list[str] = []
    response = Response(background=BackgroundTask(lambda: seen.append(name.get())))
    TestClient(app_keeping(response, [])).get("/")
    assert seen == ["kept"]


async def test_the_variable_is_back_between_the_steps() -> None:
    """What sends the body does not see it, so nothing outlives the request."""
    response = StreamingResponse(async_names())
    response = keep_context(response, name, "kept")
    async for step in response.body_iterator:
        assert (step, name.get("unset")) == ("kept", "unset")


async def test_the_end_comes_once_after_the_last_step() -> None:
    """Reading on past the end does not end it again."""
    ended: list[bool] = []
    response = StreamingResponse(async_names())
    response = keep_context(response, name, "kept", lambda: ended.append(True))
    body: Any = response.body_iterator
    counts = [len(ended) async for _ in body]
    await body.aclose()
    assert (counts, ended) == ([0, 0], [True])


def test_the_end_comes_after_the_background_tasks_of_a_stream() -> None:
    """They are the last to run."""
    ended: list[bool] = []
    seen: list[list[bool]] = []
    response = StreamingResponse(async_names(), background=BackgroundTask(lambda: seen.append([*ended])))
    TestClient(app_keeping(response, ended)).get("/")
    assert (seen, ended) == ([[]], [True])


def test_the_end_comes_after_a_step_that_failed() -> None:
    """A broken body ends the request too."""

    async def failing() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("broken")

    ended: list[bool] = []
    with pytest.raises(ValueError, match="broken"):
        TestClient(app_keeping(StreamingResponse(failing()), ended)).get("/")
    assert ended == [True]


def test_the_end_comes_after_a_background_task_that_failed() -> None:
    """An error of a task is no reason to keep what the request held."""

    def failing() -> None:
        raise ValueError("broken")

    ended: list[bool] = []
    with pytest.raises(ValueError, match="broken"):
        TestClient(app_keeping(Response(background=BackgroundTask(failing)), ended)).get("/")
    assert ended == [True]


async def test_closing_a_half_read_body_closes_it_inside_with_the_variable() -> None:
    """A client that left: the generator's own clean-up still sees the variable, and the end comes."""
    seen: list[str] = []
    ended: list[bool] = []

    async def steps() -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            seen.append(name.get())

    response = StreamingResponse(steps())
    response = keep_context(response, name, "kept", lambda: ended.append(True))
    body: Any = response.body_iterator
    await anext(body)
    await body.aclose()
    assert (seen, ended) == (["kept"], [True])


@pytest.mark.parametrize("response", [Response("plain"), object()], ids=["plain", "not Starlette's"])
def test_a_response_with_nothing_left_to_run_is_left_alone(response: Any) -> None:
    """There is no end to wait for."""
    before = dict(getattr(response, "__dict__", {}))
    response = keep_context(response, name, "kept", lambda: pytest.fail("ended"))
    assert dict(getattr(response, "__dict__", {})) == before
