"""Workers, reloads and ends: each process has connections of its own, and leaves none behind."""

import asyncio
import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from process_kit import STRICT, TESTS, Processes, Serving, processes, until

from chirp.middleware.sessions import RedisSessionStore, SessionConfig

NEEDS_FORK = pytest.mark.skipif(sys.platform == "win32", reason="this system has no fork")
UVICORN = ("-m", "uvicorn", "--fd", "{fd}", "--log-level", "error", "--ws", "none")
EACH_LOOP = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@pytest.fixture
def running(redis_url: str, key_prefix: str) -> Iterator[Processes]:
    with processes(redis_url, key_prefix) as running:
        yield running


@EACH_LOOP
@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("ends", 0),
        ("runs_again_and_again", 0),
        ("closes_the_store_itself", 0),
        ("exits_in_a_task", 3),
        ("exits_beside_requests", 3),
    ],
)
def test_a_program_that_ends_with_an_open_pool_ends_quietly(
    running: Processes, program: str, code: int, loop: str
) -> None:
    """It has its own exit code, says nothing though every warning is an error, and leaves no connection."""
    ended = running.run(program, loop, *STRICT)
    assert (ended.code, ended.out, ended.err) == (code, "", "")
    until(lambda: running.connections() == 0)


@EACH_LOOP
@pytest.mark.parametrize(
    ("program", "code", "last_words"),
    [("raises", 1, "ValueError: the program's own"), ("is_interrupted", -signal.SIGINT, "KeyboardInterrupt")],
)
def test_a_program_that_fails_tells_its_own_error_alone(
    running: Processes, program: str, code: int, last_words: str, loop: str
) -> None:
    """Beside the traceback of the exception that ended it there is nothing of connections that were open."""
    ended = running.run(program, loop, *STRICT)
    lines = ended.err.splitlines()
    assert (ended.code, lines[-1]) == (code, last_words)
    assert [line for line in lines if line.startswith(("Exception ignored", "Task ", "sys:1"))] == []
    until(lambda: running.connections() == 0)


@EACH_LOOP
def test_a_program_that_closes_its_loop_without_shutdown_ends(running: Processes, loop: str) -> None:
    """What it left open is its own fault, and a ResourceWarning where those are shown; it ends all the same."""
    ended = running.run("closes_the_loop_without_shutdown", loop)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    until(lambda: running.connections() == 0)


@pytest.mark.parametrize(
    "method", [pytest.param("fork", marks=NEEDS_FORK), "spawn", pytest.param("forkserver", marks=NEEDS_FORK)]
)
def test_children_of_each_start_method_share_sessions_and_no_connection(running: Processes, method: str) -> None:
    """A parent that has used the store starts two children; all of them find what each has stored."""
    ended = running.run(f"has_children_by_{method}", "asyncio", *STRICT)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    until(lambda: running.connections() == 0)


def visit_both_workers(site: Serving) -> None:
    """Visit until two processes have answered; the one session has counted every visit."""
    pids = {site.visit()["pid"]}
    until(lambda: len(pids.update(site.visit_at_once(8)) or pids) == 2)


def counted(site: Serving) -> tuple[int, int]:
    """Visit one after another; return the count before and after the visits in between, by whichever process."""
    first = site.visit()["count"]
    for _ in range(10):
        last = site.visit()["count"]
    return first, last


@EACH_LOOP
def test_workers_of_a_server_share_sessions(running: Processes, loop: str) -> None:
    """Two workers of uvicorn answer one browser with one session, and leave no connection when they are ended."""
    with running.serving([*UVICORN, "--loop", loop, "--workers", "2", "process_site:app"]) as site:
        visit_both_workers(site)
        first, last = counted(site)
        assert last == first + 10
        assert running.connections() >= 2
        ended = site.end()
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    until(lambda: running.connections() == 0)


@EACH_LOOP
def test_an_end_in_another_process_ends_events(running: Processes, redis_url: str, key_prefix: str, loop: str) -> None:
    """By a message, long before the next look; and the server shuts down quietly after that."""

    async def revoke(cookie: str) -> None:
        config = SessionConfig("of the tests alone, and long enough", close_ended=True)
        await RedisSessionStore(config, redis_url, key_prefix).revoke_id(cookie)

    with running.serving([*UVICORN, "--loop", loop, "process_site:app"]) as site:
        site.visit()
        with (
            httpx2.Client(base_url=f"http://127.0.0.1:{site.port}", cookies=site.cookies, timeout=5) as client,
            client.stream("GET", "/events") as answer,
        ):
            lines = answer.iter_lines()
            assert next(lines) == "data: 1"
            until(lambda: running.admin.pubsub_numsub(f"{key_prefix}ended")[0][1] == 1)
            asyncio.run(revoke(site.cookies["chirp_session"]))
            assert [line for line in lines if line] == []
        ended = site.end()
    assert (ended.out, ended.err) == ("", "")
    until(lambda: running.connections() == 0)


@NEEDS_FORK
def test_workers_forked_after_the_store_was_used_share_sessions(running: Processes) -> None:
    """As with servers that load the app and use it before they fork: nothing of the parent's is used or disturbed."""
    program = str(TESTS / "process_programs.py")
    with running.serving([program, "serves_with_workers_forked_after_use", "asyncio"]) as site:
        visit_both_workers(site)
        first, last = counted(site)
        assert last == first + 10
        ended = site.end()
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    until(lambda: running.connections() == 0)


@pytest.mark.parametrize(
    ("loop", "by"), [("asyncio", signal.SIGTERM), ("uvloop", signal.SIGTERM), ("asyncio", signal.SIGINT)]
)
def test_a_server_ended_by_a_signal_leaves_no_connection(running: Processes, loop: str, by: signal.Signals) -> None:
    """One process of uvicorn shuts down, says nothing, and then lets the signal end it."""
    with running.serving([*UVICORN, "--loop", loop, "process_site:app"]) as site:
        site.visit()
        assert running.connections() >= 1
        ended = site.end(by)
    assert (ended.out, ended.err) == ("", "")
    assert ended.code in (0, -by)
    until(lambda: running.connections() == 0)


def test_a_reload_serves_the_same_sessions_and_leaves_no_connection(running: Processes, tmp_path: Path) -> None:
    """A changed file starts another process: the browser's session goes on there, the old process is gone."""
    site_file = tmp_path / "reloaded_site.py"
    text = (TESTS / "process_site.py").read_text()
    site_file.write_text(text)
    options = ("--reload", "--reload-dir", str(tmp_path), "--app-dir", str(tmp_path))
    with running.serving([*UVICORN, *options, "reloaded_site:app"]) as site:
        old = site.visit()
        visits = [old]
        cut_off = 0  # by the process that was ending: what they asked for was done or not
        changed = -math.inf

        def reloaded() -> bool:
            nonlocal cut_off, changed
            if time.monotonic() > changed + 3:  # and again: uvicorn may begin to watch after it begins to serve
                site_file.write_text(text.replace("VERSION = 1", "VERSION = 2"))
                changed = time.monotonic()
            try:
                visits.append(site.visit())
            except httpx2.TransportError:
                cut_off += 1
            return visits[-1]["version"] == 2

        until(reloaded)
        new = visits[-1]
        assert len(visits) <= new["count"] <= len(visits) + cut_off
        assert new["pid"] != old["pid"]
        until(lambda: running.connections() == 1)
        ended = site.end()
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    until(lambda: running.connections() == 0)
