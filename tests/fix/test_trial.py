"""1,000 orders through the whole system to a venue on QuickFIX, whose connection does not hold.

The connection is cut, also within messages, and messages are damaged; the orders service is killed;
the venue fills late and twice, corrects and busts executions, and cancels and replacements race
with fills. In the end the venue's book and what the system answers over HTTP are equal.
"""

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from tests.fix.book_comparison import (
    RETRYABLE_STATUSES,
    Row,
    compare_user,
    is_corrected,
    read_all,
)
from tests.fix.foreign_venue import ENGINE, ForeignVenue, Link, run_link
from tests.harness import fork_server
from tests.harness.stack import Stack, StackFactory

IS_SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))
SEED = int(os.environ.get("TAPEWIRE_TEST_SEED") or 20131007)
ORDER_COUNT = 1250
"""Some are canceled before the venue has received them."""
MIN_ORDER_COUNT_AT_VENUE = 1000
MIN_CORRECTED_COUNT = 50
USERS = ("ann", "bob", "cy")
TRADERS_PER_USER = 4
SYMBOLS = ("IBM", "AAPL")
MEAN_PAUSE_SECONDS = 0.25
KILL_SECONDS = (2.0, 12.0)
KILL_COUNT = 6
"""`tapewire up` waits longer after each of them."""
CUT_SECONDS = 0.7
SETTLE_SECONDS = 300.0
FOLLOW_SECONDS = 20.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(IS_SHORT, reason="the trial takes minutes: make fix without SHORT"),
]


class Answers(msgspec.Struct):
    """What the users asked for and were answered."""

    users: dict[str, str] = {}
    """The user of each order."""
    counts: Counter[str] = msgspec.field(default_factory=Counter)


class Trader:
    """Places orders of one user, and cancels and replaces some of them."""

    def __init__(self, http: httpx.AsyncClient, user: str, answers: Answers, rng: random.Random):
        self._http, self._user, self._answers, self._rng = http, user, answers, rng

    async def run(self, names: list[str]) -> None:
        for name in names:
            await asyncio.sleep(self._rng.expovariate(1 / MEAN_PAUSE_SECONDS))
            order = (await self._ask("POST", "/api/orders", self._new_order(name))).json()
            self._answers.users[order["orderId"]] = self._user
            for _ in range(self._rng.choice((0, 0, 1, 2))):
                await asyncio.sleep(self._rng.uniform(0, 0.5))
                await self._change(order["orderId"])

    def _new_order(self, name: str) -> Row:
        type_ = self._rng.choice(("market", "limit", "limit", "stop", "stop_limit"))
        body: Row = {
            "symbol": self._rng.choice(SYMBOLS),
            "side": self._rng.choice(("buy", "sell")),
            "type": type_,
            "qty": self._rng.randint(1, 40),
            "timeInForce": self._rng.choice(("day", "gtc")),
            "clientOrderId": name,
        }
        if "limit" in type_:
            body["limitPrice"] = self._rng.randint(9500, 10500) / 100
        if "stop" in type_:
            body["stopPrice"] = self._rng.randint(9500, 10500) / 100
        return body

    async def _change(self, order_id: str) -> None:
        path = f"/api/orders/{order_id}"
        if self._rng.random() < 0.5:
            answer = await self._ask("DELETE", path)
            self._answers.counts[f"cancel {answer.status_code}"] += 1
        else:
            answer = await self._ask("PATCH", path, {"qty": self._rng.randint(1, 40)})
            self._answers.counts[f"replace {answer.status_code}"] += 1

    async def _ask(self, method: str, path: str, body: Row | None = None) -> httpx.Response:
        """The answer, asked for again while a service is away."""
        while True:
            try:
                answer = await self._http.request(method, path, json=body)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if answer.status_code not in RETRYABLE_STATUSES:
                assert answer.status_code in (200, 201, 409, 422), answer.text
                return answer
            self._answers.counts[f"{answer.status_code}"] += 1
            await asyncio.sleep(0.2)


async def disturb(link: Link, rng: random.Random, counts: Counter[str]) -> None:
    """Cut and damage the connection until cancelled."""
    while True:
        await asyncio.sleep(rng.expovariate(1 / CUT_SECONDS))
        if rng.random() < 0.3:
            link.damage_next_message()
            counts["damaged messages"] += 1
        else:
            link.cut(after_bytes=rng.choice((0, rng.randint(1, 3000))))
            counts["cut connections"] += 1


async def kill_orders(stack: Stack, rng: random.Random, counts: Counter[str]) -> None:
    """Kill the orders service a while after it became ready, some times."""
    killed = 0
    for _ in range(KILL_COUNT):
        killed = await asyncio.to_thread(stack.pid, "orders", other_than=killed)
        await asyncio.sleep(rng.uniform(*KILL_SECONDS))
        await asyncio.to_thread(stack.kill, "orders")
        counts["killed processes"] += 1


async def open_count(clients: list[httpx.AsyncClient], condition: str) -> int:
    """The number of open orders; with ``unsent``, of those that the venue has not accepted."""
    rows = [row for http in clients for row in await read_all(http, "/api/orders", "orders")]
    open_rows = [r for r in rows if r["status"] not in ("filled", "canceled", "rejected", "failed")]
    if condition == "unsent":
        open_rows = [row for row in open_rows if "venueOrderId" not in row]
    return len(open_rows)


async def wait_until_none(clients: list[httpx.AsyncClient], condition: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_SECONDS
    while count := await open_count(clients, condition):
        assert loop.time() < deadline, f"{count} orders are {condition} after {SETTLE_SECONDS:g} s"
        await asyncio.sleep(0.5)


async def compare_users(
    clients: list[httpx.AsyncClient], answers: Answers, at_venue: dict[str, Row]
) -> list[str]:
    """What differs from the venue once the positions have followed the last trades."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FOLLOW_SECONDS
    while True:
        wrong = [
            difference
            for http, user in zip(clients, USERS, strict=True)
            for difference in await compare_user(http, user, answers.users, at_venue)
        ]
        if not wrong or loop.time() > deadline:
            return wrong
        await asyncio.sleep(0.5)


@pytest.fixture
async def link(venue: ForeignVenue) -> AsyncIterator[Link]:
    async with run_link(venue.port) as link:
        yield link


async def test_the_book_of_the_venue_and_ours_are_equal(
    venue: ForeignVenue, link: Link, stack_factory: StackFactory
) -> None:
    sys.stdout.write(f"seed {SEED}: TAPEWIRE_TEST_SEED={SEED} repeats it\n")
    stack = await asyncio.to_thread(
        stack_factory,
        fork=False,
        env={
            "PYTHONPATH": os.pathsep.join([str(ENGINE), os.environ.get("PYTHONPATH", "")]),
            "TAPEWIRE_BROKER": "fix",
            **venue.environment(link.port),
            "TAPEWIRE_FIX_MAX_ORDER_AGE_SECONDS": "600",
        },
    )
    answers, counts = Answers(), Counter[str]()
    clients = [
        httpx.AsyncClient(
            base_url=stack.url,
            cookies=await asyncio.to_thread(stack.sign_in, user),
            timeout=60,
            trust_env=False,
        )
        for user in USERS
    ]
    venue.do("start_random", seed=SEED)
    disturbances = [
        asyncio.create_task(disturb(link, random.Random(f"link {SEED}"), counts)),
        asyncio.create_task(kill_orders(stack, random.Random(f"kills {SEED}"), counts)),
    ]
    async with asyncio.TaskGroup() as traders:
        names = [f"o-{number}" for number in range(ORDER_COUNT)]
        for number in range(len(USERS) * TRADERS_PER_USER):
            user = number % len(USERS)
            rng = random.Random(f"trader {number} {SEED}")
            trader = Trader(clients[user], USERS[user], answers, rng)
            traders.create_task(trader.run(names[number :: len(USERS) * TRADERS_PER_USER]))
    for disturbance in disturbances:
        disturbance.cancel()
    await asyncio.gather(*disturbances, return_exceptions=True)
    await wait_until_none(clients, "unsent")
    venue.do("finish_random")
    await wait_until_none(clients, "open")
    seen = venue.describe()
    wrong = await compare_users(clients, answers, seen["orders"])
    executions = sum(len(order["executions"]) for order in seen["orders"].values())
    corrected = sum(is_corrected(order) for order in seen["orders"].values())
    sys.stdout.write(
        f"{len(answers.users)} orders, {len(seen['orders'])} at the venue, {executions}"
        f" executions, {corrected} orders with corrections, {seen['logons']} logons;"
        f" {dict(counts)}; {dict(answers.counts)}; received by the venue: {seen['received']}\n"
    )
    for http in clients:
        await http.aclose()
    verified = await asyncio.to_thread(
        fork_server.run_cli, "verify", "--nats", stack.nats_url, timeout=SETTLE_SECONDS
    )
    sys.stdout.write(f"tapewire verify: {verified.stdout.splitlines()[-1]}\n")
    assert verified.returncode == 0, verified.stdout
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:20])
    assert seen["faults"] == []
    assert len(answers.users) == ORDER_COUNT
    assert len(seen["orders"]) >= MIN_ORDER_COUNT_AT_VENUE
    assert corrected >= MIN_CORRECTED_COUNT
    assert counts["killed processes"] >= 3
    assert counts["cut connections"] >= 20
