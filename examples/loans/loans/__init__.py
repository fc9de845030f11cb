"""Event types of another package. Importing this module declares them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from tapewire import Delivery, Event, about, event


@event("loan.made", domain="loans", sse="loan:made")
class LoanMade(Event, frozen=True, kw_only=True):
    """The user borrowed `amount`. Lives at ``ev.{user}.loans.{loanId}``."""

    loan_id: Annotated[str, about("its id")]
    amount: Annotated[Decimal, about("what was borrowed", "dollars")]
    percent: Annotated[Decimal, about("interest a year", "per cent")]
    timestamp: Annotated[datetime, about("when", "UTC")]


@event("loan.rate", sse="loan:rate", delivery=Delivery.NEWEST_WINS)
class LoanRate(Event, frozen=True, kw_only=True):
    """What the user would pay now: of each kind of loan, only the newest counts."""

    kind: Annotated[str, about("the kind of loan")]
    percent: Annotated[Decimal, about("interest a year", "per cent")]


NATS_ACCESS = {
    "name": "loans",
    "appends": ["loans"],
    "values": ["loan.rate.v1"],
    "requests": ["svc.alerts.send"],
    # To find out whether a loan is stored already (`once`).
    "reads": ["EVENTS"],
}
"""What the programs of this package may do, for `tapewire nats-config`."""
