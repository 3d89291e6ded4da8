"""Programs that use a store, as they are run from a command line: `python process_programs.py NAME [LOOP]`.

Each uses the store that `process_site` makes when it is imported, and ends in a way of its own.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from typing import Any

from process_site import app, store

from chirp.middleware.sessions.session import Session


def run(loop: str, work: Coroutine[Any, Any, Any]) -> Any:
    """Run in a loop of this kind, "asyncio" or "uvloop", and shut it down as is usual."""
    if loop == "asyncio":
        return asyncio.run(work)
    import uvloop  # noqa: PLC0415 - each program is a process, and most need neither this nor a server

    return uvloop.run(work)


def new_loop(loop: str) -> asyncio.AbstractEventLoop:
    if loop == "asyncio":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415

    return uvloop.new_event_loop()


async def put(cookie: str | None = None, /, **data: Any) -> str:
    """Store values as a request does; return the id of the session."""
    session = await store.open(cookie, https=True)
    session.update(data)
    await store.commit(session, store.clock())
    return session.id or ""


async def used() -> str:
    """Use the store with several requests at once, so that several connections are open."""
    cookie = await put(number=0)
    await asyncio.gather(*(put(number=number) for number in range(10)), *(put(cookie) for _ in range(10)))
    return cookie


def ends(loop: str) -> None:
    """End with the pool open."""
    run(loop, used())


def runs_again_and_again(loop: str) -> None:
    """Run one loop after another, as test runners do, with the one store."""
    cookie = run(loop, used())
    for number in range(5):
        run(loop, put(cookie, number=number))
        session: Session = run(loop, store.open(cookie, https=True))
        assert session["number"] == number


def raises(loop: str) -> None:
    async def main() -> None:
        await used()
        raise ValueError("the program's own")

    run(loop, main())


def exits_in_a_task(loop: str) -> None:
    async def leave() -> None:
        await used()
        sys.exit(3)

    async def main() -> None:
        await asyncio.create_task(leave())

    run(loop, main())


def exits_beside_requests(loop: str) -> None:
    async def main() -> None:
        await used()
        requests = [asyncio.create_task(used()) for _ in range(20)]
        await asyncio.sleep(0)
        assert not any(request.done() for request in requests)
        sys.exit(3)

    run(loop, main())


def is_interrupted(loop: str) -> None:
    async def main() -> None:
        await used()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(30)

    run(loop, main())


def closes_the_loop_without_shutdown(loop: str) -> None:
    running = new_loop(loop)
    running.run_until_complete(used())
    running.close()


def closes_the_store_itself(loop: str) -> None:
    """Do in a loop of one's own what `asyncio.run` would do at its end."""
    running = new_loop(loop)
    running.run_until_complete(used())
    running.run_until_complete(store.aclose())
    running.close()


def _in_child(cookie: str, number: int) -> None:
    asyncio.run(put(cookie, **{f"child{number}": os.getpid()}))


def _has_children(method: str, loop: str) -> None:
    cookie = run(loop, used())
    context: Any = multiprocessing.get_context(method)
    children = [context.Process(target=_in_child, args=(cookie, number)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    session: Session = run(loop, store.open(cookie, https=True))
    assert [child.exitcode for child in children] == [0, 0]
    assert dict(session) == {"number": 0, **{f"child{number}": child.pid for number, child in enumerate(children)}}


def has_children_by_fork(loop: str) -> None:
    _has_children("fork", loop)


def has_children_by_spawn(loop: str) -> None:
    _has_children("spawn", loop)


def has_children_by_forkserver(loop: str) -> None:
    _has_children("forkserver", loop)


def serves_with_workers_forked_after_use(loop: str) -> None:
    """Use the store, then fork two workers that accept from one socket, as pre-forking servers do."""
    import uvicorn  # noqa: PLC0415

    run(loop, used())
    with socket.socket(fileno=int(os.environ["LISTENING"])) as listening:
        workers = []
        for _ in range(2):
            worker = os.fork()
            if worker == 0:
                server = uvicorn.Server(uvicorn.Config(app, log_level="warning", loop=loop, ws="none"))
                server.run(sockets=[listening])
                os._exit(0)
            workers.append(worker)
        signal.signal(signal.SIGTERM, lambda *_: [os.kill(worker, signal.SIGTERM) for worker in workers])
        for worker in workers:
            os.waitpid(worker, 0)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
