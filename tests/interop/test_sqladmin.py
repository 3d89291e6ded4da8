"""sqladmin: its login and its messages are in `request.session`, of ours or of the middleware that it brings."""

from collections.abc import Iterator

import pytest
from sqladmin import Admin
from sqladmin.authentication import AuthenticationBackend
from sqladmin.flash import flash, get_flashed_messages
from sqlalchemy import create_engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from visits import CONFIG

from chirp import ASGISessionMiddleware, SessionConfig

SIGN_IN = {"username": "ada", "password": "right"}


class Passwords(AuthenticationBackend):
    async def login(self, request: Request) -> bool:
        form = await request.form()
        if form["password"] == "right":
            request.session["user_id"] = form["username"]
        return "user_id" in request.session

    async def logout(self, request: Request) -> bool:
        request.session.clear()
        return False

    async def authenticate(self, request: Request) -> bool:
        return "user_id" in request.session


class WithoutOwnSessions(Passwords):
    def __init__(self) -> None:
        self.middlewares = []


async def tell(request: Request) -> JSONResponse:
    return JSONResponse(flash(request, request.query_params["text"]))


async def told(request: Request) -> JSONResponse:
    return JSONResponse([message["message"] for message in get_flashed_messages(request)])


async def look(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.session))


def client_of(backend: AuthenticationBackend, config: SessionConfig) -> TestClient:
    app = Starlette(routes=[Route("/tell", tell), Route("/told", told), Route("/look", look)])
    app.add_middleware(ASGISessionMiddleware, config=config)
    Admin(app, create_engine("sqlite://"), authentication_backend=backend)
    return TestClient(app, follow_redirects=False)


@pytest.fixture
def client(each_config: SessionConfig) -> Iterator[TestClient]:
    with client_of(WithoutOwnSessions(), each_config) as client:
        yield client


def signs_in_and_out(client: TestClient) -> list[bool]:
    """Return whether the first page is shown: before the login, after it, and after the logout."""
    seen = [client.get("/admin/").status_code == 200]
    client.post("/admin/login", data=SIGN_IN)
    seen.append(client.get("/admin/").status_code == 200)
    client.get("/admin/logout")
    return [*seen, client.get("/admin/").status_code == 200]


def test_a_person_signs_in_and_out(client: TestClient) -> None:
    """Only between the two the pages are shown."""
    assert signs_in_and_out(client) == [False, True, False]


def test_the_app_around_it_knows_who_is_signed_in(client: TestClient) -> None:
    """It is one session."""
    client.post("/admin/login", data=SIGN_IN)
    assert client.get("/look").json() == {"user_id": "ada"}


def test_messages_are_told_once(client: TestClient) -> None:
    """The second is put inside the list of the first, by an earlier request: no key changes for it."""
    for text in ("first", "second"):
        client.get("/tell", params={"text": text})
    assert [client.get("/told").json() for _ in range(2)] == [["first", "second"], []]


def test_its_own_middleware_of_starlette_keeps_a_session_beside_ours() -> None:
    """As it comes: another cookie, and the app around it does not see that login."""
    client = client_of(Passwords("of the admin, and long enough as well"), CONFIG)
    client.get("/tell", params={"text": "of ours"})
    assert signs_in_and_out(client) == [False, True, False]
    assert client.get("/told").json() == ["of ours"]
