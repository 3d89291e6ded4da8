"""Taking over the sessions of the library that an app used before, so that nobody is signed out by the change.

    SessionConfig(secret_key, predecessors=(StarletteCookies(OLD_SECRET_KEY, until=END_OF_MIGRATION),))

The middlewares of this package migrate; a bare `store.load` does not.
"""

from chirp.middleware.sessions.predecessor import Predecessor
from chirp.migration.in_redis import JSONInRedis, StarsessionsRedis
from chirp.migration.signed import StarletteCookies, StarsessionsCookies

__all__ = ["JSONInRedis", "Predecessor", "StarletteCookies", "StarsessionsCookies", "StarsessionsRedis"]
