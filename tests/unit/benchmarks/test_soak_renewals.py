"""The soak's judge knows what an id from before a renewal leads to, and for how long."""

from collections.abc import Callable

import pytest

from benchmarks.soak.expected import CLOCK_SECONDS, FOLLOWED, Asked, Expected, Findings, Losses
from benchmarks.soak.settings import GRACE_SECONDS

Ask = Callable[..., Asked]


@pytest.fixture
def renewed(one: Expected) -> Expected:
    """A renewal was asked for at second 3 and acknowledged at second 4."""
    one.renewed("second", 3.0, 4.0)
    return one


def by_old_id(renewed: Expected, at: float = 5.0) -> Asked:
    return renewed.ask(at, alone=True, old_cookie="first")


def by_new_id(renewed: Expected, at: float = 5.0) -> Asked:
    return renewed.ask(at, alone=True)


def session(**values: int) -> dict[str, object]:
    return {"marker": "one-1", **values}


def test_the_id_before_a_renewal_leads_to_the_session(renewed: Expected, findings: Findings) -> None:
    """As the new one does; the session holds what was shown before."""
    assert renewed.old_cookies(5.0) == ["first"]
    assert renewed.cookie == "second"
    renewed.saw(by_old_id(renewed), session(cart=2), 5.0)
    renewed.saw(by_new_id(renewed), session(cart=2), 5.0)
    assert dict(findings.counts) == {}


def test_a_session_that_the_old_id_does_not_find_is_lost(renewed: Expected, findings: Findings) -> None:
    """Counted once."""
    for _ in range(2):
        renewed.saw_nothing(by_old_id(renewed), 5.0)
    assert dict(findings.counts) == {"lost_sessions": 1}


def test_a_request_beside_a_renewal_finds_the_session(one: Expected, findings: Findings) -> None:
    """It is not as with other rotations: nothing ends."""
    asked = one.ask(3.0, alone=True)
    one.renewed("second", 3.0, 4.0)
    one.saw_nothing(asked, 5.0)
    assert dict(findings.counts) == {"lost_sessions": 1}


@pytest.mark.parametrize(("write", "read"), [(by_old_id, by_new_id), (by_new_id, by_old_id), (by_old_id, by_old_id)])
def test_a_write_has_to_stay_whichever_id_shows_it(
    renewed: Expected, findings: Findings, write: Ask, read: Ask
) -> None:
    """There is one session, not a copy of it."""
    renewed.next_value("cart")
    renewed.saw(write(renewed), session(cart=3), 5.0)
    renewed.saw(read(renewed, 6.0), session(cart=2), 6.0)
    assert dict(findings.counts) == {"lost_writes": 1}


def test_the_old_id_never_leads_to_another_session(renewed: Expected, findings: Findings) -> None:
    """Whenever that is."""
    renewed.saw(by_old_id(renewed), {"marker": "two-1"}, 5.0 + GRACE_SECONDS)
    assert dict(findings.counts) == {"wrong_sessions": 1}


@pytest.mark.parametrize("cookie", ["third", "second", "first", ""])
def test_a_request_with_the_old_id_is_given_no_cookie(renewed: Expected, findings: Findings, cookie: str) -> None:
    """Neither another nor the same, and the browser's is not deleted."""
    renewed.saw_cookie(by_old_id(renewed), cookie, 5.0)
    assert dict(findings.counts) == {"second_cookies": 1}


def test_of_renewals_at_once_one_gives_a_cookie(one: Expected, findings: Findings) -> None:
    """A touch that was quicker than they are may repeat the old one."""
    renewal, touch = one.ask(3.0, alone=True), one.ask(3.0, alone=True)
    one.renewed("second", 3.0, 4.0)
    one.saw_cookie(touch, "first", 4.1)
    assert dict(findings.counts) == {}
    one.saw_cookie(renewal, "third", 4.1)
    assert dict(findings.counts) == {"second_cookies": 1}


def test_a_cookie_for_a_request_with_the_present_id_is_no_second(renewed: Expected, findings: Findings) -> None:
    """A touch sets it again."""
    renewed.saw_cookie(by_new_id(renewed), "second", 5.0)
    assert dict(findings.counts) == {}


def test_around_the_end_of_the_grace_nothing_is_certain(renewed: Expected, findings: Findings) -> None:
    """The server counts it from some moment between the question and the answer."""
    end = 3.0 + GRACE_SECONDS - CLOCK_SECONDS
    assert renewed.old_cookies(end - 0.1) == ["first"]
    assert renewed.old_cookies(end) == []
    renewed.saw_nothing(by_old_id(renewed, end - 0.1), end)
    renewed.saw_cookie(by_old_id(renewed, end - 0.1), "", end)
    renewed.next_value("cart")
    renewed.saw(by_old_id(renewed, end - 0.1), session(cart=3), end)  # loaded in time, and perhaps not saved in time
    renewed.saw(by_new_id(renewed, end), session(cart=2), end)
    assert dict(findings.counts) == {}


def test_after_the_grace_the_old_id_is_dead(renewed: Expected, findings: Findings) -> None:
    """And no sooner; the session goes on."""
    end = 4.0 + GRACE_SECONDS + CLOCK_SECONDS
    assert renewed.dead_cookies(end) == []
    assert renewed.dead_cookies(end + 0.1) == ["first"]
    assert (renewed.cookie, renewed.ways) == ("second", [])
    renewed.saw_dead("first", session())
    assert dict(findings.counts) == {"revived_sessions": 1}


@pytest.mark.parametrize("end", ["logout", "login", "rotation"])
def test_whatever_ends_the_present_id_ends_the_ones_before(renewed: Expected, end: str) -> None:
    """A logout, a login and a rotation that is not to be followed."""
    if end == "logout":
        renewed.ended(5.0)
    elif end == "login":
        renewed.logged_in("one-2", "third", 5.0)
    else:
        renewed.rotated("third", 5.0)
    assert renewed.dead_cookies(5.0) == ["first", "second"]
    assert renewed.old_cookies(5.0) == []


def test_renewals_in_a_row_are_followed_so_many_times(one: Expected, findings: Findings) -> None:
    """From before more of them nothing is certain, until the grace is over or the session has ended."""
    for number in range(FOLLOWED + 1):
        one.renewed(f"renewed-{number}", 3.0, 3.0)
    assert one.old_cookies(4.0) == [f"renewed-{number}" for number in range(FOLLOWED)]  # without the first
    one.saw_nothing(by_old_id(one), 5.0)
    assert dict(findings.counts) == {}
    one.ended(5.0)
    assert one.dead_cookies(5.0)[0] == "first"


def test_what_a_failover_may_have_halved_is_not_certain(renewed: Expected, losses: Losses, findings: Findings) -> None:
    """It may have left a session by the old id and another by the new one; an old id that is alive then is undone."""
    losses.spans.append((3.5, 4.5))
    assert renewed.old_cookies(5.0) == []
    renewed.saw_nothing(by_old_id(renewed), 5.0)
    renewed.saw(by_old_id(renewed), session(cart=1), 5.0)
    renewed.saw_cookie(by_old_id(renewed), "first", 5.0)
    renewed.ended(9.0)
    renewed.saw_dead("first", {})
    assert (dict(findings.counts), findings.undone) == ({}, [4.0])
    renewed.saw_dead("second", {})
    assert dict(findings.counts) == {"revived_sessions": 1}
