"""Who leaves an old session, by a logout or another login, does not come back to it by an old cookie."""

import pytest
from migration_kit import FRONTS, MakeMove, deletes, log_out
from old_sites import KINDS
from starlette.requests import Request
from starlette.responses import Response

from chirp import regenerate_session

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_logout_after_the_migration_stays(move: MakeMove, kind: str, front: str) -> None:
    """The browser has no old cookie that would bring the user back."""
    site = move(kind)
    await site.sign_in()
    site.migrate(front)
    await site.visit()
    await site.visit(log_out)
    assert ((await site.visit()).json(), len(site.client.cookies)) == ({}, 0)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_logout_as_the_first_request_ends_the_old_session(move: MakeMove, kind: str, front: str) -> None:
    """Nothing is stored, and what was in Redis is gone at once."""
    site = move(kind)
    await site.sign_in()
    site.migrate(front)
    response = await site.visit(log_out)
    assert (deletes(response), len(site.client.cookies), await site.old_keys()) == (True, 0, [])
    assert response.headers["cache-control"] == "no-store, private"
    assert await site.store.list_sessions(7) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_login_in_the_first_request_ends_the_old_session(move: MakeMove, kind: str) -> None:
    """Only the new user is there, and requests in flight do not find the old one."""
    site = move(kind)
    await site.sign_in()
    site.migrate()
    response = await site.visit(lambda request: regenerate_session().update(user_id=8))
    assert (deletes(response), await site.old_keys(), (await site.visit()).json()) == (True, [], {"user_id": 8})


@pytest.mark.parametrize("kind", KINDS)
async def test_another_user_in_the_first_request_ends_the_old_session(move: MakeMove, kind: str) -> None:
    """However the user was changed."""
    site = move(kind)
    await site.sign_in()
    site.migrate()
    await site.visit(lambda request: request.session.update(user_id=8))
    assert (await site.old_keys(), (await site.visit()).json()["user_id"]) == ([], 8)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_dead_session_is_not_replaced_by_the_old_one(move: MakeMove, kind: str) -> None:
    """Who was signed out from elsewhere does not come back by an old cookie, remembered as ended or not."""
    site = move(kind)
    old = await site.sign_in()
    site.migrate()
    await site.visit()
    await site.store.revoke_user(7)
    site.client.cookies.set("session", old, domain="testserver.local")
    ended = await site.visit()
    assert ended.json() == {}
    async for key in site.redis.scan_iter(match=f"{site.prefix}*"):
        if not key.startswith(f"{site.prefix}old:".encode()):
            await site.redis.delete(key)
    assert (await site.visit()).json() == {}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_logout_deletes_an_old_cookie_that_is_still_there(move: MakeMove, kind: str) -> None:
    """Such as one that an instance of the old app has set since."""
    site = move(kind)
    await site.sign_in()
    site.migrate()
    await site.visit()
    await site.sign_in_on_the_old_app()
    assert not deletes(await site.visit())
    assert deletes(await site.visit(log_out))
    assert ((await site.visit()).json(), len(site.client.cookies)) == ({}, 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_login_deletes_an_old_cookie_that_is_still_there(move: MakeMove, kind: str) -> None:
    """The user before does not come back when the new one leaves."""
    site = move(kind)
    await site.sign_in()
    site.migrate()
    await site.visit()
    await site.sign_in_on_the_old_app()
    assert deletes(await site.visit(lambda request: regenerate_session().update(user_id=8)))


async def test_a_response_that_many_requests_share_is_not_changed(move: MakeMove) -> None:
    """Others would be signed out by the deletion."""
    shared = Response(headers={"vary": "Cookie"})

    def leave(request: Request) -> Response:
        log_out(request)
        return shared

    site = move("starlette")
    await site.sign_in()
    site.migrate("app")
    assert deletes(await site.visit(leave))
    assert "set-cookie" not in shared.headers


@pytest.mark.parametrize("front", FRONTS)
async def test_a_login_too_many_is_refused_once(move: MakeMove, front: str) -> None:
    """Not each request from then on: the old cookie goes, so that the user can sign in and is told there."""
    site = move("starlette")
    old = await site.sign_in()
    site.migrate(front, max_sessions_per_user=1, on_session_limit="refuse")
    await site.visit()
    async with site.browser() as other:
        other.cookies.set("session", old, domain="testserver.local")
        assert (await site.visit(client=other)).status_code == 409
        assert (await site.visit(client=other)).status_code == 200
