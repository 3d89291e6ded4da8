"""OpenTelemetry metrics and spans of what stores do, where the app has set up an SDK.

This is the only module that knows the package `opentelemetry`. It is asked when a store is first used on an event loop;
with nothing to report to, the store gets its nodes as they are, and a request takes the path that it takes without this
module. No id and no value of a session is ever an attribute; a session's name is one of spans alone, since each value
of a metric's attribute is another time series.
"""

import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions.codec import is_document, read_tombstone
from chirp.middleware.sessions.merging import Write, Written
from chirp.middleware.sessions.session_id import name_of
from chirp.middleware.sessions.steps import NO_DOCUMENT, Create, End, Reply, Step, Swap

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.trace import Span, Tracer

T = TypeVar("T")
Lookup: TypeAlias = Literal["GET", "PTTL"]  # commands that an operator's question sends for many keys

SCOPE = "chirp.sessions"
OPERATION = "chirp.sessions.operation"
OF_A_SESSION = (Create, Swap, End)  # of the steps; others look, take something back, or keep a user's index
OF_OPERATION = {name: {OPERATION: name} for name in ("read", "write", "run")}
DURATIONS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Nodes(Protocol):
    """What a store asks on one event loop: a node, or a cluster."""

    def read(self, key: str, /) -> Awaitable[bytes | None]: ...
    def write(self, write: Write, /) -> Awaitable[Written]: ...
    def run(self, steps: Sequence[Step], /) -> Awaitable[list[Reply]]: ...
    def scan(self, pattern: str, /) -> AsyncGenerator[tuple[list[str], float], None]: ...
    def look_up(self, name: Lookup, keys: Sequence[str], /) -> Awaitable[list[Any]]: ...
    async def aclose(self) -> None: ...


class Instruments:
    """Every metric of this package, and the spans. Docs: `docs/how-to/operations.md`.

    Made when the API can be imported; counts go to whatever meter provider the app has set.
    """

    def __init__(self) -> None:
        from opentelemetry import metrics, trace  # noqa: PLC0415 - an extra

        meter = metrics.get_meter(SCOPE)
        count = meter.create_counter
        self.loads: Counter = count("chirp.sessions.loads", "{load}", "Sessions asked for by their id")
        self.hits: Counter = count("chirp.sessions.hits", "{hit}", "Loads that found a session")
        self.misses: Counter = count("chirp.sessions.misses", "{miss}", "Loads that found none, by reason")
        self.writes: Counter = count(
            "chirp.sessions.writes", "{write}", "Store operations that stored or ended a session"
        )
        self.touches: Counter = count("chirp.sessions.touches", "{touch}", "Sessions whose idle limit was moved on")
        self.merges: Counter = count(
            "chirp.sessions.merges", "{merge}", "Changes merged with what others had stored meanwhile"
        )
        self.errors: Counter = count(
            "chirp.sessions.errors", "{error}", "Store operations that failed, by kind of error"
        )
        self.events: Counter = count("chirp.sessions.events", "{event}", "What became of sessions, by event")
        self.duration: Histogram = meter.create_histogram(
            "chirp.sessions.operation.duration",
            "s",
            "How long a store operation took, its wait for others included",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )
        self.batch_size: Histogram = meter.create_histogram(
            "chirp.sessions.batch.size",
            "{item}",
            "What went to Redis in one round trip, by lane",
            explicit_bucket_boundaries_advisory=SIZES,
        )
        self._with_counter_of_its_own = {"touched": self.touches, "merged": self.merges}
        self._tracer: Tracer | None = None if _does_nothing(trace.get_tracer_provider()) else trace.get_tracer(SCOPE)
        self._client = trace.SpanKind.CLIENT
        self._failed = trace.StatusCode.ERROR

    def count(self, event: str) -> None:
        """Count an event of a session, by its name in `telemetry`."""
        alone = self._with_counter_of_its_own.get(event)
        if alone is None:
            self.events.add(1, {"chirp.sessions.event": event})
        else:
            alone.add(1)

    def start_span(self, operation: str, key: str | None) -> "Span | None":
        """Return a span that a request's own one is the parent of; None where nobody would see it.

        Args:
            operation: what is asked of the store.
            key: of the session that it is about; None where it is about none, or about a user.
        """
        if self._tracer is None:
            return None
        attributes = {"db.system.name": "redis", OPERATION: operation}
        if key is not None:
            attributes["chirp.sessions.session"] = name_of(key)
        return self._tracer.start_span(f"{SCOPE}.{operation}", kind=self._client, attributes=attributes)

    def fail_span(self, span: "Span", kind: str) -> None:
        """Mark a span as failed. The error itself stays out: what its causes quote may be a user's data."""
        span.set_attribute("error.type", kind)
        span.set_status(self._failed)


current: Instruments | None = None  # of this process, once a store was used with an SDK set up
_making = threading.Lock()


def find_instruments() -> Instruments | None:
    """Return the instruments; None where nothing would be done with what they are told."""
    global current  # noqa: PLW0603 - one set for all stores, as OpenTelemetry's own providers are
    # Nobody has set up an SDK in a process that has not even imported the API, so it is not imported just to be asked.
    if current is None and "opentelemetry" in sys.modules and _is_set_up():
        with _making:
            current = current or Instruments()
    return current


def _is_set_up() -> bool:
    try:
        from opentelemetry import metrics, trace  # noqa: PLC0415 - an extra
    except ImportError:
        return False
    return not (_does_nothing(metrics.get_meter_provider()) and _does_nothing(trace.get_tracer_provider()))


def _does_nothing(provider: object) -> bool:
    """Tell whether a provider is one of the API's own, in place until an SDK is set up."""
    return type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


def metered(nodes: Nodes) -> Nodes:
    """Return nodes whose operations are measured; the very same ones where nothing would be done with it."""
    instruments = find_instruments()
    return nodes if instruments is None else MeteredNodes(nodes, instruments)


def batch_meter(lane: str) -> Callable[[int], None] | None:
    """Return what is to be told the size of each batch of a lane; None where nothing would be done with it."""
    instruments = find_instruments()
    if instruments is None:
        return None
    record, attributes = instruments.batch_size.record, {"chirp.sessions.lane": lane}
    return lambda size: record(size, attributes)


class MeteredNodes:
    """Measures whatever is asked of the nodes of one event loop."""

    def __init__(self, nodes: Nodes, instruments: Instruments) -> None:
        self._nodes = nodes
        self._to = instruments

    async def read(self, key: str) -> bytes | None:
        try:
            value = await self._measure("read", key, self._nodes.read(key))
        except StoreUnavailable:
            self._to.loads.add(1)
            raise
        self._count_load(value)
        return value

    async def write(self, write: Write) -> Written:
        result = await self._measure("write", write.swap.key, self._nodes.write(write))
        if result.done and write.base is not None:
            self._to.writes.add(1, OF_OPERATION["write"])
        return result

    async def run(self, steps: Sequence[Step]) -> list[Reply]:
        key = next((step.key for step in steps if isinstance(step, OF_A_SESSION)), None)
        replies = await self._measure("run", key, self._nodes.run(steps))
        if key is not None:
            self._to.writes.add(1, OF_OPERATION["run"])
        return replies

    # The next two are an operator's questions, and no request's wait.

    def scan(self, pattern: str) -> AsyncGenerator[tuple[list[str], float], None]:
        return self._nodes.scan(pattern)

    def look_up(self, name: Lookup, keys: Sequence[str]) -> Awaitable[list[Any]]:
        return self._nodes.look_up(name, keys)

    async def aclose(self) -> None:
        await self._nodes.aclose()

    def _count_load(self, value: bytes | None) -> None:
        if value is not None and is_document(value):
            self._to.hits.add(1)
        else:
            tombstone = read_tombstone(value or NO_DOCUMENT)
            if tombstone is not None and tombstone.follow:
                return  # the load goes on at the successor, and counts there
            reason = "unknown" if value is None else "corrupt" if tombstone is None else "ended"
            self._to.misses.add(1, {"chirp.sessions.reason": reason})
        self._to.loads.add(1)

    async def _measure(self, operation: str, key: str | None, asked: Awaitable[T]) -> T:
        span = self._to.start_span(operation, key)
        began = perf_counter()
        try:
            answer = await asked
        except StoreUnavailable as error:
            kind = type(error.__cause__ or error).__name__
            attributes = {OPERATION: operation, "error.type": kind}
            self._to.errors.add(1, attributes)
            self._to.duration.record(perf_counter() - began, attributes)
            if span is not None:
                self._to.fail_span(span, kind)
            raise
        else:
            self._to.duration.record(perf_counter() - began, OF_OPERATION[operation])
            return answer
        finally:
            if span is not None:
                span.end()
