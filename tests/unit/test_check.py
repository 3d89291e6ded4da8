"""`chirp check` on real servers: each misconfiguration is found, and it alone."""

import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from check_kit import ERROR, GOOD, NOTE, PREFIX, WARNING, bad, findings, only
from redis import Redis
from servers import OwnServer, StartServer, program_on_path, with_user

from benchmarks.waiting import wait_for
from chirp.checks.finding import Severity
from chirp.checks.permissions import Needed, Use, needed


def test_a_good_server_has_no_finding(own_server: StartServer) -> None:
    """But that it stands alone."""
    found = findings(own_server(*GOOD).url)
    assert [(each.check, each.severity) for each in found if each.severity is not Severity.OK] == [
        ("replication", NOTE)
    ]
    assert {each.check for each in found} == {
        "kind",
        "version",
        "clock",
        "eviction",
        "memory",
        "keys",
        "writes",
        "persistence",
        "replication",
        "permissions",
        "password",
        "tls",
    }


@pytest.mark.parametrize(
    ("arguments", "check", "severity", "told"),
    [
        (
            ("--maxmemory-policy", "allkeys-lru"),
            "eviction",
            ERROR,
            "maxmemory-policy is allkeys-lru, with maxmemory at 100.0 MB",
        ),
        (("--maxmemory-policy", "volatile-ttl"), "eviction", ERROR, "maxmemory-policy is volatile-ttl"),
        (("--maxmemory", "1"), "writes", ERROR, "memory is full"),
        (("--appendonly", "no"), "persistence", WARNING, "nothing is kept on disk"),
        (("--appendonly", "no", "--save", "3600", "1"), "persistence", WARNING, "snapshots alone (save 3600 1)"),
        (("--appendfsync", "no"), "persistence", WARNING, "appendfsync no"),
        (("--min-replicas-to-write", "1"), "writes", ERROR, "min-replicas-to-write"),
        (
            ("--replicaof", "127.0.0.1", "1"),
            "writes",
            ERROR,
            "it is a replica, and refuses changes; its link to the primary is down",
        ),
        (
            ("--replicaof", "127.0.0.1", "1", "--replica-read-only", "no"),
            "writes",
            ERROR,
            "a replica that takes changes",
        ),
        (("--bind", "127.0.0.1", "-192.0.2.1", "--protected-mode", "no"), "password", ERROR, "needs no password"),
        (("--rename-command", "EVAL", ""), "commands", ERROR, "does not know EVAL"),
    ],
    ids=lambda value: "-".join(value).replace("--", "") if isinstance(value, tuple) else "",
)
def test_a_misconfiguration_is_found_and_it_alone(
    own_server: StartServer, arguments: tuple[str, ...], check: str, severity: Severity, told: str
) -> None:
    """A server that is started so has that finding, with the value, a reason and a remedy."""
    found = findings(own_server(*GOOD, *arguments).url)
    assert bad(found) == [(check, severity)]
    finding = only(found, check)
    assert told in finding.found
    assert finding.reason
    assert finding.remedy


def test_no_limit_of_memory_is_noted(own_server: StartServer) -> None:
    """With the policy that would take effect once there is one."""
    finding = only(findings(own_server(*GOOD, "--maxmemory", "0", "--maxmemory-policy", "allkeys-lfu").url), "eviction")
    assert (finding.severity, "allkeys-lfu" in finding.found) == (NOTE, True)


def test_memory_that_is_nearly_full_is_found(own_server: StartServer) -> None:
    """From 90 % on, before changes are refused."""
    server = own_server(*GOOD)
    with Redis.from_url(server.url) as client:
        client.setrange(f"{PREFIX}large", 20_000_000, "x")  # with no buffer that is freed later
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.95))
    assert bad(findings(server.url)) == [("memory", WARNING)]


@pytest.mark.parametrize(("stop", "finding"), [("yes", ("writes", ERROR)), ("no", ("saving", WARNING))])
def test_a_save_that_failed_is_found(own_server: StartServer, stop: str, finding: tuple[str, Severity]) -> None:
    """An error where it stops every change, and a warning where it does not."""
    server = own_server(*GOOD, "--save", "3600", "1", "--stop-writes-on-bgsave-error", stop)
    with Redis.from_url(server.url) as client:
        shutil.rmtree(Path(client.config_get("dir")["dir"]))
        client.bgsave()
        wait_for(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "a save that fails")
    found = bad(findings(server.url))
    server.kill()  # told to end, it would try to save once more
    assert found == [finding]


def replicated(own_server: StartServer, *arguments: str) -> OwnServer:
    """Start a primary, and a replica that follows it."""
    primary = own_server(*GOOD, *arguments)
    own_server(*GOOD, "--replicaof", "127.0.0.1", str(urlsplit(primary.url).port))
    with Redis.from_url(primary.url) as client:
        wait_for(lambda: "online" in str(client.info("replication").get("slave0")), "a replica that follows")
    return primary


def test_replicas_that_nobody_waits_for_are_found(own_server: StartServer) -> None:
    """A primary that is cut off would go on acknowledging."""
    assert bad(findings(replicated(own_server, "--repl-diskless-sync-delay", "0").url)) == [("replication", WARNING)]


def test_replicas_that_are_waited_for_are_right(own_server: StartServer) -> None:
    """With min-replicas-to-write there is nothing to find."""
    server = replicated(own_server, "--repl-diskless-sync-delay", "0", "--min-replicas-to-write", "1")
    wait_for(lambda: not bad(findings(server.url)), "replicas in step")
    assert only(findings(server.url), "replication").found == "replicas in step: 1"


@pytest.mark.parametrize(("policy", "severity"), [("noeviction", NOTE), ("volatile-lru", WARNING)])
def test_keys_of_others_are_found(own_server: StartServer, policy: str, severity: Severity) -> None:
    """As a warning where they make sessions be evicted; their names are not told."""
    server = own_server(*GOOD, "--maxmemory-policy", policy)
    with Redis.from_url(server.url) as client:
        client.mset({f"{PREFIX}1": "", "their-secret": "", "their-other": ""})
    finding = only(findings(server.url), "keys")
    assert (finding.severity, finding.found) == (severity, f"3; of 3 looked at, 2 do not begin with {PREFIX}")


def test_a_user_with_no_other_rights_has_no_finding(own_server: StartServer) -> None:
    """What the server refuses to tell is one note, and no crash."""
    rules = [each.rule for each in needed(cluster=False, database=0)]
    found = findings(with_user(own_server(*GOOD), f"~{PREFIX}*", *rules))
    assert bad(found) == []
    assert only(found, "permissions").severity is Severity.OK
    note = only(found, "not-looked-at")
    assert (note.severity, note.found) == (NOTE, "the server refuses to answer TIME, INFO, CONFIG GET, ACL GETUSER")


@pytest.mark.parametrize("each", needed(cluster=False, database=1), ids=lambda each: each.name)
def test_a_right_that_is_missing_is_found(own_server: StartServer, each: Needed) -> None:
    """As badly as what needs it, and with the rule of the ACL that gives it."""
    severity = NOTE if each.use is Use.COMMAND_LINE else ERROR
    url = with_user(own_server(*GOOD), f"~{PREFIX}*", "+@all", each.rule.replace("+", "-"))
    finding = only(findings(url.removesuffix("0") + "1"), "permissions")
    assert (finding.severity, finding.found, finding.remedy) == (
        severity,
        f"the user may not call {each.name}",
        f"ACL SETUSER <user> {each.rule}",
    )


def test_keys_that_the_user_may_not_use_are_found(own_server: StartServer) -> None:
    """With the pattern that the ACL needs."""
    found = findings(with_user(own_server(*GOOD), "~other:*", "+@all"))
    assert bad(found) == [("permissions", ERROR)]
    assert f"~{PREFIX}*" in only(found, "permissions").remedy


def test_a_user_default_who_is_off_needs_no_password(own_server: StartServer) -> None:
    """Nobody can be that user, whoever is listened to."""
    server = own_server(*GOOD, "--bind", "127.0.0.1", "-192.0.2.1", "--protected-mode", "no")
    url = with_user(server, "~*", "+@all")
    with Redis.from_url(url) as client:
        client.execute_command("ACL", "SETUSER", "default", "off")
        assert bad(findings(url)) == []
        client.execute_command("ACL", "SETUSER", "default", "on")
    assert bad(findings(url)) == [("password", ERROR)]


def test_a_database_that_is_not_there_is_found(own_server: StartServer) -> None:
    """The server's own words say what is wrong."""
    found = findings(own_server(*GOOD).url.removesuffix("0") + "99")
    assert bad(found) == [("commands", ERROR)]
    assert 'refuses SELECT: "DB index is out of range"' in only(found, "commands").found
    assert "keys" not in {each.check for each in found}  # they would be those of another database


@pytest.mark.parametrize("seconds", [60, -60])
def test_a_clock_that_is_wrong_is_found(own_server: StartServer, seconds: int) -> None:
    """With the difference, and in which direction."""
    found = findings(own_server(*GOOD).url, clock=lambda: time.time() - seconds)
    assert bad(found) == [("clock", WARNING)]
    which = "ahead of" if seconds > 0 else "behind"
    assert f"the server's clock is 60.0 seconds {which} this machine's" in only(found, "clock").found


def test_a_sentinel_is_told_apart(tmp_path: Path) -> None:
    """It is reached at an address of the same form, and keeps no sessions."""
    file = tmp_path / "sentinel.conf"
    file.touch()
    with OwnServer(binary=program_on_path(), config_file=file, extra_args=("--sentinel",)) as sentinel:
        assert bad(findings(sentinel.url)) == [("kind", ERROR)]


def test_a_socket_is_reached(own_server: StartServer, tmp_path: Path) -> None:
    """A unix:// URL needs neither a port nor TLS."""
    own_server(*GOOD, "--unixsocket", str(tmp_path / "s"))
    found = findings(f"unix://{tmp_path}/s")
    assert bad(found) == []
    assert {each.node for each in found} == {f"{tmp_path}/s"}


def test_nothing_is_changed(own_server: StartServer) -> None:
    """Neither a key nor a setting; a server that is looked at is one in use."""
    server = own_server(*GOOD)
    with Redis.from_url(server.url) as client:
        before = client.config_get("*")
        findings(server.url)
        assert client.info("persistence")["rdb_changes_since_last_save"] == 0
        assert client.config_get("*") == before
