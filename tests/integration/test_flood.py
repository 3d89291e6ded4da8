"""Cookies that nobody was given, in great number: they move no memory and store nothing (promises 1 and 13).

`python tests/flood.py` does the same with a million of each.
"""

import sys
from collections.abc import Iterator

import pytest
from flood import Cookie, Flood, flood, malformed, unknown
from servers import program_on_path

from chirp.embedded import EmbeddedServer

REQUESTS = 20_000
MOST_GROWTH = 2 * 2**20  # a hundred bytes for each request: to keep anything of one takes more

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there is the memory of a process a file")


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    """A server that nobody else uses, since all its commands are counted."""
    with EmbeddedServer(binary=program_on_path()) as server:
        yield server.url


@pytest.fixture(scope="module", params=[malformed, unknown])
def cookie(request: pytest.FixtureRequest) -> Cookie:
    return request.param


@pytest.fixture(scope="module")
def found(own_url: str, cookie: Cookie) -> Flood:
    return flood(own_url, cookie, REQUESTS)


def test_every_request_is_answered_as_a_first_visit(found: Flood) -> None:
    """With 200, an empty session, and no cookie."""
    assert found.answers == {b"http/1.1 200 ok": REQUESTS}


def test_the_process_takes_no_more_memory(found: Flood) -> None:
    """Nothing is kept of a cookie, of an id or of an answer."""
    before, after = found.resident
    assert after - before < MOST_GROWTH


def test_only_ids_are_asked_for_and_nothing_is_stored(found: Flood, cookie: Cookie) -> None:
    """A malformed cookie sends nothing to Redis at all; an unknown id is looked up, together with others."""
    assert set(found.commands) == (set() if cookie is malformed else {"mget"})
    assert found.commands.total() <= REQUESTS
    assert found.keys == 0
