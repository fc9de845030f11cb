"""How much of it, what may grow by how much, and the words between the test and its visitors."""

import os

import msgspec

IS_SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))


class SoakSize(msgspec.Struct, frozen=True):
    """`connects` come in `rounds`, after each of which the edge is measured, and some before the
    first as a `warm_up`. `memory` is by how many KiB it may grow per 10,000 connects, over the
    last two thirds of the rounds."""

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
"""Of a short run much growth is memory that is used for the first time: it finds what loses some
KiB a connect, as whoever keeps a closed one does (9)."""

CONNECT_RATE = 60
"""New streams a minute from one address: the usual visitors stay far below."""
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
"""Sessions and tickets are short, so that it can be seen that they go."""
MAX_STRICT_SCENARIO_SECONDS = 4.0
"""What a visit that took longer is told may be that its session was over: a slow machine's."""


class RunConnects(msgspec.Struct, frozen=True):
    """Come and go until `connects` connections were opened."""

    connect_count: int


class LoadReport(msgspec.Struct):
    """`ways` counts the visits by what came of them; `wrong` are those that did not go as they
    should, and `events` how many were appended meanwhile."""

    connect_count: int
    duration_seconds: float
    event_count: int
    outcome_counts: dict[str, int]
    violations: list[str]
