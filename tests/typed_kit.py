"""The same shop as a class of each kind that sessions can be typed by."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pydantic

NOON = dt.datetime(2030, 1, 1, 12, tzinfo=dt.UTC)


class Item(msgspec.Struct):
    name: str
    count: int = 1


class StructShop(msgspec.Struct):
    cart: list[Item] = []
    seen: dt.datetime | None = None
    theme: str = "light"
    user_id: int | None = None


@dataclass
class DataItem:
    name: str
    count: int = 1


@dataclass
class DataShop:
    cart: list[DataItem] = field(default_factory=list)
    seen: dt.datetime | None = None
    theme: str = "light"
    user_id: int | None = None


class PydanticItem(pydantic.BaseModel):
    name: str
    count: int = 1


class PydanticShop(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    cart: list[PydanticItem] = []
    seen: dt.datetime | None = None
    theme: str = "light"
    user_id: int | None = None

    @pydantic.computed_field
    def size(self) -> int:
        return len(self.cart)


KINDS: dict[str, tuple[type[Any], type[Any]]] = {
    "struct": (StructShop, Item),
    "dataclass": (DataShop, DataItem),
    "pydantic": (PydanticShop, PydanticItem),
}
