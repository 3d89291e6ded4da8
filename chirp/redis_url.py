"""What may be said of a Redis URL: where its server is, and why that could not be asked. Never a secret.

Texts of redis-py's and of the server's are not passed on: some quote what was sent, the password included.
"""

import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from redis.connection import parse_url
from redis.exceptions import AuthenticationError, BusyLoadingError, InvalidResponse, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from chirp.errors import ChirpError, ConfigurationError, StoreUnavailable

BAD_URL = "--redis or CHIRP_REDIS_URL: not a URL such as redis://localhost:6379/0 or unix:///path/to/socket"

T = TypeVar("T")


def settings_of(redis_url: str) -> dict[str, Any]:
    """Return what redis-py makes of a URL: settings of a connection, by name.

    Raises:
        ConfigurationError: not a URL that redis-py understands.
    """
    try:
        return dict(parse_url(redis_url))  # type: ignore[no-untyped-call]
    except ValueError:
        raise ConfigurationError(BAD_URL) from None


def address_of(redis_url: str) -> str:
    """Return where a server is, `host:port` or a socket's path, and nothing secret.

    Raises:
        ConfigurationError: not a URL that redis-py understands.
    """
    parts = settings_of(redis_url)
    if "path" in parts:
        return str(parts["path"])
    return host_and_port(str(parts.get("host", "localhost")), int(parts.get("port", 6379)))


def host_and_port(host: str, port: int) -> str:
    """Return an address as a URL has it, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def within(seconds: float, work: Callable[[], T]) -> T:
    """Do the work in a thread that is left alone after that time, since a slow name look-up cannot be cancelled.

    Raises:
        TimeoutError: it is not done in time.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 - handed over to the thread that waits
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(seconds)


def not_reached(error: Exception, address: str, seconds: float) -> ChirpError:
    """Return what to say of a server that could not be asked; a defect is raised as it is.

    Args:
        error: from redis-py, or from `within`.
        address: where the server is.
        seconds: how long it was waited for.
    """
    match error:
        case AuthenticationError():
            return StoreUnavailable(f"Redis at {address} refuses the user name or password in the URL")
        case InvalidResponse():
            return StoreUnavailable(f"what listens at {address} does not speak as Redis does")
        case BusyLoadingError():
            return StoreUnavailable(f"Redis at {address} is still loading what it had stored")
        case TypeError():
            return ConfigurationError(BAD_URL)
        case TimeoutError() | RedisTimeoutError():
            return StoreUnavailable(f"Redis at {address} did not answer within {seconds:g} seconds")
        case RedisError() | OSError():
            return StoreUnavailable(f"Redis at {address} does not answer: {_reason(error)}")
    raise error


def _reason(error: Exception) -> str:
    cause = error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not accepted ({cause.verify_message}); the authority that signed it is named with "
            "?ssl_ca_certs=FILE in the URL"
        )
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else type(error).__name__
