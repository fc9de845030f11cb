"""Event types of another package, for tests."""

from decimal import Decimal

import tapewire


@tapewire.event("unitloan.made", domain="unitloans", sse="unitloan:made")
class LoanMade(tapewire.Event, frozen=True, kw_only=True):
    """A loan was made."""

    loan_id: str
    amount: Decimal


@tapewire.event("unitloan.rate", sse="unitloan:rate", delivery=tapewire.Delivery.NEWEST_WINS)
class LoanRate(tapewire.Event, frozen=True, kw_only=True):
    """The current interest rate."""

    percent: Decimal


@tapewire.event("unitloan.homeless")
class EventWithoutDomain(tapewire.Event, frozen=True, kw_only=True):
    """An event type that is declared without a domain."""


class UndeclaredEvent(tapewire.Event, frozen=True, kw_only=True):
    """An event type that is not declared."""
