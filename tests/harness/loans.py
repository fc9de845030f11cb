"""Event types of another package, as tests have them."""

from decimal import Decimal

import tapewire


@tapewire.event("unitloan.made", domain="unitloans", sse="unitloan:made")
class LoanMade(tapewire.Event, frozen=True, kw_only=True):
    """Somebody lent something."""

    loan_id: str
    amount: Decimal


@tapewire.event("unitloan.rate", sse="unitloan:rate", delivery=tapewire.Delivery.NEWEST_WINS)
class LoanRate(tapewire.Event, frozen=True, kw_only=True):
    """What lending costs now."""

    percent: Decimal


@tapewire.event("unitloan.homeless")
class EventWithoutDomain(tapewire.Event, frozen=True, kw_only=True):
    """Declared without a domain."""


class UndeclaredEvent(tapewire.Event, frozen=True, kw_only=True):
    """Not declared at all."""
