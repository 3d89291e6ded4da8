"""One Chromium for the run, a browser of its own for each test, and the sites that they visit."""

import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import chromium
import pytest
import trustme
from browser_site import SECRET, OpenSite, Site, serving
from chromium import ARTIFACTS, PATIENCE, Device
from demo_site import RunningDemo, running_demo
from playwright.async_api import Browser, BrowserContext, Page

from chirp.middleware.sessions import RedisSessionStore, SessionConfig

FAILED = pytest.StashKey[bool]()


def pytest_sessionstart() -> None:
    """Fail at once, and not in each test, where there is no browser."""
    try:
        chromium.program()
    except chromium.NoChromiumError as error:
        raise pytest.UsageError(str(error)) from error
    for old in ARTIFACTS.glob("failed-*.png"):
        old.unlink()


def pytest_report_header() -> list[str]:
    return [f"browser: {chromium.program()}", f"screenshots: {ARTIFACTS}"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium.running() as browser:
        yield browser


@pytest.fixture
async def device(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Device]:
    """Browsers with cookies of their own; how their pages looked in the end is kept if the test fails."""
    contexts: list[BrowserContext] = []

    async def new(**options: Any) -> Page:
        context = await browser.new_context(**{"reduced_motion": "reduce", "ignore_https_errors": True, **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        return await context.new_page()

    yield new
    for number, context in enumerate(contexts, 1):
        if request.node.stash.get(FAILED, False):
            for page in context.pages:
                await chromium.keep(page, f"failed-{request.node.name}-{number}")
        await context.close()


@pytest.fixture
async def ordinary_page(tmp_path: Path) -> AsyncIterator[Page]:
    """A page in a window that is no private one."""
    async with chromium.ordinary_window(tmp_path / "profile") as page:
        yield page


@pytest.fixture(scope="session")
def demo() -> Iterator[RunningDemo]:
    """The demo with a server of its own, which ends with all that was stored there."""
    with running_demo() as running:
        yield running


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def open_site(redis_url: str, key_prefix: str, authority: trustme.CA) -> Iterator[OpenSite]:
    """Sites of the test's own. Options are those of `SessionConfig`; `https` and `clock` are for all others."""
    with ExitStack() as sites:

        def start(*, https: bool = False, clock: Callable[[], float] = time.time, **options: Any) -> Site:
            config = SessionConfig(SECRET, **options)
            store = RedisSessionStore(config, redis_url, key_prefix, clock=clock)
            site = Site(replace(config, store=config.store or store))
            return sites.enter_context(serving(site, authority if https else None))

        yield start
