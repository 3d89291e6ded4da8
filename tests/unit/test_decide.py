"""Which outcome a request has: the design's end-of-request table, over every combination of facts."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import pytest
from session_kit import config_with

from chirp.middleware.sessions import MemorySessionStore, Session
from chirp.middleware.sessions.decision import Ask, Found, Outcome, decide


class Facts(NamedTuple):
    found: Found
    ask: Ask
    changed: bool
    user_changed: bool
    touch_due: bool
    holds_data: bool


class Row(NamedTuple):
    """A row of the table: which facts it is about, and what is to happen."""

    name: str
    applies: Callable[[Facts], bool]
    outcome: Outcome


EVERY = [Facts(*facts) for facts in product(Found, Ask, *[(False, True)] * 4)]
FIRST_VISIT = (Found.NOTHING_PRESENTED, Found.UNKNOWN)


def wants_new_session(facts: Facts) -> bool:
    """`regenerate_session()`; or `clear()` and then data, which is a session of its own."""
    return facts.ask is Ask.REGENERATE or (facts.ask is Ask.END and facts.holds_data)


def signs_in(facts: Facts) -> bool:
    """The user changed, and no stronger wish was told."""
    return facts.ask in (Ask.KEEP, Ask.ROTATE, Ask.RENEW) and facts.user_changed and facts.holds_data


def just_changes(facts: Facts) -> bool:
    return facts.ask is Ask.KEEP and not signs_in(facts)


def is_live(facts: Facts) -> bool:
    return facts.found is Found.LIVE


def is_ended(facts: Facts) -> bool:
    return facts.found is Found.ENDED


ROWS = [
    Row(
        "a first visit that stores nothing",
        lambda f: f.found in FIRST_VISIT and f.ask is not Ask.REGENERATE and not f.holds_data,
        Outcome.NOTHING,
    ),
    Row(
        "a first visit with data",
        lambda f: f.found in FIRST_VISIT and f.holds_data and not wants_new_session(f) and not signs_in(f),
        Outcome.CREATE,
    ),
    Row(
        "a first visit that signs in or asks for a new session",
        lambda f: f.found in FIRST_VISIT and (wants_new_session(f) or signs_in(f)),
        Outcome.REGENERATE,
    ),
    Row(
        "unchanged, touch not due",
        lambda f: is_live(f) and just_changes(f) and not f.changed and not f.touch_due,
        Outcome.NOTHING,
    ),
    Row(
        "unchanged, touch due",
        lambda f: is_live(f) and just_changes(f) and not f.changed and f.touch_due,
        Outcome.TOUCH,
    ),
    Row("changed, or emptied by removing keys", lambda f: is_live(f) and just_changes(f) and f.changed, Outcome.WRITE),
    Row("clear()", lambda f: is_live(f) and f.ask is Ask.END and not f.holds_data, Outcome.END),
    Row(
        "regenerate_session(), or clear() and then data",
        lambda f: is_live(f) and wants_new_session(f),
        Outcome.REGENERATE,
    ),
    Row("rotate_session()", lambda f: is_live(f) and f.ask is Ask.ROTATE, Outcome.ROTATE),
    Row(
        "rotate_session(follow=True)",
        lambda f: is_live(f) and f.ask is Ask.RENEW and not signs_in(f),
        Outcome.RENEW,
    ),
    Row(
        "the user changed without a new id, or with one that can be followed",
        lambda f: is_live(f) and f.ask in (Ask.KEEP, Ask.RENEW) and signs_in(f),
        Outcome.ROTATE,
    ),
    Row(
        "a tombstone, and no new id asked for",
        lambda f: is_ended(f) and not wants_new_session(f) and not signs_in(f),
        Outcome.NOTHING,
    ),
    Row(
        "a tombstone, and a new session asked for or signed in",
        lambda f: is_ended(f) and (wants_new_session(f) or signs_in(f)),
        Outcome.REGENERATE,
    ),
    Row(
        "unreachable, an end or a new id asked for",
        lambda f: f.found is Found.UNREACHABLE and (f.ask is not Ask.KEEP or signs_in(f)),
        Outcome.REFUSE,
    ),
    Row(
        "unreachable, with data",
        lambda f: f.found is Found.UNREACHABLE and just_changes(f) and f.holds_data,
        Outcome.LOSE,
    ),
    Row(
        "unreachable, empty",
        lambda f: f.found is Found.UNREACHABLE and just_changes(f) and not f.holds_data,
        Outcome.NOTHING,
    ),
]


def decided(facts: Facts) -> Outcome:
    return decide(
        facts.found,
        facts.ask,
        holds_data=facts.holds_data,
        changed=facts.changed,
        user_changed=facts.user_changed,
        touch_due=facts.touch_due,
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_of_the_table(row: Row) -> None:
    """Every combination that the row is about has its outcome."""
    wrong = [facts for facts in EVERY if row.applies(facts) and decided(facts) is not row.outcome]
    assert not wrong


def test_every_combination_is_in_exactly_one_row() -> None:
    """The rows leave nothing open and do not contradict each other."""
    doubtful = [facts for facts in EVERY if sum(row.applies(facts) for row in ROWS) != 1]
    assert not doubtful


def test_every_outcome_is_reached() -> None:
    """None of them is dead."""
    assert {decided(facts) for facts in EVERY} == set(Outcome)


def test_deciding_does_not_count_as_reading() -> None:
    """Otherwise every response would vary with the cookie."""
    session = Session(a=1)
    outcome, data, _ = MemorySessionStore(config_with())._decide(session, 0.0)
    assert (outcome, data, session.accessed) == (Outcome.CREATE, b'{"a":1}', False)
