"""The soak's judge sees what is wrong, and takes nothing for wrong that an outage may have done."""

import pytest

from benchmarks.soak.browser import Request
from benchmarks.soak.expected import FINDINGS, Dead, Expected, Findings, Losses
from benchmarks.soak.figures import broken_promises, figures_of
from benchmarks.soak.phases import Happened, Log
from benchmarks.soak.settings import LATE_SECONDS


def see(expected: Expected, *, marker: str = "one-1", at: float = 2.0, **values: int) -> None:
    """Ask and be answered, with nothing in between."""
    expected.saw(expected.ask(at, alone=True), {"marker": marker, **values}, at)


def counted(findings: Findings) -> dict[str, int]:
    return dict(findings.counts)


def test_the_right_session_is_nothing_to_tell(one: Expected, findings: Findings) -> None:
    """What was shown, and a value that was sent since."""
    see(one, cart=2)
    one.next_value("theme")
    see(one, cart=2, theme=1)
    assert counted(findings) == {}


def test_somebody_elses_session_is_wrong(one: Expected, findings: Findings) -> None:
    """Whatever else is in it."""
    see(one, marker="two-1", cart=2)
    assert counted(findings) == {"wrong_sessions": 1}
    assert findings.examples == ["wrong_sessions: one has the session of one-1 and saw that of two-1"]


def test_an_older_session_of_the_same_browser_is_wrong(one: Expected, findings: Findings) -> None:
    """Each login begins another one."""
    one.logged_in(one.next_marker(), "second", 3.0)
    see(one, marker="one-1", cart=2)
    assert counted(findings) == {"wrong_sessions": 1}


def test_a_value_that_was_never_sent_is_wrong(one: Expected, findings: Findings) -> None:
    """It must be somebody else's."""
    see(one, cart=3)
    assert counted(findings) == {"wrong_sessions": 1}


@pytest.mark.parametrize("values", [{"cart": 1}, {}])
def test_a_value_that_was_shown_and_is_missing_is_lost(
    one: Expected, findings: Findings, values: dict[str, int]
) -> None:
    """An older value, or none; counted once."""
    see(one, **values)
    see(one, **values)
    assert counted(findings) == {"lost_writes": 1}


def test_a_write_without_an_answer_may_have_happened_or_not(one: Expected, findings: Findings) -> None:
    """Both are right; what was shown to have happened has to stay."""
    one.next_value("cart")
    see(one, cart=2)
    see(one, cart=3)
    assert counted(findings) == {}
    see(one, cart=2)
    assert counted(findings) == {"lost_writes": 1}


def test_a_request_sees_what_was_shown_before_it_was_asked(one: Expected, findings: Findings) -> None:
    """Of two requests at once, the one that was read first may be answered last."""
    one.next_value("cart")
    asked = one.ask(3.0, alone=True)
    see(one, cart=3)
    one.saw(asked, {"marker": "one-1", "cart": 2}, 4.0)
    assert counted(findings) == {}


def test_a_session_that_is_gone_is_lost(one: Expected, findings: Findings) -> None:
    """Counted once, until the browser has logged in again."""
    for _ in range(2):
        one.saw_nothing(one.ask(3.0, alone=True), 3.0)
    assert counted(findings) == {"lost_sessions": 1}


def test_a_session_whose_logout_was_not_answered_may_be_gone(one: Expected, findings: Findings) -> None:
    """It is in doubt, and may be there as well."""
    one.doubtful = True
    see(one, cart=2)
    one.saw_nothing(one.ask(3.0, alone=True), 3.0)
    assert counted(findings) == {}


def test_a_request_beside_a_rotation_may_find_nothing(one: Expected, findings: Findings) -> None:
    """Its cookie may have died meanwhile; and what it changed was not promised."""
    asked = one.ask(3.0, alone=False)
    one.rotated("second", 3.5)
    one.saw_nothing(asked, 4.0)
    assert counted(findings) == {}


def test_a_dead_cookie_that_leads_somewhere_is_revived(one: Expected, findings: Findings) -> None:
    """After a logout that was acknowledged."""
    one.ended(3.0)
    assert one.dead_cookies(3.0) == ["first"]
    one.saw_dead("first", {"marker": "one-1"})
    assert counted(findings) == {"revived_sessions": 1}
    assert one.dead == []


def test_the_cookie_before_a_rotation_is_dead(one: Expected) -> None:
    """As that before a login."""
    one.rotated("second", 3.0)
    one.logged_in("one-2", "third", 4.0)
    assert one.dead == [Dead("first", (3.0,)), Dead("second", (4.0,))]


def test_only_what_was_acknowledged_about_a_failover_may_be_undone(
    one: Expected, losses: Losses, findings: Findings
) -> None:
    """A write, a logout and a login shortly before it are counted apart, and those long before are lost."""
    losses.spans.append((1.5, 5.0))
    see(one, cart=1)  # 2 was shown at second 2
    assert (counted(findings), findings.undone) == ({}, [2.0])
    one.saw_nothing(one.ask(3.0, alone=True), 3.0)  # the login was at second 1
    assert (counted(findings), findings.undone) == ({"lost_sessions": 1}, [2.0])
    one.ended(4.0)
    one.saw_dead("first", {})
    assert (counted(findings), findings.undone) == ({"lost_sessions": 1}, [2.0, 4.0])


# The figures


def log_of(*requests: Request) -> Log:
    log = Log("phase", "for a test", "Valkey", began=100.0, ended=110.0)
    log.events.append(Happened("kill", began=102.0, mended=104.0))
    log.requests.extend(requests)
    return log


def promises_of(log: Log) -> list[str]:
    return broken_promises({log.name: figures_of(log)})


def test_refusals_break_no_promise() -> None:
    """A 503 is what an outage is to look like; a browser without a session gets 401."""
    answers = [Request("read", 102.0 + number, 102.5 + number, status) for number, status in enumerate((200, 401, 503))]
    assert promises_of(log_of(*answers)) == []


@pytest.mark.parametrize("status", [500, 502, 404])
def test_other_statuses_break_it(status: int) -> None:
    """A 500 above all."""
    assert promises_of(log_of(Request("read", 102.0, 102.1, status))) == ["phase: 1 other statuses"]


def test_a_late_answer_breaks_it() -> None:
    """Later than two steps' deadlines and some slack."""
    in_time = Request("read", 102.0, 102.0 + LATE_SECONDS, 503)
    late = Request("read", 102.0, 102.1 + LATE_SECONDS, 503)
    assert promises_of(log_of(in_time, late)) == ["phase: 1 late"]


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_break_it(name: str) -> None:
    """Each by its name."""
    log = log_of()
    log.findings.add(name, "words")
    assert promises_of(log) == [f"phase: 1 {name.replace('_', ' ')}"]


def test_what_a_failover_undoes_is_only_counted() -> None:
    """Replication is asynchronous. It belongs to the last event that had begun, or was about to."""
    log = log_of()
    log.events.append(Happened("kill", began=107.0, mended=108.0))
    log.findings.undone += [101.0, 103.0, 106.0]
    assert promises_of(log) == []
    found = figures_of(log)
    assert found["found"]["undone_by_failover"] == 3
    assert [event["undone"] for event in found["events"]] == [2, 1]


def test_an_event_has_its_times() -> None:
    """How long it was down, and when the first request after that was answered and the last one refused."""
    log = log_of(
        Request("read", 101.0, 101.1, 503),
        Request("read", 102.5, 104.5, 503),
        Request("read", 103.9, 104.05, 200),
        Request("read", 104.1, 104.25, 200),
    )
    (event,) = figures_of(log)["events"]
    assert event == {
        "name": "kill",
        "at_seconds": 2.0,
        "down_seconds": 2.0,
        "first_answer_seconds": 0.25,
        "last_refusal_seconds": 0.5,
        "requests": 3,
        "refused": 1,
        "undone": 0,
        "longest_seconds": 2.0,
    }


def test_latency_is_apart_for_outages() -> None:
    """A request belongs to an outage when it overlaps it."""
    log = log_of(Request("read", 100.0, 100.1, 200), Request("read", 101.9, 102.1, 503), Request("read", 106, 107, 200))
    latency = figures_of(log)["latency"]
    assert (latency["quiet"]["requests"], latency["outage"]["requests"]) == (2, 1)
    assert latency["quiet"]["most_ms"] == 1000
    assert latency["outage"]["most_ms"] == 200
