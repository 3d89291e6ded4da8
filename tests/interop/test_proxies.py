"""Behind a proxy that ends TLS, what each server has for it makes the cookie secure."""

from dataclasses import replace
from typing import Any

import pytest
from granian.utils.proxies import wrap_asgi_with_proxy_headers
from hypercorn.middleware import ProxyFixMiddleware
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from visits import CONFIG

from chirp import ASGISessionMiddleware, MemorySessionStore

HEADERS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}


async def write(scope: Scope, receive: Receive, send: Send) -> None:
    scope["session"]["key"] = "kept"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize(
    ("wrap", "secure"),
    [
        (lambda app: ProxyHeadersMiddleware(app, "10.0.0.5"), True),
        (lambda app: ProxyFixMiddleware(app, mode="legacy", trusted_hops=1), True),
        (lambda app: wrap_asgi_with_proxy_headers(app, trusted_hosts="10.0.0.5"), True),
        (lambda app: ProxyHeadersMiddleware(app, "10.0.0.6"), False),
        (lambda app: wrap_asgi_with_proxy_headers(app, trusted_hosts="10.0.0.6"), False),
        (lambda app: app, False),
    ],
    ids=["uvicorn", "hypercorn", "granian", "uvicorn-stranger", "granian-stranger", "none"],
)
def test_a_scheme_is_believed_of_whom_the_server_was_told(wrap: Any, secure: bool) -> None:
    """Only then is the cookie one for https."""
    app = ASGISessionMiddleware(write, replace(CONFIG, store=MemorySessionStore(CONFIG)))
    wrapped = wrap(app)

    async def awaited(scope: Scope, receive: Receive, send: Send) -> None:  # granian's is no coroutine function
        await wrapped(scope, receive, send)

    client = TestClient(awaited, client=("10.0.0.5", 1))
    assert ("; Secure" in client.get("/", headers=HEADERS).headers["set-cookie"]) is secure
