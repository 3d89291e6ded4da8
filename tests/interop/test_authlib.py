"""Authlib's client for Starlette keeps the state of its logins in the session: OAuth 2.0 with PKCE."""

import asyncio
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx2
from authlib.integrations.starlette_client import OAuth
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from visits import CONFIG

from chirp import ASGISessionMiddleware, MemorySessionStore, SessionConfig


async def give_token(request: Request) -> JSONResponse:
    """The provider's: what proves that the code is of this login comes back as the token."""
    form = parse_qs((await request.body()).decode())
    return JSONResponse({"access_token": form["code_verifier"][0], "token_type": "Bearer"})


def site(config: SessionConfig, together: asyncio.Barrier | None = None) -> Starlette:
    provider = httpx2.ASGITransport(Starlette(routes=[Route("/token", give_token, methods=["POST"])]))
    oauth = OAuth()
    oauth.register(
        "provider",
        client_id="site",
        client_secret="of the site",
        access_token_url="https://provider.test/token",
        authorize_url="https://provider.test/authorize",
        client_kwargs={"code_challenge_method": "S256", "transport": provider},
    )

    async def login(request: Request) -> Response:
        answer: Response = await oauth.provider.authorize_redirect(request, "http://testserver/back")
        if together is not None:
            await together.wait()  # both have loaded the session, neither has stored it
        return answer

    async def visit(request: Request) -> Response:
        request.session["visited"] = True
        return Response()

    async def back(request: Request) -> JSONResponse:
        token = await oauth.provider.authorize_access_token(request)
        return JSONResponse(len(token["access_token"]) >= 43)  # RFC 7636, section 4.1

    routes = [Route("/login", login), Route("/back", back), Route("/visit", visit)]
    return Starlette(routes=routes, middleware=[Middleware(ASGISessionMiddleware, config=config)])


def state_of(answer: httpx2.Response) -> str:
    return parse_qs(urlsplit(answer.headers["location"]).query)["state"][0]


def test_a_login_completes(each_config: SessionConfig) -> None:
    """The state and the verifier of PKCE are in the session when the browser comes back."""
    with TestClient(site(each_config), follow_redirects=False) as client:
        state = state_of(client.get("/login"))
        assert client.get("/back", params={"code": "any", "state": state}).json() is True


async def test_two_logins_that_start_at_the_same_time_both_complete() -> None:
    """What each of them adds is merged; of logins one after the other, Authlib itself drops the first."""
    app = site(replace(CONFIG, store=MemorySessionStore(CONFIG)), together=asyncio.Barrier(2))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://testserver") as client:
        await client.get("/visit")
        for answer in await asyncio.gather(client.get("/login"), client.get("/login")):
            back = await client.get("/back", params={"code": "any", "state": state_of(answer)})
            assert back.json() is True
