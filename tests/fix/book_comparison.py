"""Compares what the system answers over HTTP with the book of a venue: orders,
executions, positions."""

import asyncio
from collections import Counter
from decimal import Decimal
from typing import Any

import httpx
import msgspec

RETRYABLE_STATUSES = (429, 503)
STATUS_AT_VENUE = {"2": "filled", "4": "canceled", "8": "rejected", "C": "canceled"}
PLACES = Decimal("1e-8")

Row = dict[str, Any]


async def read(http: httpx.AsyncClient, path: str, **params: Any) -> Row:
    """The answer, asked for again while a service is away."""
    while True:
        answer = await http.get(path, params=params)
        if answer.status_code not in RETRYABLE_STATUSES:
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=Row)
        await asyncio.sleep(0.2)


async def read_all(http: httpx.AsyncClient, path: str, name: str) -> list[Row]:
    """All rows of a list."""
    rows: list[Row] = []
    cursor: dict[str, str] = {}
    while True:
        document = await read(http, path, limit=1000, **cursor)
        rows += document[name]
        if "next" not in document:
            return rows
        cursor = {"cursor": document["next"]}


def is_corrected(order: Row) -> bool:
    """Whether an execution of an order at the venue was corrected or busted."""
    return any(one["last_id"] != one["id"] for one in order["executions"])


def compare_order(ours: Row, theirs: Row | None) -> list[str]:
    """What differs between an order here and at the venue."""
    expected: Row = {"status": ours["status"], "filledQty": Decimal(0), "average": Decimal(0)}
    if theirs is not None:
        filled = Decimal(theirs["cum"])
        expected = {
            "status": STATUS_AT_VENUE[theirs["status"]],
            "filledQty": filled,
            "average": Decimal(theirs["value"]) / filled if filled else Decimal(0),
            "qty": Decimal(theirs["qty"]),
        }
        if filled >= Decimal(theirs["qty"]):
            expected["status"] = "filled"
    elif ours["status"] not in ("canceled", "rejected"):
        return [f"{ours} is not at the venue"]
    found = {
        "status": ours["status"],
        "filledQty": Decimal(str(ours["filledQty"])),
        "average": Decimal(str(ours["filledAvgPrice"] or 0)),
        "qty": Decimal(str(ours["qty"])),
    }
    return [
        f"{ours['orderId']}: {name} is {found[name]}, at the venue {value}"
        for name, value in expected.items()
        if (found[name] != value if name != "average" else abs(found[name] - value) > PLACES)
    ]


def expected_position(orders: list[Row]) -> tuple[Decimal, Decimal]:
    """The quantity and the cash of executions at the venue."""
    quantity = cash = Decimal(0)
    for order in orders:
        sign = 1 if order["side"] == "1" else -1
        quantity += sign * Decimal(order["cum"])
        cash -= sign * Decimal(order["value"])
    return quantity, cash


async def compare_user(
    http: httpx.AsyncClient, user: str, owners: dict[str, str], venue: dict[str, Row]
) -> list[str]:
    """What differs between the system and the venue, for one user. `owners` has the user of each
    order."""
    wrong: list[str] = []
    orders = {row["orderId"]: row for row in await read_all(http, "/api/orders", "orders")}
    ids = {id_ for id_, owner in owners.items() if owner == user}
    if ids != set(orders):
        wrong.append(f"{user}: {len(ids ^ set(orders))} orders are on one side only")
    for id_, order in orders.items():
        wrong += compare_order(order, venue.get(id_))
    trades = await read_all(http, "/api/trades", "trades")
    booked = Counter(
        trade["executionId"].partition(":")[2] for trade in trades if "before" not in trade
    )
    executed = Counter(one["id"] for id_ in ids & set(venue) for one in venue[id_]["executions"])
    if booked != executed:
        wrong.append(
            f"{user}: executions {booked - executed} too many, {executed - booked} missing"
        )
    for row in await read_all(http, "/api/positions", "positions"):
        of_user = [venue[id_] for id_ in ids & set(venue)]
        quantity, cash = expected_position(
            [one for one in of_user if one["symbol"] == row["symbol"]]
        )
        held = Decimal(str(row["quantity"]))
        value = held * Decimal(str(row["entryPrice"] or 0))
        realized = Decimal(str(row["realizedPnL"]))
        if held != quantity or abs(cash + value - realized) > PLACES * (abs(held) + 1):
            wrong.append(f"{user}: position {row}, at the venue {quantity} for {cash}")
    return wrong
