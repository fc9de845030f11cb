"""The AsyncAPI 3 document of the NATS subjects: events, values and requests.

A channel is a subject, its parameters are the variable parts. Start at `build_asyncapi`, which is
pure.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

from tapewire.cli.protocol import describe
from tapewire.cli.protocol.headers import EVENT_HEADERS, REPLY_HEADERS, REQUEST_HEADERS
from tapewire.events import CATALOGUE, Catalogue, Delivery, EventType
from tapewire.events.schemas import JsonSchema, json_schemas
from tapewire.runtime.contracts import CALLS, ServiceCall
from tapewire.runtime.requests import ErrorReply

_REQUIRED_EVENT_HEADERS = ("Nats-Msg-Id", "Tw-Type", "Tw-Correlation")
_ACKNOWLEDGEMENT = "Acknowledgement"
_ERROR_HEADERS = {
    "Nats-Service-Error": "the message of the error",
    "Nats-Service-Error-Code": "its code",
}
_PARAMETER = re.compile(r"\{([^}]+)\}")

_DESCRIPTION = (
    "Every subject that services publish to, with its messages. In a subject, what stands for a "
    "parameter is percent-encoded where it is not `[A-Za-z0-9_-]`. Numbers are exact decimals. "
    "Readers ignore fields that they do not know."
)


def build_asyncapi(
    package: str | None = None,
    catalogue: Catalogue = CATALOGUE,
    calls: Sequence[ServiceCall[Any, Any]] = CALLS,
) -> dict[str, Any]:
    """Return the document of all types, or of those of one top-level package.

    Requests are Tapewire's own and belong to the package `tapewire`.
    """
    event_types = [
        event_type
        for event_type in catalogue.event_types()
        if package in (None, event_type.package) and event_type.subject_template is not None
    ]
    own_calls = list(calls) if package in (None, "tapewire") else []
    structs = _list_structs(event_types, own_calls)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tapewire" if package is None else package,
            "version": metadata.version("tapewire"),
            "description": _DESCRIPTION,
        },
        "defaultContentType": "application/json",
        "channels": {**_event_channels(event_types), **_request_channels(own_calls)},
        "operations": {**_event_operations(event_types), **_request_operations(own_calls)},
        "components": {
            "messages": {
                **{one.tag: _event_message(one) for one in event_types},
                **_request_messages(own_calls),
            },
            "schemas": _describe_schemas(structs),
        },
    }


def _list_structs(
    event_types: Iterable[EventType], calls: Sequence[ServiceCall[Any, Any]]
) -> list[type]:
    structs: list[type] = [event_type.struct for event_type in event_types]
    structs += [struct for call in calls for struct in (call.request, call.reply)]
    if calls:
        structs.append(ErrorReply)
    return structs


def _describe_schemas(structs: Sequence[type]) -> dict[str, JsonSchema]:
    """The schemas of `structs` and of those that they contain, by name."""
    _, schemas = json_schemas(structs)
    nested = [part for struct in structs for part in describe.iter_nested_structs(struct)]
    descriptions = {
        struct.__name__: describe.describe_struct(struct) for struct in (*structs, *nested)
    }
    return {
        name: {**schema, **({"description": descriptions[name]} if descriptions.get(name) else {})}
        for name, schema in sorted(schemas.items())
    }


# Events and values


def _event_channels(event_types: Iterable[EventType]) -> dict[str, Any]:
    channels: dict[str, Any] = {}
    for event_type in event_types:
        template = str(event_type.subject_template)
        channel = channels.setdefault(
            _channel_name(template),
            {
                "address": _PARAMETER.sub(lambda found: f"{{{_parameter(found[1])}}}", template),
                "messages": {},
                "parameters": {
                    _parameter(name): {"description": _describe_parameter(name)}
                    for name in _PARAMETER.findall(template)
                },
            },
        )
        channel["messages"][event_type.tag] = _message_reference(event_type.tag)
    return channels


def _event_operations(event_types: Iterable[EventType]) -> dict[str, Any]:
    return {
        f"publish.{event_type.tag}": {
            "action": "send",
            "channel": _channel_reference(str(event_type.subject_template)),
            "messages": [_channel_message(str(event_type.subject_template), event_type.tag)],
        }
        for event_type in event_types
    }


def _event_message(event_type: EventType) -> dict[str, Any]:
    """A message of the journal has headers, a newest-wins value has none."""
    message: dict[str, Any] = {
        "name": event_type.tag,
        "summary": describe.describe_struct(event_type.struct),
        "payload": _schema_reference(event_type.struct),
    }
    if event_type.delivery is Delivery.LOSSLESS:
        message["headers"] = _headers_schema(EVENT_HEADERS, _REQUIRED_EVENT_HEADERS)
        message["headers"]["properties"]["Tw-Type"]["const"] = event_type.tag
    return message


# Requests


def _request_channels(calls: Iterable[ServiceCall[Any, Any]]) -> dict[str, Any]:
    channels: dict[str, Any] = {}
    for call in calls:
        channels[call.subject] = {
            "address": call.subject,
            "messages": {"request": _message_reference(_request_name(call))},
        }
        channels[f"{call.subject}.reply"] = {
            "address": None,
            "description": "The reply subject of the request.",
            "messages": {
                "reply": _message_reference(_reply_name(call)),
                "error": _message_reference(ErrorReply.__name__),
                "acknowledgement": _message_reference(_ACKNOWLEDGEMENT),
            },
        }
    return channels


def _request_operations(calls: Iterable[ServiceCall[Any, Any]]) -> dict[str, Any]:
    return {
        f"answer.{call.subject}": {
            "action": "receive",
            "channel": _channel_reference(call.subject),
            "messages": [_channel_message(call.subject, "request")],
            "reply": {
                "channel": _channel_reference(f"{call.subject}.reply"),
                "messages": [
                    _channel_message(f"{call.subject}.reply", name)
                    for name in ("reply", "error", "acknowledgement")
                ],
            },
        }
        for call in calls
    }


def _request_messages(calls: Sequence[ServiceCall[Any, Any]]) -> dict[str, Any]:
    if not calls:
        return {}
    messages: dict[str, Any] = {
        ErrorReply.__name__: {
            "name": ErrorReply.__name__,
            "summary": describe.describe_struct(ErrorReply),
            "headers": _headers_schema({**REPLY_HEADERS, **_ERROR_HEADERS}, [*_ERROR_HEADERS]),
            "payload": _schema_reference(ErrorReply),
        },
        _ACKNOWLEDGEMENT: {
            "name": _ACKNOWLEDGEMENT,
            "summary": "The request has arrived, and the reply follows. The payload is empty.",
            "headers": _headers_schema(
                {**REPLY_HEADERS, "Tw-Ack": "the process that has the request"}, ["Tw-Ack"]
            ),
        },
    }
    for call in calls:
        messages[_request_name(call)] = {
            "name": _request_name(call),
            "summary": describe.describe_struct(call.request),
            "headers": _headers_schema(REQUEST_HEADERS, ()),
            "payload": _schema_reference(call.request),
        }
        messages[_reply_name(call)] = {
            "name": _reply_name(call),
            "summary": describe.describe_struct(call.reply),
            "headers": _headers_schema(REPLY_HEADERS, ()),
            "payload": _schema_reference(call.reply),
        }
    return messages


def _request_name(call: ServiceCall[Any, Any]) -> str:
    return f"{call.subject}.request"


def _reply_name(call: ServiceCall[Any, Any]) -> str:
    return f"{call.subject}.reply"


# Names and references


def _headers_schema(headers: Mapping[str, str], required: Sequence[str]) -> JsonSchema:
    schema: JsonSchema = {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": meaning} for name, meaning in headers.items()
        },
    }
    return {**schema, "required": list(required)} if required else schema


def _parameter(name: str) -> str:
    """The name of a parameter; AsyncAPI allows no slash in it."""
    return name.replace("/", "-")


def _describe_parameter(name: str) -> str:
    return f"`{name}`, percent-encoded."


def _channel_name(template: str) -> str:
    return _PARAMETER.sub(lambda found: _parameter(found[1]), template)


def _channel_reference(template: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{_channel_name(template)}"}


def _channel_message(template: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{_channel_name(template)}/messages/{name}"}


def _message_reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{name}"}


def _schema_reference(struct: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}
