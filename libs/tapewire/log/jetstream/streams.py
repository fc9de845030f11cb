"""The streams that Tapewire keeps, as configurations, and `provision`, which makes them so.

Provisioning is safe to repeat and to run from several places at once: a stream that is there and
differs in what may change is updated, one that is right is left alone.
"""

import json
from typing import Any

from tapewire.log.jetstream.wire import Wire
from tapewire.log.port import LogError, Refused, Unavailable

EVENTS = "EVENTS"
MARKET = "MARKET"
VIEWS = "VIEWS"
SESSIONS = "KV_sessions"
LEASES = "KV_leases"
TICKETS = "KV_tickets"

DUPLICATE_SECONDS = 120
"""How long the server remembers event ids."""
_SECOND = 1_000_000_000

_AWAY = 503
"""What JetStream answers while it has no leader yet."""
_NOT_FOUND = 10059
_NAME_IN_USE = 10058


def configurations(replicas: int = 1) -> list[dict[str, Any]]:
    """Every stream's configuration, with `replicas` copies of each."""
    return [
        {
            "name": EVENTS,
            "subjects": ["ev.>"],
            "storage": "file",
            "allow_direct": True,
            "allow_atomic": True,
            "duplicate_window": DUPLICATE_SECONDS * _SECOND,
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
        _bucket(SESSIONS, replicas),
        _bucket(LEASES, replicas),
        _bucket(TICKETS, replicas),
    ]


def _bucket(name: str, replicas: int) -> dict[str, Any]:
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


async def provision(wire: Wire, *, replicas: int = 1) -> list[str]:
    """Make every stream exist as configured; the names of those made or changed.

    Raises:
        Refused: the server will not have a configuration; says which and why.
        Unavailable, Uncertain: as `Wire.request`.
    """
    return [
        configuration["name"]
        for configuration in configurations(replicas)
        if await _ensure(wire, configuration)
    ]


async def _ensure(wire: Wire, configuration: dict[str, Any]) -> bool:
    name = configuration["name"]
    found = await _call(wire, f"$JS.API.STREAM.INFO.{name}", {})
    if "config" in found:
        if all(found["config"].get(field) == value for field, value in configuration.items()):
            return False
        changed = await _call(wire, f"$JS.API.STREAM.UPDATE.{name}", configuration)
    elif found["error"].get("err_code") == _NOT_FOUND:
        changed = await _call(wire, f"$JS.API.STREAM.CREATE.{name}", configuration)
        if changed.get("error", {}).get("err_code") == _NAME_IN_USE:
            return await _ensure(wire, configuration)
    else:
        changed = found
    if "error" in changed:
        raise _failed(name, changed["error"])
    return True


async def _call(wire: Wire, subject: str, asking: dict[str, Any]) -> dict[str, Any]:
    message = await wire.request(subject, json.dumps(asking).encode())
    answer: dict[str, Any] = json.loads(message.data)
    return answer


def _failed(name: str, error: dict[str, Any]) -> LogError:
    words = f"stream {name}: {error.get('description')}"
    return Unavailable(words) if error.get("code") == _AWAY else Refused(words)
