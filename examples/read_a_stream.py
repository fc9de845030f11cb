"""Reads a stream of the edge: prints a user's executions, those of the last hour first.

The stream resumes by itself after any cut, and signs in again when the session has ended, so the
loop needs no handling of errors that pass. The session is one of the development sign-in;
elsewhere pass `token=`, a function that returns a JWT.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta

import httpx

import tapewire
from tapewire.payloads import OrderFillPayload

EDGE = os.environ.get("TAPEWIRE_URL", "http://127.0.0.1:8000")


async def main(user: str, count: int) -> None:
    async def sign_in() -> dict[str, str]:
        async with httpx.AsyncClient(base_url=EDGE) as http:
            answer = await http.post("/api/session", json={"userId": user})
        return {"Cookie": f"session={answer.raise_for_status().cookies['session']}"}

    async with tapewire.stream(
        f"{EDGE}/api/stream/orders",
        headers=sign_in,
        since=datetime.now(UTC) - timedelta(hours=1),
    ) as events:
        async for event in events:
            match event.payload:
                case OrderFillPayload() as fill:
                    print(f"{fill.side.value} {fill.fill_qty} {fill.symbol} at {fill.fill_price}")
                    count -= 1
            if count == 0:
                break


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "alice", 1))
