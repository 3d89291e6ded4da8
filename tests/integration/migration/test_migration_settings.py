"""What a predecessor and the new app are told: until when, what to convert, which cookie."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from migration_kit import FRONTS, SIGNED_IN, MakeMove, deletes
from old_sites import KINDS, predecessor
from redis.asyncio import Redis
from starlette.responses import Response

from chirp import ConfigurationError, SessionConfig
from chirp.migration import JSONInRedis, StarletteCookies

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_over_is_not_looked_at(move: MakeMove, kind: str) -> None:
    """After `until` an old cookie is nothing."""
    site = move(kind)
    await site.sign_in()
    site.migrate(old=predecessor(kind, site.redis, site.prefix, until=datetime(2020, 1, 1, tzinfo=UTC)))
    response = await site.visit()
    assert (response.json(), deletes(response)) == ({}, False)
    site.migrate(old=predecessor(kind, site.redis, site.prefix, until=time.time() + 3600))
    assert (await site.visit()).json() == SIGNED_IN


async def test_old_data_is_converted(move: MakeMove) -> None:
    """Before it is stored, and by something that may have to wait."""

    async def convert(data: dict[str, Any]) -> dict[str, Any]:
        return {"user_id": str(data["user_id"])}

    site = move("starlette")
    await site.sign_in()
    site.migrate(old=predecessor("starlette", site.redis, site.prefix, convert=convert))
    assert (await site.visit()).json() == {"user_id": "7"}


@dataclass
class Shop:
    """What a typed session holds."""

    user_id: int = 0
    cart: list[Any] = field(default_factory=list)


@dataclass
class Other:
    """What no old session holds."""

    user_id: str = ""


@pytest.mark.parametrize(("model", "expected"), [(Shop, SIGNED_IN), (Other, {})])
async def test_old_data_is_held_against_the_model(move: MakeMove, model: type[Any], expected: Any) -> None:
    """What does not fit it is left alone."""
    site = move("starlette")
    await site.sign_in()
    site.migrate(model=model)
    response = await site.visit()
    assert (response.json(), deletes(response)) == (expected, bool(expected))


@pytest.mark.parametrize("front", FRONTS)
async def test_excluded_paths_migrate_nothing(move: MakeMove, front: str) -> None:
    """There is no session there."""
    site = move("starlette")
    await site.sign_in()
    site.migrate(front, exclude_paths=("/static",))
    response = await site.visit(lambda request: Response(), "/static/a.css")
    assert response.headers.get_list("set-cookie") == []


async def test_a_deletion_is_of_the_old_cookies_own_path_and_domain() -> None:
    """Browsers ignore it otherwise."""
    old = StarletteCookies("x" * 32, path="/app", domain="example.com", samesite="none", partitioned=True)
    assert old.deletion(https=False) == (
        'session=""; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/app; Domain=example.com; HttpOnly; '
        "SameSite=None; Partitioned; Secure"
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: StarletteCookies(""),
        lambda: StarletteCookies("x", max_age=0),
        lambda: StarletteCookies("x", cookie_name="a=b"),
        lambda: StarletteCookies("x", path="/;"),
        lambda: StarletteCookies("x", samesite="no"),
        lambda: StarletteCookies("x", partitioned=True),
        lambda: StarletteCookies("x", until="tomorrow"),
        lambda: StarletteCookies("x", convert=1),
        lambda: JSONInRedis(None),
        lambda: JSONInRedis(Redis(), "session:"),
        lambda: JSONInRedis(Redis(), timeout_seconds=0),
        lambda: SessionConfig("x" * 32, predecessors=[StarletteCookies("x")]),  # type: ignore[arg-type]
        lambda: SessionConfig("x" * 32, predecessors=(1,)),  # type: ignore[arg-type]
        lambda: SessionConfig("x" * 32, "session", predecessors=(StarletteCookies("x"),)),
    ],
    ids=itertools.count(),
)
async def test_what_cannot_work_is_refused(make: Callable[[], object]) -> None:
    """At construction."""
    with pytest.raises(ConfigurationError):
        make()
