"""What a handler gets as arguments, and which response its return value becomes."""

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from chirp.app import App
from chirp.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette import requests


def body_of(handler: Callable[..., Any], path: str = "/", url: str = "/") -> Any:
    app = App()
    app.route(path)(handler)
    return TestClient(app).get(url).json()


def test_a_parameter_named_as_a_path_parameter_gets_the_converted_value() -> None:
    """`{number:int}` reaches the parameter `number` as an int."""
    assert body_of(lambda number: {"number": number}, "/item/{number:int}", "/item/7") == {"number": 7}


def test_a_parameter_named_request_gets_the_request() -> None:
    """The name alone is enough."""
    assert body_of(lambda request: {"path": request.url.path}) == {"path": "/"}


def test_a_parameter_annotated_request_gets_the_request() -> None:
    """The annotation decides, whatever the name, and beside other parameters."""

    async def handler(number: int, r: Request) -> dict[str, Any]:
        return {"number": number, "path": r.url.path}

    assert body_of(handler, "/{number:int}", "/3") == {"number": 3, "path": "/3"}


def test_an_annotation_that_only_type_checkers_can_resolve_counts() -> None:
    """Annotations that are text are taken by their last name."""

    async def handler(r: "requests.Request", more: int = 1) -> dict[str, Any]:
        return {"path": r.url.path, "more": more}

    assert body_of(handler) == {"path": "/", "more": 1}


def test_a_single_other_parameter_gets_the_request() -> None:
    """A handler of one parameter may call the request what it likes."""
    assert body_of(lambda r: {"number": r.path_params["number"]}, "/{number:int}", "/3") == {"number": 3}


def test_a_positional_only_parameter_is_filled() -> None:
    """Parameters before a slash are passed by position, in the handler's order."""

    def handler(number: int, request: Request, /) -> dict[str, Any]:
        return {"number": number, "path": request.url.path}

    assert body_of(handler, "/{number:int}", "/3") == {"number": 3, "path": "/3"}


def test_a_handler_without_parameters_is_called_without_arguments() -> None:
    """A handler need not take the request."""
    assert body_of(lambda: {"called": True}) == {"called": True}


def test_a_parameter_with_a_default_keeps_it() -> None:
    """What the route cannot fill keeps the default."""
    assert body_of(lambda request, size=20: {"size": size}) == {"size": 20}


def test_a_path_parameter_called_request_wins_over_the_request() -> None:
    """Names of the path come first."""
    assert body_of(lambda request: {"got": request}, "/{request}", "/text") == {"got": "text"}


@pytest.mark.parametrize(
    "handler",
    [
        lambda request, unknown: None,
        lambda first, second: None,
        lambda *, unknown: None,
        lambda *args: None,
        lambda **options: None,
    ],
    ids=["beside request", "two", "keyword-only", "args", "kwargs"],
)
def test_a_parameter_that_nothing_fills_is_refused_at_registration(handler: Callable[..., Any]) -> None:
    """The error names the handler and the parameter before the first request."""
    with pytest.raises(ConfigurationError, match=r"fill parameter .* of handler <lambda>; name it as a path"):
        App().route("/")(handler)


def test_an_annotation_other_than_request_is_not_taken_for_the_request() -> None:
    """`count: int` on a path with `{number}` is a misspelling, not the request."""

    async def handler(count: int) -> str:
        return str(count)

    with pytest.raises(ConfigurationError, match=r"'count: int' of handler .*handler"):
        App().route("/item/{number:int}")(handler)


def test_something_that_cannot_be_called_is_refused_as_a_handler() -> None:
    """The error names what was given."""
    with pytest.raises(ConfigurationError, match="handler 'text'"):
        App().route("/")("text")  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("returned", "body", "content_type"),
    [
        ("<p>hi", b"<p>hi", "text/html; charset=utf-8"),
        ({"a": 1}, b'{"a":1}', "application/json"),
        ([1, 2], b"[1,2]", "application/json"),
        (b"\x00", b"\x00", "application/octet-stream"),
    ],
    ids=["str", "dict", "list", "bytes"],
)
def test_a_plain_value_becomes_a_response(returned: Any, body: bytes, content_type: str) -> None:
    """Each type that a handler may return has one content type."""
    app = App()
    app.route("/")(lambda: returned)
    response = TestClient(app).get("/")
    assert (response.status_code, response.content, response.headers["content-type"]) == (200, body, content_type)


def test_a_starlette_response_is_sent_as_it_is() -> None:
    """Status and headers are the handler's."""
    app = App()
    app.route("/")(lambda: Response(status_code=204, headers={"x-own": "1"}))
    response = TestClient(app).get("/")
    assert (response.status_code, response.headers["x-own"]) == (204, "1")


@pytest.mark.parametrize(("returned", "name"), [(None, "NoneType"), (7, "int"), ((1, 2), "tuple")])
def test_any_other_value_is_a_type_error_that_names_handler_and_type(returned: Any, name: str) -> None:
    """A forgotten return is not an empty page."""
    app = App()
    app.route("/")(lambda: returned)
    with pytest.raises(TypeError, match=f"handler .*<lambda> returned {name}; return a str"):
        TestClient(app).get("/")


def test_a_sync_handler_runs_in_a_worker_thread() -> None:
    """A handler that blocks does not stop the event loop."""

    async def on_the_loop() -> dict[str, Any]:
        return {"thread": threading.get_ident()}

    def beside_it() -> dict[str, Any]:
        return {"thread": threading.get_ident()}

    app = App()
    app.route("/async")(on_the_loop)
    app.route("/sync")(beside_it)
    with TestClient(app) as client:  # one loop for both requests
        assert client.get("/async").json() != client.get("/sync").json()


def test_an_async_handler_behind_a_plain_decorator_is_awaited() -> None:
    """A sync wrapper with `functools.wraps` keeps the parameters, and its awaitable is awaited."""

    async def handler(number: int) -> dict[str, Any]:
        return {"number": number}

    @functools.wraps(handler)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return handler(*args, **kwargs)

    assert body_of(wrapper, "/{number:int}", "/9") == {"number": 9}


def test_an_object_with_an_async_call_is_a_handler() -> None:
    """Its own parameters count, without self."""

    class Handler:
        async def __call__(self, number: int) -> dict[str, Any]:
            return {"number": number}

    assert body_of(Handler(), "/{number:int}", "/9") == {"number": 9}
