"""Whether the streams have the limits that keep the server's store from filling up.

A server that has no room to reserve for a limit leaves the stream without it. The streams then fill
the store together, and at the server's limit half of an atomic batch may be stored.
"""

from typing import Any

import msgspec

from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.stream_changes import is_own_limit
from tapewire.log.jetstream.streams import StreamSpec, stream_specs

_CURE = "lower TAPEWIRE_JOURNAL_BYTES, or give the server more room (max_file_store)"


async def find_limit_warnings(connection: NatsConnection, journal_bytes: int) -> list[str]:
    """A line for each stream that has not the limit which follows from `journal_bytes`, because the
    server has no room for it. A limit that an operator has set is right.

    Raises:
        Unavailable, OutcomeUnknown: the server does not answer.
    """
    warnings = []
    for spec in stream_specs(journal_bytes):
        answer = await connection.request(f"$JS.API.STREAM.INFO.{spec.name}", b"")
        info: dict[str, Any] = msgspec.json.decode(answer.data)
        if spec.max_bytes > 0 and "config" in info:
            warnings += _find_warning(spec, info)
    return warnings


def _find_warning(spec: StreamSpec, info: dict[str, Any]) -> list[str]:
    present = info["config"].get("max_bytes", -1)
    if present == spec.max_bytes or not is_own_limit(info["config"]):
        return []
    has = "has no limit" if present < 0 else f"is limited to {present:,} bytes"
    used = f"{info['state']['bytes']:,} are used"
    reason = f"the server's store has no room to reserve; {_CURE}"
    return [f"{spec.name} {has} instead of {spec.max_bytes:,} bytes ({used}): {reason}"]
