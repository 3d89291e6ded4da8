"""The page of the demo: what it does to the session, and what it shows of it."""

import asyncio
import dataclasses
import secrets
import time
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from chirp.app import App
from chirp.demo.devices import Devices
from chirp.demo.forms import guard, read_form
from chirp.demo.pages import FILES, Templates, back
from chirp.demo.stored import read_stored
from chirp.middleware.auth import AuthConfig, AuthMiddleware, get_user, login, logout
from chirp.middleware.sessions import (
    RedisSessionStore,
    Session,
    SessionConfig,
    SessionMiddleware,
    get_session,
    regenerate_session,
    rotate_session,
)
from chirp.redis_url import address_of

ITEMS = ("apple", "banana", "cherry", "damson", "elderberry", "fig", "grape", "honeydew", "kiwi", "lemon")
HOLD_SECONDS = 0.15
LONGEST_NAME = 40
NOTICES = {
    "signed-in": "Signed in, under a new id: one planted before leads nowhere. Visits and cart came along.",
    "signed-out": "Signed out. The session is gone from the server, and its id is dead.",
    "rotated": "Rotated. The id is new and the old one dead; data, handle and age are the same.",
    "regenerated": "Regenerated. A new id and an empty session; this visit is its first.",
    "nameless": "A name needs at least one visible character.",
}
SIGN_IN_FIRST = "Sign in to see your devices."
SESSION_IS_GONE = (
    "The session of this device is over: ended from another device, or unused for too long. Nobody is signed in here."
)
STATIC = ("demo.css", "demo.js", "devices.css", "icon.svg")


@dataclass(frozen=True, slots=True)
class User:
    """Whoever typed this name; the demo knows nobody else."""

    id: str
    name: str


async def load_user(user_id: str) -> User:
    """Return the user of a stored id; here, every id is a user."""
    return User(id=user_id, name=user_id)


def create_app(redis_url: str) -> App:
    """Return the demo on the server at `redis_url`.

    Sessions have a key prefix and a cookie name of their own, so that the demo meddles with no other app's.

    Raises:
        ValueError: not a URL that redis-py understands.
    """
    config = SessionConfig(
        secret_key=secrets.token_urlsafe(32),
        cookie_name="chirp_demo",
        max_age=3600,
        touch_interval_seconds=5,  # short, so that one can watch the expiry slide
        exclude_paths=("/static",),
        record_client=True,  # for the devices page
    )
    store = RedisSessionStore(config, redis_url, key_prefix="chirp:demo:")
    config = dataclasses.replace(config, store=store)
    templates = Templates(address_of(redis_url))
    demo = Demo(config, store, redis_url, templates)
    devices = Devices(store, templates)

    app = App()
    app.add_middleware(guard)
    app.add_middleware(SessionMiddleware(config))
    app.add_middleware(AuthMiddleware(AuthConfig(load_user=load_user)))
    app.on_shutdown(demo.close)
    for path, method, handler in (
        ("/", "GET", demo.visit),
        ("/live", "GET", demo.page),
        ("/devices", "GET", devices.page),
        ("/devices/sign-out", "POST", devices.sign_out_one),
        ("/devices/sign-out-others", "POST", devices.sign_out_others),
        ("/static/{name}", "GET", static_file),
        ("/sign-in", "POST", sign_in),
        ("/sign-out", "POST", sign_out),
        ("/cart", "POST", add_to_cart),
        ("/cart/empty", "POST", empty_cart),
        ("/rotate", "POST", rotate),
        ("/regenerate", "POST", regenerate),
    ):
        app.route(path, methods=(method,))(handler)
    return app


class Demo:
    """The page, with what it needs to look behind the session."""

    def __init__(self, config: SessionConfig, store: RedisSessionStore, redis_url: str, templates: Templates) -> None:
        self._config = config
        self._store = store
        self._client = Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2)
        self._templates = templates

    async def close(self) -> None:
        """Close the connections that only the page uses."""
        await self._client.aclose()

    async def visit(self, request: Request) -> Response:
        """Count a visit and show the page."""
        session = get_session()
        session["visits"] = whole(session.get("visits")) + 1
        return await self.page(request)

    async def page(self, request: Request) -> Response:
        """Show the page and change nothing."""
        session = get_session()
        cookie = cookie_sent(request, self._config.cookie_name)
        shown = {
            "notice": notice_for(request, session, cookie),
            "user": get_user() if session.user_id is not None else None,
            "next": "devices" if request.query_params.get("next") == "devices" else "",
            "visits": whole(session.get("visits")),
            "cart": [(item, whole(session.get(cart_key(item)))) for item in ITEMS],
            "cookie": cookie,
            "config": self._config,
            "session": session,
            "stored": await read_stored(self._client, self._store.key_for(session.id)) if session.id else None,
            "hold_milliseconds": round(HOLD_SECONDS * 1000),
            "longest_name": LONGEST_NAME,
        }
        return self._templates.answer("session.html", here="/", **shown)


def notice_for(request: Request, session: Session, cookie: str) -> str:
    """Return what the visitor should know: what was just done, or why somebody who was signed in is not any more."""
    if done := NOTICES.get(request.query_params.get("done", "")):
        return done
    if cookie and session.is_new:
        return SESSION_IS_GONE
    return SIGN_IN_FIRST if "next" in request.query_params else ""


async def static_file(name: str) -> Response:
    """Send a style sheet, script or icon."""
    if name not in STATIC:
        raise HTTPException(404)
    return FileResponse(FILES / "static" / name, headers={"Cache-Control": "no-cache"})


async def sign_in(request: Request) -> Response:
    """Sign in as whoever is named; what was collected before comes along."""
    form = await read_form(request)
    name = "".join(filter(str.isprintable, form.get("name", "")))[:LONGEST_NAME].strip()
    if not name:
        return back("/?done=nameless")
    login(User(id=name, name=name), keep=("visits", *cart_keys(get_session())))
    return back("/devices" if form.get("next") == "devices" else "/?done=signed-in")


async def sign_out() -> Response:
    """End the session."""
    logout()
    return back("/?done=signed-out")


async def rotate() -> Response:
    """New id, same data."""
    rotate_session()
    return back("/?done=rotated")


async def regenerate() -> Response:
    """New id, no data."""
    regenerate_session()
    return back("/?done=regenerated")


async def add_to_cart(request: Request) -> Response | dict[str, Any]:
    """Put one item into the cart, under a key of its own, since parallel changes of different keys are merged."""
    form = await read_form(request)
    item = form.get("item", "")
    if item not in ITEMS:
        raise HTTPException(400, "There is no such item.")
    started = time.time()
    if "hold" in form:
        # Long enough for requests sent together to have all loaded the session before any of them writes.
        await asyncio.sleep(HOLD_SECONDS)
    session = get_session()
    session[cart_key(item)] = whole(session.get(cart_key(item))) + 1
    if "application/json" in request.headers.get("accept", ""):
        return {"item": item, "started": started * 1000, "ended": time.time() * 1000}
    return back("/#cart")


async def empty_cart() -> Response:
    """Remove what is in the cart and nothing else."""
    session = get_session()
    for key in cart_keys(session):
        del session[key]
    return back("/#cart")


def cart_key(item: str) -> str:
    """Return the session key of an item."""
    return f"cart:{item}"


def cart_keys(session: Session) -> tuple[str, ...]:
    """Return the keys of the items that are in the cart."""
    return tuple(key for key in map(cart_key, ITEMS) if key in session)


def whole(value: object) -> int:
    """Return a stored number, or 0 where somebody has edited the document into something else."""
    return value if isinstance(value, int) else 0


def cookie_sent(request: Request, name: str) -> str:
    """Return the session's cookie as it stood in the request's header, or nothing."""
    pairs = (pair.strip() for line in request.headers.getlist("cookie") for pair in line.split(";"))
    return "; ".join(pair for pair in pairs if pair.startswith(f"{name}="))
