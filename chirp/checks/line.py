"""One connection to a server: a question and its reply, or a refusal with its reason."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry

from chirp.checks.facts import Link, Refusal, Refused
from chirp.redis_url import settings_of

ANSWER_SECONDS = 3.0
LONGEST_WORDS = 200  # characters

BY_CLASS: dict[type[RedisError], Refusal] = {
    ReadOnlyError: Refusal.READ_ONLY,
    OutOfMemoryError: Refusal.MEMORY,
    ClusterDownError: Refusal.CLUSTER_DOWN,
    AskError: Refusal.NOT_HERE,  # MovedError is one as well
    TryAgainError: Refusal.NOT_HERE,
    NoScriptError: Refusal.NOT_HERE,
}
BY_WORDS = {
    "MISCONF": Refusal.SNAPSHOT,
    "NOREPLICAS": Refusal.REPLICAS,
    "unknown command": Refusal.UNKNOWN_COMMAND,
    "EXEC without MULTI": Refusal.NOT_HERE,
    "no permissions to run": Refusal.PERMISSION,  # an EXEC that is forbidden is refused as an aborted transaction
}


class Line:
    """A connection that has been made.

    Args:
        connection: redis-py's.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def ask(self, *words: str | bytes) -> Any:
        """Return the reply, its texts as bytes.

        Raises:
            ResponseError: the server refused it; `refused` reads it.
            RedisError: the connection failed.
            OSError: so it did.
        """
        self._connection.send_command(*words)
        return self._connection.read_response()

    def link(self) -> Link:
        """Tell how the server is reached."""
        connection = self._connection
        password = bool(connection.password or connection.credential_provider)
        if isinstance(connection, UnixDomainSocketConnection):
            return Link("unix", loopback=True, password=password)
        sock = connection._sock  # noqa: SLF001 - redis-py gives no other way to the certificate
        loopback = ip_address(sock.getpeername()[0]).is_loopback
        if not isinstance(connection, SSLConnection):
            return Link("redis", loopback, password)
        certificate = sock.getpeercert() or {}  # empty where it was not checked
        return Link(
            "rediss",
            loopback,
            password,
            verify=connection.cert_reqs,
            check_hostname=connection.check_hostname,
            expires=ssl.cert_time_to_seconds(certificate["notAfter"]) if certificate else None,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where connections are made to.

    Attributes:
        kind: redis-py's class of connection.
        settings: what it is made with; a host and a port may be put in place of the URL's.
        database: the number in the URL, which is selected by whoever asks, so that a refusal can be told.
    """

    kind: type[Any]
    settings: dict[str, Any]
    database: int

    @contextmanager
    def line(self, place: tuple[str, int] | None = None) -> Iterator[Line]:
        """Connect, to the URL's server or to another one in the same way; the connection is closed at the end.

        Raises:
            RedisError: that is not possible.
            OSError: so it is not.
            TypeError: the URL has options that there are not.
        """
        where = {} if place is None else {"host": place[0], "port": place[1]}
        connection = self.kind(**self.settings | where)
        try:
            connection.connect()
            yield Line(connection)
        finally:
            connection.disconnect()


def target_of(redis_url: str) -> Target:
    """Read a URL.

    Raises:
        ConfigurationError: redis-py does not understand it.
    """
    settings = settings_of(redis_url)
    kind = settings.pop("connection_class", Connection)
    database = int(settings.pop("db", 0) or 0)
    settings |= {
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": ANSWER_SECONDS,
        "socket_connect_timeout": ANSWER_SECONDS,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
    }
    return Target(kind, settings, database)


def refused(error: ResponseError) -> Refused:
    """Read a refusal."""
    words = text_of(str(error).encode())[:LONGEST_WORDS]
    if isinstance(error, NoPermissionError):
        of_key = "access a key" in words or "access one of the keys" in words  # since Redis 7, and before
        return Refused(Refusal.KEY if of_key else Refusal.PERMISSION, words)
    for kind, why in BY_CLASS.items():
        if isinstance(error, kind):
            return Refused(why, words)
    return Refused(next((why for part, why in BY_WORDS.items() if part in words), Refusal.OTHER), words)


def text_of(value: Any) -> str:
    """Return what a server says as text in which nothing commands a terminal."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "".join(each if each.isprintable() else "?" for each in text)
