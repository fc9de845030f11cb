"""Payloads contain only the fields that docs/protocol.md documents (C19).

This covers every event type that can concern a user, on every stream that shows it, and the
messages that streams send about themselves. A stored event also contains fields that clients must
not see: command ids, and fields that a later version adds.
"""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from tapewire.events import CATALOGUE, CODEC, Event
from tapewire.log import EVERYBODY, EventMetadata, EventSubject, new_id
from tests.harness.edge import Harness
from tests.harness.golden_events import GOLDEN_FOLDER, golden_event
from tests.harness.publishers import EventLogDriver, QuoteDriver, hidden_event
from tests.harness.sse import Frame
from tests.harness.stream_assertions import read_through
from tests.integration.edge.stream_cases import UNIQUE_STREAM_CASES, open_stream
from tests.integration.edge.user_scenario import TICKER, UserScenario


def words(text: str) -> set[str]:
    return set(text.split())


ORDER = words(
    "orderId clientOrderId symbol side type qty limitPrice status filledQty filledAvgPrice"
    " strategyId reason timestamp waiting stopPrice timeInForce reduceOnly triggeredAt replacement"
    " feeTotal venueOrderId splits"
)
POSITION = words("symbol quantity entryPrice currentPrice unrealizedPnL realizedPnL")
PRICE = words("symbol price bid ask volume change changePercent timestamp")
HELLO = words(
    "client_id user_id stream server_time correlation_id keepalive_ms prices_keepalive_ms"
)
STATE = words(
    "type timestamp strategy_id user_id status position message name symbol rule quantity stop_loss"
    " entry_price orders trades take_profit is_protected"
)
ITEM_METRICS = words("total positive neutral negative tags other_tags rates timestamp")
ITEMS = {
    "new_item": words("id title source url tickers tags sentiment score timestamp"),
    "item:corrected": words("id title source url tickers tags sentiment score timestamp"),
    "item:retracted": words("id reason"),
}
NOTIFICATIONS = {
    "notification": words("id type title message payload is_read created_at"),
    "notification:read": words("ids timestamp"),
    "notification:unread": words("unread timestamp"),
}
TRADING = {
    "connected": words(
        "clientId userId stream serverTime correlationId keepaliveMs pricesKeepaliveMs"
    ),
    "order:update": ORDER | words("snapshot orders"),
    "order:fill": ORDER | words("fillQty fillPrice tradeId fee executionId venueTime exceptions"),
    "trade:new": words(
        "tradeId orderId symbol side qty price strategyId timestamp fee executionId venueTime"
        " exceptions"
    ),
    "trade:corrected": words(
        "tradeId orderId symbol side qty price strategyId timestamp before number fee executionId"
        " correctionId"
    ),
    "position:update": words("snapshot positions totalValue timestamp"),
    "account:update": words(
        "startingBalance cash equity grossExposure netExposure realizedPnL unrealizedPnL fees"
        " buyingPower stale unpriced timestamp asOf"
    ),
    "price:update": PRICE | words("initializing prices unknown"),
    "price:stale": PRICE | words("age stale"),
    "strategy:update": words(
        "change strategyId name symbol status position message signal action confidence reasoning"
        " price qty orderId triggerPrice currentPrice errorCode details timestamp"
    ),
    "ai:decision": words(
        "decisionId strategyId symbol action confidence reasoning taken timestamp"
    ),
    "alert:new": words("alertId level message symbol ruleId timestamp priority"),
    "rule:update": words(
        "change ruleId kind level symbol price percent windowSeconds armed timestamp alertId"
    ),
    "configuration:update": words("change id name tickers tags timestamp"),
    "metrics": words("totalClients totalUsers clientsPerUser timestamp"),
    "item:metrics": ITEM_METRICS,
    **ITEMS,
    **NOTIFICATIONS,
    "agent:status": words("service instance state detail timestamp"),
    "checkpoint": set(),
}
WITHIN = {
    "orders": ORDER,
    "positions": POSITION | words("stale"),
    "prices": PRICE | words("age stale"),
    "strategies": STATE,
}
"""The fields of the members of lists."""
OF_A_STRATEGY = words(
    "type timestamp strategy_id user_id status position message error_code details"
)
OF_AN_ORDER = words(
    "type timestamp strategy_id user_id order_id order_type symbol quantity price status message"
    " waiting stop_price fee execution_id requested_quantity requested_price requested_stop_price"
)
OF_A_STOP_LOSS = words(
    "type timestamp strategy_id user_id symbol trigger_price current_price order_id"
)
STRATEGIES = {
    "CONNECTED": HELLO | words("type timestamp"),
    "PING": words("type timestamp"),
    "subscribed": words("type symbols timestamp unknown"),
    "initial_state": STATE | {"strategies"},
    "state_update": STATE,
    "PRICE_UPDATE": words("type timestamp symbol ltp change change_percent"),
    "PRICE_STALE": words("type timestamp symbol ltp change change_percent age"),
    **{f"STRATEGY_{w}": OF_A_STRATEGY for w in words("STARTED UPDATED STOPPED COMPLETED ERROR")},
    **{
        f"ORDER_{w}": OF_AN_ORDER
        for w in words("PLACED EXECUTED REJECTED CANCELLED FAILED UPDATED")
    },
    **{f"SL_{word}": OF_A_STOP_LOSS for word in words("TRIGGERED EXECUTED")},
    "ERROR": words("type timestamp strategy_id user_id error_code error_message details"),
    "checkpoint": set(),
}
BOARDS = {
    "connected": HELLO | words("type timestamp"),
    "heartbeat": words("status timestamp"),
    "metrics": ITEM_METRICS,
    **ITEMS,
    **NOTIFICATIONS,
    "checkpoint": set(),
}


CATALOGUES = {"trading": TRADING, "strategies": STRATEGIES, "boards": BOARDS}
SELDOM = {
    ("strategies", "PING"),
    ("strategies", "state_update"),
    ("strategies", "PRICE_STALE"),
    ("trading", "price:stale"),
    ("boards", "heartbeat"),
}
"""SSE events that may not have been sent when the test ends."""
IN_OTHER_WORDS = ("type", "message")
"""Fields of the strategy streams whose names mean something else in events."""


def _family(path: str) -> str:
    if path.startswith("/api/stream"):
        return "trading"
    return "strategies" if path.startswith("/sse/") else "boards"


def _kinds() -> Any:
    """Return every event type of tapewire that has a domain."""
    return [kind for kind in CATALOGUE.event_types() if kind.package == "tapewire" and kind.domain]


def _of(cast: Any, name: str) -> Event:
    """Return an event of the type, for the user's strategy where it has one, and her ticker."""
    fields = json.loads((GOLDEN_FOLDER / f"{name}.v1.json").read_text())
    changes = {}
    if "strategy" in fields and name.startswith("strategy."):
        changes = {"strategy__strategyId": cast.strategy, "strategy__symbol": TICKER}
    elif "order" in fields and name.startswith("order."):
        changes = {"order__strategyId": cast.strategy}
    elif "item" in fields:
        changes = {"item__tickers": [TICKER]}
        if "previous" in fields:
            changes["previous__tickers"] = [TICKER]
    return golden_event(name, **changes)


async def test_payloads_contain_only_documented_fields_with_the_values_of_their_events(
    harness: Harness, journal: EventLogDriver, market: QuoteDriver, fresh: Callable[[str], str]
) -> None:
    edge, cast = (
        harness.shared_edge(SSE_KEEPALIVE_INTERVAL=0.3),
        UserScenario(journal, fresh("says")),
    )
    await cast.create_strategy_and_configuration()
    cookie = await edge.sign_in(cast.user)
    streams, appended = {}, {}
    for path in [row.path_for(cast) for row in UNIQUE_STREAM_CASES]:
        # A stream that begins with a stale quote has no price event of its family.
        await market.publish(TICKER)
        await edge.wait_for_quotes(TICKER)
        streams[path] = await open_stream(edge, path, cookie)
    for number, kind in enumerate(_kinds()):
        owner = EVERYBODY if kind.subject_template.startswith(f"ev.{EVERYBODY}.") else cast.user
        subject, event = EventSubject(owner, kind.domain, f"{number}"), _of(cast, kind.name)
        meta = EventMetadata(id=new_id(), correlation="c-payloads")
        appended[await journal.append_one(subject, event, meta)] = event
    item = await cast.append_event("items", 0)
    last = await journal.append(cast.user, hidden_event(), domain="notes")
    received, compared = set(), 0
    for path, stream in streams.items():
        await read_through(stream, item if path == "/api/v2/stream" else last)
        for frame in stream.frames:
            if frame.event is not None:
                received.add((_family(path), frame.event))
                _matches_catalogue(path, frame)
            if frame.id is not None and frame.sequence in appended:
                compared += _matches_event(path, frame, appended[frame.sequence])
        await stream.close()
    documented = {(family, event) for family, events in CATALOGUES.items() for event in events}
    assert received | SELDOM >= documented, "some documented events were not received"
    assert compared > 10 * len(appended)


def _matches_catalogue(path: str, frame: Frame) -> None:
    catalogue = CATALOGUES[_family(path)]
    assert frame.event is not None
    assert set(frame.data) <= catalogue[frame.event], (path, frame.event)
    for name, fields in WITHIN.items():
        members = frame.data.get(name)
        for member in members if isinstance(members, list) else ():
            assert set(member) <= fields, (path, frame.event, name)


def _matches_event(path: str, frame: Frame, event: Event) -> int:
    """Check each value against the event's fields of that name; return the number checked."""
    fields, compared = dict[str, list[Any]](), 0
    for name, value in _leaves(json.loads(CODEC.encode(event), parse_float=Decimal)):
        fields.setdefault(name, []).append(value)
    for name, value in _leaves(frame.data):
        if name in fields and not (_family(path) == "strategies" and name in IN_OTHER_WORDS):
            assert value in fields[name], (path, frame.event, name)
            compared += 1
    return compared


def _leaves(value: Any, name: str = "") -> Iterator[Any]:
    """Yield each value that is not an object, with its name in one spelling."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, key.replace("_", "").lower())
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from _leaves(inner, name)
    else:
        yield name, value
