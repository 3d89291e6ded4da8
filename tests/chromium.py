"""The system's Chromium: started once for a run, and asked in the ways that Playwright has no words for."""

import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARTIFACTS = Path(os.environ.get("CHIRP_ARTIFACTS", Path(__file__).parents[1] / "artifacts")).resolve()
ALL_COOKIES = 0  # Chromium's CookieControlsMode
PATIENCE = 15_000  # milliseconds for anything on a page; a busy machine is no defect

# A browser with cookies of its own, and a page in it. The options are those of Playwright's `new_context`.
Device = Callable[..., Awaitable[Page]]


class NoChromiumError(Exception):
    """None is installed; the message says how to change that."""


def program() -> str:
    """The full path of the browser.

    Raises:
        NoChromiumError: none of its names is on PATH.
    """
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        raise NoChromiumError(f"none of {', '.join(PROGRAMS)} is on PATH (Debian: apt-get install chromium)")
    return found


def settings() -> dict[str, Any]:
    """How it is started. Without its sandbox, which is Playwright's default: it sees the pages of the tests alone."""
    return {
        "executable_path": program(),
        # Playwright turns the back-forward cache off; whoever uses the browser has it.
        "ignore_default_args": ["--disable-back-forward-cache"],
        # Not *.localhost, which counts as secure: http would be no different from https there.
        "args": ["--host-resolver-rules=MAP *.test 127.0.0.1"],
    }


@asynccontextmanager
async def running() -> AsyncIterator[Browser]:
    """Start the browser; each of its contexts is a private window, with cookies of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**settings())
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def ordinary_window(profile: Path) -> AsyncIterator[Page]:
    """Start a browser with a profile that allows the cookies of other sites: Debian's blocks them unless told to."""
    preferences = profile / "Default" / "Preferences"
    preferences.parent.mkdir(parents=True, exist_ok=True)
    preferences.write_text(json.dumps({"profile": {"cookie_controls_mode": ALL_COOKIES}}), "utf-8")
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(profile, ignore_https_errors=True, **settings())
        try:
            context.set_default_timeout(PATIENCE)
            yield context.pages[0]
        finally:
            await context.close()


async def keep(page: Page, name: str) -> None:
    """Keep a picture of the whole page as an artefact of the run."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    file = re.sub(r"[^\w.-]+", "-", name)
    await page.screenshot(path=ARTIFACTS / f"{file}.png", full_page=True)


async def cookies(page: Page) -> dict[str, Any]:
    """The cookies that the browser has stored, by name."""
    return {str(each.get("name")): each for each in await page.context.cookies()}


async def fetch(page: Page, path: str, method: str = "GET") -> Any:
    """What a script of the page is told when it asks its own site: the JSON of the answer."""
    return await page.evaluate(
        "([path, method]) => fetch(path, {method}).then(answer => answer.json())", [path, method]
    )


async def click(page: Page, selector: str) -> None:
    """Click what leads to another page, and wait until that one is loaded."""
    async with page.expect_navigation():
        await page.click(selector)


async def matches(page: Page, snapshot: str) -> None:
    """Expect the page to have these roles and names, in this order, for those who do not see it."""
    await expect(page.locator("body")).to_match_aria_snapshot(snapshot, timeout=PATIENCE)
