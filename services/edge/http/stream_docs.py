"""OpenAPI documentation of the streams, which Litestar does not serve.

A response of a stream is a sequence of events, and `itemSchema` (OpenAPI 3.2) describes one of
them. The types of payloads are in `serializers.message_types`. Start at `ConfigWithStreams`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import OpenAPI

from tapewire.events import CATALOGUE
from tapewire.events.schemas import JsonSchema, json_schemas
from tapewire_services.edge.delivery.conflation import MAX_UPDATES_PER_SECOND
from tapewire_services.edge.delivery.serializers.message_types import (
    MESSAGES_BY_FAMILY,
    MessageTypes,
)
from tapewire_services.edge.delivery.stream_routes import RouteParameter, StreamRoute
from tapewire_services.edge.delivery.topics import (
    PUBLIC_VARIANTS,
    SELECTABLE_TOPICS,
    Access,
    Interest,
    LiveValue,
    combine_topics,
)
from tapewire_services.edge.http.schema import USER_PARAMETER, query_parameter
from tapewire_services.edge.http.stream_request import (
    DEFAULT_WAIT_SECONDS,
    MAX_WAIT_SECONDS,
    MIN_RATE_PER_SECOND,
)

EVENT_STREAM = "text/event-stream"
JSON_DOCUMENT = "application/json"
_SCHEMA_PREFIX = "stream."
"""Keeps the names of payloads apart from those that Litestar gives to the schemas of calls."""
_SCHEMA_ADDRESS = f"#/components/schemas/{_SCHEMA_PREFIX}{{name}}"
_SUMMARIES = {
    True: "Events with ids, from which a client resumes without a loss.",
    False: "Newest values, without ids.",
}
_ERROR_STATUSES = (401, 403, 404, 422, 429, 503)
_PATH_PARAMETERS = {
    RouteParameter.STRATEGY: "strategy_id",
    RouteParameter.CONFIGURATION: "configuration_id",
}


class ConfigWithStreams(OpenAPIConfig):
    """The configuration of a document that describes `stream_routes` too. Set them before the
    document is made."""

    stream_routes: Sequence[StreamRoute] = ()

    def to_openapi_schema(self) -> OpenAPI:
        document = _DocumentWithStreams(**vars(super().to_openapi_schema()))
        document.openapi = "3.2.0"
        document.stream_routes = self.stream_routes
        return document


class _DocumentWithStreams(OpenAPI):
    stream_routes: Sequence[StreamRoute] = ()

    def to_schema(self) -> dict[str, Any]:
        document = super().to_schema()
        paths, schemas = describe_streams(self.stream_routes)
        document["components"]["schemas"].update(schemas)
        for path, item in paths.items():
            known = document["paths"].setdefault(path, item)
            if known is not item:
                _add_content(known["get"], item["get"])
        return document


def _add_content(operation: dict[str, Any], stream: dict[str, Any]) -> None:
    """Add a stream to an operation that answers clients which accept no event streams: with a
    document of its own, or with `wait` by a long-poll."""
    content, added = (one["responses"]["200"]["content"] for one in (operation, stream))
    document, poll = content[JSON_DOCUMENT]["schema"], added[JSON_DOCUMENT]["schema"]
    content.update({**added, JSON_DOCUMENT: {"schema": {"anyOf": [document, poll]}}})
    operation["parameters"] = [*operation.get("parameters", ()), *stream["parameters"]]


def describe_streams(routes: Iterable[StreamRoute]) -> tuple[dict[str, Any], dict[str, JsonSchema]]:
    """The OpenAPI path items of `routes` by path, and the schemas that they refer to by name."""
    documented = [(route, merge_message_types(route)) for route in routes]
    payload_types = {
        id(one): one for _, messages in documented for types in messages.values() for one in types
    }
    schemas, components = json_schemas(payload_types.values(), _SCHEMA_ADDRESS)
    by_type = dict(zip(payload_types, schemas, strict=True))
    paths = {
        route.path: {"get": _describe_operation(route, messages, by_type)}
        for route, messages in documented
    }
    return paths, {f"{_SCHEMA_PREFIX}{name}": schema for name, schema in components.items()}


def merge_message_types(route: StreamRoute) -> MessageTypes:
    """The types of the payloads of all events that `route` can show, by event name."""
    family = MESSAGES_BY_FAMILY[route.family.name]
    interest = _largest_interest(route)
    values = {value.value for value in interest.live_values}
    parts = [
        family.control,
        *(
            family.domains.get(domain, {})
            for domain in sorted(interest.own_domains | interest.shared_domains)
        ),
        *([family.unsequenced] if interest.unsequenced_domains else []),
        *(family.snapshots.get(kind.value, {}) for kind in interest.snapshot_kinds),
        *(family.values.get(value.value, {}) for value in LiveValue if value.value in values),
        *_iter_declared(route),
    ]
    merged: dict[str, tuple[Any, ...]] = {}
    for part in parts:
        for name, types in part.items():
            known = merged.get(name, ())
            merged[name] = (*known, *(one for one in types if one not in known))
    return merged


def _largest_interest(route: StreamRoute) -> Interest:
    """What the route shows, or can be asked to."""
    if route.parameter is not RouteParameter.TOPICS:
        return combine_topics(route.topics)
    return combine_topics([*SELECTABLE_TOPICS.values(), *PUBLIC_VARIANTS.values()])


def _iter_declared(route: StreamRoute) -> Iterator[MessageTypes]:
    """The types of other packages that the route shows."""
    for tag in sorted(route.declared_event_tags | route.declared_value_tags):
        declared = CATALOGUE.type_for_tag(tag)
        if declared.sse_binding is not None:
            yield {declared.sse_binding.event_name: (declared.struct,)}


def _describe_operation(
    route: StreamRoute, messages: MessageTypes, schemas: dict[int, JsonSchema]
) -> dict[str, Any]:
    is_public = route.access is Access.PUBLIC
    statuses = {*_ERROR_STATUSES, *((409,) if _may_need_session(route) else ())}
    operation: dict[str, Any] = {
        "summary": f"The stream `{route.name}`",
        "description": _describe_stream(route),
        "operationId": f"stream-{route.name}",
        "parameters": [*_path_parameters(route), *_parameters(route)],
        "responses": {
            "200": {
                "description": "A stream of Server-Sent Events, or for a client that accepts "
                "`application/json` or sends `wait` the next events of it.",
                "content": {
                    EVENT_STREAM: {"itemSchema": _item_schema(messages, schemas)},
                    JSON_DOCUMENT: {"schema": _poll_schema(messages, schemas)},
                },
            },
            **{
                str(status): {"$ref": f"#/components/responses/{status}"}
                for status in sorted(statuses)
            },
        },
    }
    if not is_public:
        operation["security"] = [{"session": []}, {"bearer": []}]
    return operation


def _may_need_session(route: StreamRoute) -> bool:
    return route.access is Access.USER or route.parameter is RouteParameter.TOPICS


def _describe_stream(route: StreamRoute) -> str:
    interest = _largest_interest(route)
    return f"{_SUMMARIES[interest.is_lossless]} An event `data` is JSON; comments keep it alive."


def _item_schema(messages: MessageTypes, schemas: dict[int, JsonSchema]) -> JsonSchema:
    """The schema of one event: the fields of Server-Sent Events, and for each name its payload."""
    return {
        "type": "object",
        "properties": {
            "event": {"type": "string"},
            "data": {"type": "string"},
            "id": {"type": "string", "description": "`{epoch}-{sequence}`, for `Last-Event-ID`."},
            "retry": {"type": "integer", "description": "Milliseconds."},
        },
        "required": ["event", "data", "retry"],
        "oneOf": [
            {
                "properties": {
                    "event": {"const": name},
                    "data": {
                        "contentMediaType": "application/json",
                        "contentSchema": _any_of([schemas[id(one)] for one in types]),
                    },
                }
            }
            for name, types in sorted(messages.items())
        ],
    }


def _poll_schema(messages: MessageTypes, schemas: dict[int, JsonSchema]) -> JsonSchema:
    """The schema of the answer to a long-poll."""
    event = {
        "type": "object",
        "properties": {
            "event": {"type": "string"},
            "data": {},
            "id": {"type": ["string", "null"]},
        },
        "required": ["event", "data", "id"],
        "oneOf": [
            {
                "properties": {
                    "event": {"const": name},
                    "data": _any_of([schemas[id(one)] for one in types]),
                }
            }
            for name, types in sorted(messages.items())
        ],
    }
    return {
        "type": "object",
        "properties": {
            "events": {"type": "array", "items": event},
            "lastEventId": {
                "type": ["string", "null"],
                "description": "`Last-Event-ID` of the next request.",
            },
            "retry": {"type": "integer", "description": "Milliseconds until the next request."},
        },
        "required": ["events", "lastEventId", "retry"],
    }


def _any_of(schemas: Sequence[JsonSchema]) -> JsonSchema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _path_parameters(route: StreamRoute) -> Iterator[dict[str, Any]]:
    name = _PATH_PARAMETERS.get(route.parameter) if route.parameter is not None else None
    if name is not None:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _parameters(route: StreamRoute) -> Iterator[dict[str, Any]]:
    interest = _largest_interest(route)
    yield query_parameter(
        "wait",
        "Seconds: asks for the next events as one document, as soon as there are any.",
        type="number",
        minimum=0,
        maximum=MAX_WAIT_SECONDS,
        default=DEFAULT_WAIT_SECONDS,
    )
    if route.parameter is RouteParameter.TOPICS:
        topics = ", ".join(f"`{name}`" for name in SELECTABLE_TOPICS)
        private = ", ".join(
            f"`{name}`"
            for name, topic in SELECTABLE_TOPICS.items()
            if topic.access is Access.USER and topic not in PUBLIC_VARIANTS
        )
        yield {
            **query_parameter(
                "topics",
                f"Comma-separated, of {topics}; `prices:SPY` selects a symbol, and `bars:SPY:1m` "
                f"the bars of one in an interval. {private} need a session.",
            ),
            "required": True,
        }
    if route.parameter is RouteParameter.USER:
        yield query_parameter("userId", "The user whose events are shown; for admins.")
    elif _may_need_session(route):
        yield query_parameter("userId", f"As `{USER_PARAMETER['name']}`, for an EventSource.")
    if _may_need_session(route):
        yield USER_PARAMETER
    if interest.live_values & {LiveValue.PRICES, LiveValue.VALUATIONS}:
        yield query_parameter("symbols", "Comma-separated symbols of prices; all without it.")
    if interest.live_values:
        yield query_parameter(
            "maxRate",
            "Updates of a value a second, at most.",
            type="number",
            minimum=MIN_RATE_PER_SECOND,
            maximum=MAX_UPDATES_PER_SECOND,
        )
    if interest.is_lossless:
        resumes = "The id of the last event received: the stream goes on after it."
        yield {**query_parameter("Last-Event-ID", resumes), "in": "header"}
        yield query_parameter("lastEventId", resumes)
        place = "An id, or a time in ISO 8601"
        yield query_parameter("since", f"{place}: replays what followed it.")
        yield query_parameter("until", f"{place}, the future for now: ends the stream there.")
