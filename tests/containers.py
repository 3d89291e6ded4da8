"""Servers in containers of a test's own, which share one network: they and the test reach each of them on loopback.

Every port is the same inside and outside, since nodes and Sentinels tell their clients where others listen.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from redis import Redis
from servers import DOCKER_IMAGE
from testcontainers.core.container import DockerContainer

from benchmarks.cluster import WHEN_TOLD, RunningCluster, arguments, joined
from benchmarks.nodes import Node, free_port
from benchmarks.waiting import wait_for

SENTINEL_CONFIG = "/data/sentinel.conf"  # a Sentinel wants a file to keep its state in
PRIMARY_NAME = "mymaster"


class ContainerServer:
    """One container.

    Args:
        words: the command, without the port.
        port: where it listens.
        publish: ports that the network of this container publishes; empty where it is another's.
        network_of: the container whose network it shares; None: its own.
    """

    def __init__(
        self,
        words: Sequence[str],
        port: int,
        *,
        publish: Sequence[int] = (),
        network_of: "ContainerServer | None" = None,
    ) -> None:
        command = [*words, "--port", str(port), "--protected-mode", "no", "--save", ""]
        container = DockerContainer(DOCKER_IMAGE).with_command(command)
        if "--sentinel" in words:
            container.with_copy_into_container(b"\n", SENTINEL_CONFIG, 0o666)
        for each in publish:
            container.with_bind_ports(each, each)
        if network_of is not None:
            container.with_kwargs(network_mode=f"container:{network_of.container.get_container_id()}")
        self.container = container
        self.redis = Redis(port=port, socket_timeout=10)

    def __enter__(self) -> "ContainerServer":
        self.container.start()
        self._wait()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.redis.close()
        self.container.stop()

    def start(self) -> None:
        self.container.get_wrapped_container().start()
        self._wait()

    def kill(self) -> None:
        self.container.get_wrapped_container().kill()

    def freeze(self) -> None:
        self.container.get_wrapped_container().pause()

    def thaw(self) -> None:
        self.container.get_wrapped_container().unpause()

    def _wait(self) -> None:
        wait_for(self.redis.ping, "a container that answers")


@contextmanager
def cluster_in_containers(primaries: int) -> Iterator[RunningCluster]:
    """Start a cluster whose primaries have a replica each. Its first node holds the network, so do not kill that."""
    words = ["redis-server", *arguments(WHEN_TOLD)]
    ports = [free_port() for _ in range(primaries * 2)]
    with ExitStack() as stack:
        first = stack.enter_context(ContainerServer(words, ports[0], publish=ports))
        others = [stack.enter_context(ContainerServer(words, port, network_of=first)) for port in ports[1:]]
        nodes = [Node(port, each.redis, each) for port, each in zip(ports, [first, *others], strict=True)]
        yield joined(nodes, primaries, WHEN_TOLD)


@contextmanager
def sentinel_in_containers() -> Iterator[tuple[int, ContainerServer, ContainerServer]]:
    """Start a Sentinel, which holds the network, a primary and its replica; yield the Sentinel's port and those two."""
    port, first, second = (free_port() for _ in range(3))
    with ExitStack() as stack:
        words = ["redis-server", SENTINEL_CONFIG, "--sentinel"]
        sentinel = stack.enter_context(ContainerServer(words, port, publish=[port, first, second]))
        primary = stack.enter_context(ContainerServer(["redis-server"], first, network_of=sentinel))
        following = ["redis-server", "--replicaof", f"127.0.0.1 {first}", "--repl-diskless-sync-delay", "0"]
        replica = stack.enter_context(ContainerServer(following, second, network_of=sentinel))
        watch = sentinel.redis.execute_command
        watch("SENTINEL", "MONITOR", PRIMARY_NAME, "127.0.0.1", first, 1)  # type: ignore[no-untyped-call]
        watch("SENTINEL", "SET", PRIMARY_NAME, "down-after-milliseconds", 1000)  # type: ignore[no-untyped-call]
        wait_for(
            lambda: len(sentinel.redis.sentinel_slaves(PRIMARY_NAME)) == 1, "a Sentinel that has found the replica"
        )
        yield port, primary, replica
