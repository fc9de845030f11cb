"""TypeScript types of everything that the edge sends and accepts, from its OpenAPI document.

`render_typescript` writes an interface for each schema, maps of the events of each stream and
topic, and a map of all calls. Two libraries make the schemas of streams and of calls; those that
say the same become one interface. Pure. Start reading at `render_typescript`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tapewire.cli.protocol.schema_types import (
    STREAM_PREFIX,
    Schema,
    client_name,
    declare,
    doc_comment,
    type_of,
    union,
)

_HEADER = """\
/**
 * The payloads of events, and the bodies and answers of calls. Generated from the event catalogue
 * and the OpenAPI document of the edge by `make protocol`; do not edit.
 *
 * Numbers are decimals that JSON.parse has rounded to binary floating point. Times are ISO 8601 in
 * UTC.
 */

/** A decimal. As a string it is exact whatever its length. */
export type Decimal = number | string;
"""
_VERBS = ("get", "post", "put", "patch", "delete")


class TypeConflict(Exception):
    """Two schemas that differ would have one name in TypeScript."""


def render_typescript(
    document: Mapping[str, Any], topics: Mapping[str, tuple[bool, Sequence[str]]]
) -> str:
    """The module of types.

    Args:
        document: the OpenAPI document, with `itemSchema` of streams.
        topics: by name, whether the topic needs a session, and the names of its events.

    Raises:
        TypeConflict: see there.
    """
    parts = [
        _HEADER,
        *_render_schemas(document),
        *_render_streams(document),
        *_render_topics(topics),
        *_render_calls(document),
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _render_schemas(document: Mapping[str, Any]) -> Iterator[str]:
    schemas = document["components"]["schemas"]
    named: dict[str, Schema] = {}
    for schema_name, schema in [*schemas.items(), *_iter_bodies(document)]:
        name = client_name(schema_name)
        known = named.setdefault(name, schema)
        if declare(name, known, has_docs=False) != declare(name, schema, has_docs=False):
            raise TypeConflict(f"the schemas {name!r} differ:\n{known}\n{schema}")
        if schema_name.startswith(STREAM_PREFIX):
            named[name] = {**known, **_with_descriptions(schema, known)}
    for name in sorted(named):
        yield declare(name, named[name])


def _iter_bodies(document: Mapping[str, Any]) -> Iterator[tuple[str, Schema]]:
    for _, operation in _iter_operations(document):
        body = _body_schema(operation)
        if body is not None:
            yield body["title"], body


def _with_descriptions(schema: Schema, known: Schema) -> Schema:
    """`schema`, whose descriptions are more complete, in the order of enums of `known`."""
    return {**schema, "enum": known["enum"]} if "enum" in schema else schema


def _render_streams(document: Mapping[str, Any]) -> Iterator[str]:
    streams = {
        _stream_name(call, operation): (call.partition(" ")[2], content)
        for call, operation in _iter_operations(document, with_streams=True)
        if (content := _stream_content(operation)) is not None
    }
    lines = []
    for name, (path, content) in streams.items():
        lines.append(f"  /** `GET {path}` */\n  readonly {json.dumps(name)}: {{\n")
        for one in content["itemSchema"]["oneOf"]:
            event = one["properties"]
            payload = type_of(event["data"]["contentSchema"])
            lines.append(f"    readonly {json.dumps(event['event']['const'])}: {payload};\n")
        lines.append("  };\n")
    yield (
        "/** The payloads of the events of each stream, by the name of the event. */\n"
        f"export interface EventsByStream {{\n{''.join(lines)}}}\n"
    )
    yield (
        "/** The payloads of all events of `/api/stream`. */\n"
        'export type StreamEvents = EventsByStream["topics"];\n'
    )


def _stream_name(call: str, operation: Schema) -> str:
    """The name of a stream; one that shares its path with a call has the name of the path."""
    operation_id: str = operation["operationId"]
    is_stream_only = operation_id.startswith("stream-")
    return operation_id.removeprefix("stream-") if is_stream_only else call.rpartition("/")[2]


def _render_topics(topics: Mapping[str, tuple[bool, Sequence[str]]]) -> Iterator[str]:
    events = "".join(
        f"  readonly {json.dumps(name)}: Pick<StreamEvents, {union(map(json.dumps, names))}>;\n"
        for name, (_, names) in topics.items()
    )
    yield (
        "/** The payloads of the events of each topic, without events about the stream itself. */\n"
        f"export interface EventsByTopic {{\n{events}}}\n"
    )
    yield "export type TopicName = keyof EventsByTopic;\n"
    private = [name for name, (needs_session, _) in topics.items() if needs_session]
    yield (
        "/** The topics that need a session. */\n"
        f"export type PrivateTopicName = {union(map(json.dumps, private))};\n"
    )
    yield 'export type BarInterval = BarList["interval"];\n'


def _render_calls(document: Mapping[str, Any]) -> Iterator[str]:
    lines = []
    for call, operation in _iter_operations(document):
        body, docs = _body_schema(operation), operation.get("description")
        query = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
        is_required = body is not None and operation["requestBody"].get("required", False)
        body_type = (
            "undefined"
            if body is None
            else client_name(body["title"]) + ("" if is_required else " | undefined")
        )
        lines += [
            doc_comment(docs, "  "),
            f"  readonly {json.dumps(call)}: {{\n",
            f"    readonly query: {_query_type(query)};\n",
            f"    readonly body: {body_type};\n",
            f"    readonly answer: {_answer_type(operation)};\n",
            "  };\n",
        ]
    yield (
        "/** Every call of the REST API, by its method and path. */\n"
        f"export interface Calls {{\n{''.join(lines)}}}\n"
    )


def _query_type(parameters: Sequence[Schema]) -> str:
    if not parameters:
        return "undefined"
    fields = (
        f"readonly {one['name']}{'' if one.get('required') else '?'}: {type_of(one['schema'])}"
        for one in parameters
    )
    return "{ " + "; ".join(fields) + " }"


def _answer_type(operation: Schema) -> str:
    answers = []
    for status, response in operation["responses"].items():
        if not status.startswith("2"):
            continue
        schema = response.get("content", {}).get("application/json", {}).get("schema")
        if schema is not None and _stream_content(operation) is not None:
            schema = schema["anyOf"][0]  # without `wait`, which asks for a long-poll
        answers.append("undefined" if schema is None else type_of(schema))
    return union(answers)


def _iter_operations(
    document: Mapping[str, Any], *, with_streams: bool = False
) -> Iterator[tuple[str, Schema]]:
    """The operations by method and path, without those that are nothing but a stream."""
    for path, item in document["paths"].items():
        for verb in _VERBS:
            operation = item.get(verb)
            if operation is None:
                continue
            if with_streams or not operation["operationId"].startswith("stream-"):
                yield f"{verb.upper()} {path}", operation


def _body_schema(operation: Schema) -> Schema | None:
    schema: Schema | None = (
        operation.get("requestBody", {})
        .get("content", {})
        .get("application/json", {})
        .get("schema")
    )
    return schema


def _stream_content(operation: Schema) -> Schema | None:
    content: Schema | None = (
        operation["responses"].get("200", {}).get("content", {}).get("text/event-stream")
    )
    return content
