"""Lend something: publish an event, and a value, of this package's types."""

import asyncio
import os
from datetime import UTC, datetime
from decimal import Decimal

import tapewire
from loans import LoanMade, LoanRate


async def main() -> None:
    url = os.environ.get("TAPEWIRE_NATS_URL", "nats://127.0.0.1:4222")
    async with tapewire.connect(url, "lender") as tape:
        rate = LoanRate(kind="margin", percent=Decimal("5.25"))
        await tape.put(rate, owner="alice", entity=rate.kind)

        loan = LoanMade(
            loan_id="l-1", amount=Decimal("2500.00"), percent=rate.percent,
            timestamp=datetime.now(UTC),
        )  # fmt: skip
        # `once`: loan l-1 is made at most once, however often this program is started.
        receipt = await tape.publish(
            loan, owner="alice", entity=loan.loan_id, event_id=f"made-{loan.loan_id}", once=True
        )
        print(f"lent {loan.amount}" + (", as before" if receipt.is_duplicate else ""))


if __name__ == "__main__":
    asyncio.run(main())
