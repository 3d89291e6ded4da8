"""An outage that a test switches on is one on every store that has a server."""

import pytest
from visits import put_in as put

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions.session_limit import LimitedStore
from chirp.testing import Browser, OutageSwitch


async def test_a_store_that_is_cut_off_answers_nobody(server_store: LimitedStore) -> None:
    """Neither a request nor the directory, and what was stored is there again afterwards."""
    browser = Browser(server_store)
    await browser.visit(put(user_id=1))
    under_way = await browser.begin()
    under_way.session["a"] = 1
    (info,) = await server_store.list_sessions(1)
    with OutageSwitch(server_store):
        for ask in (
            browser.read,
            under_way.finish,
            lambda: server_store.list_sessions(1),
            lambda: server_store.time_left([info]),
            lambda: server_store.revoke_user(1),
        ):
            with pytest.raises(StoreUnavailable):
                await ask()
    assert await browser.read() == {"user_id": 1}
    await under_way.finish()
    assert await browser.read() == {"user_id": 1, "a": 1}
