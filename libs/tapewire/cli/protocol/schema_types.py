"""JSON Schema as TypeScript: names, types, fields and doc comments. Pure. Start at `declare`."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

STREAM_PREFIX = "stream."
_SUFFIX = re.compile(r"(?<!^)(Payload|View|Row)$")
_CLIENT_NAMES = {
    "AgentStatusChanged": "AgentStatus",
    "AlertPayload": "Alert",
    "AlertRaised": "ListedAlert",
    "BarPayload": "BarUpdate",
    "ErrorPayload": "StrategyErrorReport",
    "MetricsPayload": "ItemMetrics",
    "OrderPayload": "StrategyOrderReport",
    "PriceView": "PriceUpdate",
    "PricePayload": "StrategyPrice",
    "StopLossPayload": "StopLossReport",
    "StalePricePayload": "StrategyStalePrice",
    "RuleUpdatePayload": "AlertRuleUpdate",
    "StrategyPayload": "StrategyReport",
}
"""Where the name of the schema without its suffix would be taken or unclear."""


def client_name(schema_name: str) -> str:
    """The name of a schema in TypeScript: without a suffix, and the same for streams and calls."""
    name = schema_name.removeprefix(STREAM_PREFIX)
    return _CLIENT_NAMES.get(name) or _SUFFIX.sub("", name)


def declare(name: str, schema: Schema, *, has_docs: bool = True) -> str:
    """The declaration of an exported type. Without docs, the same for schemas that say the same."""
    docs = doc_comment(schema.get("description"), "") if has_docs else ""
    if "properties" not in schema:
        return f"{docs}export type {name} = {type_of(schema, sort=not has_docs)};\n"
    fields = "".join(_declare_fields(schema, has_docs=has_docs))
    return f"{docs}export interface {name} {{\n{fields}}}\n"


def _declare_fields(schema: Schema, *, has_docs: bool) -> Iterator[str]:
    required = schema.get("required", ())
    properties = schema["properties"].items()
    for name, field in properties if has_docs else sorted(properties):
        mark = "" if name in required else "?"
        docs = doc_comment(field.get("description"), "  ") if has_docs else ""
        yield f"{docs}  readonly {name}{mark}: {type_of(field, sort=not has_docs)};\n"


def doc_comment(text: str | None, indent: str) -> str:
    """A doc comment of lines that are not longer than the page."""
    if not text:
        return ""
    text = text.replace("*/", "* /")
    if "\n" not in text and len(indent) + len(text) + 7 <= 110:
        return f"{indent}/** {text} */\n"
    lines = [
        line
        for paragraph in text.split("\n")
        for line in _wrap(paragraph.strip(), 106 - len(indent))
    ]
    return "".join(
        [
            f"{indent}/**\n",
            *(f"{indent} * {line}".rstrip() + "\n" for line in lines),
            f"{indent} */\n",
        ]
    )


def _wrap(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def type_of(schema: Schema, *, sort: bool = False) -> str:
    """The type of a value. Enums are sorted if `sort`."""
    if "$ref" in schema:
        return client_name(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        values = sorted(schema["enum"], key=str) if sort else schema["enum"]
        return union(json.dumps(value) for value in values)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return union(type_of(one, sort=sort) for one in schema[key])
    return _plain_type(schema, sort=sort)


def _plain_type(schema: Schema, *, sort: bool) -> str:
    kind = schema.get("type")
    if kind == "array":
        inner = type_of(schema.get("items", {}), sort=sort)
        return f"readonly ({inner})[]" if "|" in inner else f"readonly {inner}[]"
    if kind == "object":
        if "properties" in schema:
            return _inline_object(schema, sort=sort)
        extra = schema.get("additionalProperties")
        inner = type_of(extra, sort=sort) if isinstance(extra, dict) else "unknown"
        return f"Readonly<Record<string, {inner}>>"
    if isinstance(kind, list):
        is_decimal = schema.get("format") == "decimal"
        return (
            "Decimal"
            if is_decimal
            else union(_plain_type({"type": one}, sort=sort) for one in kind)
        )
    plain = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean"}
    return {**plain, "null": "null"}.get(str(kind), "unknown")


def _inline_object(schema: Schema, *, sort: bool) -> str:
    required = schema.get("required", ())
    fields = (
        f"readonly {name}{'' if name in required else '?'}: {type_of(field, sort=sort)}"
        for name, field in schema["properties"].items()
    )
    return "{ " + "; ".join(fields) + " }"


def union(types: Iterable[str]) -> str:
    """The union of `types`, each once."""
    return " | ".join(dict.fromkeys(types))
