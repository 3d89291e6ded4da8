"""The middleware chain, and the errors that become responses inside it."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from chirp.app import App
from chirp.errors import ConfigurationError
from chirp.middleware.protocol import AnyResponse, Next


def recording(seen: list[Any], name: str = "") -> Callable[[Request, Next], Any]:
    """Make a middleware that writes down the status it gets from inside."""

    async def middleware(request: Request, following: Next) -> AnyResponse:
        response = await following(request)
        assert isinstance(response, Response)
        seen.append((name, response.status_code) if name else response.status_code)
        return response

    return middleware


def raising(error: Exception) -> Callable[[], str]:
    def handler() -> str:
        raise error

    return handler


def app_with(handler: Callable[..., Any], path: str = "/", **options: Any) -> App:
    app = App()
    app.route(path, **options)(handler)
    return app


def test_the_first_middleware_added_is_outermost() -> None:
    """Responses pass the middleware added last first."""
    seen: list[Any] = []
    app = app_with(lambda: "")
    app.add_middleware(recording(seen, "outer"))
    app.add_middleware(recording(seen, "inner"))
    TestClient(app).get("/")
    assert seen == [("inner", 200), ("outer", 200)]


def test_the_handler_gets_the_request_object_of_the_middlewares() -> None:
    """A body that a middleware has read can be read again by the handler."""

    async def reading(request: Request, following: Next) -> AnyResponse:
        await request.body()
        return await following(request)

    async def handler(request: Request) -> bytes:
        return await request.body()

    app = app_with(handler, methods=["POST"])
    app.add_middleware(reading)
    assert TestClient(app).post("/", content=b"once").content == b"once"


def test_a_middleware_may_answer_itself() -> None:
    """What is inside it does not run."""

    async def closed(request: Request, following: Next) -> AnyResponse:
        return PlainTextResponse("closed", 503)

    app = app_with(raising(AssertionError("the handler ran")))
    app.add_middleware(closed)
    assert TestClient(app).get("/").status_code == 503


@pytest.mark.parametrize(
    ("request_line", "status"), [(("GET", "/none"), 404), (("POST", "/"), 405), (("GET", "/teapot"), 418)]
)
def test_http_errors_pass_the_middlewares_as_responses(request_line: tuple[str, str], status: int) -> None:
    """404, 405 and a raised HTTPException are responses inside the chain, so a session is saved with them."""
    seen: list[Any] = []
    app = app_with(lambda: "")
    app.route("/teapot")(raising(HTTPException(418)))
    app.add_middleware(recording(seen))
    assert (TestClient(app).request(*request_line).status_code, seen) == (status, [status])


def test_an_http_exception_of_a_middleware_is_a_response_for_the_next_one_out() -> None:
    """It becomes a response where it arises, with its detail and headers."""

    async def strict(request: Request, following: Next) -> AnyResponse:
        raise HTTPException(401, "who are you", {"www-authenticate": "Basic"})

    seen: list[Any] = []
    app = app_with(lambda: "")
    app.add_middleware(recording(seen, "outside"))
    app.add_middleware(strict)
    app.add_middleware(recording(seen, "inside"))
    response = TestClient(app).get("/")
    assert (response.text, response.headers["www-authenticate"], seen) == ("who are you", "Basic", [("outside", 401)])


def test_an_http_exception_of_a_status_without_body_has_none() -> None:
    """RFC 9110 forbids a body with 304."""
    response = TestClient(app_with(raising(HTTPException(304)))).get("/")
    assert (response.status_code, response.content) == (304, b"")


def test_any_other_exception_passes_the_middlewares_and_becomes_a_500() -> None:
    """No middleware sees a response that it could save something with."""
    seen: list[Any] = []
    app = app_with(raising(ValueError("secret")))
    app.add_middleware(recording(seen))
    response = TestClient(app, raise_server_exceptions=False).get("/")
    assert (response.status_code, response.text, seen) == (500, "Internal Server Error", [])


def test_an_unhandled_exception_reaches_the_server() -> None:
    """After the 500 it is raised on, so that the server logs it."""
    with pytest.raises(ValueError, match="secret"):
        TestClient(app_with(raising(ValueError("secret")))).get("/")


def test_debug_shows_the_traceback() -> None:
    """The 500 of an app made with `debug=True` names the error."""
    app = App(debug=True)
    app.route("/")(raising(ValueError("secret")))
    assert "ValueError: secret" in TestClient(app, raise_server_exceptions=False).get("/").text


def test_a_middleware_without_a_response_is_a_type_error_that_names_it() -> None:
    """A forgotten return is found at the middleware that forgot it."""

    async def forgetful(request: Request, following: Next) -> Any:
        await following(request)

    app = app_with(lambda: "")
    app.add_middleware(recording([]))
    app.add_middleware(forgetful)
    with pytest.raises(TypeError, match=r"middleware .*forgetful returned NoneType"):
        TestClient(app).get("/")


@pytest.mark.parametrize("middleware", [None, Response], ids=["no callable", "a class"])
def test_what_cannot_be_a_middleware_is_refused(middleware: Any) -> None:
    """A class in place of an instance is the likely mistake of someone used to Starlette."""
    with pytest.raises(ConfigurationError, match="must be an async function"):
        App().add_middleware(middleware)


def test_a_middleware_added_after_the_first_request_is_refused() -> None:
    """It would silently never run."""
    app = app_with(lambda: "")
    TestClient(app).get("/")
    with pytest.raises(ConfigurationError, match="after the app had started serving"):
        app.add_middleware(recording([]))
