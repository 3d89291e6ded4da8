"""Django under ASGI: `get_session()` in async and sync views, beside Django's own session."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.functional import empty
from framework_kit import session_after_a_login
from starlette.testclient import TestClient
from visits import CONFIG

from chirp import ASGISessionMiddleware, MemorySessionStore, get_session, regenerate_session

OWN = {
    "ALLOWED_HOSTS": ["testserver"],
    "ROOT_URLCONF": __name__,
    "SECRET_KEY": "for tests alone",
    "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
    "MIDDLEWARE": ["django.contrib.sessions.middleware.SessionMiddleware"],
}


async def read(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"ours": dict(get_session()), "django": dict(await asyncio.to_thread(request.session.items))})


async def write(request: HttpRequest) -> HttpResponse:
    get_session()["key"] = "kept"
    return HttpResponse()


def write_in_a_thread(request: HttpRequest) -> HttpResponse:
    get_session()["key"] = "kept"
    return HttpResponse()


async def write_by_scope(request: Any) -> HttpResponse:
    request.scope["session"]["key"] = "kept"
    return HttpResponse()


def write_both(request: HttpRequest) -> HttpResponse:
    get_session()["key"] = "kept"
    request.session["own"] = 1
    return HttpResponse()


async def login(request: HttpRequest) -> HttpResponse:
    regenerate_session()["user_id"] = "ada"
    return HttpResponse()


async def streams(request: HttpRequest) -> StreamingHttpResponse:
    get_session()["key"] = "kept"

    async def parts() -> Any:
        yield b"part"

    return StreamingHttpResponse(parts())


async def fails(request: HttpRequest) -> HttpResponse:
    get_session()["key"] = "kept"
    raise ValueError("a defect")


async def refuses(request: HttpRequest) -> HttpResponse:
    get_session()["key"] = "kept"
    raise PermissionDenied


VIEWS = (read, write, write_in_a_thread, write_by_scope, write_both, login, streams, fails, refuses)
urlpatterns = [path(view.__name__, view) for view in VIEWS]


@pytest.fixture
def client() -> TestClient:
    settings._wrapped = empty  # what can be configured once is as it was before
    settings.configure(**OWN)
    app = ASGISessionMiddleware(get_asgi_application(), replace(CONFIG, store=MemorySessionStore(CONFIG)))
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("view", ["write", "write_in_a_thread", "write_by_scope", "streams", "refuses", "fails"])
def test_a_change_is_stored(client: TestClient, view: str) -> None:
    """It is there at the next request; Django has made responses of exceptions by then."""
    client.get(f"/{view}")
    assert client.get("/read").json()["ours"] == {"key": "kept"}


def test_both_sessions_live_side_by_side(client: TestClient) -> None:
    """Each has a cookie and data of its own."""
    client.get("/write_both")
    assert set(client.cookies) == {"sessionid", CONFIG.cookie_name}
    assert client.get("/read").json() == {"ours": {"key": "kept"}, "django": {"own": 1}}


def test_a_login_changes_the_id(client: TestClient) -> None:
    """Only the new session has the user, and nothing of the one before."""
    assert session_after_a_login(client)["ours"] == {"user_id": "ada"}
