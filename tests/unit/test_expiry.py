"""Idle limit, absolute limit and touch interval, on given times."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chirp.middleware.sessions.expiry import Lifetime, default_touch_interval

times = st.floats(min_value=1e9, max_value=2e9)
spans = st.integers(min_value=1, max_value=400 * 86400)


def lifetime(window: float = 100, absolute: float | None = None, touch_interval: float = 5) -> Lifetime:
    return Lifetime(window=window, absolute=absolute, touch_interval=touch_interval)


@pytest.mark.parametrize(("now", "expired"), [(1099.999, False), (1100, True), (1101, True)])
def test_a_session_exactly_at_its_idle_limit_is_expired(now: float, *, expired: bool) -> None:
    """The window counts from when it was last seen."""
    assert lifetime().is_expired(0, 1000, now) is expired


@pytest.mark.parametrize(("now", "expired"), [(1049.999, False), (1050, True)])
def test_a_session_exactly_at_its_absolute_limit_is_expired(now: float, *, expired: bool) -> None:
    """However recently it was seen."""
    assert lifetime(absolute=50).is_expired(1000, 1049, now) is expired


def test_the_earlier_of_the_two_limits_counts() -> None:
    """An absolute limit far away does not lengthen the window."""
    assert lifetime(absolute=500).ends_at(1000, 1000) == 1100


@pytest.mark.parametrize(("now", "due"), [(1004.999, False), (1005, True)])
def test_a_touch_is_due_after_the_interval(now: float, *, due: bool) -> None:
    """Exactly at the interval counts."""
    assert lifetime().touch_due(1000, now) is due


def test_an_interval_of_0_makes_every_touch_due() -> None:
    """For who wants `last_seen_at` exact."""
    assert lifetime(touch_interval=0).touch_due(1000, 1000)


def test_a_ttl_is_in_whole_milliseconds() -> None:
    """What Redis takes as PX."""
    assert lifetime().ttl_ms(1000, 1000, 1000.5) == 99500


def test_a_ttl_is_rounded_up() -> None:
    """Rounding down would end a session before its limit."""
    assert lifetime().ttl_ms(0, 0, 99.9995) == 1


@pytest.mark.parametrize("now", [1100, 5000])
def test_a_ttl_is_never_0(now: float) -> None:
    """Redis refuses a time to live of 0 or less."""
    assert lifetime().ttl_ms(1000, 1000, now) == 1


def test_a_ttl_is_capped_by_the_absolute_limit() -> None:
    """Promise 8: the store forgets the session then, whatever the cookie says."""
    assert lifetime(absolute=30).ttl_ms(1000, 1020, 1020) == 10_000


@pytest.mark.parametrize(("window", "interval"), [(100, 5), (86400, 300), (6000, 300), (5999, 299.95)])
def test_the_default_interval_is_5_percent_and_at_most_300_seconds(window: float, interval: float) -> None:
    """Few writes for long windows, exact enough for short ones."""
    assert default_touch_interval(window) == pytest.approx(interval)


@pytest.mark.parametrize(
    ("max_age", "idle", "window"), [(None, None, 100), (30, None, 30), (5000, None, 5000), (5000, 60, 60), (30, 60, 30)]
)
def test_the_window_of_a_session_with_a_max_age_of_its_own(
    max_age: int | None, idle: int | None, window: float
) -> None:
    """Longer or shorter than the others', and never longer than the idle limit."""
    assert replace(lifetime(), idle=idle).of_session(max_age).window == window


def test_a_max_age_of_its_own_leaves_the_absolute_limit() -> None:
    """It counts from the creation of any session."""
    assert lifetime(absolute=50).of_session(5000).ends_at(1000, 1040) == 1050


@pytest.mark.parametrize(
    ("set_interval", "max_age", "interval"),
    [(None, 400, 20), (None, 86400, 300), (7, 400, 7), (7, 7, 0.35), (7, 6, 0.3)],
)
def test_the_touch_interval_follows_a_max_age_of_its_own(
    set_interval: float | None, max_age: int, interval: float
) -> None:
    """The configured one is kept where it is less than the window; otherwise the session would expire in use."""
    own = replace(lifetime(), set_interval=set_interval).of_session(max_age)
    assert own.touch_interval == pytest.approx(interval)


@given(created=times, lived=st.floats(0, 1e8), ahead=st.floats(0, 1e8), window=spans, absolute=st.none() | spans)
def test_a_session_that_is_not_expired_has_all_its_time_as_ttl(
    created: float, lived: float, ahead: float, window: int, absolute: int | None
) -> None:
    """The TTL never ends a session before its limit, and at most a millisecond after it."""
    life, seen = lifetime(window, absolute), created + lived
    now = seen + ahead
    if not life.is_expired(created, seen, now):
        left = life.ends_at(created, seen) - now
        assert left * 1000 <= life.ttl_ms(created, seen, now) <= left * 1000 + 1


@given(last_seen=times, window=spans, lag=st.floats(0, 1))
def test_a_session_lives_at_least_its_window_less_the_interval(last_seen: float, window: int, lag: float) -> None:
    """Whatever the default interval lets `last_seen_at` lag behind the last request."""
    interval = default_touch_interval(window)
    last_request = last_seen + lag * interval * 0.999
    life = lifetime(window, None, interval)
    assert not life.touch_due(last_seen, last_request)
    assert life.ends_at(last_seen, last_seen) >= last_request + window - interval
