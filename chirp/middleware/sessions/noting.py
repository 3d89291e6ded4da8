"""A dict that notes how it is used: whether anybody looked, whether it may have changed, and that it is closed.

Nothing here knows what the dict is for.
"""

from collections.abc import Callable
from typing import Any

from chirp.errors import SessionClosed
from chirp.middleware.sessions.typed import TypedDict

NESTED = (dict, list)  # JSON values with something inside, which can change without the session noticing


class NotingDict(TypedDict):
    """The dict that a session is. `Session` says what its attributes mean, and sets them."""

    __slots__ = ("_closed", "_lent", "accessed", "modified", "user_key")

    _closed: bool
    _lent: bool
    accessed: bool
    modified: bool
    user_key: str

    def mark_accessed(self) -> None:
        """Record that the handler obtained the session."""
        self.accessed = True

    def mark_modified(self) -> None:
        """Record that a top-level key, or something inside a value, is about to change.

        Raises:
            SessionClosed: the response has started.
        """
        if self._closed:
            raise _closed()
        self.accessed = self.modified = self._lent = True

    def __getitem__(self, key: str) -> Any:
        self.accessed = True
        value = dict.__getitem__(self, key)
        if type(value) in NESTED:
            self._lent = True
        return value

    def get(self, key: str, default: Any = None) -> Any:
        self.accessed = True
        value = dict.get(self, key, default)
        if type(value) in NESTED:
            self._lent = True
        return value

    def __contains__(self, key: object) -> bool:
        self.accessed = True
        return dict.__contains__(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if self._closed:
            raise _closed()
        self.accessed = self.modified = True
        if isinstance(value, NESTED) or key == self.user_key:
            self._lent = True
        dict.__setitem__(self, key, value)

    def __delitem__(self, key: str) -> None:
        self.mark_modified()
        dict.__delitem__(self, key)

    def pop(self, key: str, *default: Any) -> Any:
        if dict.__contains__(self, key):
            self.mark_modified()
        self.accessed = True
        return dict.pop(self, key, *default)

    def popitem(self) -> tuple[str, Any]:
        if dict.__len__(self):
            self.mark_modified()
        return dict.popitem(self)

    def setdefault(self, key: str, default: Any = None) -> Any:
        if not dict.__contains__(self, key):
            self.mark_modified()
        self.accessed = self._lent = True
        return dict.setdefault(self, key, default)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        # A copy is data alone: a second object with the same claim on the stored document would overwrite it.
        return dict, (dict(self),)


def _closed() -> SessionClosed:
    return SessionClosed(
        "the session was changed after the response had started, when nothing is saved any more; "
        "change it before the first byte is sent, or between session.reopen() and await session.save()"
    )


def _marked(name: str, *, changes: bool = False, lends: bool = False) -> Callable[..., Any]:
    """Make a dict method tell the session that it is read or changed, or that its values are given out."""
    plain = getattr(dict, name)
    if changes:

        def method(self: NotingDict, *args: Any, **kwargs: Any) -> Any:
            self.mark_modified()
            return plain(self, *args, **kwargs)
    else:

        def method(self: NotingDict, *args: Any, **kwargs: Any) -> Any:
            self.accessed = True
            self._lent = self._lent or lends
            return plain(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = plain.__doc__
    return method


for _name in ("update", "__ior__"):
    setattr(NotingDict, _name, _marked(_name, changes=True))
_LOOKS = ("__iter__", "__reversed__", "__len__", "__repr__", "keys")
_GIVES = ("items", "values", "copy", "__or__", "__ror__", "__eq__", "__ne__")  # comparing hands values to their `==`
for _name in _LOOKS:
    setattr(NotingDict, _name, _marked(_name))
for _name in _GIVES:
    setattr(NotingDict, _name, _marked(_name, lends=True))
