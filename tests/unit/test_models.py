"""Which classes sessions can be typed by: said at construction, with what to do instead."""

import asyncio
import dataclasses
import subprocess
import sys
from dataclasses import replace
from typing import Any

import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from session_kit import config_with
from typed_kit import KINDS, DataShop, StructShop

from chirp.errors import ConfigurationError, SessionNotSerializable
from chirp.middleware.sessions import MemorySessionStore, Session, SessionMiddleware
from chirp.middleware.sessions.fronts import store_of
from chirp.middleware.sessions.models import Unfit, model_of
from chirp.testing import Browser


class Plain:
    pass


class NeedsName(msgspec.Struct):
    name: str


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    a: int = 1


class ClosedPydantic(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


class AsList(msgspec.Struct, array_like=True):
    a: int = 1


class Odd(msgspec.Struct):
    a: int = "text"  # type: ignore[assignment]


class Unknown(msgspec.Struct):
    a: Any = msgspec.field(default_factory=object)


class Rooted(pydantic.RootModel[dict[str, int]]):
    root: dict[str, int] = {}


class TwoNames(pydantic.BaseModel):
    a: int = pydantic.Field(1, validation_alias="b", serialization_alias="c")


class OneName(pydantic.BaseModel):
    a: int = pydantic.Field(1, alias="x")
    b: int = pydantic.Field(1, alias="x")


@pydantic.dataclasses.dataclass
class PydanticData:
    a: int = 1


async def later(data: dict[str, Any]) -> dict[str, Any]:
    return data


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (5, "model is of type int: must be a class"),
        (StructShop(), "must be a class"),
        (dict, "model=dict: must be a class: a msgspec.Struct"),
        (Plain, "model=Plain: must be a class: a msgspec.Struct"),
        (PydanticData, "model=PydanticData: must be a class"),
        (NeedsName, "model=NeedsName: it needs arguments, and a first visit is an empty session; give every field"),
        (Closed, "model=Closed: it refuses keys that it does not know"),
        (ClosedPydantic, "model=ClosedPydantic: it refuses keys that it does not know"),
        (Rooted, "model=Rooted: it refuses keys that it does not know"),
        (AsList, "model=AsList: what it is by default does not come back"),
        (Odd, "model=Odd: what it is by default does not come back from JSON; change the type or default of "),
        (Unknown, 'change the type or default of session["a"]'),
        (TwoNames, "a is stored as 'c' and read as 'b'; give it one alias"),
        (OneName, "two of its fields have the same alias"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:20],
)
def test_a_class_that_cannot_work_is_refused(model: Any, said: str) -> None:
    """By name, with the remedy."""
    with pytest.raises(ConfigurationError) as raised:
        config_with(model=model)
    assert said in str(raised.value)
    assert str(raised.value).startswith("model")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": DataShop, "migrate": 5}, "migrate is of type int: must be a plain (not async) function"),
        ({"model": DataShop, "migrate": later}, "must be a plain (not async) function"),
        ({"migrate": dict}, "migrate: is asked for data that does not fit the model, and there is none; set model"),
    ],
    ids=["a number", "a coroutine function", "no model"],
)
def test_a_migrate_that_cannot_work_is_refused(settings: dict[str, Any], said: str) -> None:
    """By name, with the remedy."""
    with pytest.raises(ConfigurationError) as raised:
        config_with(**settings)
    assert said in str(raised.value)


def test_another_class_than_the_model_is_refused() -> None:
    """And both are named."""

    async def ask() -> None:
        (await MemorySessionStore(config_with(model=StructShop)).open(None, https=True)).typed(DataShop)

    with pytest.raises(ConfigurationError, match=r"typed\(DataShop\).*model is StructShop"):
        asyncio.run(ask())


def test_a_session_without_a_model_says_where_to_set_it() -> None:
    """In the config."""
    with pytest.raises(ConfigurationError, match=r"typed\(DataShop\): .*SessionConfig\(model=DataShop\)"):
        Session().typed(DataShop)


class OwnStore:
    async def load(self, request: Any) -> dict[str, Any]:
        return {}

    async def save(self, response: Any, session: dict[str, Any], *, regenerate_old_id: str | None = None) -> Any:
        return response


def test_a_store_of_plain_dicts_has_no_model() -> None:
    """It would give out what nobody has validated."""
    with pytest.raises(ConfigurationError, match="model=StructShop: a store that has load and save alone"):
        SessionMiddleware(config_with(model=StructShop, store=OwnStore()))


def test_middleware_and_store_have_one_model() -> None:
    """What differs is named."""
    store = MemorySessionStore(config_with(model=StructShop))
    with pytest.raises(ConfigurationError, match="model differs"):
        store_of(config_with(model=DataShop, store=store))
    assert store_of(replace(store.config, store=store)) is store


def test_pydantic_is_not_imported() -> None:
    """An app that has no class of it does not pay for it."""
    program = """
import sys, msgspec
from chirp import SessionConfig
SessionConfig("x" * 32, model=msgspec.defstruct("Shop", []))
print("pydantic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


class Renamed(msgspec.Struct, rename="camel"):
    user_id: int = 0
    big_cart: list[int] = []


class Aliased(pydantic.BaseModel):
    user_id: int = pydantic.Field(0, alias="userId")
    big_cart: list[int] = pydantic.Field(
        default_factory=list,
        validation_alias=pydantic.AliasChoices("bigCart", "oldCart"),
        serialization_alias="bigCart",
    )


@pytest.mark.parametrize("model", [Renamed, Aliased])
def test_fields_are_stored_under_their_encoded_names(model: Any) -> None:
    """As the class says."""

    async def visit() -> dict[str, Any]:
        browser = Browser(MemorySessionStore(config_with(model=model)))
        await browser.visit(lambda session: setattr(session.typed(model), "user_id", 1))
        await browser.visit(lambda session: session.typed(model).big_cart.append(2))
        assert (await browser.begin()).session.typed(model).user_id == 1
        return await browser.read()

    assert asyncio.run(visit()) == {"userId": 1, "bigCart": [2]}


class Sparse(msgspec.Struct, omit_defaults=True):
    theme: str = "light"


def test_a_class_that_leaves_defaults_out_removes_them() -> None:
    """From what is stored, when a field is its default again."""

    async def visit() -> dict[str, Any]:
        browser = Browser(MemorySessionStore(config_with(model=Sparse)))
        await browser.visit(lambda session: session.update(theme="dark", a=1))
        await browser.visit(lambda session: setattr(session.typed(Sparse), "theme", "light"))
        return await browser.read()

    assert asyncio.run(visit()) == {"a": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_without_json_is_named(kind: str) -> None:
    """By its key, with the class of its value alone."""
    model = model_of(KINDS[kind][0])
    shop = model.kind()
    shop.theme = object()
    with pytest.raises(SessionNotSerializable, match="a value of type object has no JSON form") as raised:
        model.dump(shop)
    assert raised.value.path == 'session["theme"]'


class Nested(msgspec.Struct):
    inner: dict[str, int] = {}
    items: list[StructShop] = []


@dataclasses.dataclass
class NestedData:
    inner: dict[str, int] = dataclasses.field(default_factory=dict)


class NestedPydantic(pydantic.BaseModel):
    inner: dict[str, int] = {}


@pytest.mark.parametrize(
    ("model", "data", "path"),
    [
        (Nested, {"inner": {"name": "x"}}, 'session["inner"][...]'),
        (Nested, {"items": [{}, {"theme": 1}]}, 'session["items"][1]["theme"]'),
        (Nested, {"inner": 3}, 'session["inner"]'),
        (NestedData, {"inner": {"name": "x"}}, 'session["inner"][...]'),
        (NestedPydantic, {"inner": {"name\n": "x"}}, 'session["inner"]["name\\n"]'),
        (NestedPydantic, {"inner": {"n" * 99: "x"}}, f'session["inner"]["{"n" * 64}"]'),
    ],
)
def test_what_does_not_fit_is_told_by_its_path(model: Any, data: dict[str, Any], path: str) -> None:
    """Never with its value."""
    with pytest.raises(Unfit) as raised:
        model_of(model).read(data)
    assert raised.value.path == path
