"""What a `User-Agent` header says of a device, in words that its owner knows it by."""

import re
from typing import Literal, NamedTuple

Kind = Literal["computer", "phone", "program"]

LONGEST_RAW = 48
NOTHING_SAID = "Unknown device"

# The first that matches counts: nearly every browser also names those that it descends from.
BROWSERS = (
    ("Edge", r"\bEdg(?:e|A|iOS)?/"),
    ("Opera", r"\b(?:OPR|OPT|Opera)/"),
    ("Samsung Internet", r"\bSamsungBrowser/"),
    ("Firefox", r"\b(?:Firefox|FxiOS)/"),
    ("Headless Chrome", r"\bHeadlessChrome/"),
    ("Chrome", r"\b(?:Chrome|Chromium|CriOS)/"),
    ("Safari", r"\bVersion/\S+ (?:Mobile/\S+ )?Safari/"),
)
SYSTEMS: tuple[tuple[str, str, Kind], ...] = (
    ("iPhone", r"\biPhone\b", "phone"),
    ("iPad", r"\biPad\b", "phone"),
    ("Android", r"\bAndroid\b", "phone"),
    ("Windows", r"\bWindows NT\b", "computer"),
    ("macOS", r"\bMacintosh\b", "computer"),
    ("ChromeOS", r"\bCrOS\b", "computer"),
    ("Linux", r"\bLinux\b", "computer"),
)


class Device(NamedTuple):
    """A device as a person would name it.

    Attributes:
        name: browser and system, or what the header says if it names neither.
        kind: what to draw beside the name.
    """

    name: str
    kind: Kind


def device_of(user_agent: str | None) -> Device:
    """Return the device that a `User-Agent` header claims to be; anybody can claim anything."""
    said = "".join(filter(str.isprintable, user_agent or "")).strip()
    if not said:
        return Device(NOTHING_SAID, "program")
    browser = next((name for name, pattern in BROWSERS if re.search(pattern, said)), None)
    system, kind = next(((name, kind) for name, pattern, kind in SYSTEMS if re.search(pattern, said)), (None, None))
    if browser is None or kind is None:
        return Device(said if len(said) <= LONGEST_RAW else f"{said[: LONGEST_RAW - 1]}…", kind or "program")
    return Device(f"{browser} on {system}", kind)
