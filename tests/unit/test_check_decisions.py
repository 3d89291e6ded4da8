"""What `chirp check` makes of facts that no server here can be brought to: old versions, other machines, slow ways."""

import itertools
from dataclasses import replace
from unittest.mock import Mock

import pytest
from check_kit import ERROR, NOTE, WARNING, bad, only
from redis.exceptions import NoPermissionError, ResponseError

from chirp.checks import access, durability, gathering, memory, server
from chirp.checks.facts import Facts, Link, Refusal
from chirp.checks.finding import Severity
from chirp.checks.line import Line, refused, target_of, text_of

FACTS = Facts("10.0.0.7:6379", "chirp:session:", Link("redis", loopback=False, password=True), round_trips=[0.001])
PRIMARY = {"role": "master", "aof_enabled": "1"}


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"redis_version": "6.0.16"}, [("version", ERROR)]),
        ({"redis_version": "5.0.3"}, [("version", ERROR)]),
        ({"redis_version": "6.2.0"}, []),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.6"}, [("version", WARNING)]),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.0"}, []),
        ({"redis_version": "10.1.0"}, []),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_versions_that_are_too_old(info: dict[str, str], expected: list[tuple[str, Severity]]) -> None:
    """Numbers are compared as numbers; of Valkey its own counts."""
    assert bad(list(server.findings(replace(FACTS, info=info)))) == expected


@pytest.mark.parametrize(("password", "told"), [(True, "the password and sessions are"), (False, "sessions are")])
def test_plain_text_to_another_machine_is_found(password: bool, told: str) -> None:
    """With what is sent so."""
    link = Link("redis", loopback=False, password=password)
    finding = only(list(access.findings(replace(FACTS, link=link))), "tls")
    assert (finding.severity, finding.found) == (WARNING, f"{told} sent in plain text to another machine")


def test_another_machine_that_needs_no_password_is_found() -> None:
    """Where the server does not tell, too: it was reached without one."""
    link = Link("rediss", loopback=False, password=False)
    assert ("password", ERROR) in bad(list(access.findings(replace(FACTS, link=link))))


@pytest.mark.parametrize("open_default", [True, False, None])
def test_a_password_of_ones_own_does_not_close_the_door(open_default: bool | None) -> None:
    """The user default may need none all the same; unknown is not said to be right."""
    found = list(access.findings(replace(FACTS, open_default=open_default)))
    assert [each.severity for each in found if each.check == "password"] == {
        True: [ERROR],
        False: [Severity.OK],
        None: [],
    }[open_default]


@pytest.mark.parametrize(
    ("config", "reached"),
    [
        ({"bind": "127.0.0.1 -::1", "port": "6379", "protected-mode": "no"}, False),
        ({"bind": "* -::*", "port": "6379", "protected-mode": "no"}, True),
        ({"bind": "127.0.0.1 10.0.0.7", "port": "0", "tls-port": "6380", "protected-mode": "no"}, True),
        ({"bind": "", "port": "6379", "protected-mode": "no"}, True),
        ({"bind": "* -::*", "port": "6379", "protected-mode": "yes"}, False),
        ({"bind": "* -::*", "port": "0", "tls-port": "0", "protected-mode": "no"}, False),
        ({}, False),
    ],
)
def test_who_is_listened_to(config: dict[str, str], reached: bool) -> None:
    """Others are where a port is open to them and no mode protects it; unknown settings are no finding."""
    assert access.listens_to_others(config) is reached


@pytest.mark.parametrize(
    ("replica", "expected"),
    [
        ("ip=10.0.0.8,port=6379,state=online,offset=42,lag=10", []),
        ("ip=10.0.0.8,port=6379,state=online,offset=42,lag=11", [("replication", WARNING)]),
        ("ip=10.0.0.8,port=6379,state=wait_bgsave,offset=0,lag=0", [("replication", WARNING)]),
    ],
)
def test_replicas_that_are_late_are_found(replica: str, expected: list[tuple[str, Severity]]) -> None:
    """By the seconds since they were heard of, or by what they are about."""
    facts = replace(FACTS, info=PRIMARY | {"connected_slaves": "1", "slave0": replica})
    assert bad(list(durability.findings(facts))) == expected


@pytest.mark.parametrize(("doubt", "expected"), [(0.5, [("clock", WARNING)]), (1.5, [])])
def test_a_clock_is_not_suspected_for_a_slow_reply(doubt: float, expected: list[tuple[str, Severity]]) -> None:
    """Three seconds may be one and a half, if the reply took so long."""
    facts = replace(FACTS, clock_ahead=3.0, clock_doubt=doubt)
    assert bad(list(server.findings(facts))) == expected


def test_keys_that_were_evicted_are_counted() -> None:
    """So that it is known whether it has happened."""
    info = {"maxmemory": "1048576", "maxmemory_policy": "allkeys-lru", "evicted_keys": "1234"}
    finding = only(list(memory.findings(replace(FACTS, info=info))), "eviction")
    assert finding.found.endswith("with maxmemory at 1.0 MB; 1,234 keys have been evicted since the start")


@pytest.mark.parametrize("state", ["aof_last_write_status", "aof_last_bgrewrite_status"])
def test_an_append_only_file_that_cannot_be_written_is_found(state: str) -> None:
    """A restart would bring back what is in it."""
    found = list(durability.findings(replace(FACTS, info=PRIMARY | {state: "err"})))
    assert bad(found) == [("saving", WARNING)]
    assert "append-only file failed" in only(found, "saving").found


def test_snapshots_that_could_not_be_looked_at_are_not_said_to_be_there() -> None:
    """Where CONFIG is refused, INFO tells of the append-only file alone."""
    found = list(durability.findings(replace(FACTS, info={"role": "master", "aof_enabled": "0"})))
    assert only(found, "persistence").found == "appendonly is no, and snapshots could not be looked at"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (NoPermissionError("No permissions to access a key"), Refusal.KEY),
        (NoPermissionError("this user has no permissions to access one of the keys used as arguments"), Refusal.KEY),
        (NoPermissionError("User app has no permissions to run the 'get' command"), Refusal.PERMISSION),
        (ResponseError("unknown command 'EVAL', with args beginning with: 'return 1' '0'"), Refusal.UNKNOWN_COMMAND),
        (ResponseError("MISCONF Valkey is configured to save RDB snapshots"), Refusal.SNAPSHOT),
        (ResponseError("something else"), Refusal.OTHER),
    ],
)
def test_refusals_are_told_apart(error: ResponseError, why: Refusal) -> None:
    """By what servers of several versions say."""
    assert refused(error).why is why


def test_a_check_has_its_own_deadlines_and_form_of_replies() -> None:
    """Whatever the URL says."""
    deadlines = "socket_timeout=300&socket_connect_timeout=300&health_check_interval=1&retry_on_timeout=true"
    target = target_of(f"redis://localhost:7000/2?{deadlines}&protocol=3&decode_responses=true")
    assert target.settings.pop("retry").get_retries() == 0
    assert target.database == 2
    assert target.settings == {
        "host": "localhost",
        "port": 7000,
        "socket_timeout": 3.0,
        "socket_connect_timeout": 3.0,
        "protocol": 2,
        "decode_responses": False,
        "health_check_interval": 0,
        "retry_on_timeout": True,
    }


def test_a_servers_words_are_cut() -> None:
    """They may quote what was sent."""
    assert len(refused(ResponseError("x" * 1000)).words) == 200


def test_a_number_that_is_none_counts_as_nothing() -> None:
    """Servers that are like Redis may say otherwise what they say."""
    assert replace(FACTS, info={"maxmemory": "plenty"}).number("maxmemory") == 0


def test_a_slow_way_is_not_measured_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer round trips tell enough."""
    times = itertools.count(step=0.5)
    monkeypatch.setattr(gathering.time, "perf_counter", lambda: next(times))
    assert gathering.measure(Mock(Line), "key") == [0.5] * 4


def test_a_servers_words_command_no_terminal() -> None:
    """They are shown as text in one line."""
    assert text_of(b"7.0\x1b[2J\r\nok\xff") == "7.0?[2J??ok\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(("prefix", "pattern"), [("chirp:session:", "chirp:session:*"), ("{a}[b]?", "{a}\\[b\\]\\?*")])
def test_a_prefix_becomes_a_pattern(prefix: str, pattern: str) -> None:
    """In which its own characters mean themselves."""
    assert access.as_pattern(prefix) == pattern


def test_what_only_the_command_line_needs_is_noted() -> None:
    """Sessions work without a look through all of them."""
    facts = replace(FACTS, trials={"SCAN": refused(NoPermissionError("no permissions to run the 'scan' command"))})
    assert only(list(access.findings(facts)), "permissions").severity is NOTE
