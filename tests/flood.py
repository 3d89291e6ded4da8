"""Cookies that nobody was given, by the million, over HTTP: `python tests/flood.py` tells what they take.

A process of its own serves sessions on Redis, so that its memory is that of the app alone. It is asked through a few
connections that are kept, with many requests on the way in each, since only the number of requests counts here.
"""

import argparse
import asyncio
import itertools
import os
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from redis import Redis

from chirp.embedded import EmbeddedServer

CONNECTIONS = 4
PIPELINED = 50
WARM_UP = 5000  # after so many requests every buffer and pool is as large as it gets
START_SECONDS = 30
COUNTED_FOR_US = {"info", "client|setinfo"}  # what it takes to ask for the counts

Cookie = Callable[[int], bytes]


def malformed(number: int) -> bytes:
    """Return a `Cookie` header that holds no id, another one for every number."""
    text = b"%d" % number
    ways = (
        b"chirp_session=" + text.rjust(42, b"x"),
        b"chirp_session=" + text.rjust(44, b"x"),
        b'chirp_session="' + text.rjust(43, b"x") + b'"',
        b"chirp_session=" + text.rjust(42, b"x") + b"\xe9",
        b"chirp_session=../../" + text * 200,
        b"; ".join(b"c%d=%d" % (each, number) for each in range(50)),
        b";;; chirp_session; =" + text + b"; \xff\xfe=\xc0\x80",
        b"chirp_session=" + text.rjust(42, b"x") + b";chirp_session=" + text,
    )
    return ways[number % len(ways)]


def unknown(_: int) -> bytes:
    """Return a `Cookie` header with an id as a store would mint it, and that none has minted."""
    return b"chirp_session=" + secrets.token_urlsafe(32).encode("ascii")


async def send(port: int, cookie: Cookie, numbers: Iterator[int]) -> Counter[bytes]:
    """Send a request for each number; return how often each status line and `Set-Cookie` came."""

    async def one_connection() -> Counter[bytes]:
        seen: Counter[bytes] = Counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while batch := [cookie(number) for number in itertools.islice(numbers, PIPELINED)]:
            writer.write(b"".join(b"GET / HTTP/1.1\r\nhost: x\r\ncookie: %s\r\n\r\n" % each for each in batch))
            for _ in batch:
                head = await reader.readuntil(b"\r\n\r\n")  # no response has a body
                lines = head.lower().split(b"\r\n")
                seen.update(line for line in lines if line.startswith((b"http/", b"set-cookie:")))
        writer.close()
        return seen

    return sum(await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS))), start=Counter())


class Flood(NamedTuple):
    """What so many requests did.

    Attributes:
        answers: how often each status line and `Set-Cookie` came.
        seconds: that they took.
        resident: bytes of the process's memory after the warm-up, and at the end.
        commands: that Redis was sent after the warm-up, by name.
        keys: in Redis at the end.
    """

    answers: Counter[bytes]
    seconds: float
    resident: tuple[int, int]
    commands: Counter[str]
    keys: int


def flood(redis_url: str, cookie: Cookie, requests: int) -> Flood:
    """Serve so many requests; nobody else may use the server meanwhile."""
    with serving(redis_url) as (process_id, port), Redis.from_url(redis_url, decode_responses=True) as client:
        numbers = itertools.count()
        asyncio.run(send(port, cookie, itertools.islice(numbers, WARM_UP)))
        resident, commands, begun = resident_bytes(process_id), commands_of(client), time.perf_counter()
        answers = asyncio.run(send(port, cookie, itertools.islice(numbers, requests)))
        seconds = time.perf_counter() - begun
        return Flood(
            answers,
            seconds,
            (resident, resident_bytes(process_id)),
            commands_of(client) - commands,
            int(client.dbsize()),  # type: ignore[arg-type]
        )


def commands_of(client: Any) -> Counter[str]:
    """Return how often the server has carried out each command since it started."""
    stats = client.info("commandstats")
    counts = {name.removeprefix("cmdstat_"): facts["calls"] for name, facts in stats.items()}
    return Counter({name: calls for name, calls in counts.items() if name not in COUNTED_FOR_US})


def resident_bytes(process_id: int) -> int:
    pages = Path(f"/proc/{process_id}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def serving(redis_url: str) -> Iterator[tuple[int, int]]:
    """Start the process that serves; give its id and its port."""
    command = [sys.executable, Path(__file__).with_name("flood_app.py"), redis_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.pid, int(process.stdout.readline())
            assert process.stdin
            process.stdin.close()
            assert process.wait(START_SECONDS) == 0
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="of each kind")
    requests = parser.parse_args().requests
    for cookie in (malformed, unknown):
        with EmbeddedServer() as server:
            found = flood(server.url, cookie, requests)
        before, after = found.resident
        sys.stdout.write(
            f"{cookie.__name__}: {requests:,} requests in {found.seconds:.0f} s; answers {dict(found.answers)}; "
            f"resident {before / 2**20:.2f} MiB, then {after / 2**20:.2f} MiB; "
            f"commands to Redis {dict(found.commands)}, keys {found.keys}\n"
        )


if __name__ == "__main__":
    main()
