"""A context variable that what is sent after the chain returned still sees: streamed bodies and background tasks.

A chirp-style middleware ends when it returns its response, and a variable that it set ends with it. The steps of a
streamed body and the background tasks run later, so each of them gets the variable set around it.
"""

import copy
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from starlette.background import BackgroundTask
from starlette.responses import Response

from chirp.middleware.protocol import AnyResponse

T = TypeVar("T")
ResponseT = TypeVar("ResponseT", bound=AnyResponse)


def own_copy(response: ResponseT) -> ResponseT:
    """Return a copy whose headers may be changed: a handler may return one object to many requests.

    A response of another kind than Starlette's is returned as it is.
    """
    if not isinstance(response, Response):
        return response
    copied = copy.copy(response)
    copied.raw_headers = list(response.raw_headers)
    vars(copied).pop("_headers", None)  # Starlette's view of the original's list
    return copied


def keep_context(
    response: ResponseT, var: ContextVar[T], value: T, on_end: Callable[[], None] | None = None
) -> ResponseT:
    """Set a variable around every step of a streamed body and around the background tasks.

    A response that has neither is returned as it is, and `on_end` is not called: nothing of the handler's is to run.

    Args:
        response: not changed; others may share it.
        var: the variable.
        value: what it holds meanwhile.
        on_end: called once, after the last step or the background tasks, whichever come last; also after a
            step that failed, and when the body is closed early because the client is gone.

    Returns:
        The response to send.
    """
    if not isinstance(response, Response):
        return response
    body = getattr(response, "body_iterator", None)
    if body is None and response.background is None:
        return response
    kept = own_copy(response)
    after = _AfterChain(var, value, on_end)
    if response.background is not None:
        kept.background = BackgroundTask(after.run_background, response.background)
        after.has_background = True
    if body is not None:
        kept.body_iterator = _KeptBody(body, after)  # type: ignore[attr-defined]
    return kept


class _AfterChain(Generic[T]):
    """What one response still has to run, and whether that has ended."""

    def __init__(self, var: ContextVar[T], value: T, on_end: Callable[[], None] | None) -> None:
        self.var = var
        self.value = value
        self.on_end = on_end
        self.has_background = False

    async def run(self, step: Awaitable[Any]) -> Any:
        token = self.var.set(self.value)
        try:
            return await step
        finally:
            self.var.reset(token)

    async def run_background(self, background: BackgroundTask) -> None:
        try:
            await self.run(background())
        finally:
            self.end()

    def body_ended(self) -> None:
        if not self.has_background:
            self.end()

    def end(self) -> None:
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()


class _KeptBody(AsyncIterator[Any]):
    """A body whose every step sees the variable.

    A class and not an async generator: closing it before the first step must still close the body inside.
    """

    def __init__(self, body: AsyncIterable[Any], after: _AfterChain[Any]) -> None:
        self._steps = aiter(body)
        self._after = after

    async def __anext__(self) -> Any:
        try:
            return await self._after.run(anext(self._steps))
        except BaseException:
            # The end of the body, a failure or a cancellation: no further step comes.
            self._after.body_ended()
            raise

    async def aclose(self) -> None:
        """Close the body inside, and end whatever has not ended."""
        close = getattr(self._steps, "aclose", None)
        try:
            if close is not None:
                await self._after.run(close())
        finally:
            self._after.end()
