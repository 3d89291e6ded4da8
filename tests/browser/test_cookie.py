"""The cookie as a browser stores it: its attributes, its lifetime, and what it refuses to store at all."""

import time
from pathlib import Path
from urllib.parse import quote

import pytest
from browser_site import SECRET, SHOP, OpenSite, Site
from chromium import Device, cookies, fetch, ordinary_window
from playwright.async_api import Page

from chirp.middleware.sessions import CookieSessionStore, SessionConfig
from chirp.testing import ManualClock

NAME = "chirp_session"
DEFAULTS = {"domain": SHOP, "path": "/", "httpOnly": True, "secure": False, "sameSite": "Lax"}


@pytest.mark.parametrize(
    ("https", "options", "stored"),
    [
        (False, {}, {}),
        (True, {}, {"secure": True}),
        (False, {"samesite": "strict"}, {"sameSite": "Strict"}),
        (True, {"samesite": "none", "secure": True}, {"sameSite": "None", "secure": True}),
        (False, {"path": "/data"}, None),
        (False, {"httponly": False}, {"httpOnly": False}),
        (False, {"domain": SHOP}, {"domain": f".{SHOP}"}),
        (False, {"domain": "elsewhere.test"}, None),
        (True, {"cookie_name": "__Host-id", "secure": True}, {"secure": True}),
        (True, {"cookie_name": "__Secure-id", "secure": True, "domain": SHOP}, {"secure": True, "domain": f".{SHOP}"}),
    ],
)
async def test_attributes_are_stored_as_configured(
    open_site: OpenSite, device: Device, https: bool, options: dict[str, object], stored: dict[str, object] | None
) -> None:
    """The browser keeps what the config says; a cookie for a path or a domain elsewhere is not for this page."""
    site = open_site(https=https, **options)
    page = await device()
    await page.goto(site.url())
    kept = await page.context.cookies(site.url())
    assert [{name: each.get(name) for name in DEFAULTS} for each in kept] == (
        [] if stored is None else [{**DEFAULTS, **stored}]
    )


async def test_scripts_cannot_read_it(open_site: OpenSite, device: Device) -> None:
    """`document.cookie` is empty where the browser has the cookie; with `httponly=False` it is not."""
    seen = []
    for httponly in (True, False):
        page = await device()
        await page.goto(open_site(httponly=httponly).url())
        assert NAME in await cookies(page)
        seen.append(NAME in await page.evaluate("document.cookie"))
    assert seen == [False, True]


async def test_it_expires_when_max_age_is_over(open_site: OpenSite, device: Device) -> None:
    """The stored time is that of the answer and `max_age`."""
    page = await device()
    before = time.time()
    await page.goto(open_site(max_age=7200).url())
    assert before + 7199 <= (await cookies(page))[NAME]["expires"] <= time.time() + 7201


async def test_a_touch_moves_its_expiry(open_site: OpenSite, device: Device) -> None:
    """Reading alone moves the stored time once a touch is due, and not before."""
    clock = ManualClock(time.time())
    site = open_site(clock=clock, touch_interval_seconds=60)
    page = await device()
    await page.goto(site.url())
    expiries = []
    for seconds in (0, 59, 2):
        clock.move(seconds)
        await fetch(page, "/data")
        expiries.append((await cookies(page))[NAME]["expires"])
    assert expiries[0] == expiries[1] < expiries[2]


async def test_a_change_before_a_touch_is_due_leaves_it(open_site: OpenSite, device: Device) -> None:
    """A write that sets no cookie does not shorten the browser's."""
    page = await device()
    await page.goto(open_site().url())
    before = await cookies(page)
    await page.reload()
    assert (await page.inner_text("p"), await cookies(page)) == ("2", before)


@pytest.mark.parametrize(("query", "known"), [("?briefly", {}), ("", {"user_id": "ada"})])
async def test_a_cookie_without_max_age_ends_with_the_browser(
    open_site: OpenSite, tmp_path: Path, query: str, known: dict[str, str]
) -> None:
    """Closed and opened again, the browser has the cookie of a login that is to last, and no other."""
    site = open_site()
    async with ordinary_window(tmp_path) as page:
        await page.goto(site.url())
        await fetch(page, f"/login/ada{query}", "POST")
        assert await fetch(page, "/data") == {"user_id": "ada"}
        assert ((await cookies(page))[NAME]["expires"] == -1) is (known == {})
    async with ordinary_window(tmp_path) as page:
        await page.goto(site.url("/elsewhere"))
        assert await fetch(page, "/data") == known


async def test_one_that_is_too_large_is_an_error_and_the_browser_keeps_the_former(
    open_site: OpenSite, device: Device
) -> None:
    """`SessionTooLarge` makes it a 500; the session in the browser is the one before."""
    site = open_site(store=CookieSessionStore(SessionConfig(SECRET)))
    page = await device()
    await page.goto(site.url())
    before = await cookies(page)
    answer = await page.goto(site.url("/fill/9000"))
    assert answer is not None
    assert (answer.status, await cookies(page)) == (500, before)


async def test_a_browser_drops_what_is_too_large_silently(open_site: OpenSite, device: Device) -> None:
    """Of 4096 bytes it keeps the cookie, of 4097 it does not, and nobody is told: hence the error."""
    site = open_site()
    page = await device()
    for name, size in (("fits", 4096), ("large", 4097)):
        cookie = f"{name}={'x' * (size - len(name))}"
        answer = await page.goto(site.url(f"/plant?cookie={quote(cookie)}"))
        assert answer is not None
        assert answer.ok
    assert set(await cookies(page)) == {"fits"}


async def test_a_logout_removes_it(open_site: OpenSite, device: Device) -> None:
    """The deletion has the attributes that the cookie has, so the browser finds it."""
    page = await device()
    await page.goto(open_site(https=True, cookie_name="__Host-id", secure=True).url())
    assert set(await cookies(page)) == {"__Host-id"}
    await fetch(page, "/logout", "POST")
    assert await cookies(page) == {}


async def visits_framed_by(page: Page, site: Site, *hosts: str) -> list[int]:
    """Show the site in a frame on each of these hosts in turn; return which visit each of them was."""
    visits = []
    for host in hosts:
        await page.goto(site.url("/elsewhere", host))
        await page.set_content(f"<iframe src='{site.url()}'></iframe>")
        visits.append(int(await page.frame_locator("iframe").locator("p").inner_text()))
    return visits


@pytest.mark.parametrize(("partitioned", "visits"), [(True, [1, 1, 2]), (False, [1, 1, 1])])
async def test_a_partitioned_cookie_works_in_frames_where_others_are_blocked(
    open_site: OpenSite, device: Device, partitioned: bool, visits: list[int]
) -> None:
    """In a private window each site has a partition of its own, and finds it again; any other cookie is dropped."""
    site = open_site(https=True, samesite="none", secure=True, partitioned=partitioned)
    assert await visits_framed_by(await device(), site, "one.test", "two.test", "one.test") == visits


@pytest.mark.parametrize(("partitioned", "visits"), [(True, [1, 1, 2]), (False, [1, 2, 3])])
async def test_a_partitioned_cookie_is_another_one_for_each_site_around_a_frame(
    open_site: OpenSite, ordinary_page: Page, partitioned: bool, visits: list[int]
) -> None:
    """In an ordinary window a cookie that is not partitioned is the same one on all sites."""
    site = open_site(https=True, samesite="none", secure=True, partitioned=partitioned)
    assert await visits_framed_by(ordinary_page, site, "one.test", "two.test", "one.test") == visits
