"""Functions of the app's author, sync or async, as one kind."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool


def as_async(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return something to await for a function that may block.

    Returns:
        The function itself if it is async. Otherwise one that calls it in a worker thread, where it sees the
        caller's context variables, and awaits what it returns if that is awaitable (an async function behind
        a plain decorator, an object with an async `__call__`).
    """
    if inspect.iscoroutinefunction(function):
        return function

    async def in_thread(*args: Any, **kwargs: Any) -> Any:
        result = await run_in_threadpool(function, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return in_thread


def name_of(function: object) -> str:
    """Return the name under which its author knows a function, for messages."""
    return getattr(function, "__qualname__", None) or f"an instance of {type(function).__qualname__}"
