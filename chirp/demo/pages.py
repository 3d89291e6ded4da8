"""What the demo's pages have in common: their templates, how times are written, and the way back after a form."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from starlette.responses import HTMLResponse, RedirectResponse, Response

FILES = Path(__file__).parent
UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


class Templates:
    """The pages, each a template.

    Args:
        address: where the sessions are, for the head of each page.
    """

    def __init__(self, address: str) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FILES / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(clock=clock, ago=ago)
        self._environment.globals.update(address=address)

    def answer(self, name: str, **shown: Any) -> Response:
        """Return a page that no cache keeps, the browser's own included: it shows what a session holds."""
        text = self._environment.get_template(name).render(shown)
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})


def back(to: str) -> Response:
    """Send the browser to a page with a GET, so that a reload repeats nothing."""
    return RedirectResponse(to, status_code=303)


def clock(seconds: float) -> str:
    """Return Unix seconds as an ISO time in UTC, for a `time` element."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def ago(then: float, now: float) -> str:
    """Return how long before `now` a time was, in words; both are Unix seconds."""
    for unit, seconds in UNITS:
        count = int((now - then) // seconds)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
