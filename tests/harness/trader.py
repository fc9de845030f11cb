"""A client that places orders over HTTP, and retries requests that were not answered.

After a failure on the way (503, a timeout, a broken connection; behind a balancer also its own
errors) it retries with the same clientOrderId until it is answered. Any other error fails the
trial.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import httpx
import msgspec

from tests.harness.planned_orders import ExpectedEnd, PlannedOrder

TRADERS_PER_USER = 4
"""The most orders that a user has in progress at the same time."""
RESPONSE_TIMEOUT_SECONDS = 60.0
SHORT_TIMEOUT_SECONDS = 0.004
"""Less than an order usually takes, so the request is abandoned while it is in progress."""
RETRY_DELAY_SECONDS = 0.5
RETRY_TIMEOUT_SECONDS = 300.0
RETRYABLE_STATUSES = frozenset({503})
"""Statuses after which the request is retried."""
LIST_PROBABILITY = 0.05
"""The share of orders after which the user lists all orders."""


class PlacementAnswer(msgspec.Struct, kw_only=True):
    """The result of a placed order: its id, and the status of the response to its cancellation."""

    planned: PlannedOrder
    order_id: str
    cancel_status: int | None = None


class OrderListAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The raw response of GET /api/orders to a user."""

    user: str
    data: bytes


class RequestAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One sending of a request to place an order, in seconds of the monotonic clock. `status` is 0
    if the connection broke."""

    sent_at: float
    ended_at: float
    status: int

    @property
    def is_accepted(self) -> bool:
        return self.status in (200, 201)


class TraderAnswers:
    """The responses to all traders of a trial. `placed` is in the order of the responses, as are
    `attempts` to place orders; those that the client abandoned early are not among them."""

    def __init__(self) -> None:
        self.attempts: list[RequestAttempt] = []
        self.placed: list[PlacementAnswer] = []
        self.lists: list[OrderListAnswer] = []
        self.retry_counts: Counter[str] = Counter()


class Trader:
    """Places `orders`, one after the other, about `mean_interval_seconds` apart."""

    def __init__(
        self,
        url: str,
        orders: Iterable[PlannedOrder],
        cookie: str,
        answers: TraderAnswers,
        rng: random.Random,
        mean_interval_seconds: float,
        retryable_statuses: frozenset[int] = RETRYABLE_STATUSES,
    ) -> None:
        self._url = url
        self._orders = orders
        self._cookies = {"session": cookie}
        self._answers = answers
        self._rng = rng
        self._mean_interval_seconds = mean_interval_seconds
        self._retryable_statuses = retryable_statuses
        self._near_limit_orders: list[PlacementAnswer] = []

    async def run(self) -> None:
        """Place all orders. At the end, cancel those with a limit that the market may have
        reached."""
        async with httpx.AsyncClient(
            base_url=self._url,
            cookies=self._cookies,
            timeout=RESPONSE_TIMEOUT_SECONDS,
            trust_env=False,
        ) as http:
            left: PlacementAnswer | None = None
            for planned in self._orders:
                await asyncio.sleep(planned.pause_factor * self._mean_interval_seconds)
                placed = await self._place_order(http, planned)
                if left is not None:
                    await self._cancel_order(http, left)
                left = placed if planned.expected_end is ExpectedEnd.CANCELED_LIMIT else None
                if planned.expected_end is ExpectedEnd.NEAR_LIMIT:
                    self._near_limit_orders.append(placed)
                if self._rng.random() < LIST_PROBABILITY:
                    await self.list_orders(http, planned.user)
            for placed in [*self._near_limit_orders, *([left] if left is not None else [])]:
                await self._cancel_order(http, placed)

    async def _place_order(self, http: httpx.AsyncClient, planned: PlannedOrder) -> PlacementAnswer:
        first = SHORT_TIMEOUT_SECONDS if planned.has_short_timeout else RESPONSE_TIMEOUT_SECONDS
        answers = [
            await self._request_with_retry(
                http, "POST", "/api/orders", planned.request_body, first_timeout_seconds=first
            )
        ]
        if planned.is_sent_twice:
            answers.append(
                await self._request_with_retry(http, "POST", "/api/orders", planned.request_body)
            )
            assert answers[1].status_code == 200, answers[1].text
        replies = [answer.json() for answer in answers]
        for answer, order in zip(answers, replies, strict=True):
            assert answer.status_code in (200, 201), (
                f"{planned}: {answer.status_code} {answer.text}"
            )
            assert order["clientOrderId"] == planned.client_order_id, order
            assert order["orderId"] == replies[0]["orderId"], replies
        placed = PlacementAnswer(planned=planned, order_id=replies[0]["orderId"])
        self._answers.placed.append(placed)
        return placed

    async def _cancel_order(self, http: httpx.AsyncClient, placed: PlacementAnswer) -> None:
        answer = await self._request_with_retry(http, "DELETE", f"/api/orders/{placed.order_id}")
        # 409: filled already, or canceled by an earlier request that was not answered.
        assert answer.status_code in (200, 409), f"{placed}: {answer.status_code} {answer.text}"
        placed.cancel_status = answer.status_code
        if answer.status_code == 200:
            assert answer.json()["status"] == "canceled", answer.text

    async def list_orders(self, http: httpx.AsyncClient, user: str) -> None:
        """List all orders of `user`."""
        answer = await self._request_with_retry(http, "GET", "/api/orders")
        assert answer.status_code == 200, answer.text
        self._answers.lists.append(OrderListAnswer(user=user, data=answer.content))

    async def _request_with_retry(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        body: Any = None,
        *,
        first_timeout_seconds: float = RESPONSE_TIMEOUT_SECONDS,
    ) -> httpx.Response:
        """Return the first response that does not ask for a retry."""
        seconds, why = first_timeout_seconds, "nothing"
        try:
            async with asyncio.timeout(RETRY_TIMEOUT_SECONDS):
                while True:
                    sent_at = time.monotonic()
                    try:
                        answer = await http.request(method, path, json=body, timeout=seconds)
                    except httpx.TransportError as error:
                        why = type(error).__name__
                        if method == "POST" and seconds != SHORT_TIMEOUT_SECONDS:
                            self._record_attempt(sent_at, 0)
                    else:
                        if method == "POST":
                            self._record_attempt(sent_at, answer.status_code)
                        if answer.status_code not in self._retryable_statuses:
                            return answer
                        why = str(answer.status_code)
                    self._answers.retry_counts[why] += 1
                    seconds = RESPONSE_TIMEOUT_SECONDS
                    await asyncio.sleep(self._rng.uniform(0, RETRY_DELAY_SECONDS))
        except TimeoutError:
            raise AssertionError(
                f"{method} {path} {body}: no answer in {RETRY_TIMEOUT_SECONDS:g} s; last: {why}"
            ) from None

    def _record_attempt(self, sent_at: float, status: int) -> None:
        self._answers.attempts.append(
            RequestAttempt(sent_at=sent_at, ended_at=time.monotonic(), status=status)
        )
