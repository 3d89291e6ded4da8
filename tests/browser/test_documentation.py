"""The documentation in a browser: it is read and searched, in light and dark, and nothing comes from elsewhere."""

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

import chromium
import pytest
from axe_playwright_python.async_playwright import Axe
from chromium import Device
from documentation_site import build, serving
from page_checks import lightness
from playwright.async_api import Page, expect

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
PAGES = ("index.html", "tutorial.html", "reference/sessions.html", "explanation/table.html")
WIDTHS = (320, 1280)
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site."""
    folder = tmp_path_factory.mktemp("site")
    built = build(folder)
    assert built.returncode == 0, built.stdout + built.stderr
    with serving(folder) as url:
        yield url


async def opened(page: Page, url: str) -> Page:
    """Open a page, and wait until its scripts have run."""
    await page.goto(url)
    await page.wait_for_load_state("networkidle")
    return page


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_what_the_site_has_and_its_scripts_have_nothing_to_say(
    path: str, site: str, device: Device
) -> None:
    """No request goes to another host, none fails, and the console stays empty."""
    page = await device()
    asked: list[str] = []
    told: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: told.append(request.url))
    page.on("response", lambda response: told.extend([response.url] if response.status >= 400 else []))
    page.on("console", lambda message: told.extend([message.text] if message.type in ("error", "warning") else []))
    page.on("pageerror", lambda error: told.append(str(error)))
    await opened(page, f"{site}/{path}")
    here = urlsplit(site).netloc
    assert len(asked) > 3
    assert [url for url in asked if urlsplit(url).netloc not in (here, "")] == []
    assert told == []


async def test_a_word_is_found(site: str, device: Device) -> None:
    """And its result leads to the page that has it."""
    page = await opened(await device(), f"{site}/index.html")
    await page.keyboard.press("/")
    await page.get_by_role("textbox", name="Search").press_sequentially("touches")
    result = page.locator(".md-search-result__link[href*='explanation/time.html']").first
    await expect(result).to_be_visible()
    await result.click()
    await expect(page).to_have_url(re.compile(r"/explanation/time\.html"))


async def test_colours_follow_the_system_and_can_be_chosen(site: str, device: Device) -> None:
    """Until the reader chooses others, which the next page remembers."""
    page = await opened(await device(color_scheme="dark"), f"{site}/index.html")
    assert await lightness(page) < 0.1
    await page.get_by_title("Switch to light mode").click()
    await expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "default")
    await opened(page, f"{site}/tutorial.html")
    assert await lightness(page) > 0.9


async def test_a_tab_shows_the_program_of_its_framework(site: str, device: Device) -> None:
    """And one click copies it."""
    page = await device(permissions=["clipboard-read", "clipboard-write"])
    await opened(page, f"{site}/index.html")
    await page.locator(".tabbed-labels label", has_text="Litestar").click()
    block = page.locator(".tabbed-block:visible .highlight", has_text="from litestar import")
    await expect(block).to_be_visible()
    await block.hover()
    await block.get_by_role("button", name="Copy").click()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("import os\n")
    assert "app = Litestar(" in copied


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", PAGES)
async def test_axe_finds_nothing(path: str, scheme: Scheme, site: str, device: Device) -> None:
    """None of what it can find against WCAG 2.2, A and AA; its matters of taste are the theme's."""
    page = await opened(await device(color_scheme=scheme), f"{site}/{path}")
    result = await Axe().run(page, options={"runOnly": WCAG})
    assert result.violations_count == 0, result.generate_report()
    assert len(result.response["passes"]) > 20


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_fits_into_its_window(path: str, width: int, scheme: Scheme, site: str, device: Device) -> None:
    """Nothing is wider than a phone; how it looks is kept as a picture."""
    page = await device(color_scheme=scheme, viewport={"width": width, "height": 900})
    await opened(page, f"{site}/{path}")
    await chromium.keep(page, f"documentation-{path}-{scheme}-{width}")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
