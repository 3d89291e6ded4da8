"""`SameSite` as a browser applies it: which requests of other sites bring the session's cookie."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from browser_site import OpenSite, Site
from chromium import Device, click
from playwright.async_api import Page

EVIL = "evil.test"  # another site
SIBLING = "blog.shop.test"  # another host of the same site
LAX, STRICT = {"samesite": "lax"}, {"samesite": "strict"}
NONE = {"samesite": "none", "secure": True}


async def link(page: Page, site: Site) -> tuple[str, str]:
    """Follow a link."""
    await page.set_content(f"<a href='{site.url('/data')}'>shop</a>")
    await click(page, "a")
    return "GET", "/data"


async def form(page: Page, site: Site) -> tuple[str, str]:
    """Send a form."""
    await page.set_content(f"<form method='post' action='{site.url('/logout')}'><button>Go</button></form>")
    await click(page, "button")
    return "POST", "/logout"


async def picture(page: Page, site: Site) -> tuple[str, str]:
    """Show something as a picture; that it is none is noticed after it was sent."""
    return await embed(page, site, "img")


async def frame(page: Page, site: Site) -> tuple[str, str]:
    """Show it in a frame."""
    return await embed(page, site, "iframe")


async def embed(page: Page, site: Site, tag: str) -> tuple[str, str]:
    show = """([tag, address]) => new Promise(done => {
      const shown = document.createElement(tag);
      shown.onload = shown.onerror = () => done(true);
      shown.src = address;
      document.body.append(shown);
    })"""
    await page.evaluate(show, [tag, site.url("/data")])
    return "GET", "/data"


async def script(page: Page, site: Site) -> tuple[str, str]:
    """Send from a script, with cookies."""
    send = "address => fetch(address, {method: 'POST', mode: 'no-cors', credentials: 'include'}).then(() => true)"
    await page.evaluate(send, site.url("/logout"))
    return "POST", "/logout"


Way = Callable[[Page, Site], Awaitable[tuple[str, str]]]


class Case(NamedTuple):
    """A request of another site's page."""

    options: dict[str, Any]
    host: str
    way: Way


@pytest.mark.parametrize(
    ("case", "brought"),
    [
        (Case(LAX, EVIL, link), True),
        (Case(LAX, EVIL, form), False),
        (Case(LAX, EVIL, picture), False),
        (Case(LAX, EVIL, script), False),
        (Case(LAX, EVIL, frame), False),
        (Case(STRICT, EVIL, link), False),
        (Case(STRICT, EVIL, form), False),
        (Case(STRICT, SIBLING, link), True),
        (Case(NONE, EVIL, link), True),
        (Case(NONE, EVIL, form), True),
        (Case(NONE, EVIL, picture), False),
        (Case(NONE, EVIL, script), False),
        (Case(NONE, EVIL, frame), False),
        (Case(LAX, SIBLING, form), True),
        (Case(LAX, SIBLING, script), True),
    ],
)
async def test_which_requests_bring_the_cookie(open_site: OpenSite, device: Device, case: Case, brought: bool) -> None:
    """Lax comes with links alone, Strict with nothing; a sibling host is the same site.

    None comes with forms too, and with no part of a page of another site: private windows block these.
    """
    site = open_site(https=True, **case.options)
    page = await device()
    await page.goto(site.url())
    await page.goto(site.url("/elsewhere", case.host))
    method, path = await case.way(page, site)
    assert site.brought_cookie(method, path) is brought


@pytest.mark.parametrize("way", [picture, script, frame])
async def test_in_an_ordinary_window_none_comes_with_everything(
    open_site: OpenSite, ordinary_page: Page, way: Way
) -> None:
    """Where cookies of other sites are not blocked, these are sent with what a page loads as well."""
    site = open_site(https=True, **NONE)
    await ordinary_page.goto(site.url())
    await ordinary_page.goto(site.url("/elsewhere", EVIL))
    assert site.brought_cookie(*await way(ordinary_page, site)) is True


async def test_a_page_entered_by_a_link_is_signed_in_with_lax_and_not_with_strict(
    open_site: OpenSite, device: Device
) -> None:
    """With Strict the visitor who comes from elsewhere is a stranger to the first page, and known to the next."""
    found = []
    for options in (LAX, STRICT):
        site = open_site(**options)
        page = await device()
        await page.goto(site.url())
        await page.goto(site.url("/elsewhere", EVIL))
        await page.set_content(f"<a href='{site.url('/account')}'>shop</a>")
        await click(page, "a")
        found.append([each.cookie for each in site.seen if each.path == "/account"])
        await page.evaluate("location.assign('/data')")
        await page.wait_for_url("**/data")
        found.append([each.cookie for each in site.seen if each.path == "/data"])
    assert found == [[True], [True], [False], [True]]
