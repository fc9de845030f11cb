"""A client that places orders over HTTP, and asks again for what was not answered.

Whatever goes wrong on the way (503, a time-out, a connection that breaks; behind a balancer also
what that says instead), it asks again with the same clientOrderId until it is answered. Anything
else that it is told is a failure of the trial.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import httpx
import msgspec

from tests.faults.plan import Asked, Fate

ANSWER_SECONDS = 60.0
HASTY_SECONDS = 0.004
"""Less than an order mostly takes: the request is given up while it is under way."""
AGAIN_SECONDS = 0.5
GIVE_UP_SECONDS = 300.0
AWAY = frozenset({503})
"""Statuses that say: ask again."""
LISTS = 0.05
"""Share of orders after which the user looks at all of them."""


class Placed(msgspec.Struct, kw_only=True):
    """What became of asking: the order's id, and the status that canceling was answered with."""

    asked: Asked
    order_id: str
    canceled: int | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What a user was told of all orders: the raw answer of GET /api/orders."""

    user: str
    data: bytes


class Book:
    """What all traders of a trial were told. `placed` in the order in which it was answered."""

    def __init__(self) -> None:
        self.placed: list[Placed] = []
        self.lists: list[Listed] = []
        self.again: Counter[str] = Counter()


class Trader:
    """Works through `orders`, one after the other, `mean` seconds apart."""

    def __init__(
        self,
        url: str,
        orders: Iterable[Asked],
        cookie: str,
        book: Book,
        chance: random.Random,
        mean: float,
        away: frozenset[int] = AWAY,
    ) -> None:
        self._url = url
        self._orders = orders
        self._cookies = {"session": cookie}
        self._book = book
        self._chance = chance
        self._mean = mean
        self._away = away
        self._near: list[Placed] = []

    async def run(self) -> None:
        """Place everything; in the end cancel what the market may or may not have reached."""
        async with httpx.AsyncClient(
            base_url=self._url, cookies=self._cookies, timeout=ANSWER_SECONDS, trust_env=False
        ) as http:
            left: Placed | None = None
            for asked in self._orders:
                await asyncio.sleep(asked.pause * self._mean)
                placed = await self._place(http, asked)
                if left is not None:
                    await self._cancel(http, left)
                left = placed if asked.fate is Fate.LEFT else None
                if asked.fate is Fate.NEAR:
                    self._near.append(placed)
                if self._chance.random() < LISTS:
                    await self.list(http, asked.user)
            for placed in [*self._near, *([left] if left is not None else [])]:
                await self._cancel(http, placed)

    async def _place(self, http: httpx.AsyncClient, asked: Asked) -> Placed:
        first = HASTY_SECONDS if asked.hasty else ANSWER_SECONDS
        answers = [await self._ask(http, "POST", "/api/orders", asked.body, first=first)]
        if asked.repeated:
            answers.append(await self._ask(http, "POST", "/api/orders", asked.body))
            assert answers[1].status_code == 200, answers[1].text
        told = [answer.json() for answer in answers]
        for answer, order in zip(answers, told, strict=True):
            assert answer.status_code in (200, 201), f"{asked}: {answer.status_code} {answer.text}"
            assert order["clientOrderId"] == asked.client_order_id, order
            assert order["orderId"] == told[0]["orderId"], told
        placed = Placed(asked=asked, order_id=told[0]["orderId"])
        self._book.placed.append(placed)
        return placed

    async def _cancel(self, http: httpx.AsyncClient, placed: Placed) -> None:
        answer = await self._ask(http, "DELETE", f"/api/orders/{placed.order_id}")
        # 409: filled already, or canceled by an earlier request that was not answered.
        assert answer.status_code in (200, 409), f"{placed}: {answer.status_code} {answer.text}"
        placed.canceled = answer.status_code
        if answer.status_code == 200:
            assert answer.json()["status"] == "canceled", answer.text

    async def list(self, http: httpx.AsyncClient, user: str) -> None:
        """Look at all orders of `user`."""
        answer = await self._ask(http, "GET", "/api/orders")
        assert answer.status_code == 200, answer.text
        self._book.lists.append(Listed(user=user, data=answer.content))

    async def _ask(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        body: Any = None,
        *,
        first: float = ANSWER_SECONDS,
    ) -> httpx.Response:
        """The first answer that says something else than to ask again."""
        seconds, why = first, "nothing"
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                while True:
                    try:
                        answer = await http.request(method, path, json=body, timeout=seconds)
                    except httpx.TransportError as error:
                        why = type(error).__name__
                    else:
                        if answer.status_code not in self._away:
                            return answer
                        why = str(answer.status_code)
                    self._book.again[why] += 1
                    seconds = ANSWER_SECONDS
                    await asyncio.sleep(self._chance.uniform(0, AGAIN_SECONDS))
        except TimeoutError:
            raise AssertionError(
                f"{method} {path} {body}: no answer in {GIVE_UP_SECONDS:g} s; last: {why}"
            ) from None
