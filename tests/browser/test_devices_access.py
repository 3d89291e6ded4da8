"""Whoever comes to the devices page, with whatever they have: a keyboard, a screen reader, a small or a dark screen."""

from typing import Literal

import chromium
import pytest
from axe_playwright_python.async_playwright import Axe
from chromium import PATIENCE, Device
from demo_site import RunningDemo
from devices_page import FIREFOX, IPHONE, UNBROKEN, new_name, notice, rows, sign_in, sign_in_elsewhere
from page_checks import focused, lightness, outside, shifts, texts
from playwright.async_api import Page, expect

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
LOOKS = [(scheme, width) for scheme in SCHEMES for width in (320, 768, 1280)]
SCRIPT = "my-script/2.1 (sync; build 4d1f; contact ada@example.com; and more)"
PAGES = ("/devices", "/")
READER = """
- banner:
  - paragraph: chirp
  - navigation "Pages":
    - link "Session"
    - link "Devices"
- main:
  - heading "Your devices." [level=1]
  - status
  - region "Signed in on":
    - heading "Signed in on" [level=2]
    - list:
      - listitem:
        - heading "Headless Chrome on Linux This device" [level=3]
        - button "Sign out this device, Headless Chrome on Linux"
      - listitem:
        - heading "Firefox on Linux" [level=3]
        - button "Sign out Firefox on Linux"
  - region "Everywhere else":
    - heading "Everywhere else" [level=2]
    - group: Sign out all other devices
- contentinfo
"""


@pytest.fixture
async def page(demo: RunningDemo, device: Device) -> Page:
    """The page of a user with four devices, of which one has no readable name and one a name without end."""
    name = new_name()
    for agent in (UNBROKEN, SCRIPT, IPHONE, FIREFOX):
        sign_in_elsewhere(demo, name, agent)
    return await sign_in(await device(), demo, name)


@pytest.fixture
async def page_of_two(demo: RunningDemo, device: Device) -> Page:
    """The page of a user with this device and a Firefox."""
    name = new_name()
    sign_in_elsewhere(demo, name, FIREFOX)
    return await sign_in(await device(), demo, name)


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def press_to_leave(page: Page, key: str) -> None:
    """Press a key that leads to another page, and wait until that one is loaded."""
    async with page.expect_navigation():
        await press(page, key)


async def dress(page: Page, scheme: Scheme) -> None:
    """Prefer light or dark."""
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")


async def test_a_keyboard_reaches_everything_in_the_order_of_the_page(page_of_two: Page) -> None:
    """Tab goes from the skip link through pages and devices to the button for all others; one sees where it is."""
    names = []
    for _ in range(6):
        await press(page_of_two, "Tab")
        has_focus = await focused(page_of_two)
        names.append(has_focus["name"])
        assert has_focus["outline"] >= 2
        assert has_focus["contrast"] >= 3
        assert has_focus["inView"]
    assert names == [
        "Skip to the content",
        "Session",
        "Devices",
        "Sign out this device, Headless Chrome on Linux",
        "Sign out Firefox on Linux",
        "Sign out all other devices",
    ]


async def test_the_skip_link_leads_past_the_pages(page_of_two: Page) -> None:
    """After it the next stop is the first device."""
    await press(page_of_two, "Tab", "Enter", "Tab")
    assert (await focused(page_of_two))["name"].startswith("Sign out this device")


async def test_one_is_signed_out_with_the_keyboard_alone(page_of_two: Page) -> None:
    """The focus is then on what was done, and the next stop after it is the list."""
    await press(page_of_two, *["Tab"] * 5)
    await press_to_leave(page_of_two, "Enter")
    told = page_of_two.get_by_text("Firefox on Linux is signed out.")
    await expect(told).to_be_focused(timeout=PATIENCE)  # which comes with the first picture, later than what is loaded
    await press(page_of_two, "Tab")
    assert (await focused(page_of_two))["name"].startswith("Sign out this device")


async def test_all_others_are_signed_out_with_the_keyboard_alone(page_of_two: Page) -> None:
    """Enter opens the confirmation, the next stop is its button, and Enter there does it."""
    await press(page_of_two, *["Tab"] * 6, "Enter", "Tab")
    assert (await focused(page_of_two))["name"] == "Yes, sign out 1 device"
    await press_to_leave(page_of_two, "Enter")
    assert await notice(page_of_two) == "1 other device is signed out. Only this one is left."


async def test_a_screen_reader_finds_landmarks_headings_and_named_buttons(page_of_two: Page) -> None:
    """Each button says which device it is for, and each heading and region has its name and level."""
    await chromium.matches(page_of_two, READER)


async def test_a_button_is_described_by_what_is_known_of_its_device(page: Page) -> None:
    """Of two devices with one name, the description tells which is meant."""
    for button in await page.locator(".device button").all():
        described = page.locator(f"#{await button.get_attribute('aria-describedby')}")
        assert "Address" in await described.inner_text()


async def test_this_device_and_this_page_are_the_current_ones(page: Page) -> None:
    """`aria-current` stands once in the list and once in the navigation."""
    assert [row.current for row in await rows(page)] == [True, False, False, False, False]
    assert await page.locator("nav [aria-current=page]").all_inner_texts() == ["Devices"]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
async def test_it_fits_in_any_window(page: Page, scheme: Scheme, width: int) -> None:
    """Nothing reaches out of the window, opened confirmation and names without end included; pictures are kept."""
    await dress(page, scheme)
    await page.set_viewport_size({"width": width, "height": 800})
    await chromium.keep(page, f"devices-{scheme}-{width}")
    await page.get_by_text("Sign out all other devices").click()
    await chromium.keep(page, f"devices-{scheme}-{width}-confirm")
    assert await outside(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("path", PAGES)
async def test_the_pages_are_dark_where_that_is_preferred(demo: RunningDemo, page: Page, path: str) -> None:
    """Light or dark, the background is what it says, and every text stands out by 4.5 to 1 or more."""
    await page.goto(f"{demo.url}{path}")
    light = []
    for scheme in SCHEMES:
        await dress(page, scheme)
        light.append(await lightness(page))
        found = await texts(page)
        assert len(found) > 15
        assert [each for each in found if each["contrast"] < 4.5] == []
    assert light[0] > 0.8
    assert light[1] < 0.05


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing(demo: RunningDemo, page: Page, path: str, scheme: Scheme) -> None:
    """Of what axe-core knows of WCAG and of good practice, nothing is broken."""
    await page.goto(f"{demo.url}{path}")
    await dress(page, scheme)
    for summary in await page.locator("summary").all():
        await summary.click()
    result = await Axe().run(page, options={"rules": {"target-size": {"enabled": True}}})
    assert result.violations_count == 0, result.generate_report()
    assert len(result.response["passes"]) > 20


async def test_nothing_moves_while_it_loads(page: Page) -> None:
    """Chromium counts no layout shift."""
    await page.reload()
    assert await shifts(page) == 0


async def test_motion_is_for_those_who_have_nothing_against_it(page: Page) -> None:
    """With `prefers-reduced-motion` no button changes little by little."""
    durations = []
    for motion in ("no-preference", "reduce"):
        await page.emulate_media(reduced_motion=motion)
        style = "getComputedStyle(document.querySelector('.device button')).transitionDuration"
        durations.append(await page.evaluate(style))
    assert durations[0] != durations[1] == "0s"
