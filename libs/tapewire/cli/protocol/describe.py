"""Describes the fields of a struct in words, from msgspec's type information. Pure functions.

Types are named as JSON has them: text, number, integer, yes/no, time, the values of an enumeration,
a list, an object, or the name of a struct that has a section of its own.
"""

import enum
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import inspect as shape

_TYPE_NAMES: dict[type, str] = {
    shape.StrType: "text",
    shape.DecimalType: "number",
    shape.FloatType: "number",
    shape.IntType: "integer",
    shape.BoolType: "yes/no",
    shape.DateTimeType: "time",
    shape.DateType: "date",
    shape.TimeType: "time of day",
    shape.UUIDType: "text",
    shape.AnyType: "anything",
    shape.NoneType: "null",
}


class FieldDescription(msgspec.Struct, frozen=True):
    """A field as JSON has it. `meaning` and `unit` are None where they are not declared."""

    name: str
    type: str
    is_required: bool
    meaning: str | None
    unit: str | None


def describe_fields(struct: type, link: Callable[[type], str]) -> list[FieldDescription]:
    """Return the fields of `struct`. `link` renders a reference to another struct."""
    info = shape.type_info(struct)
    assert isinstance(info, shape.StructType)  # noqa: S101 - structs are all that is described
    tag = [FieldDescription(info.tag_field, f"`{info.tag}`", True, "which one it is", None)] if (
        info.tag_field is not None
    ) else []  # fmt: skip
    return [*tag, *[_describe_field(one, link) for one in info.fields]]


def _describe_field(field: shape.Field, link: Callable[[type], str]) -> FieldDescription:
    extra: dict[str, Any] = {}
    if isinstance(field.type, shape.Metadata):
        extra = field.type.extra or {}
    return FieldDescription(
        name=field.encode_name,
        type=_describe_type(field.type, link),
        is_required=field.required,
        meaning=extra.get("meaning"),
        unit=extra.get("unit"),
    )


def _describe_type(type_: shape.Type, link: Callable[[type], str]) -> str:
    match type_:
        case shape.Metadata():
            return _describe_type(type_.type, link)
        case shape.UnionType():
            return " or ".join(_describe_type(one, link) for one in type_.types)
        case shape.StructType():
            return link(type_.cls)
        case shape.EnumType():
            return ", ".join(f"`{one.value}`" for one in _enum_members(type_.cls))
        case shape.ListType() | shape.VarTupleType() | shape.SetType() | shape.FrozenSetType():
            return f"list of {_describe_type(type_.item_type, link)}"
        case shape.DictType(value_type=shape.AnyType()):
            return "object"
        case shape.DictType():
            return f"object of {_describe_type(type_.value_type, link)}"
    # Further types, which other packages may use, have msgspec's name.
    return _TYPE_NAMES.get(type(type_), type(type_).__name__.removesuffix("Type").lower())


def _enum_members(kind: type) -> list[enum.Enum]:
    return list(kind) if issubclass(kind, enum.Enum) else []


def iter_nested_structs(struct: type) -> Iterator[type]:
    """Yield the structs that `struct` contains, outer ones before inner ones."""
    info = shape.type_info(struct)
    assert isinstance(info, shape.StructType)  # noqa: S101
    for field in info.fields:
        yield from _iter_structs(field.type)


def _iter_structs(type_: shape.Type) -> Iterator[type]:
    match type_:
        case shape.Metadata():
            yield from _iter_structs(type_.type)
        case shape.UnionType():
            for one in type_.types:
                yield from _iter_structs(one)
        case shape.StructType():
            yield type_.cls
            yield from iter_nested_structs(type_.cls)
        case shape.DictType():
            yield from _iter_structs(type_.value_type)
        case shape.ListType() | shape.VarTupleType() | shape.SetType() | shape.FrozenSetType():
            yield from _iter_structs(type_.item_type)


def describe_struct(struct: type) -> str:
    """Return the docstring of `struct`, with the fields' JSON names."""
    names = {field.name: field.encode_name for field in msgspec.structs.fields(struct)}
    paragraphs = inspect.cleandoc(struct.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    text = re.sub(r"(?<=`)\w+(?=`)", lambda found: names.get(found[0], found[0]), text)
    return re.sub(r"\bNone\b", "null", text)
