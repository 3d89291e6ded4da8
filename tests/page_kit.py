"""For the tests of documentation pages: the store of a program, put to use in an app as the pages say."""

from dataclasses import replace
from typing import Any

from starlette.testclient import TestClient

from chirp import App, SessionMiddleware, get_session


def app_with(module: dict[str, Any]) -> App:
    """Put a program's store to use, as the page says."""
    app = App()
    app.add_middleware(SessionMiddleware(replace(module["config"], store=module["store"])))

    @app.route("/")
    async def index() -> dict[str, int]:
        session = get_session()
        session["visits"] = session.get("visits", 0) + 1
        return {"visits": session["visits"]}

    return app


def visits(app: App) -> list[int]:
    """Return what ten browsers are told at their second visit."""
    counts = []
    with TestClient(app) as client:
        for _ in range(10):
            client.cookies.clear()
            client.get("/")
            counts.append(client.get("/").json()["visits"])
    return counts
