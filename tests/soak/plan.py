"""The sizes and the allowed growth of a run, and the messages between the test and the load
process."""

import os

import msgspec

IS_SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))


class SoakSize(msgspec.Struct, frozen=True):
    """The load of a run: `round_count` rounds after a warm-up, with a measurement after each round.
    `max_memory_growth_kib` is the allowed growth in KiB per 10,000 connects, over the last two
    thirds of the rounds."""

    connect_count: int
    round_count: int
    warm_up_connects: int
    max_memory_growth_kib: float


FULL = SoakSize(
    connect_count=200_000, round_count=40, warm_up_connects=20_000, max_memory_growth_kib=512.0
)
SMALL = SoakSize(
    connect_count=3_500, round_count=7, warm_up_connects=1_500, max_memory_growth_kib=49_152.0
)
"""In a short run much growth is memory that is used for the first time. The short run detects a
leak of some KiB per connect, such as a closed connection that is kept (9)."""

CONNECT_RATE = 60
"""New streams a minute from one address; ordinary scenarios stay far below."""
MAX_CONNECTIONS = 250
MAX_USER_CONNECTIONS = 10
WRITE_TIMEOUT_SECONDS = 1.0
SESSION_TTL_SECONDS = TOKEN_TTL_SECONDS = TICKET_TTL_SECONDS = 10
SETTINGS = {
    "SSE_CONNECT_RATE": str(CONNECT_RATE),
    "SSE_MAX_CONNECTIONS": str(MAX_CONNECTIONS),
    "SSE_MAX_CONNECTIONS_PER_USER": str(MAX_USER_CONNECTIONS),
    "SSE_KEEPALIVE_INTERVAL": "2",
    "SSE_WRITE_SECONDS": str(WRITE_TIMEOUT_SECONDS),
    "TAPEWIRE_SESSION_HOURS": str(SESSION_TTL_SECONDS / 3600),
    "TAPEWIRE_TICKET_SECONDS": str(TICKET_TTL_SECONDS),
    "TAPEWIRE_TRUSTED_PROXIES": "127.0.0.0/8",
    "TAPEWIRE_USER_HEADER_FROM": "127.0.0.0/8",
}
"""Sessions and tickets are short-lived, so their removal can be observed."""
MAX_STRICT_SCENARIO_SECONDS = 4.0
"""A scenario that took longer may find that its session has expired, on a slow machine."""


class RunConnects(msgspec.Struct, frozen=True):
    """Run scenarios until `connect_count` connections were opened."""

    connect_count: int


class LoadReport(msgspec.Struct):
    """The result of `RunConnects`. `outcome_counts` counts scenarios by their outcome, `violations`
    describes the scenarios that failed, and `event_count` is the number of events appended
    meanwhile."""

    connect_count: int
    duration_seconds: float
    event_count: int
    outcome_counts: dict[str, int]
    violations: list[str]
