"""`chirp demo` as its users meet it: a process that is started, clicked through over HTTP and ended by a signal."""

import json
import re
import signal
import socket
from typing import Any

import anyio
import httpx2
import pytest
from demo_site import (
    COOKIE,
    Page,
    Visitor,
    demo_process,
    ended,
    run_to_end,
    running_demo,
    silent_listener,
)
from redis import Redis
from servers import StartServer

from chirp.demo.app import ITEMS


def test_it_keeps_a_session_across_requests(visitor: Visitor) -> None:
    """Each visit of one browser counts one more than the last."""
    assert [Page(visitor.get("/").text).visits for _ in range(3)] == [1, 2, 3]


def test_it_keeps_a_session_across_a_restart(visitor: Visitor, redis_url: str) -> None:
    """Another process on the same Redis goes on counting where the first one stopped."""
    visitor.get("/")
    with running_demo("--redis", redis_url) as restarted, httpx2.Client(cookies=visitor.cookies) as client:
        assert Page(client.get(restarted.url).text).visits == 2


async def test_parallel_requests_lose_nothing(visitor: Visitor) -> None:
    """Ten requests that hold the session at the same time each put one item into the cart, and all are there."""
    visitor.get("/")
    headers = {"Cookie": f"{COOKIE}={visitor.ids[0]}", "Accept": "application/json"}
    times: list[dict[str, Any]] = []

    async with httpx2.AsyncClient(base_url=visitor.base_url, headers=headers, timeout=10) as client:

        async def add(item: str) -> None:
            times.append((await client.post("/cart", data={"item": item, "hold": "yes"})).json())

        async with anyio.create_task_group() as group:
            for item in ITEMS:
                group.start_soon(add, item)

    assert max(each["started"] for each in times) < min(each["ended"] for each in times), "they did not overlap"
    assert {key: value for key, value in visitor.look().data.items() if key.startswith("cart:")} == {
        f"cart:{item}": 1 for item in ITEMS
    }


@pytest.mark.parametrize("path", ["/rotate", "/regenerate", "/sign-in", "/sign-out"])
def test_a_new_id_kills_the_old_one(visitor: Visitor, path: str) -> None:
    """The cookie changes, and the old one leads to an empty session."""
    visitor.get("/")
    old = visitor.cookies[COOKIE]
    visitor.post(path, data={"name": "Ada"})
    new = visitor.cookies[COOKIE]
    with httpx2.Client(base_url=visitor.base_url, cookies={COOKIE: old}) as thief:
        assert (new != old, Page(thief.get("/live").text).visits) == (True, 0)


def test_rotating_keeps_data_and_handle(visitor: Visitor) -> None:
    """After a rotation another key holds the same document, but for the visit it takes to see it."""
    visitor.get("/")
    before = visitor.look()
    visitor.post("/rotate")
    after = visitor.look()
    assert (after.visits, after.document["handle"]) == (2, before.document["handle"])
    assert after.key != before.key


def test_regenerating_drops_the_data(visitor: Visitor) -> None:
    """After a regeneration nothing of the cart is left."""
    visitor.post("/cart", data={"item": "fig"})
    visitor.post("/regenerate")
    assert visitor.look().data == {"visits": 1}


def test_signing_in_keeps_visits_and_cart(visitor: Visitor) -> None:
    """What was collected before signing in is there afterwards, with the name."""
    visitor.post("/cart", data={"item": "fig"})
    page = Page(visitor.post("/sign-in", data={"name": " Ada "}).text)
    assert "Signed in as <b>Ada</b>" in page.text
    data = visitor.look().data
    assert data.pop("login_at") > 0
    assert data == {"visits": 2, "cart:fig": 1, "user_id": "Ada", "login_of": "Ada"}


def test_signing_out_leaves_nothing(visitor: Visitor) -> None:
    """After signing out neither the name nor the cart is left."""
    visitor.post("/cart", data={"item": "fig"})
    visitor.post("/sign-in", data={"name": "Ada"})
    visitor.post("/sign-out")
    assert visitor.look().data == {"visits": 1}


def test_emptying_the_cart_keeps_the_rest(visitor: Visitor) -> None:
    """Only what is in the cart goes."""
    visitor.get("/")
    visitor.post("/cart", data={"item": "fig"})
    visitor.post("/cart/empty")
    assert list(visitor.look().data) == ["visits"]


def test_a_name_without_visible_characters_signs_nobody_in(visitor: Visitor) -> None:
    """Blanks and controls are no name, and the page says so."""
    page = visitor.post("/sign-in", data={"name": " \x00\n"})
    assert ("A name needs" in page.text, "user_id" in visitor.look().data) == (True, False)


def test_the_page_shows_cookie_key_and_document(visitor: Visitor, redis_url: str) -> None:
    """The cookie is shown as it was sent, with the key that Redis has, its TTL and what it holds."""
    visitor.get("/")
    page = visitor.look()
    with Redis.from_url(redis_url, socket_timeout=10) as redis:
        stored = json.loads(redis.get(page.key) or b"")
    assert f'<span class="quiet">{COOKIE}=</span>{visitor.ids[-1]}<' in page.text
    assert page.document == stored
    seconds = re.search(r'data-seconds="(\d+)"', page.text)
    assert seconds is not None
    assert 3500 < int(seconds[1]) <= 3600


def test_what_a_visitor_types_is_shown_as_text(visitor: Visitor) -> None:
    """Markup in a name reaches the page escaped, also inside the document."""
    visitor.post("/sign-in", data={"name": "<script>x</script>"})
    page = visitor.look()
    assert ("<script>x" in page.text, page.data["user_id"]) == (False, "<script>x</script>")


@pytest.mark.parametrize(
    ("origin", "status"), [("http://elsewhere.example", 403), ("null", 403), ("same", 303), (None, 303)]
)
def test_forms_of_other_sites_are_refused(visitor: Visitor, origin: str | None, status: int) -> None:
    """A POST whose Origin is another one than the page's changes nothing."""
    visitor.get("/")
    own = str(visitor.base_url).rstrip("/")
    headers = {} if origin is None else {"Origin": own if origin == "same" else origin}
    response = visitor.post("/cart", data={"item": "fig"}, headers=headers, follow_redirects=False)
    assert (response.status_code, "cart:fig" in visitor.look().data) == (status, status == 303)


@pytest.mark.parametrize(
    ("body", "status"), [("item=gold", 400), ("", 400), ("&".join(["item=fig"] * 9), 400), ("item=" + "x" * 5000, 413)]
)
def test_bad_forms_are_answered(visitor: Visitor, body: str, status: int) -> None:
    """An item that does not exist, too many fields and too many bytes are the client's mistake."""
    assert visitor.post("/cart", content=body).status_code == status


@pytest.mark.parametrize("path", ["/", "/static/demo.css", "/static/devices.css", "/static/demo.js"])
def test_nothing_is_loaded_from_elsewhere(visitor: Visitor, path: str) -> None:
    """No file names a host; the namespace of SVG is a name and no address."""
    response = visitor.get(path)
    assert response.status_code == 200
    assert "//" not in response.text.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_an_outage_is_a_503_and_passes(own_server: StartServer) -> None:
    """While its Redis is gone the demo answers 503; when it is back, so are the pages."""
    server = own_server()
    with running_demo("--redis", server.url) as running, Visitor(running.url) as client:
        client.get("/")
        server.kill()
        during = client.get("/").status_code
        server.start()
        assert (during, client.get("/").status_code) == (503, 200)


def test_an_impatient_ctrl_c_changes_nothing() -> None:
    """A second signal while it is ending leaves the end as orderly, with exit code 0 and not one more word."""
    with running_demo() as running:
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGTERM)
        running.process.send_signal(signal.SIGINT)
        assert ended(running.process) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_its_server(number: signal.Signals) -> None:
    """Exit code 0, not one more word, and nobody listens where the embedded server was."""
    with running_demo() as running, Visitor(running.url) as client:
        client.get("/")
        assert ", started for this demo" in running.said
        running.process.send_signal(number)
        assert ended(running.process) == (0, "")
        host, port = running.server.rsplit(":", 1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=5)


def test_a_signal_during_the_start_ends_it() -> None:
    """Interrupted while it waits for Redis, it leaves without a traceback."""
    with silent_listener() as silent:
        port = silent.getsockname()[1]
        with demo_process("--port", "0", "--redis", f"redis://127.0.0.1:{port}") as process:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                assert ended(process) == (0, "")


def test_a_taken_port_is_named() -> None:
    """The message has the port and a way out, and comes before a server is started."""
    with silent_listener() as taken:
        port = taken.getsockname()[1]
        code, message = run_to_end("--port", str(port))
    assert (code, len(message.splitlines())) == (1, 1)
    assert f"port {port} on 127.0.0.1 is taken" in message
    assert "--port" in message


def test_a_redis_that_refuses_is_named() -> None:
    """The message says where Redis was expected, without the password."""
    with silent_listener() as listener:
        port = listener.getsockname()[1]
    code, message = run_to_end("--port", "0", "--redis", f"redis://:s3cret@127.0.0.1:{port}/0")
    assert code == 1
    assert message == f"chirp demo: Redis at 127.0.0.1:{port} does not answer: Connection refused\n"


def test_a_redis_that_never_answers_is_given_up() -> None:
    """After three seconds, whatever the URL says, the command ends with a message that has no password."""
    with silent_listener() as silent:
        port = silent.getsockname()[1]
        code, message = run_to_end("--port", "0", "--redis", f"redis://:s3cret@127.0.0.1:{port}/0?socket_timeout=300")
    assert (code, message) == (1, f"chirp demo: Redis at 127.0.0.1:{port} did not answer within 3 seconds\n")
