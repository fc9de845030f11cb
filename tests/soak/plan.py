"""How much of it, what may grow by how much, and the words between the test and its visitors."""

import os

import msgspec

SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))


class Size(msgspec.Struct, frozen=True):
    """`connects` come in `rounds`, after each of which the edge is measured, and some before the
    first as a `warm_up`. `memory` is by how many KiB it may grow per 10,000 connects, over the
    last two thirds of the rounds."""

    connects: int
    rounds: int
    warm_up: int
    memory: float


FULL = Size(connects=200_000, rounds=40, warm_up=20_000, memory=512.0)
SMALL = Size(connects=3_500, rounds=7, warm_up=1_500, memory=49_152.0)
"""Of a short run much growth is memory that is used for the first time: it finds what loses some
KiB a connect, as whoever keeps a closed one does (9)."""

CONNECT_RATE = 60
"""New streams a minute from one address: the usual visitors stay far below."""
MOST_CONNECTIONS = 250
USER_CONNECTIONS = 10
WRITE_SECONDS = 1.0
SESSION_SECONDS = TOKEN_SECONDS = TICKET_SECONDS = 10
SETTINGS = {
    "SSE_CONNECT_RATE": str(CONNECT_RATE),
    "SSE_MAX_CONNECTIONS": str(MOST_CONNECTIONS),
    "SSE_MAX_CONNECTIONS_PER_USER": str(USER_CONNECTIONS),
    "SSE_KEEPALIVE_INTERVAL": "2",
    "SSE_WRITE_SECONDS": str(WRITE_SECONDS),
    "TAPEWIRE_SESSION_HOURS": str(SESSION_SECONDS / 3600),
    "TAPEWIRE_TICKET_SECONDS": str(TICKET_SECONDS),
    "TAPEWIRE_TRUSTED_PROXIES": "127.0.0.0/8",
    "TAPEWIRE_USER_HEADER_FROM": "127.0.0.0/8",
}
"""Sessions and tickets are short, so that it can be seen that they go."""
FRESH_SECONDS = 4.0
"""What a visit that took longer is told may be that its session was over: a slow machine's."""


class Order(msgspec.Struct, frozen=True):
    """Come and go until `connects` connections were opened."""

    connects: int


class Report(msgspec.Struct):
    """`ways` counts the visits by what came of them; `wrong` are those that did not go as they
    should, and `events` how many were appended meanwhile."""

    connects: int
    seconds: float
    events: int
    ways: dict[str, int]
    wrong: list[str]
