"""The ways to connect and disconnect. Each scenario returns its outcome, and raises
`UnexpectedResult` on a violation.

A scenario is a function of a `SoakHttpClient`, which knows the port of the edge and its users and
counts every connection. Start reading at `SCENARIO_WEIGHTS`, the mix.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable

from tests.harness.jwt_issuer import JwtIssuer
from tests.soak.client import MIN_BUFFER_BYTES, RawHttpConnection, open_connection
from tests.soak.event_producer import (
    BUSY_USER,
    USERS,
    SoakEventProducer,
    configuration_id_of,
    strategy_id_of,
)
from tests.soak.plan import (
    CONNECT_RATE,
    MAX_CONNECTIONS,
    MAX_USER_CONNECTIONS,
    TOKEN_TTL_SECONDS,
    WRITE_TIMEOUT_SECONDS,
)

MAX_CONNECTION_SECONDS = 0.25
"""The longest that an ordinary connection stays open."""
REGULAR_ADDRESS_COUNT = 8192
"""Addresses that connect repeatedly. The edge keeps little for each of them and more for a new
address, so its memory hardly depends on the speed of the run."""
NEW_ADDRESS_PROBABILITY = 0.1
PUBLIC_PATHS = (
    "/api/stream/prices",
    "/api/stream/prices?symbols=IBM,SPY&maxRate=5",
    "/api/stream/metrics",
    "/api/v2/stream",
    "/api/stream?topics=prices:IBM,prices:SPY",
)
USER_PATHS = (
    "/sse/prices",
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
ITEM_PATHS = (
    ("/api/stream/strategies/{}", strategy_id_of),
    ("/sse/strategy/{}", strategy_id_of),
    ("/api/v2/configurations/{}/stream", configuration_id_of),
)
PARTIAL_REQUESTS = (
    b"G",
    b"GET /api/stream/orders HT",
    b"GET /api/stream/prices HTTP/1.1\r\nHost: localhost\r\nX-",
)
_POST = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
UNFINISHED_BODIES = (
    _POST + b"Content-Length: 40\r\n\r\n{",
    _POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
)


class UnexpectedResult(Exception):
    """A result that must not occur; the message describes it."""


class SoakHttpClient:
    """Opens connections from many addresses."""

    def __init__(self, port: int, producer: SoakEventProducer, rng: random.Random) -> None:
        self.port = port
        self.producer = producer
        self.rng = rng
        self.connect_count = 0
        self.issuer = JwtIssuer()
        self._addresses = itertools.count(1)
        self._regular_addresses = itertools.count()
        self._new_users = itertools.count(1)

    def new_address(self) -> str:
        """An address that was not used before, one of a few million."""
        return _format_address(10, next(self._addresses))

    def pick_address(self) -> str:
        """Usually the next of some thousands of addresses that are used in turn."""
        if self.rng.random() < NEW_ADDRESS_PROBABILITY:
            return self.new_address()
        return _format_address(11, next(self._regular_addresses) % REGULAR_ADDRESS_COUNT)

    def new_user(self) -> str:
        return f"new-{next(self._new_users)}"

    def build_request(self, method: str, path: str, *header_lines: str, body: bytes = b"") -> bytes:
        """A request from some address, unless `header_lines` name one."""
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Accept: text/event-stream"]
        head += header_lines
        if not any(line.startswith("X-Forwarded-For") for line in header_lines):
            head.append(f"X-Forwarded-For: {self.pick_address()}")
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body

    async def send(self, request: bytes, *, receive_buffer: int | None = None) -> RawHttpConnection:
        self.connect_count += 1
        return await open_connection(self.port, request, self.rng, receive_buffer=receive_buffer)

    async def request_and_read(
        self, method: str, path: str, *header_lines: str, body: object = None
    ) -> RawHttpConnection:
        """Send an ordinary request and return the connection with its whole response."""
        data = b"" if body is None else json.dumps(body).encode()
        caller = await self.send(self.build_request(method, path, *header_lines, body=data))
        await caller.wait_for_status()
        await caller.read_body()
        caller.disconnect(self.rng)
        return caller

    async def sign_in(self, user: str, *roles: str) -> str:
        """Sign in; return the cookie header line."""
        answer = await self.request_and_read(
            "POST", "/api/session", body={"userId": user, "roles": [*roles]}
        )
        expect_status(answer, 201)
        return f"Cookie: {answer.response_header(b'set-cookie').partition(b';')[0].decode()}"

    def credentials_header(self, user: str) -> str:
        """A header line with the gateway header or a bearer token of `user`."""
        if self.rng.random() < 0.7:
            return f"X-User-ID: {user}"
        return (
            f"Authorization: Bearer {self.issuer.token(user, 'HS256', seconds=TOKEN_TTL_SECONDS)}"
        )


def _format_address(network: int, number: int) -> str:
    return f"{network}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


ConnectionScenario = Callable[[SoakHttpClient], Awaitable[str]]


def expect_status(connection: RawHttpConnection, *statuses: int) -> None:
    """Raise UnexpectedResult if the status is another one. A process that is full may answer 503 to
    anyone."""
    if connection.status not in statuses:
        raise UnexpectedResult(
            f"{connection.status} instead of {statuses}: {connection.body_head[:300]!r}"
        )


async def open_stream(street: SoakHttpClient) -> str:
    """Open a stream of some user from some address, and read it for a while."""
    rng = street.rng
    user = rng.choice(USERS) if rng.random() < 0.6 else street.new_user()
    kind = rng.random()
    if kind < 0.25:
        path, lines = rng.choice(PUBLIC_PATHS), []
    elif kind < 0.85:
        path, lines = rng.choice(USER_PATHS), [street.credentials_header(user)]
    else:
        template, name = rng.choice(ITEM_PATHS)
        user = rng.choice(USERS)
        path, lines = template.format(name(user)), [street.credentials_header(user)]
    if rng.random() < 0.5:
        lines.append("Accept-Encoding: gzip")
    path, resumed = _add_resume_position(street, path, lines)
    caller = await street.send(street.build_request("GET", path, *lines))
    await caller.wait_for_status()
    expect_status(caller, 200, 503)
    if caller.status == 200:
        await caller.read_some(
            rng.choice([1, 400, 3000, 100_000]), rng.random() * MAX_CONNECTION_SECONDS
        )
    caller.disconnect(rng)
    return "full" if caller.status == 503 else f"streams {resumed}"


def _add_resume_position(
    street: SoakHttpClient, path: str, header_lines: list[str]
) -> tuple[str, str]:
    """The path, and a description of how it resumes; a header that does so is added to
    `header_lines`."""
    rng, world = street.rng, street.producer
    how = rng.random()
    if how < 0.45:
        return path, "fresh"
    if how < 0.75:
        near = how < 0.65
        resume_sequence = (
            world.last_sequence - rng.randrange(50)
            if near
            else rng.randrange(1, world.last_sequence)
        )
        header_lines.append(f"Last-Event-ID: {world.epoch}-{resume_sequence}")
        return path, "resumed"
    if how < 0.85:
        header_lines.append(f"Last-Event-ID: {rng.choice(['zz9-5', 'no id', '1700000000000-7'])}")
        return path, "with odd ids"
    if path.split("?")[0] in ("/api/stream/orders", "/api/stream/alerts", "/sse/strategies"):
        now = time.time()
        since, until = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - s)) for s in (9, 1))
        return f"{path}?since={since}&until={until}", "of the past"
    return path, "fresh"


async def pipeline_requests_after_stream(street: SoakHttpClient) -> str:
    """Pipeline requests behind a stream on its connection. The edge does not answer them, and the
    stream continues until the client disconnects."""
    rng, path = street.rng, street.rng.choice(PUBLIC_PATHS)
    following = [
        street.build_request("GET", rng.choice(PUBLIC_PATHS)) for _ in range(rng.choice([1, 3, 40]))
    ]
    caller = await street.send(street.build_request("GET", path) + b"".join(following))
    await caller.wait_for_status()
    expect_status(caller, 200, 503)
    await caller.read_some(3000, rng.random() * MAX_CONNECTION_SECONDS)
    caller.disconnect(rng)
    return "with requests behind"


async def disconnect_before_response(street: SoakHttpClient) -> str:
    """Send a request and disconnect before the response."""
    user = street.rng.choice([*USERS, street.new_user()])
    path = street.rng.choice([*PUBLIC_PATHS, *USER_PATHS])
    caller = await street.send(street.build_request("GET", path, f"X-User-ID: {user}"))
    if street.rng.random() < 0.5:
        await asyncio.sleep(0)
    caller.disconnect(street.rng)
    return "left at once"


async def send_partial_request(street: SoakHttpClient) -> str:
    """Send a part of a request, an incomplete body, or nothing at all."""
    rng = street.rng
    caller = await street.send(rng.choice([*PARTIAL_REQUESTS, *UNFINISHED_BODIES, b""]))
    if rng.random() < 0.3:
        await asyncio.sleep(rng.random() * MAX_CONNECTION_SECONDS)
    caller.disconnect(rng)
    return "half-sent"


async def send_rejected_request(street: SoakHttpClient) -> str:
    """Send a request with unknown credentials, an unknown path, or invalid values."""
    rng = street.rng
    known = street.credentials_header(rng.choice(USERS))
    method, path, lines, status = rng.choice(
        [
            ("GET", rng.choice(USER_PATHS), [], 401),
            ("GET", rng.choice(USER_PATHS), ["Cookie: session=nobody"], 401),
            ("GET", rng.choice(USER_PATHS), ["Authorization: Bearer a.b.c"], 401),
            ("GET", "/api/stream/strategies/none", [known], 404),
            ("GET", "/api/v2/configurations/none/stream", [known], 404),
            ("GET", "/api/stream?topics=none", [known], 422),
            ("GET", "/api/stream/prices?maxRate=-1", [], 422),
            ("POST", rng.choice(PUBLIC_PATHS), [], 405),
            ("GET", "/api/none", [], 404),
        ]
    )
    answer = await street.request_and_read(method, path, *lines)
    expect_status(answer, status, 503)
    return "full" if answer.status == 503 else f"refused {status}"


async def exceed_connect_rate(street: SoakHttpClient) -> str:
    """Connect repeatedly from one address, which is admitted only so often."""
    address, attempt_count = f"X-Forwarded-For: {street.new_address()}", 0
    while attempt_count <= CONNECT_RATE:
        answer = await street.request_and_read("GET", "/api/stream/orders", address)
        if answer.status == 503:  # an attempt that a full process rejected does not count
            continue
        expect_status(answer, 401 if attempt_count < CONNECT_RATE else 429)
        attempt_count += 1
    return "refused 429"


async def open_stream_by_ticket(street: SoakHttpClient) -> str:
    """Open a stream by a ticket, which is valid once."""
    cookie = await street.sign_in(street.new_user())
    answer = await street.request_and_read("POST", "/api/stream/ticket", cookie)
    expect_status(answer, 201)
    path = f"/api/stream/trading?ticket={json.loads(answer.body_head)['ticket']}"
    caller = await street.send(street.build_request("GET", path))
    await caller.wait_for_status()
    expect_status(caller, 200, 503)
    await caller.read_some(1000, MAX_CONNECTION_SECONDS)
    caller.disconnect(street.rng)
    if caller.status == 503:
        return "full"
    expect_status(await street.request_and_read("GET", path), 401, 503)
    return "by ticket"


async def leave_ticket_unused(street: SoakHttpClient) -> str:
    """Leave a ticket unused, of a session that is never ended."""
    cookie = await street.sign_in(street.new_user())
    expect_status(await street.request_and_read("POST", "/api/stream/ticket", cookie), 201)
    return "tickets unspent"


async def revoke_session_of_open_stream(street: SoakHttpClient) -> str:
    """Revoke a session or a bearer token while its stream is open; the stream ends."""
    user = street.new_user()
    if street.rng.random() < 0.5:
        known = await street.sign_in(user)
    else:
        token = street.issuer.token(user, "HS256", seconds=TOKEN_TTL_SECONDS)
        known = f"Authorization: Bearer {token}"
    path = street.rng.choice([one for one in USER_PATHS if "?" not in one])
    caller = await street.send(street.build_request("GET", path, known))
    await caller.wait_for_status()
    expect_status(caller, 200, 503)
    if caller.status == 503:
        caller.disconnect(street.rng)
        return "full"
    expect_status(await street.request_and_read("DELETE", "/api/session", known), 204)
    await caller.wait_for_end()
    if b"auth:expired" not in caller.body_tail:
        raise UnexpectedResult(f"a stream of a revoked session ended by {caller.body_tail!r}")
    caller.disconnect(street.rng)
    return "revoked"


async def stop_reading(street: SoakHttpClient) -> str:
    """Request a long history and stop reading; the edge closes the stream as slow."""
    user_header, last_event_id = (
        f"X-User-ID: {BUSY_USER}",
        f"Last-Event-ID: {street.producer.epoch}-1",
    )
    request = street.build_request("GET", "/api/stream/orders", user_header, last_event_id)
    caller = await street.send(request, receive_buffer=MIN_BUFFER_BYTES)
    await caller.wait_for_status()
    expect_status(caller, 200, 503)
    caller.pause_reading()
    await asyncio.sleep(WRITE_TIMEOUT_SECONDS * street.rng.choice([0.2, 2.0]))
    caller.disconnect(street.rng)
    return "full" if caller.status == 503 else "slow"


async def exceed_user_connections(street: SoakHttpClient) -> str:
    """Open more streams than a user may have; the oldest is notified and closed."""
    user = street.new_user()
    callers = []
    for _ in range(MAX_USER_CONNECTIONS + 1):
        caller = await street.send(
            street.build_request("GET", "/api/stream/orders", f"X-User-ID: {user}")
        )
        await caller.wait_for_status()
        expect_status(caller, 200, 503)
        callers.append(caller)
    whole = all(caller.status == 200 for caller in callers)
    if whole:
        await callers[0].wait_for_end()
        if b"connection:limit" not in callers[0].body_tail:
            raise UnexpectedResult(f"one stream too many, and the oldest: {callers[0].body_tail!r}")
    for caller in callers:
        caller.disconnect(street.rng)
    return "too many tabs" if whole else "full"


async def exceed_process_connections(street: SoakHttpClient) -> str:
    """Open connections until the process is full."""
    callers: list[RawHttpConnection] = []
    while len(callers) <= MAX_CONNECTIONS:
        caller = await street.send(street.build_request("GET", street.rng.choice(PUBLIC_PATHS)))
        await caller.wait_for_status()
        expect_status(caller, 200, 503)
        callers.append(caller)
        if caller.status == 503:
            break
    else:
        raise UnexpectedResult(f"{len(callers)} streams are more than the process may have")
    for caller in callers:
        caller.disconnect(street.rng)
    return "crowds to 503"


async def pipeline_plain_requests(street: SoakHttpClient) -> str:
    """Pipeline several ordinary requests on one connection."""
    known = street.credentials_header(street.rng.choice(USERS))
    paths = ("/api/session", "/health", "/api/sse/status", "/health/sse", "/metrics")
    wanted = street.rng.choices(paths, k=3)
    caller = await street.send(b"".join(street.build_request("GET", p, known) for p in wanted))
    await caller.wait_for_status()
    expect_status(caller, 200)
    await caller.read_some(2000, MAX_CONNECTION_SECONDS)
    caller.disconnect(street.rng)
    return "calls"


async def publish_test_event(street: SoakHttpClient) -> str:
    """Publish an admin test event to all streams."""
    lines = ("X-User-ID: boss", "X-User-Roles: admin")
    expect_status(
        await street.request_and_read("POST", "/api/stream/test", *lines, body={"message": "soak"}),
        202,
    )
    return "test events"


SCENARIO_WEIGHTS: dict[ConnectionScenario, float] = {
    open_stream: 60,
    pipeline_requests_after_stream: 2,
    disconnect_before_response: 9,
    send_partial_request: 8,
    send_rejected_request: 8,
    pipeline_plain_requests: 4,
    open_stream_by_ticket: 2,
    leave_ticket_unused: 1,
    revoke_session_of_open_stream: 2,
    stop_reading: 2,
    exceed_user_connections: 0.4,
    publish_test_event: 0.4,
}
"""The relative frequency of each scenario, besides `RARE_SCENARIOS`, which run once every few
thousand connects."""
RARE_SCENARIOS = (exceed_process_connections, exceed_connect_rate)
