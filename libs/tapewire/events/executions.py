"""Executions and corrections that a venue reported and that could not be booked on an order.

They are facts all the same, and are kept until they are booked or an operator drops them: see
`tapewire parked`. What could be booked is an `order.filled` and a `trade.executed`.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import DOLLARS, PER_SHARE, SHARES, UTC_TIME, about
from tapewire.events.orders import NO_FEE, Side

UNKNOWN_OWNER = "_unknown"
"""The owner of executions whose user is not known. No user may see them."""


class ReportedExecution(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """An execution as a venue reports it. Nothing of it is validated.

    `execution_id` is the key of idempotency on its order, for ever. A venue whose ids repeat every
    day has an adapter that adds the day. `user` helps to find the order; nothing is matched by
    `venue_order_id`, `symbol` and `side`. None for what the venue does not say.
    """

    execution_id: Annotated[str, about("what the venue calls it; idempotent for ever")]
    order_id: Annotated[str, about("the order as the venue names it, usually `orderId`")]
    qty: Annotated[Decimal, about("what changed hands", SHARES)]
    price: Annotated[Decimal, about("at which price", PER_SHARE)]
    timestamp: Annotated[datetime, about("when it was executed", UTC_TIME)]
    fee: Annotated[Decimal, about("below 0 when it is a rebate", DOLLARS)] = NO_FEE
    venue_order_id: Annotated[str | None, about("what the venue calls the order")] = None
    user: Annotated[str | None, about("whose order it is")] = None
    symbol: Annotated[str | None, about("what was traded")] = None
    side: Annotated[Side | None, about("which side of the order's user")] = None


@event("execution.unmatched", subject="ev.{user}.executions.{executionKey}")
class ExecutionUnmatched(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An execution could not be booked. It is tried again, and parked with an alert to operators if
    that does not help. One with invalid values is never booked."""

    execution: Annotated[ReportedExecution, about("what the venue reported")]
    reason: Annotated[str, about("why it could not be booked")]
    invalid_values: Annotated[
        dict[str, str],
        about("what no execution can have, as text, by its field; the field is empty instead"),
    ] = msgspec.field(default_factory=dict)


class ReportedCorrection(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """A correction of an execution, or its bust, as a venue reports it. Nothing of it is validated.

    `execution_id` is that of the execution, or of an earlier correction of it. `correction_id` is
    the key of idempotency; without one, a correction that changes nothing is ignored. A `qty`,
    `price` or `fee` of None stays as it is.
    """

    execution_id: Annotated[str, about("what the venue calls what is corrected")]
    order_id: Annotated[str, about("the order as the venue names it, usually `orderId`")]
    timestamp: Annotated[datetime, about("when it was corrected", UTC_TIME)]
    correction_id: Annotated[str | None, about("what the venue calls the correction")] = None
    qty: Annotated[Decimal | None, about("what changed hands", SHARES)] = None
    price: Annotated[Decimal | None, about("at which price", PER_SHARE)] = None
    fee: Annotated[Decimal | None, about("below 0 when it is a rebate", DOLLARS)] = None
    is_busted: Annotated[bool, about("whether the execution is undone")] = False
    user: Annotated[str | None, about("whose order it is")] = None


@event("execution.correction_unmatched", subject="ev.{user}.executions.{executionKey}")
class CorrectionUnmatched(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A correction could not be booked. It is tried again, because its execution may have been
    booked meanwhile, and parked with an alert to operators if that does not help. One with invalid
    values is never booked."""

    correction: Annotated[ReportedCorrection, about("what the venue reported")]
    reason: Annotated[str, about("why it could not be booked")]
    invalid_values: Annotated[
        dict[str, str],
        about("what no execution can have, as text, by its field; the field is empty instead"),
    ] = msgspec.field(default_factory=dict)
