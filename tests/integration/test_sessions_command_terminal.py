"""`chirp sessions` in front of somebody: what is asked, what moves, and how it is interrupted."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from command_kit import on_terminal
from demo_site import silent_listener
from many_sessions import fill
from redis import Redis
from servers import StartServer, program_on_path
from visits import CONFIG, put, read

from benchmarks.waiting import wait_for
from chirp.embedded import EmbeddedServer
from chirp.middleware.sessions import RedisSessionStore

MANY = 5000
ERASE = "\x1b[2K"


async def begin(url: str, prefix: str) -> tuple[str, str]:
    """Begin a session of user 5; return its cookie and its handle."""
    store = RedisSessionStore(CONFIG, url, prefix)
    cookie = await put(store, user_id=5)
    (info,) = await store.list_sessions(5)
    await store.aclose()
    return cookie, info.handle


async def found(url: str, prefix: str, cookie: str) -> dict[str, object]:
    store = RedisSessionStore(CONFIG, url, prefix)
    try:
        return await read(store, cookie)
    finally:
        await store.aclose()


@pytest.fixture(scope="module")
def many() -> Iterator[str]:
    with EmbeddedServer(binary=program_on_path()) as server:
        asyncio.run(fill(server.url, "chirp:session:", MANY, MANY // 10))
        yield server.url


def test_what_cannot_be_read_is_asked_for_as_well(redis_url: str, key_prefix: str) -> None:
    """An index names sessions whose user stands under another name than the one given; a no ends none of them."""
    cookie, _ = asyncio.run(begin(redis_url, key_prefix))
    options = ("--redis", redis_url, "--prefix", key_prefix, "--user-key", "uid")
    with on_terminal("revoke-user", "5", *options) as terminal:
        terminal.wait_for(r"and any that cannot be read with these settings\? \[y/N\] $")
        terminal.type("n\n")
        assert terminal.ended().code == 1
    assert asyncio.run(found(redis_url, key_prefix, cookie)) == {"user_id": 5}


@pytest.mark.parametrize("answer", ["y", "YES", "n", "", "yesterday"])
@pytest.mark.parametrize("command", ["revoke", "revoke-user"])
def test_an_end_is_asked_for(redis_url: str, key_prefix: str, command: str, answer: str) -> None:
    """With how many sessions it is; anything but a yes ends none."""
    cookie, handle = asyncio.run(begin(redis_url, key_prefix))
    name = handle if command == "revoke" else "5"
    question = rf"End the session {handle} of user 5\?" if command == "revoke" else "1 session of user 5\\?"
    with on_terminal(command, name, "--redis", redis_url, "--prefix", key_prefix) as terminal:
        terminal.wait_for(question + r" \[y/N\] $")
        terminal.type(f"{answer}\n")
        said = terminal.ended()
    agreed = answer in ("y", "YES")
    assert (said.code, "Ended" in said.out, "nothing was ended" in said.err) == (not agreed, agreed, not agreed)
    assert (asyncio.run(found(redis_url, key_prefix, cookie)) == {}) == agreed


def test_an_interrupted_question_ends_nothing(redis_url: str, key_prefix: str) -> None:
    """Without a word, and with the exit code that shells know."""
    cookie, _ = asyncio.run(begin(redis_url, key_prefix))
    with on_terminal("revoke-user", "5", "--redis", redis_url, "--prefix", key_prefix) as terminal:
        terminal.wait_for(r"\[y/N\] $")
        asked = terminal.shown
        terminal.process.send_signal(signal.SIGINT)
        said = terminal.ended()
    assert (said.code, said.out, said.err.removeprefix(asked)) == (130, "", "")
    assert asyncio.run(found(redis_url, key_prefix, cookie)) == {"user_id": 5}


def test_an_interrupted_start_is_quiet() -> None:
    """While a server is waited for that never answers."""
    with (
        silent_listener() as silent,
        on_terminal("stats", "--redis", f"redis://127.0.0.1:{silent.getsockname()[1]}") as terminal,
        silent.accept()[0],
    ):
        terminal.process.send_signal(signal.SIGINT)
        said = terminal.ended()
    assert (said.code, said.out, said.err) == (130, "", "")


def test_an_interrupted_end_is_quiet(own_server: StartServer) -> None:
    """While the server takes no changes; what it was sent may happen all the same."""
    server = own_server()
    asyncio.run(begin(server.url, "chirp:session:"))
    with Redis.from_url(server.url, decode_responses=True) as client:
        client.execute_command("CLIENT", "PAUSE", "30000", "WRITE")
        with on_terminal("revoke-user", "5", "--yes", "--redis", server.url) as terminal:
            wait_for(lambda: any("eval" in each["cmd"] for each in client.client_list()), "an end that is under way")
            terminal.process.send_signal(signal.SIGINT)
            said = terminal.ended()
    server.kill()
    assert (said.code, said.out, said.err) == (130, "", "")


def test_an_interrupted_look_is_quiet(many: str) -> None:
    """The bar is taken away, and the cursor is back."""
    with on_terminal("list", "--redis", many, rows=True) as terminal:
        terminal.wait_for("HANDLE")
        terminal.process.send_signal(signal.SIGINT)
        said = terminal.ended()
    assert (said.code, "Traceback" in said.err, "Aborted" in said.err) == (130, False, False)
    assert said.err.rindex("\x1b[?25h") > said.err.rindex("\x1b[?25l")


def test_a_bar_moves_where_somebody_sees_it(many: str) -> None:
    """On the terminal of the errors, so that the output is the output alone; at the end it is gone."""
    with on_terminal("stats", "--json", "--redis", many) as terminal:
        said = terminal.ended()
    shares = [int(share) for share in re.findall(r"(\d+)%", said.err)]
    assert (shares[0], shares[-1], shares == sorted(shares)) == (0, 100, True)
    assert (said.code, said.out[0], f'"sessions": {MANY}' in said.out) == (0, "{", True)
    assert said.err.rstrip().endswith(ERASE)


def test_colours_are_no_terminal(many: str) -> None:
    """A job of CI that forces them gets no bar into its log."""
    command = [sys.executable, "-m", "chirp.cli", "sessions", "stats", "--json", "--redis", many]
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, env=environment)
    assert (json.loads(done.stdout)["sessions"], done.stderr) == (MANY, "")


def test_rows_are_printed_above_the_bar(many: str) -> None:
    """Where both are on one terminal; every session is on it."""
    with on_terminal("list", "--json", "--redis", many, rows=True) as terminal:
        said = terminal.ended()
    assert said.code == 0
    shown = re.sub(r"\x1b\[[\d;]*m", "", said.err)
    assert len(set(re.findall(r'"handle": "([\w-]+)"', shown))) == MANY
    assert re.search(r"\d+% \d:\d\d:\d\d", shown)
    assert not re.search(r"\d:\d\d:\d\d[^\r\n\x1b]*handle", shown)


def test_a_reader_that_has_enough_ends_the_list(many: str) -> None:
    """As `head` does, without a word."""
    with on_terminal("list", "--redis", many) as terminal:
        assert terminal.process.stdout is not None
        assert terminal.process.stdout.readline().startswith("HANDLE")
        terminal.process.stdout.close()
        terminal.process.stdout = None
        said = terminal.ended()
    assert "Traceback" not in said.err
    assert "Broken pipe" not in said.err
