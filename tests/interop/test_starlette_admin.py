"""starlette-admin: its login keeps who is signed in in `request.session`, behind middlewares of its own."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette_admin import BaseAdmin
from starlette_admin.auth import AdminUser, AuthProvider
from starlette_admin.exceptions import LoginFailed

from chirp import ASGISessionMiddleware, SessionConfig, regenerate_session


class Passwords(AuthProvider):
    async def login(self, username: str, password: str, remember_me: bool, request: Request) -> None:
        if password != "right":
            raise LoginFailed("wrong")
        regenerate_session()
        request.session["user_id"] = username

    async def authenticate(self, request: Request) -> AdminUser | None:
        name = request.session.get("user_id")
        return AdminUser(username=name) if name else None

    async def logout(self, request: Request) -> None:
        request.session.clear()


@pytest.fixture
def client(each_config: SessionConfig) -> Iterator[TestClient]:
    app = Starlette()
    app.add_middleware(ASGISessionMiddleware, config=each_config)
    BaseAdmin(auth_provider=Passwords(), secret_key="of the admin, and long enough as well").mount_to(app)
    with TestClient(app, follow_redirects=False) as client:
        yield client


def post(client: TestClient, path: str, **form: str) -> int:
    """Send a form with the token that the page gave; return the status."""
    token = client.cookies["starlette_admin_csrftoken"]
    return client.post(path, data={"csrftoken": token, **form}).status_code


def is_in(client: TestClient) -> bool:
    """Whether the admin's first page is shown, and not the way to the login."""
    return client.get("/admin/").status_code == 200


def test_a_person_signs_in_and_out(client: TestClient) -> None:
    """Only between the two the pages are shown."""
    seen = [is_in(client)]
    client.get("/admin/login")
    statuses = [post(client, "/admin/login", username="ada", password="right")]
    seen.append(is_in(client))
    statuses.append(post(client, "/admin/logout"))
    seen.append(is_in(client))
    assert (statuses, seen) == ([303, 303], [False, True, False])


def test_a_wrong_password_signs_nobody_in(client: TestClient) -> None:
    """No session is begun for it."""
    client.get("/admin/login")
    assert post(client, "/admin/login", username="ada", password="wrong") == 400
    assert (is_in(client), "chirp_session" in client.cookies) == (False, False)
