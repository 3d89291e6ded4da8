"""A browser's requests at once around a login, its tabs, and its way back to a page after a logout."""

from browser_site import OpenSite, Site
from chromium import Device, cookies, fetch
from playwright.async_api import Page

HELD = 5  # with the login, as many as a browser sends at once to one host over HTTP/1.1
ROUNDS = 10
AT_ONCE = 30
HOLD = f"Promise.all(Array.from({{length: {HELD}}}, () => fetch('/hold', {{method: 'POST'}}))).then(() => true)"
AROUND_A_LOGIN = f"""
name => Promise.all(Array.from({{length: {AT_ONCE}}}, (_, number) => number === {AT_ONCE // 2}
  ? fetch(`/login/${{name}}`, {{method: "POST"}})
  : fetch("/", {{method: number % 2 ? "POST" : "GET"}}))).then(() => true)
"""


async def test_requests_in_flight_at_a_login_do_not_log_it_out(open_site: OpenSite, device: Device) -> None:
    """Five that loaded the session before the login and write after it change neither the cookie nor the session."""
    page = await device()
    await page.goto(open_site(touch_interval_seconds=0).url())  # so that each of them would set its cookie
    await page.evaluate(f"window.held = {HOLD}; true")
    await fetch(page, f"/held/{HELD}")
    await fetch(page, "/login/ada", "POST")
    after_login = (await cookies(page))["chirp_session"]["value"]
    await page.evaluate("fetch('/let-go', {method: 'POST'}).then(() => window.held)")
    assert (await cookies(page))["chirp_session"]["value"] == after_login
    assert await fetch(page, "/data") == {"user_id": "ada"}


async def test_logins_among_many_requests_are_kept(open_site: OpenSite, device: Device) -> None:
    """Thirty requests at once, a login among them, in whatever order: the browser is signed in, each time."""
    page = await device()
    await page.goto(open_site(touch_interval_seconds=0).url())
    signed_in = []
    for number in range(ROUNDS):
        await page.evaluate(AROUND_A_LOGIN, f"user{number}")
        signed_in.append((await fetch(page, "/data")).get("user_id"))
    assert signed_in == [f"user{number}" for number in range(ROUNDS)]


async def test_tabs_have_one_session(open_site: OpenSite, device: Device) -> None:
    """A login in one tab is one in the other, and so is a logout."""
    site = open_site()
    first = await device()
    await first.goto(site.url())
    second = await first.context.new_page()
    await second.goto(site.url())
    await fetch(first, "/login/ada", "POST")
    signed_in = await fetch(second, "/data")
    await fetch(second, "/logout", "POST")
    assert (signed_in, await fetch(first, "/data")) == ({"user_id": "ada"}, {})


async def back_after_logout(page: Page, site: Site, cache: str) -> str:
    """Sign in, look at the account, sign out, press "back"; return who the page says is signed in."""
    await page.goto(site.url())
    await fetch(page, "/login/ada", "POST")
    await page.goto(site.url(f"/account?cache={cache}"))
    assert await page.inner_text("p") == "ada"
    async with page.expect_navigation(url="**/elsewhere"):
        await page.click("button")
    await page.go_back(wait_until="commit")  # a page that was kept is not loaded again
    return await page.inner_text("p")


async def test_back_after_a_logout_shows_nothing_of_a_page_that_was_not_stored(
    open_site: OpenSite, device: Device
) -> None:
    """With `no-store` the page is asked for again, and says that nobody is signed in."""
    assert await back_after_logout(await device(), open_site(), "no-store") == "nobody"


async def test_back_after_a_logout_shows_a_page_that_was_stored(open_site: OpenSite, device: Device) -> None:
    """Without `no-store` the browser shows the account once more, although its session is over."""
    assert await back_after_logout(await device(), open_site(), "private") == "ada"
