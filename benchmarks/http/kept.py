"""What the apps without session middleware need under real browsers: a dict for each, found by its cookie."""

from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def kept_by_cookie(app: ASGIApp) -> ASGIApp:
    """Return the app with `scope["session"]` filled from memory: no signature, no expiry, no store, no copy."""
    kept: dict[bytes, dict[str, Any]] = {}

    async def with_session(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        session = kept.get(dict(scope["headers"]).get(b"cookie", b""))
        if session is not None:
            scope["session"] = session
            await app(scope, receive, send)
            return
        cookie = f"number={len(kept)}"
        scope["session"] = kept[cookie.encode("ascii")] = {}

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", f"{cookie}; path=/")
            await send(message)

        await app(scope, receive, send_with_cookie)

    return with_session
