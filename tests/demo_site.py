"""The demo as a process, and a visitor who reads its page."""

import hashlib
import html
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from redis import Redis

COOKIE = "chirp_demo"
SECONDS = 20  # for a start or an end; a busy machine is no defect
ANSWER = re.compile(r"Sessions are kept in (.+) at ([^,\s]+)(, started for this demo)?\.\nOpen (http://\S+)")


@dataclass
class RunningDemo:
    """A demo that serves.

    Attributes:
        url: where the page is.
        server: where the sessions are, as `host:port`.
        said: what the command wrote about both.
    """

    process: subprocess.Popen[str]
    url: str
    server: str
    said: str


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "chirp.cli", "demo", *options]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "CHIRP_REDIS_URL"}


@contextmanager
def demo_process(*options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def running_demo(*options: str) -> Iterator[RunningDemo]:
    with demo_process("--port", "0", *options) as process:
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        found = ANSWER.match(said)
        if found is None:
            process.kill()
            pytest.fail(f"the demo did not start: {said}{process.communicate()[1]}")
        yield RunningDemo(process, url=found[4], server=found[2], said=said)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; return the exit code and what the command had still to say."""
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out + err


def run_to_end(*options: str) -> tuple[int, str]:
    """Run a demo that cannot start; return the exit code and the message."""
    done = subprocess.run(
        command(*options), capture_output=True, text=True, env=environment(), timeout=SECONDS, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


class Visitor(httpx2.Client):
    """A browser that remembers every id it was given, so that what it left on the server can be removed."""

    def __init__(self, url: str) -> None:
        self.ids: list[str] = []
        super().__init__(base_url=url, follow_redirects=True, timeout=10, event_hooks={"response": [self._note]})

    def _note(self, response: httpx2.Response) -> None:
        if given := response.cookies.get(COOKIE):
            self.ids.append(given)

    def look(self) -> "Page":
        """See the page without counting a visit."""
        return Page(self.get("/live").text)


@contextmanager
def visiting(demo: RunningDemo, redis_url: str) -> Iterator[Visitor]:
    """Come to the demo with a new browser, and remove from Redis what it has left there."""
    with Visitor(demo.url) as client:
        yield client
    with Redis.from_url(redis_url, socket_timeout=10) as redis:
        for given in client.ids:
            redis.delete("chirp:demo:" + hashlib.sha256(given.encode()).hexdigest())


class Page:
    """What a reader finds on the page."""

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def visits(self) -> int:
        return int(self._inside('id="visits"', "span"))

    @property
    def key(self) -> str:
        return self._inside('id="key"', "span")

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._inside('class="document"', "pre"))
        return document

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.document["data"]
        return data

    def _inside(self, attribute: str, tag: str) -> str:
        found = re.search(rf"<{tag} [^>]*{attribute}[^>]*>(.*?)</{tag}>", self.text, re.DOTALL)
        if tag == "pre":  # whose highlighting is spans
            found = re.search(rf"<pre {attribute}[^>]*>(.*?)</pre>", self.text, re.DOTALL)
        assert found is not None, f"nothing with {attribute}"
        return html.unescape(re.sub(r"<[^>]+>", "", found[1]))


@contextmanager
def silent_listener() -> Iterator[socket.socket]:
    """A port that accepts connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(SECONDS)
        yield listener
