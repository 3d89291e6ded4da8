"""Forms: read a small one, and refuse those that another site sent."""

from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from chirp.middleware.protocol import AnyResponse, Next

MAX_BYTES = 4096
MAX_FIELDS = 8
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    # Not no-referrer: browsers would then send `Origin: null` with the page's own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a URL-encoded form; of several with one name, the last.

    Raises:
        HTTPException: 413 for more than 4096 bytes, 400 for more than 8 fields.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f"A form may have {MAX_BYTES} bytes.")
    try:
        return dict(parse_qsl(body.decode("ascii", "replace"), max_num_fields=MAX_FIELDS, errors="replace"))
    except ValueError as error:
        raise HTTPException(400, f"A form may have {MAX_FIELDS} fields.") from error


async def guard(request: Request, following: Next) -> AnyResponse:
    """Refuse writes from other origins, and add the headers that keep a page to itself.

    Browsers send Origin with every POST, so one that names another host was not sent by this page.
    """
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if foreign and request.method not in SAFE_METHODS:
        return PlainTextResponse("Refused: this form was sent by another site.", status_code=403)
    response = await following(request)
    if isinstance(response, Response):
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
    return response
