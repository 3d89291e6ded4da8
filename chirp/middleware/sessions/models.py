"""Classes that sessions can be typed by: made from a session's data, and dumped back to JSON values. Pure.

A msgspec Struct or a dataclass is read and dumped by msgspec, a pydantic model by pydantic, which is never imported
here: whoever has such a class has imported it.
"""

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from chirp.errors import ConfigurationError, SessionNotSerializable

LONGEST_KEY = 64  # characters of a key that are told

_encode = msgspec.json.Encoder().encode
_place = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$").search  # what msgspec says of a value that does not fit
_steps = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]").finditer


class Unfit(Exception):
    """A session's data does not fit the model.

    Attributes:
        path: of the value that does not, such as `session["cart"][2]`; never with a value.
        why: what came of `migrate`, if it was asked.
    """

    def __init__(self, path: str, why: str = "") -> None:
        super().__init__(path)
        self.path = path
        self.why = why


class Model:
    """A msgspec Struct or a dataclass that sessions are typed by.

    Attributes:
        kind: the class.
        names: its attributes, and the key in the session's data of each.
    """

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        self.names: dict[str, str] = self._find_names()

    def _find_names(self) -> dict[str, str]:
        if issubclass(self.kind, msgspec.Struct):
            return dict(zip(self.kind.__struct_fields__, self.kind.__struct_encode_fields__, strict=True))
        return {field.name: field.name for field in dataclasses.fields(self.kind)}

    def refuses_other_keys(self) -> bool:
        """Tell whether data with further keys does not fit it."""
        return issubclass(self.kind, msgspec.Struct) and self.kind.__struct_config__.forbid_unknown_fields

    def read(self, data: dict[str, Any]) -> Any:
        """Return the object that the data makes.

        Raises:
            Unfit: it makes none.
        """
        try:
            return self._read(data)
        except Exception as error:
            raise Unfit(self._path(error)) from error

    def dump(self, instance: Any) -> dict[str, Any]:
        """Return an object as JSON values, which share nothing with it.

        Raises:
            SessionNotSerializable: a field has no JSON form.
        """
        try:
            return self._dump(instance)
        except Exception as error:
            path, kind = self._undumped(instance)
            reason = f"a value of type {kind} has no JSON form"
            raise SessionNotSerializable(f"{path}: {reason}", path=path) from error

    def _read(self, data: dict[str, Any]) -> Any:
        return msgspec.convert(data, self.kind, str_keys=True)

    def _dump(self, instance: Any) -> dict[str, Any]:
        dumped: dict[str, Any] = msgspec.to_builtins(instance, str_keys=True)
        return dumped

    def _dump_field(self, instance: Any, name: str) -> None:
        msgspec.to_builtins(getattr(instance, name), str_keys=True)

    def _path(self, error: Exception) -> str:
        # The text before the place may hold a value.
        found = _place(str(error)) if isinstance(error, msgspec.ValidationError) else None
        steps = _steps(found[1]) if found is not None else ()
        return path_of(name or (int(index) if index.isdigit() else None) for name, index in (s.groups() for s in steps))

    def _undumped(self, instance: Any) -> tuple[str, str]:
        """Return the path and the class of the first field that cannot be dumped."""
        for name, key in self.names.items():
            try:
                self._dump_field(instance, name)
            except Exception:  # noqa: BLE001 - values' own code, and whatever it raises means this one
                return path_of([key]), type(getattr(instance, name, None)).__name__
        return "session", type(instance).__name__


class PydanticModel(Model):
    """A pydantic model that sessions are typed by. JSON goes in and out, so that strict ones work as well."""

    def _find_names(self) -> dict[str, str]:
        kind: Any = self.kind
        fields: dict[str, Any] = kind.model_fields
        names = {name: field.serialization_alias or name for name, field in fields.items()}
        for name, field in fields.items():
            read_as = field.validation_alias or name
            if names[name] not in getattr(read_as, "choices", [read_as]):
                raise unusable(kind, f"{name} is stored as {names[name]!r} and read as {read_as!r}; give it one alias")
        if len(set(names.values())) < len(names):
            raise unusable(kind, "two of its fields have the same alias; give each its own")
        self._computed = set(kind.model_computed_fields)
        return names

    def refuses_other_keys(self) -> bool:
        kind: Any = self.kind
        return bool(kind.model_config.get("extra") == "forbid" or kind.__pydantic_root_model__)

    def _read(self, data: dict[str, Any]) -> Any:
        kind: Any = self.kind
        return kind.model_validate_json(_encode(data))

    def _dump(self, instance: Any) -> dict[str, Any]:
        # Warnings are about values of another type, which reading what was dumped finds as well.
        dumped: dict[str, Any] = instance.model_dump(mode="json", by_alias=True, exclude=self._computed, warnings=False)
        return dumped

    def _dump_field(self, instance: Any, name: str) -> None:
        instance.model_dump(mode="json", include={name}, warnings=False)

    def _path(self, error: Exception) -> str:
        errors: Any = getattr(error, "errors", None)
        if errors is None:
            return "session"
        return path_of(errors(include_url=False, include_context=False, include_input=False)[0]["loc"])


def model_of(kind: Any) -> Model:
    """Return what a class is read and dumped by.

    Raises:
        ConfigurationError: no session can be typed by it.
    """
    model = _adapt(kind)
    if model.refuses_other_keys():
        raise unusable(kind, "it refuses keys that it does not know, and login() and others keep theirs in the session")
    try:
        instance = kind()
    except Exception as error:
        raise unusable(
            kind,
            "it needs arguments, and a first visit is an empty session; give every field a default",
        ) from error
    try:
        model.read({})
        model.read(model.dump(instance))
    except (Unfit, SessionNotSerializable) as error:
        raise unusable(
            kind, f"what it is by default does not come back from JSON; change the type or default of {error.path}"
        ) from error
    return model


def check_migrate(kind: Any, migrate: Any) -> None:
    """Check the function that brings older data up to date.

    Raises:
        ConfigurationError: it cannot be called, or there is no model that data could fail to fit.
    """
    if migrate is None:
        return
    if not callable(migrate) or inspect.iscoroutinefunction(migrate):
        raise ConfigurationError(
            f"migrate is of type {type(migrate).__name__}: must be a plain (not async) function that takes a dict and "
            "returns one, or None"
        )
    if kind is None:
        raise ConfigurationError("migrate: is asked for data that does not fit the model, and there is none; set model")


def path_of(steps: Iterable[Any]) -> str:
    """Return where a value is; a step is a key, a position, or None for a key that is not told."""
    path = "session"
    for step in steps:
        path += "[...]" if step is None else f"[{json.dumps(step[:LONGEST_KEY] if isinstance(step, str) else step)}]"
    return path


def unusable(kind: Any, reason: str) -> ConfigurationError:
    """Return the error for a model that cannot work."""
    named = f"model={kind.__qualname__}" if isinstance(kind, type) else f"model is of type {type(kind).__name__}"
    return ConfigurationError(f"{named}: {reason}")


def _adapt(kind: Any) -> Model:
    pydantic = sys.modules.get("pydantic")
    if isinstance(kind, type):
        if pydantic is not None and issubclass(kind, pydantic.BaseModel):
            return PydanticModel(kind)
        of_pydantic = hasattr(kind, "__pydantic_validator__")  # its dataclass: msgspec would read it without its rules
        if issubclass(kind, msgspec.Struct) or (dataclasses.is_dataclass(kind) and not of_pydantic):
            return Model(kind)
    raise unusable(kind, "must be a class: a msgspec.Struct, a dataclass of Python's own or a pydantic BaseModel")
