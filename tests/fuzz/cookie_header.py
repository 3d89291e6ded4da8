"""Target: one or several `Cookie` headers; a line feed, which no header can hold, begins the next one."""

from fuzzing import fuzz
from hostile import check_cookie_header
from hostile_seeds import COOKIE_HEADERS

fuzz(
    lambda data: check_cookie_header(data.split(b"\n")),
    [*COOKIE_HEADERS.values(), b"\n".join([COOKIE_HEADERS["one"], COOKIE_HEADERS["two"]])],
)
