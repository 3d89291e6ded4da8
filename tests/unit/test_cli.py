"""The `chirp` command where no server is needed: missing packages, addresses, ports, and how a document is shown."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Thread

import pytest

from chirp import cli
from chirp.demo import serving
from chirp.demo.stored import Stored, indent
from chirp.errors import ChirpError, ConfigurationError, StoreUnavailable
from chirp.redis_url import address_of

DOCUMENT = '{\n  "data": {\n    "a \\"quoted\\" key": [-1.5e3, true, null, "text: \\\\"]\n  }\n}'


def run_without(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command where importing `module` fails."""
    program = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv[1:] = {arguments!r}; from chirp.cli import main; main()"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("command", "module", "extras"),
    [
        *(("demo", module, "demo") for module in cli.NEEDED),
        ("check", "redis", "cli,redis"),
        ("secret", "rich", "cli"),
        ("secret", "typer", "cli"),
    ],
)
def test_a_missing_package_is_named_with_the_install_line(command: str, module: str, extras: str) -> None:
    """One line without a traceback, and exit code 1."""
    done = run_without(module, command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"chirp: the command needs {module}, which is not installed: pip install 'chirp-sessions[{extras}]'\n"
    )


def test_a_secret_needs_no_redis() -> None:
    """Whoever keeps sessions in cookies has not installed it."""
    done = run_without("redis", "secret")
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 44, "")


def test_a_defect_is_not_taken_for_a_missing_package() -> None:
    """A module of this package that cannot be found is a traceback, since installing something would not help."""
    done = run_without("chirp.embedded", "demo")
    assert "Traceback" in done.stderr
    assert "pip install" not in done.stderr


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", "localhost:6379"),
        ("redis://user:s3cret@example.org:7000/2", "example.org:7000"),
        ("rediss://:s3cret@example.org", "example.org:6379"),
        ("redis://[::1]:7000", "[::1]:7000"),
        ("unix://user:s3cret@/run/redis.sock?db=1", "/run/redis.sock"),
    ],
)
def test_an_address_has_no_secrets(url: str, address: str) -> None:
    """Of a URL only host and port are shown, or the socket's path."""
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://localhost", "redis://:s3cret/x@localhost", "redis://localhost/?colour=s3cret"]
)
def test_a_url_that_cannot_work_is_refused(url: str) -> None:
    """The message says what a URL looks like and repeats nothing of this one."""
    with pytest.raises(ConfigurationError, match="redis://localhost:6379/0") as refused:
        serving.name_of_server(url)
    assert "s3cret" not in str(refused.value)


@contextmanager
def web_server() -> Iterator[int]:
    """Answer one connection as a web server does, and give its port."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(10)
        thread = Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(10)


def test_something_that_is_not_redis_is_told_apart() -> None:
    """A port that answers in another protocol is named as such."""
    with web_server() as port, pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port} does not speak as Redis"):
        serving.name_of_server(f"redis://127.0.0.1:{port}")


def test_a_host_that_does_not_exist_is_named() -> None:
    """An address that cannot be listened on is an error with the host in it."""
    with pytest.raises(ChirpError, match=r"cannot listen on 192\.0\.2\.1 port 8000: "):
        serving.listen("192.0.2.1", 8000)


def test_the_highest_port_has_no_next_one() -> None:
    """The way out that is offered for a taken port is always a valid one."""
    try:
        taken = socket.create_server(("127.0.0.1", 65535))
    except OSError:
        taken = socket.socket()  # something else has it, which serves as well
    with closing(taken), pytest.raises(ChirpError, match="chirp demo --port 0"):
        serving.listen("127.0.0.1", 65535)


@pytest.mark.parametrize(("host", "shown"), [("localhost", "localhost"), ("::1", "[::1]")])
def test_the_web_address_can_be_opened(host: str, shown: str) -> None:
    """It has the port that was really taken, and brackets around IPv6."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        assert serving.web_address(host, listener) == f"http://{shown}:{listener.getsockname()[1]}"


def test_highlighting_changes_no_character() -> None:
    """The pieces of a document, joined, are the document."""
    assert "".join(text for _, text in Stored("key", 1, DOCUMENT).pieces()) == DOCUMENT


def test_highlighting_tells_kinds_apart() -> None:
    """Keys, texts, numbers and words each have a name of their own."""
    found = [(kind, text) for kind, text in Stored("key", 1, DOCUMENT).pieces() if kind]
    assert found == [
        ("key", '"data"'),
        ("key", '"a \\"quoted\\" key"'),
        ("number", "-1.5e3"),
        ("word", "true"),
        ("word", "null"),
        ("text", '"text: \\\\"'),
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(b'{"a":"\xc3\xbc"}', '{\n  "a": "ü"\n}'), (b"\xff{", "\\xff{"), (b"[" * 100_000, "[" * 100_000)],
)
def test_any_value_can_be_shown(value: bytes, shown: str) -> None:
    """JSON is indented; what is no JSON is shown as it is."""
    assert indent(value) == shown
