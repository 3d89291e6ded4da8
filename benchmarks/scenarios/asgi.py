"""A request through an app in process: no sessions, sessions in a signed cookie, this package's sessions on Redis."""

from benchmarks.contenders.asgi_bare import AsgiBare
from benchmarks.contenders.asgi_chirp import AsgiChirp
from benchmarks.contenders.asgi_signed_cookie import AsgiSignedCookie
from benchmarks.scenarios.scenario import Ratio, Scenario, Turn


def _added(turn: Turn) -> float | None:
    """Divide what sessions on Redis add to the app by what the signed cookie adds."""
    bare = turn[AsgiBare.name].cpu_us
    by_cookie = turn[AsgiSignedCookie.name].cpu_us - bare
    if by_cookie <= 0:
        return None
    return (turn[AsgiChirp.name].cpu_us - bare) / by_cookie


SCENARIO = Scenario(
    name="asgi",
    description="one request through a Starlette app called in process, its cookie parsed by the middleware",
    contenders=(AsgiBare, AsgiSignedCookie, AsgiChirp),
    ratios=(
        Ratio(
            "added CPU / signed cookie",
            "CPU per request that chirp on Redis adds to the app without sessions, divided by what Starlette's "
            "signed cookie adds; less is better",
            _added,
        ),
    ),
)
