"""An order through running containers, the message server killed under it, and nothing lost.

    python -m tests.deploy.trial http://127.0.0.1:8000 sh -c "docker kill C && docker start C"

The words after the address are the command that kills the message server and starts it again.

It knows nothing of containers otherwise; engine.sh calls it. Start at `trial`.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import click
import httpx
from httpx_sse import EventSource, ServerSentEvent

# Containers that start on a small machine, or come back after their server was killed.
WAIT_TIMEOUT_SECONDS = 60.0
POLL_INTERVAL_SECONDS = 0.2


class TrialFailed(Exception):
    """What was waited for did not come; says what, and what was seen last."""


async def request_with_retry(
    client: httpx.AsyncClient, method: str, path: str, **call: Any
) -> httpx.Response:
    """The answer, once it is a good one: asks again while something is away (503, no connection).

    Repeating a call is harmless: orders have an id of their own.
    """
    deadline = time.monotonic() + WAIT_TIMEOUT_SECONDS
    seen: object = None
    while time.monotonic() < deadline:
        try:
            response = await client.request(method, path, **call)
            if response.is_success:
                return response
            seen = f"{response.status_code} {response.text[:200]}"
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
        except httpx.TransportError as error:
            seen = error
        await asyncio.sleep(POLL_INTERVAL_SECONDS)
    raise TrialFailed(f"{method} {path}: last seen: {seen}")


@contextlib.asynccontextmanager
async def reconnecting_events(
    client: httpx.AsyncClient, path: str, last_id: str = ""
) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    """The events of a stream, opened as a browser does: told to come back later, it comes back."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    deadline = time.monotonic() + WAIT_TIMEOUT_SECONDS
    while True:
        async with client.stream("GET", path, headers=headers) as response:
            if response.status_code == httpx.codes.OK:
                yield EventSource(response).aiter_sse()
                return
            seen = f"{response.status_code} {(await response.aread())[:200]!r}"
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            raise TrialFailed(f"{path} was not opened; last seen: {seen}")
        await asyncio.sleep(POLL_INTERVAL_SECONDS)


async def wait_for_event(
    events: AsyncIterator[ServerSentEvent], name: str, **fields: Any
) -> ServerSentEvent:
    """The next event of a name whose data has these fields."""
    seen: list[str] = []
    try:
        async with asyncio.timeout(WAIT_TIMEOUT_SECONDS):
            async for event in events:
                seen.append(f"{event.event} {event.data[:120]}")
                data = json.loads(event.data) if event.data else {}
                if event.event == name and fields.items() <= data.items():
                    return event
    except TimeoutError:
        pass
    raise TrialFailed(f"no {name} with {fields}; the last events were {seen[-5:]}")


async def wait_for_symbol(client: httpx.AsyncClient) -> str:
    """A symbol that has a price, once there is one."""
    deadline = time.monotonic() + WAIT_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        prices = (await request_with_retry(client, "GET", "/api/prices")).json()["prices"]
        if prices:
            return str(prices[0]["symbol"])
        await asyncio.sleep(POLL_INTERVAL_SECONDS)
    raise TrialFailed("no symbol has a price")


async def place_order(client: httpx.AsyncClient, symbol: str, client_order_id: str) -> str:
    """The id of an order that was placed for certain."""
    order = {
        "symbol": symbol,
        "side": "buy",
        "type": "market",
        "qty": 10,
        "clientOrderId": client_order_id,
    }
    return str(
        (await request_with_retry(client, "POST", "/api/orders", json=order)).json()["orderId"]
    )


async def run_trial(url: str, kill_nats: list[str]) -> None:
    """Sign in, place, fill; kill NATS, place, fill on the same stream; resume by id."""
    timeout = httpx.Timeout(10, read=WAIT_TIMEOUT_SECONDS)
    async with httpx.AsyncClient(base_url=url, timeout=timeout) as client:
        await request_with_retry(client, "GET", "/health/ready")
        await request_with_retry(client, "POST", "/api/session", json={"userId": "alice"})
        symbol = await wait_for_symbol(client)
        async with reconnecting_events(client, "/api/stream/orders") as events:
            await wait_for_event(events, "connected", userId="alice")
            await wait_for_event(events, "order:update", snapshot=True)
            order = await place_order(client, symbol, "before")
            filled = await wait_for_event(events, "order:fill", orderId=order)
            click.echo(f"filled {order} at {json.loads(filled.data)['fillPrice']}")

            await asyncio.to_thread(subprocess.run, kill_nats, check=True, capture_output=True)
            order = await place_order(client, symbol, "after")
            last = await wait_for_event(events, "order:fill", orderId=order)
            click.echo(f"the message server was killed; filled {order} on the same stream")

        order = await place_order(client, symbol, "while away")
        async with reconnecting_events(client, "/api/stream/orders", last.id) as events:
            await wait_for_event(events, "order:fill", orderId=order)
            click.echo(f"resumed from {last.id}: {order} came")


if __name__ == "__main__":
    try:
        asyncio.run(run_trial(sys.argv[1], sys.argv[2:]))
    except TrialFailed as error:
        sys.exit(f"trial: {error}")
