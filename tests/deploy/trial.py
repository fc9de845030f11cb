"""Places orders through running containers while NATS is killed, and checks that none is lost.

    python -m tests.deploy.trial http://127.0.0.1:8000 sh -c "docker kill C && docker start C"

The words after the address are the command that kills and restarts the NATS server. The program
does not depend on containers otherwise; engine.sh calls it. Start at `run_trial`.
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

# Long enough for containers that start on a small machine or reconnect to a restarted server.
WAIT_TIMEOUT_SECONDS = 60.0
POLL_INTERVAL_SECONDS = 0.2


class TrialFailed(Exception):
    """An expected response or event did not arrive. The message says what arrived last."""


async def request_with_retry(
    client: httpx.AsyncClient, method: str, path: str, **call: Any
) -> httpx.Response:
    """Repeat a request while a service is unavailable (503, no connection); return the response.

    Repeating a request is harmless, because each order has a client order id.
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
    """Open a stream and return its events. Retries after 503, as a browser client does."""
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
    """Return the next event with this name and these fields in its data."""
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
    """Wait until a symbol has a price, and return the symbol."""
    deadline = time.monotonic() + WAIT_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        prices = (await request_with_retry(client, "GET", "/api/prices")).json()["prices"]
        if prices:
            return str(prices[0]["symbol"])
        await asyncio.sleep(POLL_INTERVAL_SECONDS)
    raise TrialFailed("no symbol has a price")


async def place_order(client: httpx.AsyncClient, symbol: str, client_order_id: str) -> str:
    """Place an order, with retries, and return its id."""
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
    """Place orders before and after NATS is killed, and wait for their fills on one stream. Then
    resume the stream by its last event ID."""
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
