"""The stores that a library has to get along with."""

from dataclasses import replace

import pytest
from visits import CONFIG

from chirp import MemorySessionStore, RedisSessionStore, SessionConfig


@pytest.fixture(params=["cookie", "memory", "redis"])
def each_config(request: pytest.FixtureRequest, redis_url: str, key_prefix: str) -> SessionConfig:
    """The settings of an app with each of the stores; the app's end closes it."""
    match request.param:
        case "cookie":
            return CONFIG
        case "memory":
            return replace(CONFIG, store=MemorySessionStore(CONFIG))
        case _:
            return replace(CONFIG, store=RedisSessionStore(CONFIG, redis_url, key_prefix=key_prefix))
