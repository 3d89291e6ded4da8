"""In the place of Starlette's `SessionMiddleware`: every kind of endpoint gives the same answer and leaves the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import DictLoader, Environment
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from visits import CONFIG

from chirp import ASGISessionMiddleware, SessionConfig

PAGES = {"page": "{{ request.session.get('name') }}{% for key in request.session|sort %} {{ key }}{% endfor %}"}
templates = Jinja2Templates(env=Environment(loader=DictLoader(PAGES), autoescape=True))


def count(request: Request) -> int:
    request.session["visits"] = request.session.get("visits", 0) + 1
    visits: int = request.session["visits"]
    return visits


async def template(request: Request) -> Response:
    request.session.setdefault("name", "<ada>")
    return templates.TemplateResponse(request, "page", {"visits": count(request)})


async def reads_in_a_template(request: Request) -> Response:
    return templates.TemplateResponse(request, "page")


async def stream(request: Request) -> Response:
    count(request)

    def parts() -> Iterator[str]:
        for key in sorted(request.session):
            yield f"{key}={request.session[key]} "

    return StreamingResponse(parts())


async def redirect(request: Request) -> Response:
    count(request)
    return RedirectResponse(request.url_for("template"))


async def refuse(request: Request) -> Response:
    count(request)
    raise HTTPException(418, "no", headers={"X-Reason": "tea"})


async def handled(request: Request) -> Response:
    count(request)
    raise KeyError("handled")


async def unhandled(request: Request) -> Response:
    count(request)
    raise ValueError("a defect")


async def own_headers(request: Request) -> Response:
    response = JSONResponse(count(request), headers={"Vary": "Accept", "Cache-Control": "no-cache"})
    response.set_cookie("other", "1")
    return response


async def clear(request: Request) -> Response:
    request.session.clear()
    return Response(status_code=204)


def in_a_thread(request: Request) -> Response:
    return PlainTextResponse(str(count(request)))


class ByMethod(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return JSONResponse(sorted(request.session.items()))

    def post(self, request: Request) -> Response:
        return JSONResponse(count(request))


async def socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json(dict(socket.session))
    await socket.close()


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_json([data, websocket.session.get("visits")])


async def handle(request: Request, error: Exception) -> Response:
    return JSONResponse([str(error), request.session["visits"]], 422)


FUNCTIONS = [
    template,
    reads_in_a_template,
    stream,
    redirect,
    refuse,
    handled,
    unhandled,
    own_headers,
    clear,
    in_a_thread,
    ByMethod,
]
ROUTES = [
    *(Route(f"/{each.__name__}", each, name=each.__name__) for each in FUNCTIONS),
    WebSocketRoute("/socket", socket),
    WebSocketRoute("/echo", Echo),
]
VISITS = [("GET", f"/{each.__name__}") for each in FUNCTIONS] + [("POST", "/ByMethod"), ("DELETE", "/ByMethod")]
VISITS += [("GET", "/missing"), ("HEAD", "/template"), ("WS", "/socket"), ("WS", "/echo")]


def client_of(middleware: Middleware) -> TestClient:
    app = Starlette(routes=ROUTES, middleware=[middleware], exception_handlers={KeyError: handle})
    return TestClient(app, raise_server_exceptions=False)


def visit(client: TestClient, method: str, path: str) -> Any:
    """Return all of an answer that an app decides: not the session's cookie, nor what caches are told because of it."""
    if method == "WS":
        with client.websocket_connect(path) as connection:
            if path == "/echo":
                connection.send_text("said")
            return connection.receive_json()
    answer = client.request(method, path)
    others = ("vary", "set-cookie", "cache-control")
    headers = {name: value for name, value in answer.headers.items() if name not in others}
    varies = sorted(part.strip() for part in answer.headers.get("vary", "").split(","))
    kept = ("chirp_session" in client.cookies) or ("session" in client.cookies)
    return answer.status_code, [past.status_code for past in answer.history], headers, varies, answer.content, kept


def expect_the_same_answers(config: SessionConfig, visits: list[tuple[str, str]]) -> None:
    theirs = client_of(Middleware(StarlettesMiddleware, secret_key=CONFIG.secret_key))
    with client_of(Middleware(ASGISessionMiddleware, config=config)) as drop_in:
        for method, path in visits:
            assert visit(drop_in, method, path) == visit(theirs, method, path), (method, path)


def test_each_kind_of_answer_is_the_same(each_config: SessionConfig) -> None:
    """The first visit and the second, and what the session holds after each."""
    expect_the_same_answers(each_config, [step for each in VISITS for step in (each, ("WS", "/socket"), each)])


@settings(max_examples=25)
@given(visits=st.lists(st.sampled_from(VISITS), max_size=8))
def test_whatever_comes_after_what_is_the_same(visits: list[tuple[str, str]]) -> None:
    """In any order, with the cookie store."""
    expect_the_same_answers(CONFIG, visits)


@pytest.mark.parametrize(
    ("path", "status"), [("/refuse", 418), ("/handled", 422), ("/unhandled", 500), ("/redirect", 307)]
)
def test_the_endpoints_answer_as_they_are_meant_to(path: str, status: int) -> None:
    """Two middlewares that both failed would answer the same."""
    client = client_of(Middleware(ASGISessionMiddleware, config=CONFIG))
    client.follow_redirects = False
    assert client.get(path).status_code == status
