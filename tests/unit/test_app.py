"""Routes, what the scope tells, and how responses are sent."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from chirp.app import App
from chirp.errors import ConfigurationError
from chirp.middleware.protocol import AnyResponse, Next


def app_with(handler: Callable[..., Any], path: str = "/", **options: Any) -> App:
    app = App()
    app.route(path, **options)(handler)
    return app


def test_the_first_route_that_matches_answers() -> None:
    """Routes are tried in the order of their registration."""
    app = App()
    app.route("/item/new")(lambda: "new")
    app.route("/item/{number}")(lambda number: f"item {number}")
    client = TestClient(app)
    assert [client.get(path).text for path in ("/item/new", "/item/2")] == ["new", "item 2"]


def test_methods_of_one_path_can_have_handlers_of_their_own() -> None:
    """A route whose methods do not fit leaves the request to the next one."""
    app = App()
    app.route("/")(lambda: "got")
    app.route("/", methods=["POST"])(lambda: "posted")
    client = TestClient(app)
    assert [client.get("/").text, client.post("/").text] == ["got", "posted"]


def test_head_is_answered_where_get_is() -> None:
    """A HEAD request gets the headers of the GET response."""
    response = TestClient(app_with(lambda: "four")).head("/")
    assert (response.status_code, response.headers["content-length"]) == (200, "4")


def test_an_unknown_path_is_a_404() -> None:
    """No route, and another path with a slash at its end is another path."""
    client = TestClient(app_with(lambda: "", "/here"))
    assert [client.get(path).status_code for path in ("/there", "/here/")] == [404, 404]


def test_a_value_that_its_convertor_refuses_is_a_404() -> None:
    """Python refuses to read an int of 5000 digits; that is the client's mistake, not a 500."""
    assert TestClient(app_with(lambda number: f"{number}", "/{number:int}")).get("/" + "9" * 5000).status_code == 404


def test_a_wrong_method_is_a_405_that_allows_every_method_of_the_path() -> None:
    """The Allow header collects the methods of all routes with that path."""
    app = App()
    app.route("/")(lambda: "")
    app.route("/", methods=("post",))(lambda: "")
    response = TestClient(app).delete("/")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize("methods", ["GET", (), []])
def test_methods_that_are_no_tuple_of_names_are_refused(methods: Any) -> None:
    """A str would be taken letter by letter, and no method at all would answer everything."""
    with pytest.raises(ConfigurationError, match="methods="):
        App().route("/", methods=methods)


@pytest.mark.parametrize("path", ["item", "/{number:integer}", "/{number}/{number}"])
def test_a_path_that_cannot_match_is_refused(path: str) -> None:
    """The error names the path."""
    with pytest.raises(ConfigurationError, match="path='"):
        App().route(path)(lambda: "")


def test_a_route_decorator_without_its_path_is_refused() -> None:
    """`@app.route` without a call would otherwise register nothing."""
    with pytest.raises(ConfigurationError, match=r"as in @app.route\('/'\)"):
        App().route(lambda: "")  # type: ignore[arg-type]


def test_url_for_finds_routes_by_name() -> None:
    """A route has the given name, or that of its handler."""
    app = App()

    @app.route("/item/{number:int}")
    def item(number: int) -> str:
        return str(number)

    app.route("/other/{number:int}", name="named")(lambda number: "")
    app.route("/")(lambda request: [str(request.url_for(name, number=2)) for name in ("item", "named")])
    assert TestClient(app).get("/").json() == ["http://testserver/item/2", "http://testserver/other/2"]


def test_url_path_for_works_without_a_request() -> None:
    """The app itself can be asked for a path."""
    assert app_with(lambda number: "", "/item/{number:int}", name="item").url_path_for("item", number=2) == "/item/2"


def test_the_scope_names_the_app_the_route_and_the_handler() -> None:
    """Middlewares that look for `route`, `endpoint` and `path_params` in the scope find them as under Starlette."""
    app = App()
    app.state.colour = "red"

    @app.route("/{number:int}")
    def handler(request: Request) -> list[Any]:
        scope = request.scope
        return [request.app.state.colour, scope["route"].path, scope["endpoint"] is handler, scope["path_params"]]

    assert TestClient(app).get("/3").json() == ["red", "/{number:int}", True, {"number": 3}]


def test_a_stream_is_sent_after_the_chain_returned() -> None:
    """Middlewares see the response before its first step."""
    order: list[str] = []

    async def steps() -> AsyncIterator[str]:
        order.append("first step")
        yield "a"
        yield "b"

    async def noting(request: Request, following: Next) -> AnyResponse:
        response = await following(request)
        order.append("chain returned")
        return response

    app = app_with(lambda: StreamingResponse(steps()))
    app.add_middleware(noting)
    assert (TestClient(app).get("/").text, order) == ("ab", ["chain returned", "first step"])


def test_a_background_task_runs() -> None:
    """The response of a handler brings its tasks along."""
    ran: list[int] = []
    TestClient(app_with(lambda: Response(background=BackgroundTask(ran.append, 1)))).get("/")
    assert ran == [1]


async def test_a_stream_whose_client_left_is_closed() -> None:
    """What the body holds is given back with the request, not when the collector comes by."""
    closed: list[bool] = []

    async def steps() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
        finally:
            closed.append(True)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError

    async def receive() -> Any:
        raise AssertionError("nothing is received")

    body = steps()
    app = app_with(lambda: StreamingResponse(body))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.4"}}
    with pytest.raises(ClientDisconnect):
        await app(scope, receive, send)
    assert closed == [True]


def test_a_websocket_is_refused() -> None:
    """It is closed before it is accepted."""
    client = TestClient(app_with(lambda: ""))
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/"):
        pass
    assert refused.value.code == 1000


async def test_an_unknown_scope_is_an_error_that_names_it() -> None:
    """A server of some later protocol is told what the app serves."""

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nothing is sent or received")

    with pytest.raises(RuntimeError, match="'telepathy'"):
        await App()({"type": "telepathy"}, nothing, nothing)
