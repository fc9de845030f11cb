"""Pages of the orders of one user who has a million of them, over HTTP.

The journal is written without the services. The orders service then stores the user's history, and
a client reads pages of 200: the newest page, and pages all along the list, while orders of somebody
else are stored. The scenario takes many minutes; its short form has few orders.
"""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import msgspec

from tapewire.cli.up.embedded_nats import find_free_port
from tapewire.events import (
    Order,
    OrderFilled,
    OrderPlaced,
    OrderStatus,
    OrderType,
    Side,
    TradeExecuted,
)
from tapewire.log import EventDraft, EventMetadata, EventSubject
from tapewire.log.jetstream import JetStreamEventLog, connect
from tapewire.log.ports import MAX_BATCH_EVENTS
from tapewire.runtime.contracts.orders import order_id
from tests.bench.history import BenchedService, run_nats_server, wait_reactions_done
from tests.bench.sizes import TableRows, format_milliseconds

ORDER_COUNT = int(os.environ.get("TAPEWIRE_BENCH_ORDERS", "1000000"))
SHORT_ORDER_COUNT = 10_000
PAGE_ROWS = 200
MEASURED_PAGES = 2000
NEWEST_PAGES = 200
STORE_TIMEOUT_SECONDS = 3600.0
USER, OTHER_USER = "million", "other"
OTHER_ORDERS = 10
OTHER_INTERVAL_SECONDS = 0.1
"""So many orders of another user are stored so often while pages are read."""
START = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
EVENTS_PER_ORDER = 3
EDGE_SETTINGS = {"TAPEWIRE_SIGN_IN": "on", "TAPEWIRE_COOKIE_SECURE": "off"}


async def measure_paging(order_count: int = ORDER_COUNT) -> TableRows:
    """All rows: writing the journal, storing the history, and reading pages."""
    rows: TableRows = []
    with run_nats_server() as (broker, folder):
        began = time.perf_counter()
        await _write_orders(broker.url, order_count)
        rows.append((f"writing {order_count:,} orders", f"{time.perf_counter() - began:.0f} s"))
        with _run_services(broker.url, folder) as (orders, url):
            async with httpx.AsyncClient(base_url=url, timeout=60) as http:
                await _sign_in(http)
                began = time.perf_counter()
                await _wait_stored(http)
                rows.append(("until the history is stored", f"{time.perf_counter() - began:.0f} s"))
                await wait_reactions_done(broker.url)
                writing = asyncio.create_task(_write_other_orders(broker.url))
                rows += await _measure_pages(orders, http, order_count // PAGE_ROWS)
                writing.cancel()
                await asyncio.wait({writing})
    return rows


async def _measure_pages(
    orders: BenchedService, http: httpx.AsyncClient, page_count: int
) -> TableRows:
    memory, used = orders.resident_megabytes(), orders.cpu_seconds()
    newest = [(await _read_page(http, None))[1] for _ in range(NEWEST_PAGES)]
    times, cursor = list[float](), None
    for _ in range(min(MEASURED_PAGES, page_count)):
        cursor, seconds = await _read_page(http, cursor)
        times.append(seconds)
    grown = orders.resident_megabytes() - memory
    used = (orders.cpu_seconds() - used) / (len(newest) + len(times))
    return [
        (f"the newest {PAGE_ROWS} orders", format_milliseconds(newest)),
        (f"{len(times)} pages of {PAGE_ROWS} orders", format_milliseconds(times)),
        ("CPU of the orders service for a page", f"{used * 1e3:.1f} ms"),
        ("memory of the orders service", f"{memory:.0f} MB, {grown:+.0f} MB by the pages"),
    ]


async def _sign_in(http: httpx.AsyncClient) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx.HTTPError):
            if (await http.post("/api/session", json={"userId": USER})).status_code == 201:
                return
        await asyncio.sleep(0.1)
    raise TimeoutError("the edge does not answer")


async def _wait_stored(http: httpx.AsyncClient) -> None:
    """Wait until the first page is answered. It is 503 while the history is stored."""
    deadline = time.perf_counter() + STORE_TIMEOUT_SECONDS
    while (answer := await http.get("/api/orders", params={"limit": 1})).status_code == 503:
        if time.perf_counter() > deadline:
            raise TimeoutError("the history is not stored")
        await asyncio.sleep(1)
    answer.raise_for_status()


async def _read_page(http: httpx.AsyncClient, cursor: str | None) -> tuple[str | None, float]:
    """The cursor of the next page, and the seconds that this one took."""
    query = {"limit": str(PAGE_ROWS), **({} if cursor is None else {"cursor": cursor})}
    began = time.perf_counter()
    answer = await http.get("/api/orders", params=query)
    seconds = time.perf_counter() - began
    page = answer.raise_for_status().json()
    assert len(page["orders"]) == PAGE_ROWS
    return page.get("next"), seconds


@contextlib.contextmanager
def _run_services(url: str, folder: Path) -> Iterator[tuple[BenchedService, str]]:
    port = find_free_port()
    orders = BenchedService("orders", url, folder / "orders.log")
    edge = BenchedService(
        "edge", url, folder / "edge.log", **EDGE_SETTINGS, TAPEWIRE_PORT=str(port)
    )
    try:
        yield orders, f"http://127.0.0.1:{port}"
    finally:
        edge.stop()
        orders.stop()


async def _write_orders(url: str, order_count: int) -> None:
    connection = await connect(url, "bench")
    try:
        log, step = JetStreamEventLog(connection), MAX_BATCH_EVENTS // EVENTS_PER_ORDER
        for first in range(0, order_count, step):
            numbers = range(first, min(first + step, order_count))
            await log.append([draft for number in numbers for draft in _order_drafts(number)])
    finally:
        await connection.close()


async def _write_other_orders(url: str) -> None:
    """Write orders of another user until cancelled, so the end of the log moves."""
    connection = await connect(url, "bench")
    log = JetStreamEventLog(connection)
    try:
        for first in itertools.count(step=OTHER_ORDERS):
            numbers = range(first, first + OTHER_ORDERS)
            drafts = [draft for number in numbers for draft in _order_drafts(number, OTHER_USER)]
            await log.append(drafts)
            await asyncio.sleep(OTHER_INTERVAL_SECONDS)
    finally:
        await connection.close()


def _order_drafts(number: int, user: str = USER) -> list[EventDraft]:
    """An order that is placed and filled, and its trade."""
    name = f"c-{number:07d}"
    id_, at = order_id(user, name), START + timedelta(milliseconds=20 * number)
    placed = Order(
        order_id=id_,
        client_order_id=name,
        symbol="IBM",
        side=Side.BUY,
        type=OrderType.MARKET,
        qty=Decimal(10),
        limit_price=None,
        status=OrderStatus.NEW,
        filled_qty=Decimal(0),
        filled_avg_price=None,
        strategy_id=None,
        reason=None,
        timestamp=at,
    )
    price, trade_id = Decimal("100.25"), f"{id_}-1"
    filled = msgspec.structs.replace(
        placed, status=OrderStatus.FILLED, filled_qty=Decimal(10), filled_avg_price=price
    )
    subject = EventSubject(user, "orders", id_)
    events = [
        (subject, OrderPlaced(order=placed, command_id=f"place-{number}")),
        (
            subject,
            OrderFilled(
                order=filled,
                command_id=f"fill-{number}",
                trade_id=trade_id,
                qty=Decimal(10),
                price=price,
            ),
        ),
        (
            EventSubject(user, "trades", id_),
            TradeExecuted(
                trade_id=trade_id,
                order_id=id_,
                symbol="IBM",
                side=Side.BUY,
                qty=Decimal(10),
                price=price,
                strategy_id=None,
                timestamp=at,
            ),
        ),
    ]
    return [
        EventDraft(
            subject=of, event=event, metadata=EventMetadata(id=f"{id_}.{index}", correlation=id_)
        )
        for index, (of, event) in enumerate(events)
    ]
