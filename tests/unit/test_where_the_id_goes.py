"""An id travels in one cookie: it is taken from nowhere else, and shown nowhere else."""

import pytest
from session_kit import COOKIE, Site, cookies_set
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from chirp.middleware.sessions import get_session


@pytest.fixture(params=["asgi", "app"])
def site(request: pytest.FixtureRequest) -> Site:
    """A site whose browser has a session."""
    site = Site(request.param)
    site.visit(lambda request: get_session().update(a=1))
    return site


def seen(request: Request) -> Response:
    return PlainTextResponse(repr(dict(get_session())))


@pytest.mark.parametrize("place", ["query", "path", "header", "form", "another cookie"])
def test_an_id_that_is_not_in_its_cookie_is_ignored(site: Site, place: str) -> None:
    """In a URL it would be in logs, histories and Referer headers, and could be planted with a link."""
    session_id = str(site.cookie)
    site.client.cookies.clear()
    named = f"{COOKIE}={session_id}"
    ways = {
        "query": {"path": f"/?{named}"},
        "path": {"path": f"/;{named}"},
        "header": {
            "headers": {
                "authorization": f"Bearer {session_id}",
                COOKIE: session_id,
                "x-session": named,
            }
        },
        "form": {"method": "POST", "data": {COOKIE: session_id}},
        "another cookie": {"headers": {"cookie": f"x{named}; session={session_id}"}},
    }
    response = site.visit(seen, **ways[place])
    assert (response.text, site.store.used[1:]) == ("{}", [])


def test_an_id_is_sent_in_set_cookie_alone(site: Site) -> None:
    """No other header repeats it, and none of the session's own words do."""
    old = str(site.cookie)
    response = site.visit(lambda request: (get_session().update(user_id=7), seen(request))[1])
    new = str(site.cookie)
    assert new != old
    (line,) = cookies_set(response)
    others = [(name, value) for name, value in response.headers.items() if (name, value) != ("set-cookie", line)]
    assert new in line
    assert old not in line
    assert not any(each in str([response.text, others]) for each in (old, new))


def test_a_sessions_texts_do_not_show_its_id(site: Site) -> None:
    """Whoever prints, formats or logs one gives nobody its id."""
    found: list[str] = []

    def shown(request: Request) -> Response:
        session = get_session()
        found.extend([repr(session), str(session), f"{session!a}", session.handle, repr(site.store), repr(site.config)])
        return Response()

    site.visit(shown)
    assert len(found) == 6
    assert not any(str(site.cookie) in text for text in found)
