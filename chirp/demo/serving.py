"""Running the demo: ask the server that keeps the sessions, listen, serve until a signal."""

import errno
import signal
import socket
import threading
from concurrent.futures import Future
from types import FrameType

import uvicorn
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, InvalidResponse, NoPermissionError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from chirp.app import App
from chirp.demo.stored import address_of
from chirp.embedded import name_and_version
from chirp.errors import ChirpError, ConfigurationError, StoreUnavailable

ANSWER_SECONDS = 3.0
LAST_REQUESTS_SECONDS = 3
SIGNALS = (signal.SIGINT, signal.SIGTERM)
BAD_URL = "--redis or CHIRP_REDIS_URL: not a URL such as redis://localhost:6379/0 or unix:///path/to/socket"


def name_of_server(redis_url: str) -> str:
    """Return name and version of the server at `redis_url`, as far as it tells them.

    No text of the server's or the client's is passed on: some quote what was sent, the password included.

    Raises:
        ConfigurationError: not a usable URL.
        StoreUnavailable: no answer within 3 seconds, or a refusal.
    """
    try:
        address = address_of(redis_url)
    except ValueError:
        raise ConfigurationError(BAD_URL) from None
    answer: Future[dict[str, object]] = Future()
    # A thread that nobody waits for, since a slow name look-up cannot be cancelled.
    threading.Thread(target=_ask, args=(redis_url, answer), daemon=True).start()
    try:
        facts = answer.result(ANSWER_SECONDS)
    except NoPermissionError:
        return "Redis"  # it answers, and that its user may not run INFO is no obstacle
    except AuthenticationError:
        raise StoreUnavailable(f"Redis at {address} refuses the user name or password in the URL") from None
    except InvalidResponse:
        raise StoreUnavailable(f"what listens at {address} does not speak as Redis does") from None
    except TypeError:
        raise ConfigurationError(BAD_URL) from None
    except (TimeoutError, RedisTimeoutError):
        raise StoreUnavailable(f"Redis at {address} did not answer within {ANSWER_SECONDS:g} seconds") from None
    except (RedisError, OSError) as error:
        cause = error.__context__
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(error).__name__
        raise StoreUnavailable(f"Redis at {address} does not answer: {reason}") from None
    return name_and_version(facts) or "Redis"


def _ask(redis_url: str, answer: "Future[dict[str, object]]") -> None:
    try:
        client = Redis.from_url(
            redis_url,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        with client:
            answer.set_result(dict(client.info("server")))
    except Exception as error:  # noqa: BLE001 - handed over to the thread that asked
        answer.set_exception(error)


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
