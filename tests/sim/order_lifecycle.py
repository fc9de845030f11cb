"""The life of one simulated order: what its user wants of it, and what its broker reports.

Both act at the same time, so a cancellation or a replacement races with executions and with a
trigger. A simulated broker proposes fills, and confirms at once. A broker with a venue reports
facts, late ones too, and answers each request of the user later, either way. Start at
`OrderLifecycle.from_rng`.
"""

import random
from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events import OrderType, Side, TimeInForce
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    BookExecutionCommand,
    CancelOrderCommand,
    Command,
    ConfirmReplaceCommand,
    FillOrderCommand,
    PlaceOrderCommand,
    RejectCancelCommand,
    RejectReplaceCommand,
    ReplaceOrderCommand,
    RequestCancelCommand,
    TriggerOrderCommand,
)

VENUE_PROBABILITY = 0.4
TRIGGER_PROBABILITY = 0.8
ANSWER_YES_PROBABILITY = 0.7


class OrderLifecycle(msgspec.Struct, frozen=True, kw_only=True):
    """The commands of one order. `user_requests` holds each request of the user with the broker's
    answer, or None if the broker confirms at once. An order of a venue `has_venue`."""

    place: PlaceOrderCommand
    has_venue: bool
    broker_reports: list[Command]
    user_requests: list[tuple[Command, Command | None]]

    @classmethod
    def from_rng(cls, rng: random.Random, user: str, name: str, at: datetime) -> "OrderLifecycle":
        """The life of the order that its user calls `name`, placed at `at`."""
        has_venue = rng.random() < VENUE_PROBABILITY
        type_, qty = rng.choice([*OrderType]), Decimal(rng.randint(1, 400))
        place = PlaceOrderCommand(
            id=f"{name}-place",
            at=at,
            user=user,
            symbol="BRK.B",
            side=rng.choice([*Side]),
            type=type_,
            qty=qty,
            limit_price=_random_price(rng) if type_.has_limit_price else None,
            stop_price=_random_price(rng) if type_.has_stop_price else None,
            client_order_id=name,
            time_in_force=rng.choice([*TimeInForce]),
            reduce_only=rng.random() < 0.2,
        )
        reports: list[Command] = [AcceptOrderCommand(id=f"{name}-accept", at=at, user=user)]
        if type_.has_stop_price and rng.random() < TRIGGER_PROBABILITY:
            reports.append(TriggerOrderCommand(id=f"{name}-trigger", at=at, user=user))
        reports += _plan_executions(rng, place, has_venue=has_venue)
        requests = [
            _plan_request(rng, place, number, has_venue=has_venue)
            for number in range(rng.choice((0, 0, 1, 2)))
        ]
        return cls(place=place, has_venue=has_venue, broker_reports=reports, user_requests=requests)


def _random_price(rng: random.Random) -> Decimal:
    return Decimal(rng.randint(1, 99_999)) / 100


def _plan_executions(
    rng: random.Random, place: PlaceOrderCommand, *, has_venue: bool
) -> list[Command]:
    name, planned, filled = place.client_order_id, list[Command](), Decimal(0)
    for number in range(rng.randint(0, 4)):
        part, price = min(place.qty - filled, Decimal(rng.randint(1, 200))), _random_price(rng)
        if part <= 0:
            break
        if has_venue:
            planned.append(
                BookExecutionCommand(
                    id=f"{name}-book-{number}",
                    at=place.at,
                    user=place.user,
                    execution_id=f"{name}-{number}",
                    qty=part,
                    price=price,
                    fee=Decimal("0.01"),
                    venue_order_id=f"V-{name}",
                )
            )
        else:
            planned.append(
                FillOrderCommand(
                    id=f"{name}-fill-{number}",
                    at=place.at,
                    user=place.user,
                    qty=part,
                    price=price,
                    filled_before=filled,
                )
            )
        filled += part
    return planned


def _plan_request(
    rng: random.Random, place: PlaceOrderCommand, number: int, *, has_venue: bool
) -> tuple[Command, Command | None]:
    at, user, id_ = place.at, place.user, f"{place.client_order_id}-{number}"
    is_granted = rng.random() < ANSWER_YES_PROBABILITY
    answer: Command
    if rng.random() < 0.5:
        replace = ReplaceOrderCommand(
            id=f"{id_}-replace",
            at=at,
            user=user,
            qty=Decimal(rng.randint(1, 500)),
            limit_price=_random_price(rng) if place.type.has_limit_price else None,
            needs_confirmation=has_venue,
        )
        answer = RejectReplaceCommand(id=f"{id_}-kept", at=at, user=user, reason="too late")
        if is_granted:
            answer = ConfirmReplaceCommand(id=f"{id_}-replaced", at=at, user=user)
        return replace, answer if has_venue else None
    cancel = CancelOrderCommand(id=f"{id_}-canceled", at=at, user=user, reason="enough")
    if not has_venue:
        return cancel, None
    answer = RejectCancelCommand(id=f"{id_}-working", at=at, user=user, reason="too late")
    return (
        RequestCancelCommand(id=f"{id_}-cancel", at=at, user=user),
        cancel if is_granted else answer,
    )
