"""FastAPI: the session as a dependency, and what becomes of it around an endpoint."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import PlainTextResponse
from process_kit import processes, until
from starlette.testclient import TestClient

from chirp import (
    ASGISessionMiddleware,
    ConfigurationError,
    MemorySessionStore,
    Session,
    SessionClosed,
    SessionConfig,
    get_session,
)
from chirp.fastapi import CurrentSession, session_as

CONFIG = SessionConfig("secret-of-the-tests-with-32-bytes")


def site(config: SessionConfig = CONFIG) -> FastAPI:
    app = FastAPI()
    app.add_middleware(ASGISessionMiddleware, config=config)

    @app.get("/stored")
    async def stored(session: CurrentSession) -> dict[str, Any]:
        return dict(session)

    return app


@pytest.fixture
def app() -> FastAPI:
    return site(SessionConfig("secret-of-the-tests-with-32-bytes", store=MemorySessionStore(CONFIG)))


def test_an_endpoint_is_given_the_session(app: FastAPI) -> None:
    """What it stores is there at the next request."""

    @app.get("/set")
    async def set_name(session: CurrentSession) -> None:
        session["name"] = "ada"

    client = TestClient(app)
    client.get("/set")
    assert client.get("/stored").json() == {"name": "ada"}


def test_being_given_the_session_is_access(app: FastAPI) -> None:
    """Caches are told, although the endpoint looks at no key."""

    @app.get("/unread")
    async def unread(session: CurrentSession) -> None:
        pass

    assert TestClient(app).get("/unread").headers["vary"] == "Cookie"


def test_a_websocket_is_given_the_session(app: FastAPI) -> None:
    """The same type serves both."""

    @app.get("/set")
    async def set_name(session: CurrentSession) -> None:
        session["name"] = "ada"

    @app.websocket("/ws")
    async def tell(websocket: WebSocket, session: CurrentSession) -> None:
        await websocket.accept()
        await websocket.send_json(dict(session))

    client = TestClient(app)
    client.get("/set")
    with client.websocket_connect("/ws") as socket:
        assert socket.receive_json() == {"name": "ada"}


@pytest.mark.parametrize("how", ["sync", "async"])
def test_get_session_is_a_dependency_as_well(app: FastAPI, how: str) -> None:
    """It has no parameters that FastAPI would take for those of a query."""
    if how == "sync":

        @app.get("/set")
        def set_in_thread(session: Annotated[Session, Depends(get_session)]) -> None:
            session["name"] = "ada"
    else:

        @app.get("/set")
        async def set_on_loop(session: Annotated[Session, Depends(get_session)]) -> None:
            session["name"] = "ada"

    client = TestClient(app)
    client.get("/set")
    assert client.get("/stored").json() == {"name": "ada"}


def test_the_schema_tells_nothing_of_the_session(app: FastAPI) -> None:
    """It is no parameter of a client's."""
    assert "parameters" not in app.openapi()["paths"]["/stored"]["get"]
    assert "requestBody" not in app.openapi()["paths"]["/stored"]["get"]


def test_without_the_middleware_the_error_names_the_remedy() -> None:
    """One line to add."""
    app = FastAPI()

    @app.get("/")
    async def page(session: CurrentSession) -> None:
        pass

    with pytest.raises(ConfigurationError, match="add_middleware\\(ASGISessionMiddleware"):
        TestClient(app).get("/")


def test_importing_chirp_does_not_import_fastapi() -> None:
    """An app of another framework does not pay for it."""
    program = "import sys, chirp; print('fastapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_change_before_yield_is_stored_and_one_after_it_is_refused(app: FastAPI) -> None:
    """The exit of a dependency runs when the response has been sent."""
    refused = []

    async def around(session: CurrentSession) -> AsyncIterator[None]:
        session["before"] = 1
        yield
        with pytest.raises(SessionClosed) as caught:
            session["after"] = 1
        refused.append(caught.value)

    @app.get("/set", dependencies=[Depends(around)])
    async def page() -> None:
        pass

    client = TestClient(app)
    client.get("/set")
    assert (len(refused), client.get("/stored").json()) == (1, {"before": 1})


def test_a_dependency_of_the_function_may_change_the_session_after_yield(app: FastAPI) -> None:
    """With `scope="function"` its exit runs when the endpoint has returned, before the response."""

    async def around(session: CurrentSession) -> AsyncIterator[None]:
        session["before"] = 1
        yield
        session["after"] = session["endpoint"]

    @app.get("/set", dependencies=[Depends(around, scope="function")])
    def page(session: CurrentSession) -> None:
        session["endpoint"] = 1

    client = TestClient(app)
    client.get("/set")
    assert client.get("/stored").json() == {"before": 1, "endpoint": 1, "after": 1}


def test_an_app_that_is_mounted_is_given_the_same_session(app: FastAPI) -> None:
    """It needs no middleware of its own."""
    mounted = FastAPI()

    @mounted.get("/set")
    async def set_name(session: CurrentSession) -> None:
        session["name"] = "ada"

    app.mount("/sub", mounted)
    client = TestClient(app)
    client.get("/sub/set")
    assert client.get("/stored").json() == {"name": "ada"}


def test_a_late_change_inside_a_value_is_logged(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    """After `yield` it raises nothing, and is lost."""

    async def around(session: CurrentSession) -> AsyncIterator[None]:
        cart = session.setdefault("cart", [])
        yield
        cart.append(1)

    @app.get("/set", dependencies=[Depends(around)])
    async def page() -> None:
        pass

    client = TestClient(app)
    client.get("/set")
    assert ["the change is lost" in record.getMessage() for record in caplog.records] == [True]
    assert client.get("/stored").json() == {"cart": []}


def test_uvicorn_serves_it_and_leaves_no_connection(redis_url: str, key_prefix: str) -> None:
    """A process of its own, from its start to its end by a signal, with every warning an error."""
    with processes(redis_url, key_prefix) as running:
        command = ["-m", "uvicorn", "--fd", "{fd}", "--log-level", "error", "--ws", "none", "fastapi_site:app"]
        with running.serving(command) as site:
            assert [site.visit()["count"] for _ in range(2)] == [1, 2]
            assert running.connections() >= 1
            ended = site.end()
        assert (ended.code in (0, -signal.SIGTERM), ended.err) == (True, "")
        until(lambda: running.connections() == 0)


def test_a_background_task_reads_and_cannot_change(app: FastAPI) -> None:
    """It runs when the response has been sent."""
    seen = []

    def late(session: Session) -> None:
        seen.append(session["name"])
        with pytest.raises(SessionClosed):
            session["name"] = "bob"
        seen.append("refused")

    @app.get("/set")
    async def page(session: CurrentSession, tasks: BackgroundTasks) -> None:
        session["name"] = "ada"
        tasks.add_task(late, session)

    client = TestClient(app)
    client.get("/set")
    assert (seen, client.get("/stored").json()) == (["ada", "refused"], {"name": "ada"})


@pytest.mark.parametrize(
    ("error", "status", "stored"),
    [(HTTPException(418), 418, {"name": "ada"}), (KeyError("own"), 422, {"name": "ada"}), (ValueError(), 500, {})],
)
def test_a_handled_error_stores_the_session_and_an_unhandled_one_does_not(
    app: FastAPI, error: Exception, status: int, stored: dict[str, Any]
) -> None:
    """As with Starlette's own middleware; raised in a dependency."""

    @app.exception_handler(KeyError)
    async def handle(request: Any, raised: Exception) -> PlainTextResponse:
        return PlainTextResponse("handled", 422)

    async def fails(session: CurrentSession) -> None:
        session["name"] = "ada"
        raise error

    @app.get("/fail", dependencies=[Depends(fails)])
    async def page() -> None:
        pass

    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/fail").status_code == status
    assert client.get("/stored").json() == stored


class Shop(msgspec.Struct):
    visits: int = 0


def test_an_endpoint_is_given_the_session_as_an_object() -> None:
    """What it changes is stored."""
    app = site(SessionConfig("secret-of-the-tests-with-32-bytes", model=Shop))

    @app.get("/count")
    async def count(shop: Annotated[Shop, Depends(session_as(Shop))]) -> int:
        shop.visits += 1
        return shop.visits

    client = TestClient(app)
    assert [client.get("/count").json() for _ in range(2)] == [1, 2]
