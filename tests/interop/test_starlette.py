"""`ASGISessionMiddleware` in the place of Starlette's `SessionMiddleware` changes no answer."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import Session as StarlettesSession
from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from chirp import ASGISessionMiddleware, MemorySessionStore, RedisSessionStore, SessionConfig, SessionStore

SECRET = "secret-of-the-tests-with-32-bytes"
CONFIG = SessionConfig(SECRET)

keys = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text("xyzäöü", max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=4,
)
documents = st.dictionaries(keys, values, max_size=2)
steps = st.one_of(
    st.tuples(st.sampled_from(["set", "setdefault", "nest", "inside", "get", "pop_or"]), keys, values),
    st.tuples(st.sampled_from(["del", "pop", "in"]), keys, st.none()),
    st.tuples(st.sampled_from(["update", "ior", "equal", "or"]), st.none(), documents),
    st.tuples(st.sampled_from(["clear", "popitem", "look", "copies"]), st.none(), st.none()),
)

requests_of_steps = st.lists(st.lists(steps, max_size=5), max_size=4)


def take(session: Any, step: str, key: Any, value: Any) -> Any:  # noqa: C901, PLR0912 - a table of what dicts do
    """Do one thing to the session, and return what the app sees of it."""
    match step:
        case "set":
            session[key] = value
        case "nest":
            session[key] = [*(session[key] if isinstance(session.get(key), list) else []), value]
            session[key].append("nested")
        case "inside":
            change_inside(session, session.get(key), value)
        case "setdefault":
            return session.setdefault(key, value)
        case "get":
            return session.get(key, value)
        case "del":
            del session[key]
        case "pop":
            return session.pop(key)
        case "pop_or":
            return session.pop(key, value)
        case "in":
            return key in session
        case "update":
            session.update(value)
        case "ior":
            session |= value
        case "or":
            return session | value
        case "equal":
            return [session == value, session != value, session == dict(session)]
        case "clear":
            session.clear()
        case "popitem":
            return list(session.popitem())
        case "look":
            return [len(session), bool(session), list(session), list(session.items()), isinstance(session, dict)]
        case "copies":
            return [
                copy.copy(session),
                copy.deepcopy(session),
                pickle.loads(pickle.dumps(session)),
                json.dumps(session),
            ]
    return None


def change_inside(session: Any, found: Any, value: Any) -> None:
    """Change a value, of this request or of one before it, where it is."""
    if isinstance(found, list):
        found.append(value)
    elif isinstance(found, dict):
        found["inside"] = value
    if isinstance(session, StarlettesSession):
        session.mark_modified()  # without it Starlette's would lose the change: the one difference


async def endpoint(request: Request) -> JSONResponse:
    seen = []
    for step, key, value in await request.json():
        try:
            seen.append(take(request.session, step, key, value))
        except KeyError as error:
            seen.append(type(error).__name__)
    return JSONResponse([seen, sorted(request.session.items())])


def client_of(middleware: Middleware) -> TestClient:
    return TestClient(Starlette(routes=[Route("/", endpoint, methods=["POST"])], middleware=[middleware]))


def ours(store: SessionStore | None = None) -> Middleware:
    return Middleware(ASGISessionMiddleware, config=SessionConfig(SECRET, store=store))


def expect_the_same_answers(store: SessionStore | None, requests: list[list[Any]]) -> None:
    theirs = client_of(Middleware(StarlettesMiddleware, secret_key=SECRET))
    with client_of(ours(store)) as drop_in:  # one event loop, and the store is closed at its end
        for request in [*requests, []]:
            assert drop_in.post("/", json=request).json() == theirs.post("/", json=request).json()


@pytest.mark.parametrize("make", [lambda: None, lambda: MemorySessionStore(CONFIG)], ids=["cookie", "memory"])
@settings(max_examples=60)
@given(requests=requests_of_steps)
def test_the_same_requests_get_the_same_answers(
    make: Callable[[], SessionStore | None], requests: list[list[Any]]
) -> None:
    """Whatever is done to a session, in the same request and in those after it."""
    expect_the_same_answers(make(), requests)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example begins a session
@given(requests=requests_of_steps)
def test_the_same_requests_get_the_same_answers_from_redis(
    redis_url: str, key_prefix: str, requests: list[list[Any]]
) -> None:
    """As from the other stores."""
    expect_the_same_answers(RedisSessionStore(CONFIG, redis_url, key_prefix=key_prefix), requests)


def test_a_change_inside_a_value_of_an_earlier_request_is_compared() -> None:
    """One that the generator may find, in any case."""
    expect_the_same_answers(None, [[["set", "a", [1]], ["set", "b", {}]], [["inside", "a", 2]], [["inside", "b", 3]]])


@pytest.mark.parametrize("middleware", [[], [ours()]])
def test_only_without_the_middleware_request_session_is_refused(middleware: list[Middleware]) -> None:
    """Starlette's own assertion, and it finds ours in its place."""
    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])], middleware=middleware)
    if middleware:
        assert TestClient(app).post("/", json=[]).json() == [[], []]
    else:
        with pytest.raises(AssertionError, match="SessionMiddleware must be installed"):
            TestClient(app).post("/", json=[["look", None, None]])
