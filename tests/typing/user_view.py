"""The public API as an app's author writes against it. Never run: mypy and pyright read it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, assert_type

import msgspec
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from chirp.errors import ChirpError, ConfigurationError, SessionError, StoreUnavailable
from chirp.fastapi import CurrentSession, session_as
from chirp.middleware.auth import (
    AuthConfig,
    AuthMiddleware,
    LoginRequired,
    RecentLoginRequired,
    confirm_login,
    get_user,
    login,
    logout,
    require_recent_login,
)
from chirp.middleware.sessions import (
    ASGISessionMiddleware,
    CookieSessionStore,
    MemorySessionStore,
    RedisSessionStore,
    Session,
    SessionConfig,
    SessionInfo,
    SessionMiddleware,
    SessionStore,
    get_session,
    regenerate_session,
    rotate_session,
)
from chirp.migration import JSONInRedis, Predecessor, StarletteCookies
from chirp.testing import (
    Browser,
    Gate,
    ManualClock,
    OutageSwitch,
    Run,
    StoreConformance,
    Turn,
    explore,
    put_session,
    put_session_sync,
    read_session,
    read_session_sync,
    signed_in,
)

config = SessionConfig(secret_key="k" * 32, max_age=3600, secure="auto", idle_timeout_seconds=None, record_client=False)
assert_type(config.max_age, int)
assert_type(config.store, SessionStore | None)

stores: list[SessionStore] = [
    CookieSessionStore(config),
    MemorySessionStore(config),
    RedisSessionStore(config, "redis://127.0.0.1:6379/0", key_prefix="app:session:"),
]
middleware = SessionMiddleware(SessionConfig(secret_key="k" * 32, store=stores[2]))
app = Starlette(middleware=[Middleware(ASGISessionMiddleware, config=config)])


def handler() -> dict[str, Any]:
    session: dict[str, Any] = get_session()
    session["user_id"] = 7
    fresh: dict[str, Any] = regenerate_session()
    rotate_session()
    rotate_session(follow=True)
    return fresh


async def later() -> None:
    session = get_session()
    session.reopen()
    session["seen"] = True
    assert_type(await session.save(), None)


def lifetimes() -> None:
    session = get_session()
    session.set_lifetime(30 * 86400)
    session.set_lifetime(persistent=False)
    assert_type(session.max_age, int | None)
    assert_type(session.persistent, bool)
    assert_type(session.user_agent, str | None)
    assert_type(session.address, str | None)


class User:
    id = 7
    version = 1


auth = AuthMiddleware(
    AuthConfig(lambda user_id: User(), session_version=lambda user: user.version, remember_seconds=86400)
)


def sign_in(user: User) -> None:
    login(user, keep=("cart",), remember=True)
    logout()
    login(user, remember=None)


def change_password() -> None:
    try:
        require_recent_login(600)
    except RecentLoginRequired as error:
        assert_type(error.seconds, float)
        refusal: HTTPException = error
        raise refusal from None
    except LoginRequired as error:
        assert_type(error.status_code, int)
    confirm_login()
    confirm_login(get_user())


async def script(request: Request, response: Response) -> Response:
    store = RedisSessionStore(config)
    session = await store.load(request)
    session["seen"] = True
    try:
        return await store.save(response, session, regenerate_old_id=None)
    except StoreUnavailable as error:
        as_session_error: SessionError = error
        as_chirp_error: ChirpError = as_session_error
        raise ConfigurationError from as_chirp_error


class Shop(msgspec.Struct):
    cart: list[str] = []


@dataclass
class Visitor:
    theme: str = "light"


def version_two(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "cart": []}


def objects(request_session: Session) -> None:
    replace(config, model=Shop, migrate=version_two)
    replace(config, model=Visitor, migrate=None)
    shop = get_session().typed(Shop)
    assert_type(shop, Shop)
    assert_type(shop.cart, list[str])
    assert_type(request_session.typed(Visitor).theme, str)


class OwnStore:
    """A store of the app's own needs no base class."""

    async def load(self, request: Any) -> dict[str, Any]:
        return {}

    async def save(self, response: Any, session: dict[str, Any], *, regenerate_old_id: str | None = None) -> Any:
        return response


own: SessionStore = OwnStore()


class OwnStoreTests(StoreConformance):
    merges = False

    def make_store(self, config: SessionConfig, clock: Callable[[], float]) -> SessionStore:
        return OwnStore()


async def users_sessions(store: RedisSessionStore | MemorySessionStore, session_id: str) -> None:
    for info in await store.list_sessions(7):
        assert_type(info, SessionInfo)
        assert_type(info.current, bool)
        assert_type(info.user_agent, str | None)
        assert_type(await store.revoke(info.handle, user_id=7), bool)
        assert_type(await store.read_data(info), dict[str, Any] | None)
    assert_type(await store.revoke_user(7, keep=get_session().handle), int)
    assert_type(await store.find_session("handle"), SessionInfo | None)
    async for scan in store.scan_sessions():
        assert_type(scan.progress, float)
    await store.revoke_id(session_id)
    replace(config, max_sessions_per_user=5, on_session_limit="refuse", record_client=True, close_ended=True)


async def a_race() -> dict[str, Any]:
    gate = Gate(MemorySessionStore(config, clock=ManualClock()))
    stopped = gate.stop_next(lambda session: "late" in session)
    await stopped.reached(seconds=1.0)
    stopped.go_on()
    browser = Browser(gate)
    request = await browser.begin()
    request.session["late"] = 1
    assert_type(await request.finish(), str | None)
    return await browser.read()


async def an_app(client: Any, store: RedisSessionStore) -> None:
    await put_session(client, store, signed_in(User(), AuthConfig(lambda user_id: User()), user_key="uid"))
    assert_type(await read_session(client, store), Session)
    put_session_sync(client, MemorySessionStore(config), {"user_id": 1})
    assert_type(read_session_sync(client, CookieSessionStore(config)).user_id, Any)
    switch = OutageSwitch(store)
    switch.on()
    switch.off()
    with switch as outage:
        assert_type(outage.is_on, bool)


async def every_order() -> int:
    async def step(turn: Turn) -> None:
        await turn()

    async def prepare() -> Sequence[Callable[[Turn], Any]]:
        return [step, step]

    async def check(run: Run) -> list[str]:
        return [] if len(run.order) == 2 else ["a step was lost"]

    return (await explore(prepare, check)).runs


class Former(Predecessor):
    async def read(self, value: str) -> dict[str, Any] | None:
        return {"user_id": value}


def migrated(client: Any) -> SessionConfig:
    async def convert(data: dict[str, Any]) -> dict[str, Any] | None:
        return data or None

    old = (
        StarletteCookies("k" * 32, until=0.0, convert=convert),
        JSONInRedis(client, "session:{id}", cookie_name="sid"),
        Former("sid2", path="/app", convert=lambda data: data),
    )
    return replace(config, predecessors=old)


api = FastAPI()
api.add_middleware(ASGISessionMiddleware, config=config)


CurrentShop = Annotated[Shop, Depends(session_as(Shop))]


@api.post("/cart/{item}")
async def add_to_cart(item: str, shop: CurrentShop) -> int:
    shop.cart.append(item)
    assert_type(shop.cart, list[str])
    return len(shop.cart)


@api.get("/")
def read_in_a_thread(session: CurrentSession) -> dict[str, Any]:
    assert_type(session, Session)
    assert_type(session.id, str | None)
    return session


@api.get("/same")
async def same(session: Annotated[Session, Depends(get_session)]) -> bool:
    return session.is_new


@api.websocket("/socket")
async def talk(websocket: WebSocket, session: CurrentSession) -> None:
    session["talks"] = session.get("talks", 0) + 1
    await websocket.accept()
