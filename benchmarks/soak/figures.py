"""From the log of a phase to the figures of the file, and the verdict on them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.measure import percentile
from benchmarks.results import short
from benchmarks.soak.browser import Request
from benchmarks.soak.expected import FINDINGS
from benchmarks.soak.phases import UNDONE_BEFORE, Happened, Log
from benchmarks.soak.settings import LATE_SECONDS

NEVER = (*FINDINGS, "other_statuses", "late")  # what a failover undoes is counted, and no fault of the library's
EXPECTED_STATUSES = (200, 401, 503)


def figures_of(log: Log) -> dict[str, Any]:
    """Return a phase's part of the results."""
    spans = list(_spans(log))
    outages = [(event.began, max(event.mended, last or 0)) for event, last in spans]
    during = [request for request in log.requests if _overlaps(request, outages)]
    quiet = [request for request in log.requests if not _overlaps(request, outages)]
    return {
        "description": log.description,
        "seconds": short(log.ended - log.began),
        "requests": len(log.requests),
        "kinds": dict(sorted(Counter(request.kind for request in log.requests).items())),
        "statuses": {str(status): count for status, count in sorted(_statuses(log.requests).items())},
        "found": {
            **{name: log.findings.counts[name] for name in FINDINGS},
            "undone_by_failover": len(log.findings.undone),
            "other_statuses": sum(_is_error(request) for request in log.requests),
            "late": sum(_took(request) > LATE_SECONDS for request in log.requests),
            "broken": sum(request.status is None for request in log.requests),
            "overtaken_cookies": log.overtaken,
        },
        "latency": {"quiet": _latency(quiet), "outage": _latency(during)},
        "events": [_event(log, number) for number in range(len(log.events))],
        "timeline": [list(row) for row in _timeline(log)],
    }


def broken_promises(phases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what must never be, in words, with how often it was."""
    return [
        f"{name}: {phase['found'][what]} {what.replace('_', ' ')}"
        for name, phase in phases.items()
        for what in NEVER
        if phase["found"][what]
    ]


def _is_error(request: Request) -> bool:
    return request.status is not None and request.status not in EXPECTED_STATUSES


def _statuses(requests: Iterable[Request]) -> Counter[int]:
    return Counter(request.status for request in requests if request.status is not None)


def _took(request: Request) -> float:
    return request.ended - request.began


def _spans(log: Log) -> Iterator[tuple[Happened, float | None]]:
    """Give each event with the end of the last request that was refused before the next one."""
    for number, event in enumerate(log.events):
        refused = [request.ended for request in _window(log, number) if request.status == 503]
        yield event, max(refused, default=None)


def _window(log: Log, number: int) -> list[Request]:
    """Return the requests that ended after the event and before the next one."""
    begin = log.events[number].began
    end = log.events[number + 1].began if number + 1 < len(log.events) else float("inf")
    return [request for request in log.requests if begin <= request.ended < end]


def _event_at(log: Log, when: float) -> int:
    """Return the number of the event that may have undone what was acknowledged then."""
    return max(number for number, event in enumerate(log.events) if event.began - UNDONE_BEFORE <= when)


def _event(log: Log, number: int) -> dict[str, Any]:
    event, window = log.events[number], _window(log, number)
    first = min((one.ended for one in window if one.status == 200 and one.began >= event.mended), default=None)
    last = max((one.ended for one in window if one.status == 503), default=None)
    return {
        "name": event.name,
        "at_seconds": short(event.began - log.began),
        "down_seconds": short(event.mended - event.began),
        "first_answer_seconds": None if first is None else short(first - event.mended),
        "last_refusal_seconds": None if last is None else short(max(0.0, last - event.mended)),
        "requests": len(window),
        "refused": sum(one.status == 503 for one in window),
        "undone": sum(_event_at(log, since) == number for since in log.findings.undone),
        "longest_seconds": short(max(map(_took, window), default=0.0)),
    }


def _overlaps(request: Request, outages: Sequence[tuple[float, float]]) -> bool:
    return any(request.began <= end and request.ended >= begin for begin, end in outages)


def _latency(requests: Sequence[Request]) -> dict[str, Any]:
    took = sorted(map(_took, requests))
    if not took:
        return {"requests": 0, "p50_ms": None, "p99_ms": None, "most_ms": None}
    return {
        "requests": len(took),
        "p50_ms": short(1e3 * percentile(took, 50)),
        "p99_ms": short(1e3 * percentile(took, 99)),
        "most_ms": short(1e3 * took[-1]),
    }


def _timeline(log: Log) -> Iterator[tuple[int, int]]:
    """Give for each second how many requests were answered in it, and how many refused."""
    ended = Counter((int(request.ended - log.began), request.status == 503) for request in log.requests)
    for second in range(int(log.ended - log.began) + 1):
        yield ended[second, False], ended[second, True]
