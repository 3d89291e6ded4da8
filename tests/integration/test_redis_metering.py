"""What an OpenTelemetry SDK is told of a store on the server of the run; without one, nothing is different."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from servers import OwnServer
from session_kit import Clock, loaded, stored_session
from telemetry_kit import Told, events, set_up
from typed_kit import StructShop
from visits import CONFIG, MakeStore, commit, put, read, visit

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore, metering, rotate_session
from chirp.middleware.sessions.metering import MeteredNodes
from chirp.middleware.sessions.redis_node import RedisNode
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.session_id import mint, name_of


@pytest.fixture
def told() -> Iterator[Told]:
    """An SDK that is set up before the first request."""
    with set_up() as told:
        yield told


def names(spans: list[ReadableSpan]) -> list[str]:
    return [span.name.removeprefix("chirp.sessions.") for span in spans]


async def test_loads_are_hits_and_misses(told: Told, store: RedisSessionStore) -> None:
    """Each load is one of them, and a miss says why."""
    cookie, ended = await put(store, a=1), await put(store, a=1)
    await visit(store, ended, Session.clear)
    for each in (cookie, ended, mint(), None):
        await read(store, each) if each else await visit(store)
    assert (told.total("loads"), told.total("hits")) == (4, 2)
    assert told.counts("misses") == {"unknown": 1, "ended": 1}


async def test_a_load_that_follows_a_renewal_is_one_load(told: Told, store: RedisSessionStore) -> None:
    """It takes two reads, and finds the session."""
    cookie = await put(store, a=1)
    await visit(store, cookie, lambda session: rotate_session(follow=True))
    assert await read(store, cookie) == {"a": 1}
    assert (told.total("loads"), told.total("hits"), told.total("misses")) == (2, 2, 0)


async def test_a_foreign_value_is_a_miss(told: Told, store: RedisSessionStore, redis_client: object) -> None:
    """And an event of its own."""
    unknown = mint()
    await redis_client.set(store.key_for(unknown), b"not a session", ex=60)  # type: ignore[attr-defined]
    await read(store, unknown)
    assert (told.counts("misses"), told.counts("events")) == ({"corrupt": 1}, {"corrupt": 1})


async def test_a_session_that_does_not_fit_the_model_is_counted(told: Told, make_store: MakeStore) -> None:
    """It is found, so it is no miss."""
    cookie = await stored_session(make_store(), {"theme": 1})
    typed = make_store(config=replace(CONFIG, model=StructShop))
    assert await loaded(typed, cookie) == {}
    assert told.counts("events")["invalid"] == 1


async def test_an_expired_document_that_redis_still_has_is_told(
    told: Told, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The clocks of two hosts differ, or a limit was lowered."""
    caplog.set_level(logging.INFO, "chirp")
    clock = Clock()
    store = make_store(clock=clock)
    cookie = await put(store, a=1)
    clock.now += CONFIG.max_age
    assert await read(store, cookie) == {}
    assert (told.counts("events")["expired"], events(caplog.records)) == (1, ["expired"])


async def test_writes_touches_and_merges_are_counted(told: Told, make_store: MakeStore) -> None:
    """A new session, a touch, and two changes of which the second meets the first."""
    clock = Clock()
    store = make_store(clock=clock)
    cookie = await put(store, a=1)
    sessions = [await store.open(cookie, https=True) for _ in range(2)]
    for number, session in enumerate(sessions):
        session[f"key{number}"] = number
        await commit(store, session)
    clock.now += 3600
    await visit(store, cookie)
    assert told.counts("writes") == {"run": 1, "write": 2}
    assert (told.total("touches"), told.total("merges")) == (1, 1)
    assert told.counts("events") == {"created": 1}


async def test_operations_are_timed_by_kind(told: Told, store: RedisSessionStore) -> None:
    """In seconds."""
    await visit(store, await put(store, a=1), lambda session: session.update(b=2))
    points = {point.attributes["chirp.sessions.operation"]: point for point in told.metrics()["operation.duration"]}
    assert {name: point.count for name, point in points.items()} == {"run": 1, "read": 1, "write": 1}
    assert all(0 < point.sum < 60 for point in points.values())


async def test_the_size_of_each_batch_is_told_by_lane(told: Told, store: RedisSessionStore) -> None:
    """Twenty loads that wait together are one batch."""
    cookies = await asyncio.gather(*(put(store, number=number) for number in range(20)))
    await asyncio.gather(*(read(store, cookie) for cookie in cookies))
    points = {point.attributes["chirp.sessions.lane"]: point for point in told.metrics()["batch.size"]}
    assert {name: (point.count, point.sum) for name, point in points.items()} == {
        "operations": (1, 20),
        "reads": (1, 20),
    }


async def test_an_operation_is_a_span_of_its_request(told: Told, store: RedisSessionStore) -> None:
    """Requests that share a batch keep their own parents, on whose behalf the batch was not sent."""
    cookies = [await put(store, number=number) for number in range(5)]
    tracer = told.tracers.get_tracer("app")
    parents: dict[str, int] = {}

    async def request(cookie: str) -> None:
        with tracer.start_as_current_span("request") as span:
            parents[name_of(store.key_for(cookie))] = span.get_span_context().span_id
            await visit(store, cookie, lambda session: session.update(b=2))

    before = len(told.spans())
    await asyncio.gather(*map(request, cookies))
    spans = [span for span in told.spans()[before:] if span.name != "request"]
    assert sorted(names(spans)) == ["read"] * 5 + ["write"] * 5
    assert all(span.parent is not None for span in spans)
    assert {span.attributes["chirp.sessions.session"]: span.parent.span_id for span in spans} == parents  # type: ignore[index,union-attr]


async def test_what_goes_on_without_its_request_is_a_span_of_it_too(told: Told, store: RedisSessionStore) -> None:
    """A logout is carried to its end in a task of its own."""
    cookie = await put(store, a=1)
    with told.tracers.get_tracer("app").start_as_current_span("request") as request:
        await visit(store, cookie, Session.clear)
    ended = told.spans()[-2]
    assert (ended.name, ended.parent and ended.parent.span_id) == (
        "chirp.sessions.run",
        request.get_span_context().span_id,
    )


async def test_a_span_says_what_was_asked(told: Told, store: RedisSessionStore) -> None:
    """Of which session by name, and of which kind of store."""
    cookie = await put(store, a=1)
    (span,) = told.spans()
    assert (span.name, span.kind, span.status.status_code) == (
        "chirp.sessions.run",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    assert dict(span.attributes or {}) == {
        "db.system.name": "redis",
        "chirp.sessions.operation": "run",
        "chirp.sessions.session": name_of(store.key_for(cookie)),
    }


async def test_an_outage_is_counted_and_its_spans_have_failed(
    told: Told, make_store: MakeStore, server: OwnServer
) -> None:
    """By the kind of error, on each operation."""
    store = make_store(server.url)
    cookie = await put(store, a=1)
    session = await store.open(cookie, https=True)
    session["b"] = 2
    server.stop()
    with pytest.raises(StoreUnavailable):
        await read(store, cookie)
    with pytest.raises(StoreUnavailable):
        await commit(store, session)
    assert told.counts("errors") == {"read ConnectionError": 1, "write ConnectionError": 1}
    assert (told.total("loads"), told.total("hits")) == (2, 1)
    failed = [span for span in told.spans() if span.status.status_code is StatusCode.ERROR]
    assert names(failed) == ["read", "write"]
    assert all((span.attributes or {})["error.type"] == "ConnectionError" for span in failed)
    assert all(not span.events for span in failed)  # an exception's text may quote what was sent


async def test_a_request_given_up_counts_as_nothing(told: Told, store: RedisSessionStore) -> None:
    """Its client went away: neither an error of the store nor a time that says anything of it."""
    cookie = await put(store, a=1)
    load = asyncio.ensure_future(read(store, cookie))
    await asyncio.sleep(0)
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    assert (told.total("loads"), told.total("errors")) == (0, 0)
    assert [point.attributes["chirp.sessions.operation"] for point in told.metrics()["operation.duration"]] == ["run"]
    assert names(told.spans()) == ["run", "read"]  # it has ended all the same


async def test_no_id_and_no_data_is_in_what_is_told(told: Told, store: RedisSessionStore) -> None:
    """In no attribute of a metric and of a span."""
    unknown, cookie = mint(), await put(store, a="s3cret")
    await read(store, unknown)
    renewed = (await visit(store, cookie, lambda session: rotate_session(follow=True))).session.id
    await visit(store, renewed, lambda session: session.update(b="s3cret"))
    ended = (await visit(store, renewed, lambda session: rotate_session())).session.id
    await visit(store, ended, Session.clear)
    text = told.text()
    assert name_of(store.key_for(cookie)) in text
    hashes = [store.key_for(each).removeprefix(store.key_prefix) for each in (cookie, renewed or "", ended or "")]
    assert [one for one in (unknown, cookie, renewed, ended, "s3cret", *hashes) if one is None or one in text] == []


async def test_what_is_asked_of_an_index_is_no_write_of_a_session_and_names_none(
    told: Told, store: RedisSessionStore
) -> None:
    """A user's index has a key of its own, which is in no span."""
    await put(store, user_id=7)
    await store.list_sessions(7)
    asked = [span.attributes or {} for span in told.spans() if span.name == "chirp.sessions.run"]
    assert told.counts("writes") == {"run": 1}
    # To put it there, to store the session, and to list.
    assert ["chirp.sessions.session" in attributes for attributes in asked] == [False, True, False]


async def test_a_store_that_is_measured_can_be_looked_through(told: Told, store: RedisSessionStore) -> None:
    """As any other."""
    cookie = await put(store, a=1)
    assert [info.key async for scan in store.scan_sessions() for info in scan.sessions] == [store.key_for(cookie)]


async def test_without_an_sdk_requests_take_the_nodes_as_they_are(store: RedisSessionStore) -> None:
    """The API alone, which other packages bring along, changes nothing."""
    await put(store, a=1)
    nodes = store._nodes.get()
    assert isinstance(nodes, RedisNode)
    assert nodes.reads._meter is None


async def test_an_sdk_that_is_set_up_before_the_first_request_is_in_time(make_store: MakeStore) -> None:
    """A store is often made when a module is imported, before the SDK is set up in a forked worker."""
    store = make_store()
    with set_up() as told:
        await put(store, a=1)
        assert isinstance(store._nodes.get(), MeteredNodes)
        assert told.total("writes") == 1


async def test_where_only_metrics_are_set_up_no_spans_are_made(make_store: MakeStore) -> None:
    """The API's own tracer would make one for nobody."""
    with set_up(tracing=False) as told:
        await put(make_store(), a=1)
        assert told.total("writes") == 1
        assert metering.current is not None
        assert metering.current.start_span("read", "a key") is None


WITHOUT_OPENTELEMETRY = """
import asyncio, sys
sys.modules["opentelemetry"] = None
from chirp.middleware.sessions import RedisSessionStore, SessionConfig
async def main():
    store = RedisSessionStore(SessionConfig("x" * 32), {url!r}, key_prefix={prefix!r})
    session = store._start({{"a": 1}})
    await store.commit(session, store.clock())
    print(dict(await store.open(session.id, https=True)), type(store._nodes.get()).__name__)
    await store.aclose()
asyncio.run(main())
print([name for name in sys.modules if name.startswith("opentelemetry") and sys.modules[name]])
"""


def test_where_opentelemetry_is_not_installed_nothing_of_it_is_imported(redis_url: str, key_prefix: str) -> None:
    """And a store works on its nodes as they are."""
    program = WITHOUT_OPENTELEMETRY.format(url=redis_url, prefix=key_prefix)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{'a': 1} RedisNode\n[]\n", "")
