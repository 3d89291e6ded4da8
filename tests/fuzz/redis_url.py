"""Target: the text given as `redis_url`."""

from fuzzing import fuzz
from hostile_seeds import URLS
from hostile_text import check_redis_url

fuzz(
    lambda data: check_redis_url(data.decode("utf-8", "surrogateescape")),
    [url.encode() for url in URLS.values()],
    largest=256,
)
