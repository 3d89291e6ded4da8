"""An app with sessions that is mounted in an app with sessions."""

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starsessions import InMemoryStore, load_session
from starsessions import SessionMiddleware as StarsessionsMiddleware

from chirp import ASGISessionMiddleware, SessionConfig, get_session

SECRET = "secret-of-the-tests-with-32-bytes"


async def count(request: Request) -> JSONResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JSONResponse([request.session["visits"], get_session()["visits"]])


def site(cookie_name: str | None, **settings: Any) -> TestClient:
    """Return a client of an app whose mounted app has a middleware of its own if a cookie is named for it."""
    inner = (
        [Middleware(ASGISessionMiddleware, config=SessionConfig(SECRET, cookie_name=cookie_name))]
        if cookie_name
        else []
    )
    mounted = Starlette(routes=[Route("/", count)], middleware=inner)
    outer = [Middleware(ASGISessionMiddleware, config=SessionConfig(SECRET, **settings))]
    return TestClient(Starlette(routes=[Route("/", count), Mount("/sub", mounted)], middleware=outer))


def test_a_mounted_app_has_the_session_of_the_app_around_it() -> None:
    """One middleware serves both."""
    client = site(None)
    assert [client.get(path).json() for path in ("/", "/sub/", "/")] == [[1, 1], [2, 2], [3, 3]]


def test_a_second_middleware_with_the_same_cookie_leaves_the_session_to_the_outer_one() -> None:
    """One session, and one cookie in the response."""
    client = site("chirp_session")
    answers = [client.get(path) for path in ("/", "/sub/", "/")]
    assert [answer.json() for answer in answers] == [[1, 1], [2, 2], [3, 3]]
    assert [len(answer.headers.get_list("set-cookie")) for answer in answers] == [1, 1, 1]


def test_a_second_middleware_with_another_cookie_has_a_session_of_its_own() -> None:
    """Neither sees what is in the other."""
    client = site("of_the_mounted_app")
    assert [client.get(path).json() for path in ("/", "/sub/", "/")] == [[1, 1], [1, 1], [2, 2]]


def test_starsessions_in_a_mounted_app_keep_a_session_of_their_own() -> None:
    """They are plain dicts, as what an app assigns by mistake, and are told from it by the handler beside them."""

    async def count_theirs(request: Request) -> JSONResponse:
        await load_session(request)
        request.session["visits"] = request.session.get("visits", 0) + 1
        return JSONResponse(request.session["visits"])

    theirs = Middleware(StarsessionsMiddleware, store=InMemoryStore(), cookie_https_only=False)
    mounted = Starlette(routes=[Route("/", count_theirs)], middleware=[theirs])
    ours = Middleware(ASGISessionMiddleware, config=SessionConfig(SECRET))
    client = TestClient(Starlette(routes=[Route("/", count), Mount("/sub", mounted)], middleware=[ours]))
    assert [client.get(path).json() for path in ("/", "/sub/", "/sub/", "/")] == [[1, 1], 1, 2, [2, 2]]


def test_a_second_middleware_has_the_session_where_the_outer_one_excludes_the_path() -> None:
    """There is nobody else to fill it."""
    client = site("chirp_session", exclude_paths=("/sub",))
    assert [client.get(path).json() for path in ("/", "/sub/", "/")] == [[1, 1], [2, 2], [3, 3]]


def test_what_both_apps_change_is_in_one_session_and_one_cookie() -> None:
    """Else each of two sessions would set the cookie, and the browser would lose one."""
    settings = Middleware(ASGISessionMiddleware, config=SessionConfig(SECRET))

    def marked(app: Any) -> Any:
        async def mark(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                scope["session"]["outer"] = True
            await app(scope, receive, send)

        return mark

    mounted = marked(Starlette(routes=[Route("/", count)], middleware=[settings]))
    answer = TestClient(Starlette(routes=[Mount("/sub", mounted)], middleware=[settings])).get("/sub/")
    assert len(answer.headers.get_list("set-cookie")) == 1
