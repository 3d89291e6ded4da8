"""Waiting for servers."""

import time
from collections.abc import Callable
from contextlib import suppress

from redis.exceptions import RedisError

from chirp.errors import ChirpError

READY_SECONDS = 40.0  # an election that ends without a winner is repeated after a while
POLL_SECONDS = 0.02


def wait_for(condition: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Ask again and again until it is so; a server that does not answer meanwhile has not made it so.

    Raises:
        ChirpError: it is not within that time.
    """
    deadline = time.monotonic() + seconds
    while True:
        with suppress(RedisError, OSError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise ChirpError(f"waited {seconds:g} s for {what}")
        time.sleep(POLL_SECONDS)
