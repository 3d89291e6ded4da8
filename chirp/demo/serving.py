"""Running the demo: ask the server that keeps the sessions, listen, serve until a signal."""

import errno
import signal
import socket
from types import FrameType

import uvicorn
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from chirp.app import App
from chirp.embedded import name_and_version
from chirp.errors import ChirpError
from chirp.redis_url import address_of, not_reached, within

ANSWER_SECONDS = 3.0
LAST_REQUESTS_SECONDS = 3
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def name_of_server(redis_url: str) -> str:
    """Return name and version of the server at `redis_url`, as far as it tells them.

    Raises:
        ConfigurationError: not a usable URL.
        StoreUnavailable: no answer within 3 seconds, or a refusal.
    """
    address = address_of(redis_url)
    try:
        facts = within(ANSWER_SECONDS, lambda: _ask(redis_url))
    except NoPermissionError:
        return "Redis"  # it answers, and that its user may not run INFO is no obstacle
    except Exception as error:  # noqa: BLE001 - a defect is raised again
        raise not_reached(error, address, ANSWER_SECONDS) from None
    return name_and_version(facts) or "Redis"


def _ask(redis_url: str) -> dict[str, object]:
    client = Redis.from_url(
        redis_url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    with client:
        return dict(client.info("server"))


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, so that a taken port is known before anything else is started.

    Raises:
        ChirpError: the address cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            other = port + 1 if port < 65535 else 0
            raise ChirpError(
                f"port {port} on {host} is taken: stop what listens there, or choose another one, as in "
                f"chirp demo --port {other}"
            ) from error
        raise ChirpError(f"cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}") from error


def web_address(host: str, listener: socket.socket) -> str:
    """Return what to type into a browser."""
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def interrupt_on_signals() -> None:
    """Make SIGTERM end a start as Ctrl-C does, by KeyboardInterrupt, so that `with` blocks clean up."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)


class Server(uvicorn.Server):
    """Ends in the same order however often it is told to; uvicorn's own skips the app's shutdown at the second time."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - called by the interpreter
        """Ask the server to end."""
        self.should_exit = True


def serve(app: App, listener: socket.socket) -> None:
    """Serve `app` until SIGINT or SIGTERM; requests in flight get 3 seconds then."""
    server = Server(
        uvicorn.Config(
            app,
            lifespan="on",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=LAST_REQUESTS_SECONDS,
        )
    )
    # The server installs this handler itself, but only while it serves: a signal that comes just before must end it as
    # well, and one that comes after must not interrupt the cleaning up.
    for number in SIGNALS:
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listener])
