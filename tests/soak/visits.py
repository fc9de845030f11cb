"""The ways to come and go. Each visit says what came of it; what should not be, is `Wrong`.

A visit is a function of a `Street`, which knows the edge's port, who there is, and counts every
connection. Start reading at `VISITS`, the mix.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable

from tests.issuer import Issuer
from tests.soak.client import LEAST_BUFFER_BYTES, Caller, call
from tests.soak.plan import (
    CONNECT_RATE,
    MOST_CONNECTIONS,
    TOKEN_SECONDS,
    USER_CONNECTIONS,
    WRITE_SECONDS,
)
from tests.soak.world import TORRENT, USERS, World, configuration_of, strategy_of

STAY_SECONDS = 0.25
"""The longest that an ordinary visitor stays."""
REGULARS = 8192
"""Addresses that come again; what is remembered of each is small, and of a new one is not: so the
edge's memory hardly depends on how fast all this goes."""
NEW_ADDRESSES = 0.1
PUBLIC = (
    "/api/stream/prices",
    "/api/stream/prices?symbols=IBM,SPY&maxRate=5",
    "/api/stream/metrics",
    "/sse/prices",
    "/api/v2/stream",
    "/api/stream?topics=prices:IBM,prices:SPY",
)
OWN = (
    "/api/stream/orders",
    "/api/stream/positions",
    "/api/stream/trading",
    "/api/stream/ai-decisions",
    "/api/stream/strategies",
    "/api/stream/alerts",
    "/api/stream?topics=orders,positions,prices:IBM,alerts",
    "/api/stream?topics=strategies,ai-decisions,agents",
    "/sse/strategies",
    "/sse/strategies/reconnect",
    "/api/sse/notifications",
)
PICKED = (
    ("/api/stream/strategies/{}", strategy_of),
    ("/sse/strategy/{}", strategy_of),
    ("/api/v2/configurations/{}/stream", configuration_of),
)
HALVES = (
    b"G",
    b"GET /api/stream/orders HT",
    b"GET /api/stream/prices HTTP/1.1\r\nHost: edge\r\nX-",
)
UNFINISHED = (
    b"POST /api/session HTTP/1.1\r\nHost: edge\r\nContent-Length: 40\r\n\r\n{",
    b"POST /api/session HTTP/1.1\r\nHost: edge\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
)


class Wrong(Exception):
    """Something that should not happen; says what."""


class Street:
    """Where visitors come from."""

    def __init__(self, port: int, world: World, rng: random.Random) -> None:
        self.port = port
        self.world = world
        self.rng = rng
        self.connects = 0
        self.issuer = Issuer()
        self._addresses = itertools.count(1)
        self._turns = itertools.count()
        self._people = itertools.count(1)

    def address(self) -> str:
        """One that nobody had yet, of a few million."""
        return _address(10, next(self._addresses))

    def usual(self) -> str:
        """Mostly one of some thousands that come again and again, in turn."""
        if self.rng.random() < NEW_ADDRESSES:
            return self.address()
        return _address(11, next(self._turns) % REGULARS)

    def somebody_new(self) -> str:
        return f"new-{next(self._people)}"

    def request(self, method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
        """A request from some address, unless `lines` say which."""
        head = [f"{method} {path} HTTP/1.1", "Host: edge", *lines]
        if not any(line.startswith("X-Forwarded-For") for line in lines):
            head.append(f"X-Forwarded-For: {self.usual()}")
        if body:
            head.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*head, "", ""]).encode() + body

    async def call(self, request: bytes, *, receive_buffer: int | None = None) -> Caller:
        self.connects += 1
        return await call(self.port, request, self.rng, receive_buffer=receive_buffer)

    async def ask(self, method: str, path: str, *lines: str, body: object = None) -> Caller:
        """The answer to a request that is no stream, whole."""
        data = b"" if body is None else json.dumps(body).encode()
        caller = await self.call(self.request(method, path, *lines, body=data))
        await caller.answered()
        await caller.body()
        caller.leave(self.rng)
        return caller

    async def sign_in(self, user: str, *roles: str) -> str:
        """The cookie's line."""
        answer = await self.ask("POST", "/api/session", body={"userId": user, "roles": [*roles]})
        must(answer, 201)
        return f"Cookie: {answer.header(b'set-cookie').partition(b';')[0].decode()}"

    def known_by(self, user: str) -> str:
        """A line by which a gateway or a token says who somebody is."""
        if self.rng.random() < 0.7:
            return f"X-User-ID: {user}"
        return f"Authorization: Bearer {self.issuer.token(user, 'HS256', seconds=TOKEN_SECONDS)}"


def _address(network: int, number: int) -> str:
    return f"{network}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


Visit = Callable[[Street], Awaitable[str]]


def must(caller: Caller, *statuses: int) -> None:
    """Raises Wrong when the answer is another one. A process that is full says so to anybody."""
    if caller.status not in statuses:
        raise Wrong(f"{caller.status} instead of {statuses}: {caller.text[:300]!r}")


async def stream(street: Street) -> str:
    """Some stream, by some user, from some place, for a while."""
    rng = street.rng
    user = rng.choice(USERS) if rng.random() < 0.6 else street.somebody_new()
    kind = rng.random()
    if kind < 0.25:
        path, lines = rng.choice(PUBLIC), []
    elif kind < 0.85:
        path, lines = rng.choice(OWN), [street.known_by(user)]
    else:
        template, name = rng.choice(PICKED)
        user = rng.choice(USERS)
        path, lines = template.format(name(user)), [street.known_by(user)]
    if rng.random() < 0.5:
        lines.append("Accept-Encoding: gzip")
    path, resumed = _placed(street, path, lines)
    caller = await street.call(street.request("GET", path, *lines))
    await caller.answered()
    must(caller, 200, 503)
    if caller.status == 200:
        await caller.some(rng.choice([1, 400, 3000, 100_000]), rng.random() * STAY_SECONDS)
    caller.leave(rng)
    return "full" if caller.status == 503 else f"streams {resumed}"


def _placed(street: Street, path: str, lines: list[str]) -> tuple[str, str]:
    """The path, and how it resumes; what does so by a header is added to `lines`."""
    rng, world = street.rng, street.world
    how = rng.random()
    if how < 0.45:
        return path, "fresh"
    if how < 0.75:
        near = how < 0.65
        place = world.head - rng.randrange(50) if near else rng.randrange(1, world.head)
        lines.append(f"Last-Event-ID: {world.epoch}-{place}")
        return path, "resumed"
    if how < 0.85:
        lines.append(f"Last-Event-ID: {rng.choice(['zz9-5', 'no id', '1700000000000-7'])}")
        return path, "with odd ids"
    if path.split("?")[0] in ("/api/stream/orders", "/api/stream/alerts", "/sse/strategies"):
        now = time.time()
        since, until = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - s)) for s in (9, 1))
        return f"{path}?since={since}&until={until}", "of the past"
    return path, "fresh"


async def behind(street: Street) -> str:
    """Requests behind a stream, on its connection: they are not answered, the stream goes on, and
    ends when the client leaves."""
    rng, path = street.rng, street.rng.choice(PUBLIC)
    following = [street.request("GET", rng.choice(PUBLIC)) for _ in range(rng.choice([1, 3, 40]))]
    caller = await street.call(street.request("GET", path) + b"".join(following))
    await caller.answered()
    must(caller, 200, 503)
    await caller.some(3000, rng.random() * STAY_SECONDS)
    caller.leave(rng)
    return "with requests behind"


async def at_once(street: Street) -> str:
    """Ask, and go before the answer."""
    user = street.rng.choice([*USERS, street.somebody_new()])
    path = street.rng.choice([*PUBLIC, *OWN])
    caller = await street.call(street.request("GET", path, f"X-User-ID: {user}"))
    if street.rng.random() < 0.5:
        await asyncio.sleep(0)
    caller.leave(street.rng)
    return "left at once"


async def half(street: Street) -> str:
    """A part of a request, a body that does not come whole, or nothing at all."""
    rng = street.rng
    caller = await street.call(rng.choice([*HALVES, *UNFINISHED, b""]))
    if rng.random() < 0.3:
        await asyncio.sleep(rng.random() * STAY_SECONDS)
    caller.leave(rng)
    return "half-sent"


async def refused(street: Street) -> str:
    """Nobody known, something unknown, something bad."""
    rng = street.rng
    known = street.known_by(rng.choice(USERS))
    method, path, lines, status = rng.choice(
        [
            ("GET", rng.choice(OWN), [], 401),
            ("GET", rng.choice(OWN), ["Cookie: session=nobody"], 401),
            ("GET", rng.choice(OWN), ["Authorization: Bearer a.b.c"], 401),
            ("GET", "/api/stream/strategies/none", [known], 404),
            ("GET", "/api/v2/configurations/none/stream", [known], 404),
            ("GET", "/api/stream?topics=none", [known], 422),
            ("GET", "/api/stream/prices?maxRate=-1", [], 422),
            ("POST", rng.choice(PUBLIC), [], 405),
            ("GET", "/api/none", [], 404),
        ]
    )
    answer = await street.ask(method, path, *lines)
    must(answer, status, 503)
    return "full" if answer.status == 503 else f"refused {status}"


async def stubborn(street: Street) -> str:
    """Again and again from one address, which is let in so often and no more."""
    address, taken = f"X-Forwarded-For: {street.address()}", 0
    while taken <= CONNECT_RATE:
        answer = await street.ask("GET", "/api/stream/orders", address)
        if answer.status == 503:  # what the process had no room for does not count
            continue
        must(answer, 401 if taken < CONNECT_RATE else 429)
        taken += 1
    return "refused 429"


async def by_ticket(street: Street) -> str:
    """In by a ticket, which is good once."""
    cookie = await street.sign_in(street.somebody_new())
    answer = await street.ask("POST", "/api/stream/ticket", cookie)
    must(answer, 201)
    path = f"/api/stream/trading?ticket={json.loads(answer.text)['ticket']}"
    caller = await street.call(street.request("GET", path))
    await caller.answered()
    must(caller, 200, 503)
    await caller.some(1000, STAY_SECONDS)
    caller.leave(street.rng)
    if caller.status == 503:
        return "full"
    must(await street.ask("GET", path), 401, 503)
    return "by ticket"


async def never_spent(street: Street) -> str:
    """A ticket that nobody uses, of a session that nobody ends."""
    cookie = await street.sign_in(street.somebody_new())
    must(await street.ask("POST", "/api/stream/ticket", cookie), 201)
    return "tickets unspent"


async def revoked(street: Street) -> str:
    """Signed out while a stream is open, which ends; by cookie, or by a token."""
    user = street.somebody_new()
    if street.rng.random() < 0.5:
        known = await street.sign_in(user)
    else:
        token = street.issuer.token(user, "HS256", seconds=TOKEN_SECONDS)
        known = f"Authorization: Bearer {token}"
    path = street.rng.choice([one for one in OWN if "?" not in one])
    caller = await street.call(street.request("GET", path, known))
    await caller.answered()
    must(caller, 200, 503)
    if caller.status == 503:
        caller.leave(street.rng)
        return "full"
    must(await street.ask("DELETE", "/api/session", known), 204)
    await caller.end()
    if b"auth:expired" not in caller.tail:
        raise Wrong(f"a stream of a revoked session ended by {caller.tail!r}")
    caller.leave(street.rng)
    return "revoked"


async def slow(street: Street) -> str:
    """A long history asked for, and not read: the edge gives the reader up."""
    known, place = f"X-User-ID: {TORRENT}", f"Last-Event-ID: {street.world.epoch}-1"
    request = street.request("GET", "/api/stream/orders", known, place)
    caller = await street.call(request, receive_buffer=LEAST_BUFFER_BYTES)
    await caller.answered()
    must(caller, 200, 503)
    caller.stall()
    await asyncio.sleep(WRITE_SECONDS * street.rng.choice([0.2, 2.0]))
    caller.leave(street.rng)
    return "full" if caller.status == 503 else "slow"


async def tabs(street: Street) -> str:
    """More streams than a user may have: the oldest is told so, and ends."""
    user = street.somebody_new()
    callers = []
    for _ in range(USER_CONNECTIONS + 1):
        caller = await street.call(
            street.request("GET", "/api/stream/orders", f"X-User-ID: {user}")
        )
        await caller.answered()
        must(caller, 200, 503)
        callers.append(caller)
    whole = all(caller.status == 200 for caller in callers)
    if whole:
        await callers[0].end()
        if b"connection:limit" not in callers[0].tail:
            raise Wrong(f"one stream too many, and the oldest: {callers[0].tail!r}")
    for caller in callers:
        caller.leave(street.rng)
    return "too many tabs" if whole else "full"


async def crowd(street: Street) -> str:
    """So many at once that the process is full."""
    callers: list[Caller] = []
    while len(callers) <= MOST_CONNECTIONS:
        caller = await street.call(street.request("GET", street.rng.choice(PUBLIC)))
        await caller.answered()
        must(caller, 200, 503)
        callers.append(caller)
        if caller.status == 503:
            break
    else:
        raise Wrong(f"{len(callers)} streams are more than the process may have")
    for caller in callers:
        caller.leave(street.rng)
    return "crowds to 503"


async def calls(street: Street) -> str:
    """No stream: ordinary requests, several on one connection, at once."""
    known = street.known_by(street.rng.choice(USERS))
    paths = ("/api/session", "/health", "/api/sse/status", "/health/sse", "/metrics")
    wanted = street.rng.choices(paths, k=3)
    caller = await street.call(b"".join(street.request("GET", p, known) for p in wanted))
    await caller.answered()
    must(caller, 200)
    await caller.some(2000, STAY_SECONDS)
    caller.leave(street.rng)
    return "calls"


async def announced(street: Street) -> str:
    """An admin says something to everybody."""
    lines = ("X-User-ID: boss", "X-User-Roles: admin")
    must(await street.ask("POST", "/api/stream/test", *lines, body={"message": "soak"}), 202)
    return "test events"


VISITS: dict[Visit, float] = {
    stream: 60,
    behind: 2,
    at_once: 9,
    half: 8,
    refused: 8,
    calls: 4,
    by_ticket: 2,
    never_spent: 1,
    revoked: 2,
    slow: 2,
    tabs: 0.4,
    announced: 0.4,
}
"""How often each comes, beside `RARE`, which come every few thousand connects."""
RARE = (crowd, stubborn)
