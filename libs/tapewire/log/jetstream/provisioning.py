"""Creates, changes and checks the streams.

`provision` is the only code that creates or changes a stream, and only `tapewire provision` and
`tapewire up` call it. It reads the configuration that it finds, changes the fields that Tapewire
relies on, and keeps everything else as the operator has set it. Services call
`find_stream_problems` and wait while it finds any. Both may be repeated, also by several processes
at once.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.durable_subscription import ensure_consumer
from tapewire.log.jetstream.streams import EVENTS, StreamSpec, stream_specs
from tapewire.log.ports import AppendRejected, LogError, OutcomeUnknown, Unavailable

PROVISION_RETRY_SECONDS = 0.5
REPROVISION_RETRY_SECONDS = 2.0

_UNAVAILABLE_STATUS = 503
"""JetStream's status while it has no leader yet."""
_STREAM_NOT_FOUND_CODE = 10059
_NAME_IN_USE_CODE = 10058

logger = structlog.get_logger("tapewire.streams")


async def provision(
    connection: NatsConnection,
    *,
    replicas: int = 1,
    lower_replicas: bool = False,
    durables: Mapping[str, str] | None = None,
) -> list[str]:
    """Create the streams that do not exist, and restore what Tapewire relies on in the others.

    Args:
        replicas: copies of each stream. A stream that has more keeps them.
        lower_replicas: remove copies of streams that have more than `replicas`.
        durables: durable subscriptions to create, the filter by name, for services that may not.

    Returns:
        What was changed, one line a change; empty if nothing was.

    Raises:
        AppendRejected: the server rejects a configuration; the message says which and why.
        Unavailable, OutcomeUnknown: as `NatsConnection.request`.
    """
    changes: list[str] = []
    for spec in stream_specs():
        changes += await _provision_stream(connection, spec, replicas, lower_replicas)
    for name, filter_ in (durables or {}).items():
        if await ensure_consumer(connection, name, filter_):
            changes.append(f"{EVENTS}: durable subscription {name} created")
    return changes


async def provision_when_available(
    connection: NatsConnection,
    *,
    wait_seconds: float,
    replicas: int,
    lower_replicas: bool = False,
    durables: Mapping[str, str] | None = None,
) -> list[str]:
    """`provision`, repeated for `wait_seconds` while JetStream has no leader."""
    deadline = asyncio.get_running_loop().time() + wait_seconds
    while True:
        try:
            return await provision(
                connection, replicas=replicas, lower_replicas=lower_replicas, durables=durables
            )
        except (Unavailable, OutcomeUnknown):
            if asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(PROVISION_RETRY_SECONDS)


async def keep_provisioned(
    connection: NatsConnection,
    *,
    replicas: int,
    on_change: Callable[[str], None],
    durables: Mapping[str, str] | None = None,
) -> None:
    """Provision again after every reconnect, until cancelled. A server that was restarted has lost
    the streams that it keeps in memory. `on_change` is called with a line for each change."""
    reconnected = asyncio.Event()
    connection.state_listeners.append(
        lambda is_connected: reconnected.set() if is_connected else None
    )
    while True:
        await reconnected.wait()
        reconnected.clear()
        try:
            changes = await provision(connection, replicas=replicas, durables=durables)
        except LogError as error:
            logger.warning("streams.provision_failed", error=str(error))
            await asyncio.sleep(REPROVISION_RETRY_SECONDS)
            reconnected.set()
        else:
            for change in changes:
                on_change(change)


async def find_stream_problems(connection: NatsConnection) -> list[str]:
    """What a service cannot work with: missing streams, and fields that differ from what it relies
    on. Empty if all is well.

    Raises:
        Unavailable, OutcomeUnknown: JetStream does not answer.
    """
    problems = []
    for spec in stream_specs():
        found = await _read_config(connection, spec.name)
        if found is None:
            problems.append(f"stream {spec.name} is missing: run `tapewire provision`")
            continue
        problems += [
            f"stream {spec.name} has {field} {_show(present)} instead of {_show(required)}: "
            "run `tapewire provision`"
            for field, (present, required) in spec.deviations(found).items()
        ]
    return problems


async def _provision_stream(
    connection: NatsConnection, spec: StreamSpec, replicas: int, lower_replicas: bool
) -> list[str]:
    found = await _read_config(connection, spec.name)
    if found is None:
        config = spec.new_config(replicas)
        answer = await _request_api(connection, f"$JS.API.STREAM.CREATE.{spec.name}", config)
        if answer.get("error", {}).get("err_code") == _NAME_IN_USE_CODE:
            return await _provision_stream(connection, spec, replicas, lower_replicas)
        _raise_error(spec.name, answer)
        return [f"{spec.name}: created"]
    changes = spec.deviations(found)
    copies = found.get("num_replicas", 1)
    if copies < replicas or (lower_replicas and copies > replicas):
        changes["num_replicas"] = (copies, replicas)
    if not changes:
        return []
    # The server resets what an update leaves out.
    update = {**found, **{field: value for field, (_, value) in changes.items()}}
    _raise_error(
        spec.name, await _request_api(connection, f"$JS.API.STREAM.UPDATE.{spec.name}", update)
    )
    return [
        f"{spec.name}: {field} {_show(before)} -> {_show(after)}"
        for field, (before, after) in changes.items()
    ]


async def _read_config(connection: NatsConnection, name: str) -> dict[str, Any] | None:
    answer = await _request_api(connection, f"$JS.API.STREAM.INFO.{name}", {})
    if answer.get("error", {}).get("err_code") == _STREAM_NOT_FOUND_CODE:
        return None
    _raise_error(name, answer)
    config: dict[str, Any] = answer["config"]
    return config


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


def _show(value: Any) -> str:
    return json.dumps(value)
