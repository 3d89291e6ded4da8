"""A contender's turn: its server and its browsers, two processes beside this one."""

from collections.abc import Callable
from typing import Any

from benchmarks.contenders.contender import WrongSessionError
from benchmarks.http import generator, worker
from benchmarks.http.child import END_SECONDS, child
from benchmarks.http.settings import Settings

START_SECONDS = 20.0
SPARE_SECONDS = 60.0  # that opening connections, beginning sessions and a busy machine may take


async def take_turn(
    name: str, contender: str, *, redis_url: str, key_prefix: str, settings: Settings, advance: Callable[[], None]
) -> tuple[str, list[dict[str, Any]]]:
    """Start a server, put it under load, and end it.

    Args:
        name: of the contender.
        contender: its class as "module:Class".
        redis_url: the server of the run.
        key_prefix: of all its keys.
        settings: how much is measured.
        advance: is called for each number of connections.

    Returns:
        The contender's description, and the figures for each number of connections.

    Raises:
        WrongSessionError: an answer was wrong, or the server has counted other requests than the browsers.
        ChirpError: a process did not start, or ended, or did not answer.
    """
    job: worker.Job = {"contender": contender, "redis_url": redis_url, "key_prefix": key_prefix}
    async with child(name, worker.__name__, job) as server:
        listening = await server.next_line(START_SECONDS)
        rows = await _load(name, server.process_id, listening["port"], settings, advance)
        server.close_stdin()
        served = (await server.next_line(END_SECONDS))["served"]
    answers = sum(row["answers"] for row in rows)
    if served != answers:
        raise WrongSessionError(f"{name}: the server has counted {served} requests, and the browsers {answers} answers")
    return listening["description"], rows


async def _load(
    name: str, process_id: int, port: int, settings: Settings, advance: Callable[[], None]
) -> list[dict[str, Any]]:
    job: generator.Job = {
        "port": port,
        "process_id": process_id,
        "connections": settings.connections,
        "warm_up_seconds": settings.warm_up_seconds,
        "seconds": settings.seconds,
    }
    most_seconds = 2 * (settings.warm_up_seconds + settings.seconds) + SPARE_SECONDS
    rows = []
    async with child(name, generator.__name__, job) as browsers:
        for _ in settings.connections:
            rows.append(await browsers.next_line(most_seconds))
            advance()
    return rows
