"""Which hosts and schemes have a share in the cookie: http and https, siblings of a domain, and what they can plant."""

from urllib.parse import quote

import pytest
from browser_site import OpenSite, Site
from chromium import Device, cookies, fetch
from playwright.async_api import Page

SIBLING = "blog.shop.test"
HOST = {"cookie_name": "__Host-id", "secure": True}


async def plant(page: Page, site: Site, cookie: str) -> None:
    """Set a cookie as a sibling of the site can."""
    await page.goto(site.url(f"/plant?cookie={quote(cookie)}", SIBLING))


async def test_a_secure_cookie_over_http_is_refused(open_site: OpenSite, device: Device) -> None:
    """With `secure=True` and no https there is no session, for each visit is the first."""
    site = open_site(secure=True)
    page = await device()
    await page.goto(site.url())
    await page.goto(site.url())
    assert (await page.inner_text("p"), await cookies(page)) == ("1", {})


async def test_a_secure_cookie_is_not_sent_over_http(open_site: OpenSite, device: Device) -> None:
    """What https has set stays out of requests over http, to the same host."""
    secure, plain = open_site(https=True), open_site()
    page = await device()
    await page.goto(secure.url())
    await page.goto(plain.url("/data"))
    await page.goto(secure.url("/data"))
    assert (plain.brought_cookie("GET", "/data"), secure.brought_cookie("GET", "/data")) == (False, True)


async def test_http_does_not_overwrite_a_secure_cookie(open_site: OpenSite, device: Device) -> None:
    """Where "auto" has set it over https, a visit over http leaves the browser's cookie alone."""
    page = await device()
    await page.goto(open_site(https=True).url())
    before = await cookies(page)
    await page.goto(open_site().url())
    assert await cookies(page) == before


@pytest.mark.parametrize(("domain", "visits"), [("shop.test", "2"), (None, "1")])
async def test_siblings_share_a_cookie_with_a_domain_alone(
    open_site: OpenSite, device: Device, domain: str | None, visits: str
) -> None:
    """Without `domain` the host that set it is the only one that gets it."""
    site = open_site(domain=domain)
    page = await device()
    await page.goto(site.url("/", "www.shop.test"))
    await page.goto(site.url("/", SIBLING))
    assert await page.inner_text("p") == visits


@pytest.mark.parametrize(
    "cookie",
    [
        "__Host-id={id}; Secure; Path=/; Domain=shop.test",
        "__Host-id={id}; Secure; Path=/data",
        "__Host-id={id}; Path=/",
        "__host-ID={id}; Secure; Path=/; Domain=shop.test",
    ],
)
async def test_a_host_cookie_that_breaks_the_rules_is_refused(open_site: OpenSite, device: Device, cookie: str) -> None:
    """With a Domain or another Path, or without Secure, the browser takes none of that name, in any case of letters."""
    site = open_site(https=True, **HOST)
    page = await device()
    await plant(page, site, cookie.format(id="x" * 43))
    assert await cookies(page) == {}


async def test_a_sibling_cannot_plant_a_host_cookie(open_site: OpenSite, device: Device) -> None:
    """One that keeps the rules is the sibling's own; the shop gets none."""
    site = open_site(https=True, **HOST)
    page = await device()
    await plant(page, site, f"__Host-id={'x' * 43}; Secure; Path=/")
    await page.goto(site.url("/data"))
    assert site.brought_cookie("GET", "/data") is False
    assert [each["domain"] for each in (await cookies(page)).values()] == [SIBLING]


async def test_a_planted_session_is_not_the_one_that_is_signed_in(open_site: OpenSite, device: Device) -> None:
    """A sibling can plant the id of its own session under a plain name; after the login that id is dead."""
    site = open_site(https=True)
    sibling, victim = await device(), await device()
    await sibling.goto(site.url())
    planted = (await cookies(sibling))["chirp_session"]["value"]
    await plant(victim, site, f"chirp_session={planted}; Domain=shop.test; Path=/; Secure")
    await victim.goto(site.url("/data"))
    assert await fetch(victim, "/data") == {"visits": 1}  # it was taken
    await fetch(victim, "/login/ada", "POST")
    assert (await fetch(victim, "/data"), await fetch(sibling, "/data")) == ({"user_id": "ada"}, {})
