"""The devices page: where a user is signed in, and a way to end each of these sessions or all but this one."""

from starlette.requests import Request
from starlette.responses import Response

from chirp.demo.agents import device_of
from chirp.demo.forms import read_form
from chirp.demo.pages import Templates, back
from chirp.middleware.auth import get_user, logout
from chirp.middleware.sessions import RedisSessionStore, get_session

MOST_SHOWN = 50
NOTICE_KEY = "devices:notice"  # in the session, so that the page can name the device that is no longer in its list


class Devices:
    """The page and its forms."""

    def __init__(self, store: RedisSessionStore, templates: Templates) -> None:
        self._store = store
        self._templates = templates

    async def page(self) -> Response:
        """Show the signed-in user's sessions, this one first; send anybody else to sign in."""
        session = get_session()
        if session.user_id is None:
            return back("/?next=devices")
        found = await self._store.list_sessions(session.user_id)
        sessions = sorted(found, key=lambda each: not each.current)
        shown = {
            "user": get_user(),
            "notice": session.pop(NOTICE_KEY, ""),
            "now": self._store.clock(),
            "devices": [(each, device_of(each.user_agent)) for each in sessions[:MOST_SHOWN]],
            "others": sum(not each.current for each in sessions),
            "unshown": len(sessions[MOST_SHOWN:]),
        }
        return self._templates.answer("devices.html", here="/devices", **shown)

    async def sign_out_one(self, request: Request) -> Response:
        """End one of the user's sessions; if it is this one, sign out."""
        session = get_session()
        if session.user_id is None:
            return back("/?next=devices")
        handle = (await read_form(request)).get("device", "")
        if handle == session.handle:
            logout()
            return back("/?done=signed-out")
        listed = {each.handle: each for each in await self._store.list_sessions(session.user_id)}
        name = device_of(listed[handle].user_agent).name if handle in listed else "That device"
        # With the user's id, since a handle is no secret: without it anybody could end anybody's session.
        ended = await self._store.revoke(handle, user_id=session.user_id)
        session[NOTICE_KEY] = f"{name} is signed out." if ended else f"{name} was signed out before."
        return back("/devices")

    async def sign_out_others(self) -> Response:
        """End all of the user's sessions but this one."""
        session = get_session()
        if session.user_id is None:
            return back("/?next=devices")
        ended = await self._store.revoke_user(session.user_id, keep=session.handle)
        session[NOTICE_KEY] = (
            f"{ended} other {'device is' if ended == 1 else 'devices are'} signed out. Only this one is left."
        )
        return back("/devices")
