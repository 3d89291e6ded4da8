"""What can be measured on a page: contrast, overflow, shifts, and what a keyboard reaches. The measuring is script."""

from pathlib import Path
from typing import Any

from playwright.async_api import Page

SCRIPT = Path(__file__).with_suffix(".js").read_text("utf-8").strip()


async def texts(page: Page) -> list[dict[str, Any]]:
    """Every text that is seen, with its contrast to what is behind it."""
    found: list[dict[str, Any]] = await page.evaluate(f"{SCRIPT}.texts()")
    return found


async def focused(page: Page) -> dict[str, Any]:
    """What has the focus: its name, the width of its outline in pixels and its contrast, and whether it is in view."""
    found: dict[str, Any] = await page.evaluate(f"{SCRIPT}.focused()")
    return found


async def lightness(page: Page) -> float:
    """The luminance of the page's background, from 0 to 1."""
    light: float = await page.evaluate(f"{SCRIPT}.lightness()")
    return light


async def outside(page: Page) -> list[str]:
    """What reaches out of the window to the left or the right."""
    found: list[str] = await page.evaluate(f"{SCRIPT}.outside()")
    return found


async def shifts(page: Page) -> float:
    """How much has moved while the page was loaded, as Chromium counts it (CLS)."""
    moved: float = await page.evaluate(f"{SCRIPT}.shifts()")
    return moved
