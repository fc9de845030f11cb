"""The creation and the changes of one stream: what the server is asked, and what its errors mean.

A change keeps every field that Tapewire does not rely on as an operator has set it. Start at
`provision_stream`.
"""

import json
from typing import Any

from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.streams import StreamSpec
from tapewire.log.ports import AppendRejected, LogError, Unavailable

_UNAVAILABLE_STATUS = 503
"""JetStream's status while it has no leader yet."""
_STREAM_NOT_FOUND_CODE = 10059
_NAME_IN_USE_CODE = 10058
_NO_ROOM_CODE = 10047
"""The server's store is too small to reserve the room of a stream."""
_NO_PEERS_CODE = 10005
"""A cluster has too few servers for a stream; the description says what they lack."""
MAX_BYTES_METADATA = "tapewire-max-bytes"
"""The key of a stream's metadata with the limit that `provision` set; another one is an
operator's."""


async def provision_stream(
    connection: NatsConnection, spec: StreamSpec, replicas: int, lower_replicas: bool
) -> list[str]:
    """Create the stream, or restore what Tapewire relies on; a line for each change.

    Args:
        lower_replicas: remove copies beyond `replicas`.

    Raises:
        AppendRejected: the server rejects the configuration.
        Unavailable, OutcomeUnknown: it cannot be reached, or has no leader yet.
    """
    found = await read_config(connection, spec.name)
    if found is None:
        answer = await _create_stream(connection, spec, replicas)
        if answer.get("error", {}).get("err_code") == _NAME_IN_USE_CODE:
            return await provision_stream(connection, spec, replicas, lower_replicas)
        _raise_error(spec.name, answer)
        return [f"{spec.name}: created"]
    changes = spec.deviations(found)
    copies = found.get("num_replicas", 1)
    if copies < replicas or (lower_replicas and copies > replicas):
        changes["num_replicas"] = (copies, replicas)
    changed = {**changes, **_limit_changes(spec, found)}
    answer = await _update_stream(connection, spec, found, changed)
    if _has_no_room(answer):
        changed = changes
        answer = await _update_stream(connection, spec, found, changed)
    _raise_error(spec.name, answer)
    return [
        f"{spec.name}: {field} {format_value(before)} -> {format_value(after)}"
        for field, (before, after) in changed.items()
        if field != "metadata"
    ]


async def _create_stream(
    connection: NatsConnection, spec: StreamSpec, replicas: int
) -> dict[str, Any]:
    """Create a stream with its limit; without one if the server has no room to reserve."""
    config = spec.new_config(replicas)
    subject = f"$JS.API.STREAM.CREATE.{spec.name}"
    limit = {field: value for field, (_, value) in _limit_changes(spec, config).items()}
    answer = await _request_api(connection, subject, {**config, **limit})
    if limit and _has_no_room(answer):
        return await _request_api(connection, subject, config)
    return answer


def _has_no_room(answer: dict[str, Any]) -> bool:
    """Whether a server, or each server of a cluster, cannot reserve the limit of a stream."""
    error = answer.get("error", {})
    return error.get("err_code") == _NO_ROOM_CODE or (
        error.get("err_code") == _NO_PEERS_CODE
        and "insufficient storage" in error.get("description", "")
    )


async def _update_stream(
    connection: NatsConnection,
    spec: StreamSpec,
    found: dict[str, Any],
    changes: dict[str, tuple[Any, Any]],
) -> dict[str, Any]:
    """The server's answer; nothing is asked without changes."""
    if not changes:
        return {}
    # The server resets what an update leaves out.
    update = {**found, **{field: value for field, (_, value) in changes.items()}}
    return await _request_api(connection, f"$JS.API.STREAM.UPDATE.{spec.name}", update)


def _limit_changes(spec: StreamSpec, found: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The changes that give a stream its limit, unless an operator has set another one."""
    metadata = found.get("metadata") or {}
    present = found.get("max_bytes", -1)
    if spec.max_bytes < 0 or present == spec.max_bytes or not is_own_limit(found):
        return {}
    discard = found.get("discard", "old")
    return {
        "max_bytes": (present, spec.max_bytes),
        **({"discard": (discard, spec.discard)} if discard != spec.discard else {}),
        "metadata": (metadata, {**metadata, MAX_BYTES_METADATA: str(spec.max_bytes)}),
    }


def is_own_limit(config: dict[str, Any]) -> bool:
    """Whether the stream has no limit, or the one that `provision` set; not an operator's."""
    present = config.get("max_bytes", -1)
    return present < 0 or str(present) == (config.get("metadata") or {}).get(MAX_BYTES_METADATA)


async def read_config(connection: NatsConnection, name: str) -> dict[str, Any] | None:
    answer = await _request_api(connection, f"$JS.API.STREAM.INFO.{name}", {})
    if answer.get("error", {}).get("err_code") == _STREAM_NOT_FOUND_CODE:
        return None
    _raise_error(name, answer)
    config: dict[str, Any] = answer["config"]
    return config


async def delete_stream(connection: NatsConnection, name: str) -> None:
    """Delete a stream, unless it is gone already. Raises LogError."""
    answer = await _request_api(connection, f"$JS.API.STREAM.DELETE.{name}", {})
    if answer.get("error", {}).get("err_code") != _STREAM_NOT_FOUND_CODE:
        _raise_error(name, answer)


async def _request_api(
    connection: NatsConnection, subject: str, request: dict[str, Any]
) -> dict[str, Any]:
    message = await connection.request(subject, json.dumps(request).encode())
    answer: dict[str, Any] = json.loads(message.data)
    return answer


def _raise_error(name: str, answer: dict[str, Any]) -> None:
    error = answer.get("error")
    if error is None:
        return
    message = f"stream {name}: {error.get('description')}"
    is_unavailable = error.get("code") == _UNAVAILABLE_STATUS
    failure: LogError = Unavailable(message) if is_unavailable else AppendRejected(message)
    raise failure


def format_value(value: Any) -> str:
    return json.dumps(value)
