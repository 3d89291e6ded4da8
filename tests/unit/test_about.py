"""What is recorded of a client, and what a change of it leaves."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_kit import config_with

from chirp.middleware.sessions.about import About, changed, client_of
from chirp.middleware.sessions.codec import Codec

AGENT = "Mozilla/5.0 (X11; Linux x86_64)"


def agent_of(value: bytes) -> Any:
    return client_of([(b"host", b"x"), (b"user-agent", value)], None)["user_agent"]


def test_the_client_of_a_request() -> None:
    """Its user agent and its address, not its port."""
    recorded = client_of([(b"user-agent", AGENT.encode())], ("2001:db8::1", 50000))
    assert recorded == {"user_agent": AGENT, "address": "2001:db8::1"}


@pytest.mark.parametrize("client", [None, (), [], ("",), (None, 0), 5])
def test_a_client_that_says_nothing(client: Any) -> None:
    """Behind a Unix socket there is no address, and no header is compulsory."""
    recorded = client_of([], client)
    assert (recorded["user_agent"], recorded["address"] or None) == (None, None)


def test_a_long_user_agent_is_cut() -> None:
    """256 characters tell enough, and a client could send any number."""
    assert agent_of(b"x" * 100_000) == "x" * 256


def test_what_could_harm_a_terminal_is_left_out() -> None:
    """Controls, in Latin-1 those above 127 as well."""
    assert agent_of(b"a\x1b[31m\x9bb\xa0\xad\n") == "a[31mb"


@given(agent=st.binary(max_size=400), address=st.text(max_size=100))
def test_whatever_a_client_sends_can_be_stored_and_read(agent: bytes, address: str) -> None:
    """Promise 12 would make an anonymous session of a document whose limits it broke."""
    about = changed(None, client_of([(b"user-agent", agent)], (address, 1)))
    codec = Codec(config_with())
    opened = codec.decode(codec.encode(created_at=1, last_seen_at=2, handle="h", data=b"{}", about=about))
    assert opened is not None
    assert opened.about == about


def test_a_change_leaves_what_it_does_not_name() -> None:
    """Two requests may each say something else."""
    assert changed(About(max_age=5), {"address": "::1"}) == About(max_age=5, address="::1")


def test_where_all_is_as_usual_again_nothing_is_left() -> None:
    """The document need not say it."""
    assert changed(About(max_age=5), {"max_age": None}) is None
