"""What fronts read off a scope and add to headers: functions, without any request."""

import pytest

from chirp.middleware.sessions import Session
from chirp.middleware.sessions.fronts import look_through, mark, route_path


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({"path": "/static/x"}, "/static/x"),
        ({"path": "/api/static/x", "root_path": "/api"}, "/static/x"),
        ({"path": "/apistatic", "root_path": "/api"}, "/apistatic"),
        ({"path": "/static/x", "root_path": "/api"}, "/static/x"),
    ],
)
def test_a_route_path_is_without_the_root_path(scope: dict[str, str], path: str) -> None:
    """Whether the server put the mount point before the path, as ASGI says, or not."""
    assert route_path(scope) == path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["Cookie"]),
        (["Accept-Encoding"], ["Accept-Encoding", "Cookie"]),
        (["Accept-Encoding", "Origin"], ["Accept-Encoding", "Origin", "Cookie"]),
        (["Origin, cookie"], ["Origin, cookie"]),
        (["*"], ["*"]),
    ],
)
def test_vary_keeps_every_line_that_is_there(before: list[str], after: list[str]) -> None:
    """And says Cookie once."""
    headers = [(b"vary", value.encode()) for value in before]
    session = Session()
    session.mark_accessed()
    mark(headers, session, None, varies=look_through(headers)[1])
    assert headers == [(b"vary", value.encode()) for value in after]
