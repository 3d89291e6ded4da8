"""The demo's devices page over HTTP: what its forms do, to whom, and what the page makes of what clients send."""

from collections.abc import Iterator

import httpx2
import pytest
from demo_site import COOKIE, RunningDemo, Visitor, visiting

from chirp.demo.devices import MOST_SHOWN


@pytest.fixture
def other_visitor(demo: RunningDemo, redis_url: str) -> Iterator[Visitor]:
    with visiting(demo, redis_url) as client:
        yield client


def name_of(visitor: Visitor) -> str:
    """A user whom no other visitor is."""
    return f"Ada {id(visitor)}"


def sign_in(visitor: Visitor, name: str) -> str:
    """Return the handle of the session that begins."""
    visitor.post("/sign-in", data={"name": name})
    handle: str = visitor.look().document["handle"]
    return handle


def test_a_device_is_signed_out_by_its_handle(visitor: Visitor, other_visitor: Visitor) -> None:
    """Its session is over, the page of the one who did it names it, and that one is still signed in."""
    sign_in(visitor, name_of(visitor))
    other_visitor.headers["User-Agent"] = "Tests/1"
    handle = sign_in(other_visitor, name_of(visitor))
    page = visitor.post("/devices/sign-out", data={"device": handle})
    assert "Tests/1 is signed out." in page.text
    assert "The session of this device is over" in other_visitor.get("/devices").text
    assert visitor.get("/devices").url.path == "/devices"


def test_all_devices_but_this_one_are_signed_out(visitor: Visitor, other_visitor: Visitor) -> None:
    """Whoever asked stays, and nobody else."""
    sign_in(other_visitor, name_of(visitor))
    sign_in(visitor, name_of(visitor))
    page = visitor.post("/devices/sign-out-others")
    assert "1 other device is signed out." in page.text
    assert other_visitor.get("/devices").url.path == "/"


def test_the_handle_of_another_user_ends_nothing(visitor: Visitor, other_visitor: Visitor) -> None:
    """A handle is no secret, so that a user can end their own sessions alone."""
    handle = sign_in(other_visitor, name_of(other_visitor))
    sign_in(visitor, name_of(visitor))
    page = visitor.post("/devices/sign-out", data={"device": handle})
    assert "That device was signed out before." in page.text
    assert other_visitor.get("/devices").url.path == "/devices"


def test_ones_own_handle_is_a_logout(visitor: Visitor) -> None:
    """The old id is dead, and the page says that nobody is signed in."""
    handle = sign_in(visitor, name_of(visitor))
    old = visitor.cookies[COOKIE]
    page = visitor.post("/devices/sign-out", data={"device": handle})
    assert "Signed out. The session is gone" in page.text
    assert visitor.cookies[COOKIE] != old


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/devices"), ("POST", "/devices/sign-out"), ("POST", "/devices/sign-out-others")],
)
def test_strangers_are_sent_to_sign_in(visitor: Visitor, method: str, path: str) -> None:
    """Whoever is not signed in has no devices, and is asked for a name."""
    page = visitor.request(method, path)
    assert (page.url.path, "Sign in to see your devices." in page.text) == ("/", True)


@pytest.mark.parametrize(("asked", "path"), [("devices", "/devices"), ("//elsewhere.example", "/"), ("", "/")])
def test_signing_in_leads_to_the_page_that_was_wanted(visitor: Visitor, asked: str, path: str) -> None:
    """To that of the devices, and to no address that somebody has put into a link."""
    page = visitor.post("/sign-in", data={"name": name_of(visitor), "next": asked})
    assert (page.url.host, page.url.path) == (visitor.base_url.host, path)


def test_what_a_device_says_of_itself_is_shown_as_text(visitor: Visitor) -> None:
    """Markup in a user agent reaches the page escaped."""
    visitor.headers["User-Agent"] = "<script>x</script>"
    sign_in(visitor, name_of(visitor))
    page = visitor.get("/devices").text
    assert ("<script>x" in page, "&lt;script&gt;x" in page) == (False, True)


def test_a_very_long_list_is_cut(demo: RunningDemo, visitor: Visitor) -> None:
    """The page shows the devices that were seen last, and says how many there are."""
    sign_in(visitor, name_of(visitor))
    for _ in range(MOST_SHOWN + 1):
        given = httpx2.post(f"{demo.url}/sign-in", data={"name": name_of(visitor)}).cookies[COOKIE]
        visitor.ids.append(given)
    page = visitor.get("/devices").text
    assert page.count('class="device"') == MOST_SHOWN
    assert "2 more, seen longer ago, are not shown." in page
    assert f'<span class="number">{MOST_SHOWN + 2}</span> devices' in page
