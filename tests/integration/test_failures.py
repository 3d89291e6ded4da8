"""Every failure, met by every kind of request through every front: what the app's client gets, when, and what is left.

The failures stand in `failures.FAILURES`, the kinds of requests in `outage_site.KINDS`.
"""

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from failures import FAILURES, After, Failure
from failures_of_servers import restarted
from outage import BEFORE, DURING, MOMENTS, ClusterPlace, Outcomes, observe, server_place
from outage_site import BYSTANDER, KINDS, WAYS, Seen, Site, Way, set_cookie
from servers import running_cluster

from benchmarks.cluster import RunningCluster

TIMEOUT = 1.0  # of a store whose deadline has to pass
LONG = 20.0  # of one that is told long before
SLACK = 8.0  # what a busy machine may add

EACH_KIND = pytest.mark.parametrize("name", KINDS)


@dataclass(frozen=True)
class Case:
    """A failure, the moment at which it was caused, and what came of each request."""

    failure: Failure
    moment: str
    outcomes: Outcomes


@pytest.fixture(
    scope="module",
    params=[(name, moment) for name, failure in FAILURES.items() for moment in failure.moments],
    ids=lambda param: "-".join(param).replace(" ", "-"),
)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Cause the failure, once for all tests that look at what came of it."""
    name, moment = request.param
    failure = FAILURES[name]
    timeout = TIMEOUT if failure.waits else LONG

    async def on_a_server() -> Outcomes:
        folder = tmp_path_factory.mktemp("server")
        proxied = failure.through_proxy
        async with server_place(folder, failure.arguments, failure.user, through_proxy=proxied) as place:
            return await observe(place, failure.cause, moment, timeout_seconds=timeout)

    async def on_a_cluster(nodes: RunningCluster) -> Outcomes:
        return await observe(ClusterPlace(nodes), failure.cause, moment, timeout_seconds=timeout)

    match failure.cluster:
        case 0:
            outcomes = asyncio.run(on_a_server())
        case 1:
            with running_cluster(1) as nodes:
                outcomes = asyncio.run(on_a_cluster(nodes))
        case _:
            outcomes = asyncio.run(on_a_cluster(request.getfixturevalue("redis_cluster")))
    return Case(failure, moment, outcomes)


class Answer(Enum):
    """What the client is told."""

    SERVED = "what the handler says, with the cookie that belongs to it"
    LOST = "what the handler says, without a cookie: nothing was stored"
    REFUSED = "503 before the handler ran"
    REPLACED = "503 in place of what the handler says"


def answer_to(case: Case, name: str, way: Way) -> Answer:
    """Return what the client has to be told."""
    kind = KINDS[name]
    if met_at_load(case, name):
        if way.mode == "unavailable":
            return Answer.REFUSED
        return Answer.REPLACED if kind.new_or_no_id else Answer.LOST
    if name not in case.failure.fails:
        return Answer.SERVED
    ends = kind.new_or_no_id or kind.asked is None
    return Answer.LOST if way.mode == "anonymous" and not ends else Answer.REPLACED


def met_at_load(case: Case, name: str) -> bool:
    """Tell whether the failure is met when the session is loaded; a browser without a cookie has none to load."""
    return case.failure.load_fails and case.moment == BEFORE and KINDS[name].held is not None


def left_by(case: Case, name: str) -> After:
    """Return what has to be left in the store."""
    if met_at_load(case, name):
        return After.BEFORE
    return case.failure.after.get(name, After.BEFORE) if name in case.failure.fails else After.ASKED


def is_as_before(seen: Seen, name: str) -> bool:
    """Tell whether the document is there under its id, and nothing else."""
    held = KINDS[name].held
    return seen.live == documents(held) and seen.moved == (held is None)


def is_as_asked(seen: Seen, name: str) -> bool:
    """Tell whether the document is there under the id that it has to have then, and nothing else."""
    kind = KINDS[name]
    moves = kind.held is None or kind.new_or_no_id or kind.asked is None
    return seen.live == documents(kind.asked) and seen.moved == moves


def documents(data: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [] if data is None else [data]


@EACH_KIND
def test_the_client_is_told_by_its_status_and_headers(case: Case, name: str) -> None:
    """A 503 says when to come again where that is safe, and sets no cookie; what was done is answered as ever."""
    for way in WAYS:
        seen = case.outcomes[name, way]
        told = seen.status, seen.handled, seen.headers.get("retry-after"), set_cookie(seen.headers) is not None
        match answer_to(case, name, way):
            case Answer.SERVED:
                sets_cookie = KINDS[name].sets_cookie and name not in case.failure.keeps_cookie
                assert (way, *told) == (way, 200, True, None, sets_cookie)
            case Answer.LOST:
                assert (way, *told) == (way, 200, True, None, False)
            case Answer.REFUSED:
                assert (way, *told) == (way, 503, False, "5", False)
            case Answer.REPLACED:
                assert (way, *told) == (way, 503, True, "5" if way.method == "GET" else None, False)


def test_every_client_is_told_in_time(case: Case) -> None:
    """At the deadline where the store does not answer, and long before it where it does or where nobody is there."""
    slowest = max(seen.seconds for seen in case.outcomes.values())
    assert slowest <= (TIMEOUT if case.failure.waits else 0) + SLACK


@EACH_KIND
def test_a_session_is_as_it_was_or_wholly_as_asked(case: Case, name: str) -> None:
    """Of what the store holds for the browser afterwards nothing is half done, doubled or brought back."""
    for seen in (case.outcomes[name, way] for way in WAYS):
        match left_by(case, name):
            case After.BEFORE:
                assert is_as_before(seen, name)
            case After.ASKED:
                assert is_as_asked(seen, name)
            case After.EITHER:
                assert is_as_before(seen, name) or is_as_asked(seen, name)
            case After.ENDED:
                assert seen.live == []


@EACH_KIND
def test_service_resumes_on_the_same_store(case: Case, name: str) -> None:
    """When the failure is over, the browser's next requests are served, with the session that its cookie leads to."""
    met_nothing = name == "read" and case.moment == DURING
    for way in WAYS:
        seen = case.outcomes[name, way]
        finds_out = case.failure.loses_idle and met_nothing and way.mode == "unavailable"
        assert seen.resumed == [503 if finds_out else 200, 200, 200, 200, 200]
        new_cookie = set_cookie(seen.headers) is not None
        assert seen.shown == (seen.live[0] if seen.live and (new_cookie or not seen.moved) else {})
        # Under an id whose end was not acknowledged nothing is stored until a login gives the browser another one.
        dead_id = KINDS[name].new_or_no_id and seen.moved and not new_cookie and left_by(case, name) is not After.ENDED
        assert seen.grown == ({} if dead_id else {**seen.shown, "c": 3})


def test_no_other_session_is_touched(case: Case) -> None:
    """What a browser has that made no request meanwhile is there afterwards, and is its own."""
    found = [seen.bystander for seen in case.outcomes.values()]
    assert [list(data) for data in found] == [[BYSTANDER]] * len(found)
    assert len({data[BYSTANDER] for data in found}) == len(found)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_restart_without_the_data_brings_nothing_back(moment: str, tmp_path: Path) -> None:
    """All requests are served as those of new browsers are, and none stores again what the server has lost."""

    async def observed() -> Outcomes:
        async with server_place(tmp_path, (), None, through_proxy=False) as place:
            return await observe(place, restarted, moment, timeout_seconds=LONG)

    for seen in asyncio.run(observed()).values():
        assert (seen.status, seen.resumed) == (200, [200] * 5)
        assert [data for data in [*seen.live, seen.shown, seen.bystander] if "a" in data or BYSTANDER in data] == []


@pytest.fixture
def full_backlog() -> Iterator[str]:
    """An address where connections stay half made: one listens there, accepts nobody, and its queue is full."""
    with ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(100):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
            if not select.select([], [waiting], [], 0.2)[1]:
                yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
                return
        pytest.fail("the queue of a listening socket takes 100 connections although it was asked for none")


@pytest.mark.parametrize("way", WAYS, ids="-".join)
async def test_where_no_connection_comes_about_the_client_is_told_at_the_deadline(full_backlog: str, way: Way) -> None:
    """To connect counts into the deadline, however long the system would try."""
    site = Site("login", way, "chirp-test:", TIMEOUT, redis_url=full_backlog)
    await site.request()
    await site.aclose()
    assert (site.seen.status, site.seen.handled) == (503, True)
    assert site.seen.seconds <= TIMEOUT + SLACK
