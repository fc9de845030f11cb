"""Lets things happen at a venue, by a seed. Start at `RandomMarket.step`."""

import random
from decimal import Decimal

from book import VenueBook
from venue_orders import CANCELED, EXPIRED, Fields, Order, Send


class RandomMarket:
    """Fills orders, also late and twice, corrects and busts executions, ends orders, and decides on
    what was asked for."""

    def __init__(self, book: VenueBook, send: Send, seed: int) -> None:
        self._book = book
        self._send = send
        self._rng = random.Random(seed)
        self._late: list[Fields] = []

    def step(self) -> None:
        """Something happens, or nothing."""
        working = [order for order in self._book.orders.values() if order.is_open]
        for order in self._rng.sample(working, min(len(working), 4)):
            self._happen(order)
        for request in self._book.waiting[:]:
            dice = self._rng.random()
            if dice < 0.1:
                self._book.note_pending(request[1])
            elif dice < 0.5:
                self._book.waiting.remove(request)
                self._decide(*request)
        for report in self._late[:]:
            if self._rng.random() < 0.2:
                self._late.remove(report)
                self._send("8", report)
        if self._book.orders and self._rng.random() < 0.1:
            self._correct(self._rng.choice(list(self._book.orders.values())))

    def finish(self) -> None:
        """Decide and report everything that waits, and end what is open."""
        self._book.decide_all()
        for report in self._late:
            self._send("8", report)
        self._late.clear()
        for order in self._book.orders.values():
            if order.is_open:
                self._book.end(order, self._rng.choice((CANCELED, EXPIRED)))

    def _happen(self, order: Order) -> None:
        dice = self._rng.random()
        if dice < 0.02:
            self._book.end(order, self._rng.choice((CANCELED, EXPIRED)))
        elif dice < 0.6:
            self._fill(order)

    def _fill(self, order: Order) -> None:
        left = order.qty - order.cum
        if left <= 0:
            return
        qty = left if self._rng.random() < 0.3 else min(left, Decimal(self._rng.randint(1, 9)))
        price = order.price or Decimal(self._rng.randint(9500, 10500)) / 100
        report = self._book.execute(order, qty, price)
        dice = self._rng.random()
        if dice < 0.2:
            self._late.append(report)
            return
        self._send("8", report)
        if dice < 0.3:
            self._send("8", report)  # the same execution under another sequence number

    def _correct(self, order: Order) -> None:
        """Correct, or bust, an execution that was reported."""
        late = [report[17] for report in self._late]
        reported = [one for one in order.executions if one["id"] not in late and one["qty"] != "0"]
        if not reported:
            return
        execution = self._rng.choice(reported)
        qty = Decimal(self._rng.randint(0, int(execution["qty"])))
        price = Decimal(execution["price"]) - Decimal(self._rng.randint(0, 9)) / 100
        report = self._book.correct(order, execution["id"], qty, price)
        for _ in range(self._rng.choice((1, 1, 2))):
            self._send("8", report)

    def _decide(self, type_: str, message: Fields) -> None:
        self._book.policy["cancel" if type_ == "F" else "replace"] = (
            "refuse" if self._rng.random() < 0.1 else "do"
        )
        self._book.decide(type_, message)
        self._book.policy.update(cancel="wait", replace="wait")
