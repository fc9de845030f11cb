"""The configurations of Tapewire's streams, and `provision`, which creates and updates them.

Provisioning may be repeated, also by several processes at once. A stream that differs from its
configuration is updated; one that matches is left alone.
"""

import json
from typing import Any

from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.ports import AppendRejected, LogError, Unavailable

EVENTS = "EVENTS"
MARKET = "MARKET"
VIEWS = "VIEWS"
SESSIONS = "KV_sessions"
LEASES = "KV_leases"
TICKETS = "KV_tickets"

DUPLICATE_WINDOW_SECONDS = 120
"""How long the server remembers event ids."""
_NANOSECONDS_PER_SECOND = 1_000_000_000

_UNAVAILABLE_STATUS = 503
"""JetStream's status while it has no leader yet."""
_STREAM_NOT_FOUND_CODE = 10059
_NAME_IN_USE_CODE = 10058


def stream_configs(replicas: int = 1) -> list[dict[str, Any]]:
    """The configurations of all streams, with `replicas` copies of each."""
    return [
        {
            "name": EVENTS,
            "subjects": ["ev.>"],
            "storage": "file",
            "allow_direct": True,
            "allow_atomic": True,
            "duplicate_window": DUPLICATE_WINDOW_SECONDS * _NANOSECONDS_PER_SECOND,
            "republish": {"src": "ev.>", "dest": "live.ev.>"},
            "num_replicas": replicas,
        },
        {
            "name": MARKET,
            "subjects": ["px.>", "mk.>", "val.>", "hb.>"],
            "storage": "memory",
            "max_msgs_per_subject": 1,
            "allow_direct": True,
            "allow_msg_ttl": True,
            "republish": {"src": ">", "dest": "live.>"},
            "num_replicas": replicas,
        },
        {
            "name": VIEWS,
            "subjects": ["view.>"],
            "storage": "file",
            "max_msgs_per_subject": 1,
            "allow_direct": True,
            "num_replicas": replicas,
        },
        _bucket_config(SESSIONS, replicas),
        _bucket_config(LEASES, replicas),
        _bucket_config(TICKETS, replicas),
    ]


def _bucket_config(name: str, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": [f"$KV.{name.removeprefix('KV_')}.>"],
        "storage": "file",
        "max_msgs_per_subject": 1,
        "discard": "new",
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "allow_msg_ttl": True,
        "deny_delete": True,
        "num_replicas": replicas,
    }


async def provision(connection: NatsConnection, *, replicas: int = 1) -> list[str]:
    """Create or update every stream as configured. Returns the names of those that changed.

    Raises:
        AppendRejected: the server rejects a configuration; the message says which and why.
        Unavailable, OutcomeUnknown: as `NatsConnection.request`.
    """
    return [
        configuration["name"]
        for configuration in stream_configs(replicas)
        if await _ensure_stream(connection, configuration)
    ]


async def _ensure_stream(connection: NatsConnection, config: dict[str, Any]) -> bool:
    name = config["name"]
    found = await _request_api(connection, f"$JS.API.STREAM.INFO.{name}", {})
    if "config" in found:
        if all(found["config"].get(field) == value for field, value in config.items()):
            return False
        changed = await _request_api(connection, f"$JS.API.STREAM.UPDATE.{name}", config)
    elif found["error"].get("err_code") == _STREAM_NOT_FOUND_CODE:
        changed = await _request_api(connection, f"$JS.API.STREAM.CREATE.{name}", config)
        if changed.get("error", {}).get("err_code") == _NAME_IN_USE_CODE:
            return await _ensure_stream(connection, config)
    else:
        changed = found
    if "error" in changed:
        raise _api_error(name, changed["error"])
    return True


async def _request_api(
    connection: NatsConnection, subject: str, request: dict[str, Any]
) -> dict[str, Any]:
    message = await connection.request(subject, json.dumps(request).encode())
    answer: dict[str, Any] = json.loads(message.data)
    return answer


def _api_error(name: str, error: dict[str, Any]) -> LogError:
    message = f"stream {name}: {error.get('description')}"
    is_unavailable = error.get("code") == _UNAVAILABLE_STATUS
    return Unavailable(message) if is_unavailable else AppendRejected(message)
