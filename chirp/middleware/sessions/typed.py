"""A session as an object of the app's own class: validated when it is loaded, written back when it is stored. Pure."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from chirp.errors import ConfigurationError, SessionNotSerializable
from chirp.middleware.sessions.codec import encode_data
from chirp.middleware.sessions.fidelity import check_faithful, unfaithful
from chirp.middleware.sessions.models import Model, Unfit

T = TypeVar("T")
Migrate = Callable[[dict[str, Any]], dict[str, Any]]

_encode = msgspec.json.Encoder().encode


class Opened(NamedTuple):
    """Stored data that fits the model.

    Attributes:
        data: as it is now.
        instance: what it makes.
        migrated: whether `migrate` has changed it.
    """

    data: dict[str, Any]
    instance: Any
    migrated: bool


class View:
    """One session's object. What is changed in it is taken into the session's data before that is stored.

    Args:
        model: what the object is made and dumped by.
        instance: what the session's data has made when it was loaded.
    """

    __slots__ = ("_given", "_instance", "_known", "_model")

    def __init__(self, model: Model, instance: Any = None) -> None:
        self._model = model
        self._instance = instance
        self._given = False
        self._known: dict[str, bytes] = {}  # the object's fields, encoded, as of when the data last took them

    def give(self, session: "TypedDict", kind: type[T]) -> T:
        """See `Session.typed`."""
        if kind is not self._model.kind:
            raise ConfigurationError(
                f"typed({_name_of(kind)}): the sessions' model is {_name_of(self._model.kind)}; ask for that one"
            )
        if not self._given:
            if self._instance is None or session.modified or session._lent:  # the data may be another than was loaded
                self._instance = fitting(self._model, session)
            self._known = _encoded(self._model.dump(self._instance))
            self._given = True
        instance: T = self._instance
        return instance

    def forget(self) -> None:
        """Let go of the object: what it was made from is gone."""
        self._instance, self._given, self._known = None, False, {}

    def write_to(self, session: "TypedDict") -> None:
        """Take the fields that have changed into the session's data; all other keys stay as they are."""
        if not self._given:
            return
        values = self._model.dump(self._instance)
        encoded = _encoded(values)
        changed = [key for key in values if encoded[key] != self._known.get(key)]
        absent = self._known.keys() - values.keys()  # of a model that leaves defaults out
        for key in changed:
            dict.__setitem__(session, key, values[key])
        for key in absent:
            dict.pop(session, key, None)
        if changed or absent:
            session.modified = True
        self._known = encoded


class TypedDict(dict[str, Any]):
    """What makes a session one that can be had as an object."""

    __slots__ = ("_view",)

    _view: View | None  # None without a model
    _lent: bool
    accessed: bool
    modified: bool

    def typed(self, model: type[T], /) -> T:
        """Return this session as an object of `SessionConfig.model`: the same one each time.

        What is changed in it, nested values too, is stored at the end of the request, and by `save()`. Fields that
        have not changed are not stored, so defaults take no room and other requests' changes are kept. Where a field
        was changed and its key set directly as well, the field wins. A key that is set directly after the first call
        does not change the object. After `clear()` and `regenerate_session()` there is a fresh one.

        Args:
            model: the class, so that type checkers and editors know what is returned.

        Raises:
            ConfigurationError: the sessions' model is another class, or there is none.
            SessionNotSerializable: what this request has put into the session does not fit the model.
        """
        if self._view is None:
            raise ConfigurationError(
                f"typed({_name_of(model)}): the sessions have no model; set SessionConfig(model={_name_of(model)})"
            )
        instance = self._view.give(self, model)
        self.accessed = self._lent = True
        return instance


def write_back(session: dict[str, Any]) -> None:
    """Take what has changed in a session's object into its data.

    Raises:
        SessionNotSerializable: a field has no JSON form.
    """
    if isinstance(session, TypedDict) and session._view is not None:
        session._view.write_to(session)


def encode_typed(session: dict[str, Any]) -> bytes:
    """Encode what a handler stored, in the session and in its object.

    Raises:
        SessionNotSerializable: something in it has no JSON form.
    """
    write_back(session)
    return encode_data(session)


def check_fitting(model: Model, session: dict[str, Any], data: bytes, *, nested: bool = True) -> None:
    """Prove that `data`, the encoded `session`, comes back equal and fits the model.

    Raises:
        SessionNotSerializable: it does not.
    """
    check_faithful(session, data, nested=nested)
    fitting(model, session)


def fitting(model: Model, session: dict[str, Any]) -> Any:
    """Return what a session's data makes.

    Raises:
        SessionNotSerializable: it does not fit the model, so the next request would find the session invalid.
    """
    try:
        return model.read(session)
    except Unfit as unfit:
        path = unfit.path
        reason = f"does not fit the model {_name_of(model.kind)}, so it could not be read again"
        raise SessionNotSerializable(f"{path}: {reason}", path=path) from unfit


def open_typed(model: Model, migrate: Migrate | None, data: dict[str, Any]) -> Opened:
    """Return what stored data makes, brought up to date by `migrate` where it does not fit.

    Raises:
        Unfit: it fits neither before nor after that.
    """
    try:
        return Opened(data, model.read(data), migrated=False)
    except Unfit as unfit:
        if migrate is None:
            raise
        path = unfit.path
    try:
        data = migrate(data)
        check_faithful(data, encode_data(data))
        return Opened(data, model.read(data), migrated=True)
    except Unfit as unfit:
        raise Unfit(path, f", and after migrate {unfit.path}") from unfit
    except Exception as error:
        raise Unfit(path, f", and migrate failed with a {type(error).__name__}") from error


def _encoded(values: dict[str, Any]) -> dict[str, bytes]:
    try:
        return {key: _encode(value) for key, value in values.items()}
    except Exception as error:
        raise unfaithful(values) from error


def _name_of(kind: Any) -> str:
    return getattr(kind, "__qualname__", None) or repr(kind)
