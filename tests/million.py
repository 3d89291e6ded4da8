"""`chirp sessions` on very many sessions: `python tests/million.py` fills a server, and tells what each command takes.

The commands are processes of their own, so that their memory is theirs alone; on a terminal a bar moves meanwhile.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time

from many_sessions import CONFIG, fill

from chirp.embedded import EmbeddedServer
from chirp.middleware.sessions import RedisSessionStore

PREFIX = "chirp:session:"


def measured(url: str, *arguments: str) -> str:
    """Run a command to its end; return what it took, in words."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "chirp.cli", "sessions", *arguments, "--redis", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = sum(1 for _ in process.stdout)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return f"{lines:,} lines in {time.perf_counter() - begun:.1f} s, at most {usage.ru_maxrss / 1024:.0f} MiB"


async def ended(url: str, user: int) -> str:
    """End a user's sessions, on connections that are open; return what it took, in words."""
    store = RedisSessionStore(CONFIG, url, PREFIX)
    await store.list_sessions(user)
    begun = time.perf_counter()
    sessions = await store.revoke_user(user)
    seconds = time.perf_counter() - begun
    await store.aclose()
    return f"{sessions} sessions in {1000 * seconds:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    arguments = parser.parse_args()
    with EmbeddedServer(extra_args=("--save", "")) as server:
        begun = time.perf_counter()
        asyncio.run(fill(server.url, PREFIX, arguments.sessions, arguments.users))
        seconds = time.perf_counter() - begun
        sys.stdout.write(f"{arguments.sessions:,} sessions of {arguments.users:,} users stored in {seconds:.0f} s\n")
        for command in (("stats",), ("list", "--json"), ("revoke-user", "7", "--yes")):
            sys.stdout.write(f"{' '.join(command)}: {measured(server.url, *command)}\n")
            sys.stdout.flush()
        sys.stdout.write(f"revoke_user alone: {asyncio.run(ended(server.url, user=8))}\n")


if __name__ == "__main__":
    main()
