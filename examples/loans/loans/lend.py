"""Publishes an event and a value of this package's types."""

import asyncio
import os
from datetime import UTC, datetime
from decimal import Decimal

import tapewire
from loans import LoanMade, LoanRate


async def main() -> None:
    url = os.environ.get("TAPEWIRE_NATS_URL", "nats://127.0.0.1:4222")
    async with tapewire.connect(url, "lender") as client:
        rate = LoanRate(kind="margin", percent=Decimal("5.25"))
        await client.put(rate, owner="alice", entity=rate.kind)

        loan = LoanMade(
            loan_id="l-1", amount=Decimal("2500.00"), percent=rate.percent,
            timestamp=datetime.now(UTC),
        )  # fmt: skip
        # `once`: loan l-1 is stored once, however often this program runs.
        receipt = await client.publish(
            loan, owner="alice", entity=loan.loan_id, event_id=f"made-{loan.loan_id}", once=True
        )
        print(f"lent {loan.amount}" + (", as before" if receipt.is_duplicate else ""))


if __name__ == "__main__":
    asyncio.run(main())
