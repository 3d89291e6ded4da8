"""One handler behind one route: where its arguments come from, and which response its return value becomes."""

import inspect
from collections.abc import Callable, Collection
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from chirp.errors import ConfigurationError
from chirp.middleware.calling import as_async, name_of


class HandlerRoute(Route):
    """A route that returns its response instead of sending it, so that the middlewares see it first."""

    def __init__(self, path: str, handler: Callable[..., Any], methods: Collection[str], name: str | None) -> None:
        """Check the route, and resolve the handler's parameters.

        Raises:
            ConfigurationError: the path or a parameter of the handler cannot work.
        """
        try:
            super().__init__(path, handler, methods=methods, name=name)
        except (AssertionError, KeyError, ValueError) as error:
            raise ConfigurationError(f"path={path!r}: {error}") from error
        self._call = as_async(handler)
        sources = _sources(handler, path, self.param_convertors)
        self._positional = [source for parameter, source in sources if parameter.kind is parameter.POSITIONAL_ONLY]
        self._named = {
            parameter.name: source for parameter, source in sources if parameter.kind is not parameter.POSITIONAL_ONLY
        }

    async def answer(self, request: Request) -> Response:
        """Call the handler and return its response.

        Raises:
            TypeError: the handler returned something that no response can be made of.
        """
        values: dict[str | None, Any] = {None: request}
        values.update(request.path_params)
        result = await self._call(
            *(values[source] for source in self._positional),
            **{name: values[source] for name, source in self._named.items()},
        )
        match result:
            case Response():
                return result
            case str():
                return HTMLResponse(result)
            case dict() | list():
                return JSONResponse(result)
            case bytes():
                return Response(result, media_type="application/octet-stream")
            case _:
                raise TypeError(
                    f"handler {name_of(self.endpoint)} returned {type(result).__name__}; return a str, dict, list, "
                    "bytes or a Starlette response (for an empty one, Response(status_code=204))"
                )


def _sources(
    handler: Callable[..., Any], path: str, path_names: Collection[str]
) -> list[tuple[inspect.Parameter, str | None]]:
    """Return the parameters to fill, each with the path parameter it gets, or with None if it gets the request."""
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"route {path!r}: handler {handler!r}: {error}") from error
    sources: dict[str, str | None] = {}
    left: list[inspect.Parameter] = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            left.append(parameter)
        elif parameter.name in path_names:
            sources[parameter.name] = parameter.name
        elif parameter.name == "request" or _is_request(parameter.annotation):
            sources[parameter.name] = None
        elif parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY:
            left.append(parameter)
    if len(left) == 1 and None not in sources.values() and _may_be_request(left[0]):
        sources[left.pop().name] = None
    if left:
        raise ConfigurationError(
            f"route {path!r}: nothing is known to fill parameter {str(left[0])!r} of handler {name_of(handler)}; "
            "name it as a path parameter, call it request, annotate it Request or give it a default "
            "(a decorator around the handler needs functools.wraps)"
        )
    return [(parameter, sources[parameter.name]) for parameter in parameters if parameter.name in sources]


def _is_request(annotation: Any) -> bool:
    # By name where annotations are text: the class may be imported for type checkers only.
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == "Request"
    return annotation is Request


def _may_be_request(parameter: inspect.Parameter) -> bool:
    positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return positional and parameter.annotation is parameter.empty
