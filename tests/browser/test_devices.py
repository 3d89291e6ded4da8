"""The devices page of the demo: two browsers are two devices, and one can sign the other out."""

import pytest
from chromium import Device
from demo_site import RunningDemo
from devices_page import FIREFOX, IPHONE, IS_OVER, Row, new_name, notice, press, rows, sign_in, sign_in_elsewhere

THIS = Row("Headless Chrome on Linux", current=True)
FOX, PHONE = Row("Firefox on Linux", current=False), Row("Safari on iPhone", current=False)


async def test_a_stranger_signs_in_first(demo: RunningDemo, device: Device) -> None:
    """Whoever is not signed in is asked for a name, and is then on the page they wanted."""
    page = await device()
    await page.goto(f"{demo.url}/devices")
    asked = await notice(page)
    await sign_in(page, demo, new_name())
    assert (asked, page.url) == ("Sign in to see your devices.", f"{demo.url}/devices")


async def test_one_that_is_alone_is_told_so(demo: RunningDemo, device: Device) -> None:
    """The list has this device, and there is no button for others."""
    page = await sign_in(await device(), demo, new_name())
    assert await rows(page) == [THIS]
    assert await page.get_by_text("Only this device.").is_visible()
    assert await page.get_by_text("Sign out all other devices").count() == 0


async def test_every_device_of_the_user_is_listed_and_no_other(demo: RunningDemo, device: Device) -> None:
    """This one is marked and comes first, whichever was seen last; those of another user are not there."""
    name = new_name()
    page = await sign_in(await device(), demo, name)
    sign_in_elsewhere(demo, name, IPHONE)
    sign_in_elsewhere(demo, name, FIREFOX)
    sign_in_elsewhere(demo, new_name(), FIREFOX)
    await page.reload()
    assert await rows(page) == [THIS, FOX, PHONE]
    assert await page.locator("dd code").all_inner_texts() == ["127.0.0.1"] * 3
    assert await page.locator("time").all_inner_texts() == ["just now"] * 5


@pytest.mark.parametrize("javascript", [True, False])
async def test_one_device_is_signed_out(demo: RunningDemo, device: Device, javascript: bool) -> None:
    """It is gone from the list and anonymous at its next request, which says why; the others stay signed in."""
    name = new_name()
    page = await sign_in(await device(java_script_enabled=javascript), demo, name)
    fox = await sign_in(await device(user_agent=FIREFOX), demo, name)
    phone = await sign_in(await device(user_agent=IPHONE), demo, name)
    await page.reload()
    await press(page, "Sign out Firefox on Linux")
    assert await notice(page) == "Firefox on Linux is signed out."
    assert await rows(page) == [THIS, PHONE]
    await fox.reload()
    assert IS_OVER in await notice(fox)
    assert await fox.get_by_role("button", name="Sign in").is_visible()
    await phone.reload()
    assert len(await rows(phone)) == 2


@pytest.mark.parametrize("javascript", [True, False])
async def test_all_other_devices_are_signed_out(demo: RunningDemo, device: Device, javascript: bool) -> None:
    """After a second click, every other device is anonymous at its next request; this one is not."""
    name = new_name()
    others = [await sign_in(await device(user_agent=agent), demo, name) for agent in (FIREFOX, IPHONE)]
    page = await sign_in(await device(java_script_enabled=javascript), demo, name)
    await page.get_by_text("Sign out all other devices").click()
    await press(page, "Yes, sign out 2 devices")
    assert await notice(page) == "2 other devices are signed out. Only this one is left."
    assert await rows(page) == [THIS]
    for other in others:
        await other.reload()
        assert IS_OVER in await notice(other)


async def test_nothing_is_signed_out_by_one_click_on_all(demo: RunningDemo, device: Device) -> None:
    """The button that does it is not there before the confirmation is opened, and opening it does nothing."""
    name = new_name()
    sign_in_elsewhere(demo, name, FIREFOX)
    page = await sign_in(await device(), demo, name)
    do_it = page.get_by_role("button", name="Yes, sign out 1 device")
    before = await do_it.is_visible()
    await page.get_by_text("Sign out all other devices").click()
    after = await do_it.is_visible()
    await page.reload()
    assert (before, after, await rows(page)) == (False, True, [THIS, FOX])


async def test_signing_out_this_device_is_a_logout(demo: RunningDemo, device: Device) -> None:
    """It ends on the first page, signed out, and the devices ask for a name again."""
    page = await sign_in(await device(), demo, new_name())
    await press(page, "Sign out this device")
    assert "Signed out." in await notice(page)
    await page.goto(f"{demo.url}/devices")
    assert await page.get_by_role("button", name="Sign in").is_visible()


async def test_one_that_was_signed_out_meanwhile_is_told_so(demo: RunningDemo, device: Device) -> None:
    """A button that is older than the logout ends nothing and does not fail."""
    name = new_name()
    fox = await sign_in(await device(user_agent=FIREFOX), demo, name)
    page = await sign_in(await device(), demo, name)
    await press(fox, "Sign out this device")
    await press(page, "Sign out Firefox on Linux")
    assert (await notice(page), await rows(page)) == ("That device was signed out before.", [THIS])


async def test_a_notice_is_shown_once(demo: RunningDemo, device: Device) -> None:
    """A reload repeats neither what was done nor that it was."""
    name = new_name()
    sign_in_elsewhere(demo, name, FIREFOX)
    page = await sign_in(await device(), demo, name)
    await press(page, "Sign out Firefox on Linux")
    await page.reload()
    assert await notice(page) == ""


async def test_an_open_page_notices_that_it_was_signed_out(demo: RunningDemo, device: Device) -> None:
    """What it does next by script, here for the cart, ends in the page of somebody who is signed in no longer."""
    name = new_name()
    fox = await sign_in(await device(user_agent=FIREFOX), demo, name)
    await fox.goto(demo.url)
    await fox.get_by_text(f"Signed in as {name}").wait_for()
    page = await sign_in(await device(), demo, name)
    await press(page, "Sign out Firefox on Linux")
    await fox.get_by_role("button", name="fig").click()
    await fox.get_by_text(IS_OVER).wait_for()
    assert await fox.get_by_role("button", name="Sign in").is_visible()


async def test_back_after_a_logout_shows_no_devices(demo: RunningDemo, device: Device) -> None:
    """The page is not stored: pressing "back" asks for it again, and that leads to the name."""
    page = await sign_in(await device(), demo, new_name())
    await press(page, "Sign out this device")
    await page.go_back(wait_until="commit")
    await page.get_by_role("button", name="Sign in").wait_for()
    assert await page.get_by_role("heading", name="Your devices").count() == 0
