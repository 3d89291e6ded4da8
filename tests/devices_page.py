"""The demo's devices page as its visitors use it."""

import secrets
from typing import NamedTuple

import httpx2
from demo_site import RunningDemo
from playwright.async_api import Page

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
UNBROKEN = "x" * 200
IS_OVER = "The session of this device is over"


class Row(NamedTuple):
    """One device in the list."""

    name: str
    current: bool


def new_name() -> str:
    """A user whom no other test knows."""
    return f"Ada {secrets.token_hex(4)}"


async def sign_in(page: Page, demo: RunningDemo, name: str) -> Page:
    """Come as a stranger who wants to see the devices, and sign in on the way."""
    await page.goto(f"{demo.url}/devices")
    await page.fill("#name", name)
    await press(page, "Sign in")
    return page


def sign_in_elsewhere(demo: RunningDemo, name: str, user_agent: str) -> None:
    """Sign in on a device that is in the list and does nothing else."""
    answer = httpx2.post(f"{demo.url}/sign-in", data={"name": name}, headers={"User-Agent": user_agent})
    assert answer.status_code == 303


async def rows(page: Page) -> list[Row]:
    """What the list shows."""
    found = []
    for each in await page.get_by_role("listitem").all():
        heading = (await each.get_by_role("heading", level=3).inner_text()).removesuffix("This device").strip()
        found.append(Row(heading, await each.get_attribute("aria-current") == "true"))
    return found


async def notice(page: Page) -> str:
    return await page.get_by_role("status").first.inner_text()


async def press(page: Page, button: str) -> None:
    """Press the button with this name, and wait for the page that follows."""
    async with page.expect_navigation():
        await page.get_by_role("button", name=button).click()
