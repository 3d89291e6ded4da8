"""The server of the run, named in its header, and what a test needs to talk to it."""

import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import servers
from hypothesis import settings
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.cluster import RunningCluster
from chirp.errors import ChirpError

# The folders whose tests are the marker `docker`'s suite.
DOCKER_FOLDERS = ("contract", "integration")
LOOPS = ("asyncio", "uvloop")
SERVER = pytest.StashKey[servers.SharedServer]()
WHY_NO_DOCKER = pytest.StashKey[str]()

# The first example pays for imports and connections, and a busy machine is no defect: pytest-timeout bounds the whole.
settings.register_profile("chirp", deadline=None)
settings.load_profile("chirp")


def only_docker(config: pytest.Config) -> bool:
    return bool(config.option.markexpr.strip() == "docker")


def loop_of_run() -> str:
    name = os.environ.get("CHIRP_TEST_LOOP", "asyncio")
    if name not in LOOPS:
        raise pytest.UsageError(f"CHIRP_TEST_LOOP={name!r}: must be one of {', '.join(LOOPS)}")
    return name


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the server before the header is written, which names its version."""
    config = session.config
    if config.option.collectonly:
        return
    try:
        server = servers.start_in_docker() if only_docker(config) else servers.start_shared_server(os.environ)
    except servers.NoServerError as error:
        reason = str(error)
        if not only_docker(config) or os.environ.get("CHIRP_REQUIRE_DOCKER") == "1":
            raise pytest.UsageError(f"no server to test against: {reason}") from error
        config.stash[WHY_NO_DOCKER] = reason
    except ChirpError as error:
        raise pytest.UsageError(f"no server to test against: {error}") from error
    else:
        config.stash[SERVER] = server
        config.add_cleanup(server.stop)


def pytest_report_header(config: pytest.Config) -> list[str]:
    if reason := config.stash.get(WHY_NO_DOCKER, None):
        return [f"redis server: none, {reason}"]
    if server := config.stash.get(SERVER, None):
        notes = [f"redis server: {note}" for note in server.notes]
        return [f"event loop: {loop_of_run()}", f"redis server: {server.description}", *notes]
    return []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not only_docker(config):
        # No skips: a run that is not Docker's has another way to say that these are not its business.
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("containers")])
        items[:] = [item for item in items if not item.get_closest_marker("containers")]
    tests = Path(__file__).parent
    reason = config.stash.get(WHY_NO_DOCKER, None)
    for item in items:
        if item.path.is_relative_to(tests) and item.path.relative_to(tests).parts[0] in DOCKER_FOLDERS:
            item.add_marker(pytest.mark.docker)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop of the run: asyncio's own, or uvloop where `CHIRP_TEST_LOOP` names it."""
    return "asyncio", {"use_uvloop": loop_of_run() == "uvloop"}


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config) -> str:
    """The server of the run. Others may use it too: write under `key_prefix` only, flush nothing, freeze nothing."""
    return pytestconfig.stash[SERVER].url


@pytest.fixture
def key_prefix(redis_url: str) -> Iterator[str]:
    """A prefix no other test has. What is stored under it is deleted afterwards."""
    prefix = f"chirp-test:{secrets.token_hex(8)}:"
    yield prefix
    with Redis.from_url(redis_url, socket_timeout=10) as client:
        for key in client.scan_iter(match=f"{prefix}*", count=1000):
            client.delete(key)


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[AsyncRedis]:
    """A client that answers with raw bytes, for looking at what a store has stored."""
    async with AsyncRedis.from_url(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RunningCluster]:
    """Three primaries, always processes of this machine. Slots may be moved; use keys that no other test has."""
    with servers.running_cluster(3) as started:
        yield started


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[servers.StartServer]:
    """Servers a test may freeze, kill and start again on the same port and data; all are stopped afterwards."""
    with ExitStack() as running:

        def start(*extra_args: str) -> servers.OwnServer:
            data_dir = Path(tempfile.mkdtemp(prefix="server-", dir=tmp_path))
            server = servers.OwnServer(binary=servers.program_on_path(), data_dir=data_dir, extra_args=extra_args)
            return running.enter_context(server)

        yield start
