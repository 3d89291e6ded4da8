"""The demo for a server of one's own choice, as in `uvicorn --factory chirp.demo.factory:app`."""

import os

from chirp.app import App
from chirp.demo.app import create_app
from chirp.errors import ConfigurationError


def app() -> App:
    """Return the demo on the Redis that the environment variable CHIRP_REDIS_URL names.

    Raises:
        ConfigurationError: the variable is not set. No server is embedded: each worker would start one of its own.
    """
    redis_url = os.environ.get("CHIRP_REDIS_URL")
    if not redis_url:
        raise ConfigurationError(
            "CHIRP_REDIS_URL is not set: it names the Redis that all workers share, "
            "as in CHIRP_REDIS_URL=redis://localhost:6379/0"
        )
    return create_app(redis_url)
