"""What the demo's pages say in words: devices by their user agents, and times by how long ago they were."""

import pytest

from chirp.demo.agents import LONGEST_RAW, Device, device_of
from chirp.demo.pages import ago

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
WINDOWS, MAC, LINUX = "(Windows NT 10.0; Win64; x64)", "(Macintosh; Intel Mac OS X 10_15_7)", "(X11; Linux x86_64)"
PIXEL, CROS = "(Linux; Android 15; Pixel 9)", "(X11; CrOS x86_64 14541.0.0)"
IPHONE, IPAD = "(iPhone; CPU iPhone OS 18_5 like Mac OS X)", "(iPad; CPU OS 16_7 like Mac OS X)"
MOBILE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name", "kind"),
    [
        (f"Mozilla/5.0 {LINUX} Gecko/20100101 Firefox/140.0", "Firefox on Linux", "computer"),
        (f"Mozilla/5.0 {WINDOWS} {WEBKIT} Chrome/140.0.0.0 Safari/537.36", "Chrome on Windows", "computer"),
        (f"Mozilla/5.0 {WINDOWS} {WEBKIT} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows", "computer"),
        (f"Mozilla/5.0 {MAC} {WEBKIT} Chrome/140.0.0.0 Safari/537.36 OPR/120.0.0.0", "Opera on macOS", "computer"),
        (f"Mozilla/5.0 {MAC} {MOBILE} Version/18.5 Safari/605.1.15", "Safari on macOS", "computer"),
        (f"Mozilla/5.0 {IPHONE} {MOBILE} Version/18.5 Mobile/15E148 Safari/604.1", "Safari on iPhone", "phone"),
        (f"Mozilla/5.0 {IPHONE} {MOBILE} CriOS/140.0.0.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone", "phone"),
        (f"Mozilla/5.0 {IPAD} {MOBILE} FxiOS/140.0 Mobile/15E148 Safari/604.1", "Firefox on iPad", "phone"),
        (f"Mozilla/5.0 {PIXEL} {WEBKIT} Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android", "phone"),
        (
            f"Mozilla/5.0 {PIXEL} {WEBKIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            "Samsung Internet on Android",
            "phone",
        ),
        (f"Mozilla/5.0 {CROS} {WEBKIT} Chrome/140.0.0.0 Safari/537.36", "Chrome on ChromeOS", "computer"),
    ],
)
def test_a_browser_is_named_with_its_system(user_agent: str, name: str, kind: str) -> None:
    """By the name that its user knows, although its header names its ancestors too."""
    assert device_of(user_agent) == Device(name, kind)


@pytest.mark.parametrize("user_agent", [None, "", " ", "\x00\x1b\n"])
def test_one_that_says_nothing_is_unknown(user_agent: str | None) -> None:
    """No header, or nothing in it that can be read."""
    assert device_of(user_agent) == Device("Unknown device", "program")


@pytest.mark.parametrize("user_agent", ["curl/8.5.0", "Firefox/140.0", "Mozilla/5.0 (Plan 9) Firefox/140.0"])
def test_one_that_is_not_known_is_named_as_it_says(user_agent: str) -> None:
    """A browser without a system, or neither, is not guessed."""
    assert device_of(user_agent).name == user_agent


def test_a_system_without_a_browser_is_named_as_it_says() -> None:
    """What is drawn beside it is the system's."""
    assert device_of("Feeds/3 (iPhone)") == Device("Feeds/3 (iPhone)", "phone")


def test_what_it_says_is_cut_and_has_no_controls() -> None:
    """A header without end makes no page without end."""
    assert device_of("\x1bx" * 100).name == "x" * (LONGEST_RAW - 1) + "…"
    assert device_of("x" * LONGEST_RAW).name == "x" * LONGEST_RAW


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"),
        (59.9, "just now"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86399, "23 hours ago"),
        (86400, "1 day ago"),
        (864000, "10 days ago"),
    ],
)
def test_how_long_ago_a_time_was(seconds: float, words: str) -> None:
    """In whole units, the largest there is; clocks that differ make no time of the future."""
    assert ago(1000.0, 1000.0 + seconds) == words
