"""The configurations of Tapewire's streams: what each must have, and with what it is created.

`tapewire.log.jetstream.provisioning` creates, changes and checks the streams. Start at
`stream_specs`.
"""

from typing import Any

import msgspec

EVENTS = "EVENTS"
JOURNAL = "KV_journal"
MARKET = "MARKET"
QUOTES = "QUOTES"
BARS = "BARS"
VIEWS = "VIEWS"
PARKED = "PARKED"
SESSIONS = "KV_sessions"
LEASES = "KV_leases"
TICKETS = "KV_tickets"

DUPLICATE_WINDOW_SECONDS = 120
"""How long the server remembers event ids."""
_NANOSECONDS_PER_SECOND = 1_000_000_000

DEFAULT_JOURNAL_BYTES = 4 << 30
_MEBIBYTE = 1 << 20
_MAX_BYTES = {
    QUOTES: 96 * _MEBIBYTE,
    BARS: 384 * _MEBIBYTE,
    PARKED: 64 * _MEBIBYTE,
    JOURNAL: _MEBIBYTE,
    SESSIONS: 256 * _MEBIBYTE,
    LEASES: 8 * _MEBIBYTE,
    TICKETS: 8 * _MEBIBYTE,
}
"""Room that is reserved for each stream, so that it lives when the journal is full: of QUOTES in
memory, of the others on disk."""
QUOTES_SECONDS = 300
"""How long the quotes of all symbols are kept, if there is room."""
MAX_BAR_MESSAGES = 1000
"""Messages of one symbol and interval in BARS. Each has at least one bar."""
_VIEWS_SHARE = 4
"""The checkpoints get this part of the room of the journal."""


class StreamSpec(msgspec.Struct, frozen=True):
    """One stream. `required` is what Tapewire relies on: `provision` restores it and every service
    checks it. `initial` holds fields that a new stream is created with, and that belong to the
    operator from then on. `max_bytes` is the room that is reserved for it, -1 for none; a full
    stream refuses messages, or with `discard` `old` drops its oldest ones."""

    name: str
    required: dict[str, Any]
    initial: dict[str, Any] = {}
    max_bytes: int = -1
    discard: str = "new"

    def new_config(self, replicas: int) -> dict[str, Any]:
        """The configuration of a new stream."""
        return {"name": self.name, **self.required, **self.initial, "num_replicas": replicas}

    def deviations(self, found: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """The required fields that `found`, a configuration, does not fulfil: the field's present
        and its required value. Additional subjects and a longer duplicate window are allowed."""
        return {
            field: (found.get(field), _with_required(field, found.get(field), value))
            for field, value in self.required.items()
            if not _fulfils(field, found.get(field), value)
        }


def _fulfils(field: str, found: Any, required: Any) -> bool:
    if field == "subjects":
        return set(required) <= set(found or ())
    if field == "duplicate_window":
        return bool((found or 0) >= required)
    return bool(found == required)


def _with_required(field: str, found: Any, required: Any) -> Any:
    """The value that fulfils the requirement and keeps what the operator added."""
    if field == "subjects":
        return [*(found or ()), *(each for each in required if each not in (found or ()))]
    return required


def total_bytes(journal_bytes: int) -> int:
    """The room that all streams on disk need together; the server's store must have more."""
    return sum(
        spec.max_bytes
        for spec in stream_specs(journal_bytes)
        if spec.max_bytes > 0 and spec.required["storage"] == "file"
    )


def stream_specs(journal_bytes: int = DEFAULT_JOURNAL_BYTES) -> list[StreamSpec]:
    """All streams, with room for `journal_bytes` in EVENTS."""
    return [
        StreamSpec(
            EVENTS,
            {
                "subjects": ["ev.>"],
                "storage": "file",
                "allow_direct": True,
                "allow_atomic": True,
                "duplicate_window": DUPLICATE_WINDOW_SECONDS * _NANOSECONDS_PER_SECOND,
                "republish": {"src": "ev.>", "dest": "live.ev.>"},
            },
            max_bytes=journal_bytes,
        ),
        StreamSpec(
            MARKET,
            {
                "subjects": ["px.>", "mk.>", "val.>", "hb.>"],
                "storage": "memory",
                "max_msgs_per_subject": 1,
                "allow_direct": True,
                "allow_msg_ttl": True,
                "republish": {"src": ">", "dest": "live.>"},
            },
        ),
        StreamSpec(
            QUOTES,
            {
                # What MARKET republishes: every quote, in the order in which it was stored.
                "subjects": ["live.px.>"],
                "storage": "memory",
                "allow_direct": True,
            },
            {"max_age": QUOTES_SECONDS * _NANOSECONDS_PER_SECOND},
            max_bytes=_MAX_BYTES[QUOTES],
            discard="old",
        ),
        StreamSpec(
            BARS,
            {
                "subjects": ["bars.>"],
                "storage": "file",
                "max_msgs_per_subject": MAX_BAR_MESSAGES,
                "allow_direct": True,
                "allow_atomic": True,
                "allow_msg_ttl": True,
                "allow_rollup_hdrs": True,
            },
            max_bytes=_MAX_BYTES[BARS],
            discard="old",
        ),
        StreamSpec(
            VIEWS,
            {
                "subjects": ["view.>"],
                "storage": "file",
                "max_msgs_per_subject": 1,
                "allow_direct": True,
                "allow_atomic": True,
            },
            max_bytes=journal_bytes // _VIEWS_SHARE,
        ),
        StreamSpec(
            PARKED,
            {
                "subjects": ["parked.>"],
                "storage": "file",
                "max_msgs_per_subject": 1,
                "allow_direct": True,
                "allow_msg_ttl": True,
            },
            max_bytes=_MAX_BYTES[PARKED],
        ),
        _bucket(JOURNAL),
        _bucket(SESSIONS),
        _bucket(LEASES),
        _bucket(TICKETS),
    ]


def _bucket(name: str) -> StreamSpec:
    return StreamSpec(
        name,
        {
            "subjects": [f"$KV.{name.removeprefix('KV_')}.>"],
            "storage": "file",
            "max_msgs_per_subject": 1,
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "allow_msg_ttl": True,
        },
        {"discard": "new", "deny_delete": True},
        max_bytes=_MAX_BYTES[name],
    )


def stream_configs(replicas: int = 1) -> list[dict[str, Any]]:
    """The configurations that new streams get, with `replicas` copies of each. The bucket with the
    records of the journal is not among them: it is empty only before EVENTS is created."""
    return [spec.new_config(replicas) for spec in stream_specs() if spec.name != JOURNAL]
