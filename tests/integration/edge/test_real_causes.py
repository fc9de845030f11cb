"""The strategy, decision, alert and notification streams of a whole system, with real causes.

The causes are orders and strategies over REST, the paper broker, a moving market and another
program (S1, S2, S4, T5, T6, N1, N3, N4). Each test acts, and waits until the streams show it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

import tapewire
from tapewire.client import Client
from tapewire.log import pattern
from tapewire.log.jetstream import JetStreamEventLog, connect
from tests.harness import sse
from tests.harness.fork_server import run_cli
from tests.harness.stack import Stack
from tests.integration.edge.stream_watcher import StreamWatcher

BREAKOUT = {"kind": "breakout", "window": 2}
TIGHT = {"kind": "trailing", "percent": 0.01}
HUGE = 1_000_000
"""Shares. At 2,000 dollars they exceed what the paper account allows for one order."""

OF_A_STRATEGY = {"type", "timestamp", "strategy_id", "user_id", "status", "position", "message"}
OF_AN_ORDER = {
    "type", "timestamp", "strategy_id", "user_id", "order_id", "order_type", "symbol", "quantity",
    "price", "status", "message",
}  # fmt: skip
OF_A_STOP_LOSS = {
    "type", "timestamp", "strategy_id", "user_id", "symbol", "trigger_price", "current_price",
    "order_id",
}  # fmt: skip


@pytest.fixture
def user(fresh: Callable[[str], str]) -> str:
    return fresh("cause")


@pytest.fixture
def cookies(stack: Stack, user: str) -> httpx.Cookies:
    return stack.sign_in(user)


@pytest.fixture
async def http(stack: Stack, cookies: httpx.Cookies) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.url, cookies=cookies, timeout=30) as client:
        yield client


@pytest.fixture
async def watch(
    stack: Stack, cookies: httpx.Cookies
) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Return a function that opens streams."""
    made = []

    async def open_(path: str) -> StreamWatcher:
        made.append(StreamWatcher(await sse.connect(stack.url, path, cookie=cookies["session"])))
        assert made[-1].stream.status == 200, path
        return made[-1]

    yield open_
    for one in made:
        await one.close()


@pytest.fixture
async def program(stack: Stack) -> AsyncIterator[Client]:
    """Return the client of another program."""
    async with tapewire.connect(stack.nats_url, "rows-desk") as client:
        yield client


async def strategy(http: httpx.AsyncClient, **fields: Any) -> Any:
    wanted = {"symbol": "IBM", "rule": BREAKOUT, "quantity": 10, **fields}
    made = await http.post("/api/strategies", json=wanted)
    assert made.status_code == 201, made.text
    return made.json()["strategyId"]


async def test_the_whole_life_of_a_strategy_is_streamed(
    http: httpx.AsyncClient, watch: Callable[..., Awaitable[Any]], user: str
) -> None:
    """A strategy is created, starts, changes, trades, triggers its stop-loss, stops and completes.

    The strategy streams and the trading streams show each step.
    """
    id_ = await strategy(http, stopLoss=TIGHT)
    every, one = await watch("/sse/strategies"), await watch(f"/sse/strategy/{id_}")
    state = await one.wait_for_event("initial_state")
    assert (state.data["strategy_id"], state.data["symbol"]) == (id_, "IBM")
    updates = await watch(f"/api/stream/strategies/{id_}")
    inbox = await watch("/api/sse/notifications")
    decisions = await watch("/api/stream/ai-decisions")
    await http.post(f"/api/strategies/{id_}/start")
    for stream in (every, one):
        started = await stream.wait_for_event("STRATEGY_STARTED", strategy_id=id_, user_id=user)
        assert (set(started.data), started.data["status"]) == (OF_A_STRATEGY, "started")
        for name in ("SL_TRIGGERED", "SL_EXECUTED"):
            frame = await stream.wait_for_event(name, strategy_id=id_, user_id=user, type=name)
            assert set(frame.data) == OF_A_STOP_LOSS
            assert frame.data["trigger_price"] > 0
            assert frame.data["current_price"] > 0
        for name in ("ORDER_PLACED", "ORDER_EXECUTED"):
            frame = await stream.wait_for_event(name, strategy_id=id_, user_id=user, type=name)
            assert set(frame.data) == OF_AN_ORDER
            assert (frame.data["symbol"], frame.data["quantity"] > 0) == ("IBM", True)
        closing = await stream.wait_for_event("SL_EXECUTED", strategy_id=id_)
        sold = await stream.wait_for_event("ORDER_EXECUTED", order_id=closing.data["order_id"])
        assert sold.data["order_type"] in ("SL_SELL", "BUY")  # BUY closes a short
        assert sold.data["price"] > 0
    await one.wait_for_frame(
        "a price", lambda f: f.event == "PRICE_UPDATE" and f.data["symbol"] == "IBM"
    )

    for is_taken in (True, False):
        decided = await decisions.wait_for_event("ai:decision", strategyId=id_, taken=is_taken)
        assert {"decisionId", "symbol", "action", "confidence", "reasoning", "timestamp"} <= set(
            decided.data
        )
        assert 0 <= decided.data["confidence"] <= 1
    signal = await updates.wait_for_event("strategy:update", change="signal", strategyId=id_)
    assert signal.data["signal"] == signal.data["action"]
    assert {"symbol", "confidence", "reasoning", "timestamp"} <= set(signal.data)
    stop = await updates.wait_for_event("strategy:update", change="stop_loss_triggered")
    assert {"triggerPrice", "currentPrice", "orderId"} <= set(stop.data)
    await inbox.wait_for_frame(
        "the stop-loss",
        lambda f: (
            f.event == "notification"
            and f.data["type"] == "stop_loss"
            and f.data["payload"]["strategyId"] == id_
        ),
    )
    for change in ("started", "traded", "stop_loss_executed"):
        await updates.wait_for_event("strategy:update", change=change)

    await http.post(f"/api/strategies/{id_}/stop")
    await http.patch(f"/api/strategies/{id_}", json={"quantity": 20})
    for stream in (every, one):
        await stream.wait_for_event("STRATEGY_STOPPED", strategy_id=id_, status="stopped")
        await stream.wait_for_frame(
            "the change", lambda f: f.event == "STRATEGY_UPDATED" and f.data["status"] == "stopped"
        )
    for change in ("stopped", "updated"):
        await updates.wait_for_event("strategy:update", change=change)

    ends = await strategy(http, maxTrades=1)
    await http.post(f"/api/strategies/{ends}/start")
    await every.wait_for_event("STRATEGY_COMPLETED", strategy_id=ends, status="completed")
    assert not [f for f in one.received_frames if f.data and f.data.get("strategy_id", id_) != id_]
    assert not [
        f for f in updates.received_frames if f.data and f.data.get("strategyId", id_) != id_
    ]


async def test_manual_orders_are_streamed_and_notified(
    http: httpx.AsyncClient, watch: Callable[..., Awaitable[Any]], user: str
) -> None:
    stream, inbox = await watch("/sse/strategies"), await watch("/api/sse/notifications")
    await inbox.wait_for_event("notification:unread", unread=0)
    order = {"symbol": "IBM", "side": "buy", "type": "market", "qty": 5}
    filled = (await http.post("/api/orders", json=order)).json()["orderId"]
    resting = {**order, "type": "limit", "limitPrice": 1}
    canceled = (await http.post("/api/orders", json=resting)).json()["orderId"]
    assert (await http.delete(f"/api/orders/{canceled}")).status_code == 200
    huge = {**resting, "limitPrice": 2000, "qty": HUGE}
    refused = (await http.post("/api/orders", json=huge)).json()["orderId"]
    for name, id_, status in (
        ("ORDER_PLACED", filled, "new"),
        ("ORDER_EXECUTED", filled, "filled"),
        ("ORDER_CANCELLED", canceled, "canceled"),
        ("ORDER_REJECTED", refused, "rejected"),
    ):
        frame = await stream.wait_for_event(
            name, order_id=id_, status=status, order_type="BUY", symbol="IBM"
        )
        assert (set(frame.data), frame.data["user_id"]) == (OF_AN_ORDER, user)
    for type_, id_ in (("order_filled", filled), ("order_rejected", refused)):
        await inbox.wait_for_frame(
            type_,
            lambda f, t=type_, o=id_: (
                f.event == "notification"
                and (f.data["type"], f.data["payload"]["orderId"]) == (t, o)
            ),
        )
    [executed] = [f for f in stream.received_frames if f.event == "ORDER_EXECUTED"]
    assert (executed.data["quantity"], executed.data["price"] > 0) == (5, True)


async def test_events_of_another_program_are_streamed_and_notified(
    program: Client, http: httpx.AsyncClient, watch: Callable[..., Awaitable[Any]], user: str
) -> None:
    id_ = await strategy(http)
    every, one = await watch("/sse/strategies"), await watch(f"/sse/strategy/{id_}")
    inbox, decisions = (
        await watch("/api/sse/notifications"),
        await watch("/api/stream/ai-decisions"),
    )
    of = {"user": user, "strategy_id": id_}
    order = {**of, "order_id": "x-1", "symbol": "IBM", "quantity": 10, "price": 10}
    stop = {**of, "trigger_price": 9, "current_price": 8, "order_id": "x-2"}
    await program.strategy_started(**of)
    await program.strategy_updated(**of)
    await program.order_placed(**order, side="buy")
    await program.order_executed(**order, side="buy")
    await program.order_rejected(**order, side="sell")
    await program.order_cancelled(**order, side="sell")
    await program.order_failed(**order, side="sell", stop_loss=True)
    await program.stop_loss_triggered(**stop)
    await program.stop_loss_executed(**stop)
    await program.error(**of, error_code="odd", error_message="an odd thing", details="very")
    await program.strategy_errored(**of, error_code="broke", details="it broke")
    await program.strategy_stopped(**of)
    await program.strategy_completed(**of)
    for stream in (every, one):
        for name, fields in (
            ("STRATEGY_STARTED", {"status": "started"}),
            ("STRATEGY_UPDATED", {}),
            ("STRATEGY_ERROR", {"error_code": "broke", "details": "it broke", "status": "error"}),
            ("STRATEGY_STOPPED", {"status": "stopped"}),
            ("STRATEGY_COMPLETED", {"status": "completed"}),
            ("ORDER_PLACED", {"order_type": "BUY", "order_id": "x-1", "price": 10}),
            ("ORDER_EXECUTED", {"order_type": "BUY", "status": "filled", "quantity": 10}),
            ("ORDER_REJECTED", {"order_type": "SELL", "status": "rejected"}),
            ("ORDER_CANCELLED", {"order_type": "SELL", "status": "canceled"}),
            ("ORDER_FAILED", {"order_type": "SL_SELL", "status": "failed"}),
            ("SL_TRIGGERED", {"trigger_price": 9, "current_price": 8, "order_id": "x-2"}),
            ("SL_EXECUTED", {"trigger_price": 9, "current_price": 8, "order_id": "x-2"}),
            ("ERROR", {"error_code": "odd", "error_message": "an odd thing", "details": "very"}),
        ):
            await stream.wait_for_event(name, strategy_id=id_, user_id=user, type=name, **fields)
    for type_ in ("order_filled", "order_rejected", "order_failed", "strategy_error", "stop_loss",
                  "error"):  # fmt: skip
        await inbox.wait_for_event("notification", type=type_)
    await program.decision(
        **of, symbol="IBM", action="buy", confidence=0.5, reasoning="because", taken=False
    )
    await decisions.wait_for_event("ai:decision", strategyId=id_, taken=False, reasoning="because")


async def test_polling_returns_the_same_items_and_counts_as_the_streams(
    stack: Stack,
    http: httpx.AsyncClient,
    watch: Callable[..., Awaitable[Any]],
    fresh: Callable[[str], str],
) -> None:
    """D1, D2, D3, D5, D6: the streams and GET agree on items that were added without a score, and
    on their counts. This holds for all items, and for those of some tickers or tags."""
    mine, tag = fresh("T").upper(), fresh("tag")
    ids = []
    for tags in ([], [f"{tag}-2"]):
        wanted = {"name": "mine", "tickers": [mine], "tags": tags}
        ids.append((await http.post("/api/v2/configurations", json=wanted)).json()["id"])
    since = (await http.get("/api/v2/items?limit=1")).json()["as_of"]
    before = (await http.get("/api/v2/metrics")).json()
    every = await watch("/api/v2/stream")
    own, tagged = [await watch(f"/api/v2/configurations/{id_}/stream") for id_ in ids]
    moods = {"A wonderful, great success": "positive", "A terrible loss": "negative",
             "A meeting": "neutral"}  # fmt: skip
    for number, title in enumerate(moods):
        command = ["items", "add", "--title", title, "--source", tag, "--tag", tag]
        command += ["--tag", f"{tag}-{number}"]
        command += ["--ticker", mine if number else "OTHER", "--nats", stack.nats_url]
        (await asyncio.to_thread(run_cli, *command, timeout=60)).check_returncode()

    def streamed_items(stream: Any) -> list[Any]:
        return [
            f.data
            for f in stream.received_frames
            if f.event == "new_item" and f.data["source"] == tag
        ]

    async def polled(query: str) -> list[Any]:
        answer = await http.get(f"/api/v2/items?since={since}{query}")
        items = json.loads(answer.content, parse_float=Decimal)["items"]
        return [item for item in items if item["source"] == tag]

    for stream, query, expected_count in (
        (every, "", 3),
        (own, f"&configuration={ids[0]}", 2),
        (tagged, f"&configuration={ids[1]}", 1),
    ):
        await stream.wait_for_frame(
            "the last", lambda f: f.event == "new_item" and f.data["title"] == title
        )
        assert streamed_items(stream) == await polled(query)
        assert [item["sentiment"] for item in streamed_items(stream)] == [*moods.values()][
            -expected_count:
        ]
    after = (await http.get("/api/v2/metrics")).json()
    counted = {name: after[name] - before[name] for name in ("total", *moods.values())}
    assert counted == {"total": 3, "positive": 1, "negative": 1, "neutral": 1}
    assert after["tags"][tag] == 3
    for stream in (every, own):
        metrics = await stream.wait_for_event("metrics", total=after["total"])
        assert set(metrics.data) == set(after)
        still = set(after) - {"timestamp", "rates"}
        assert {name: metrics.data[name] for name in still} == {name: after[name] for name in still}
        assert metrics.data["rates"].keys() == after["rates"].keys()


async def test_published_items_are_corrected_and_retracted_on_streams_lists_and_counts(
    stack: Stack,
    program: Client,
    watch: Callable[..., Awaitable[Any]],
    http: httpx.AsyncClient,
    user: str,
    fresh: Callable[[str], str],
) -> None:
    """M11: by HTTP and by the producer library, for all items and for those of a configuration."""
    mine, source = fresh("C").upper(), fresh("wire")
    wanted = {"name": "mine", "tickers": [mine]}
    configuration = (await http.post("/api/v2/configurations", json=wanted)).json()["id"]
    every = await watch("/api/v2/stream")
    own = await watch(f"/api/v2/configurations/{configuration}/stream")
    before = (await http.get("/api/v2/metrics")).json()
    since = (await http.get("/api/v2/items?limit=1")).json()["as_of"]
    item_id = fresh("n")
    body = {"id": item_id, "title": "Profit rises", "source": source, "tickers": [mine]}
    refused = await http.post("/api/v2/items", json=body)
    assert refused.status_code == 403
    cookies = stack.sign_in(user, ["producer"])
    async with httpx.AsyncClient(base_url=stack.url, cookies=cookies, timeout=30) as producer:
        for change, path in (
            ({"title": ""}, "title"),
            ({"score": 2}, "score"),
            ({"timestamp": "2026-03-02T14:30:00"}, "timestamp"),
            ({"mood": "good"}, "mood"),
            ({"url": "ftp://x.example"}, "url"),
        ):
            wrong = await producer.post("/api/v2/items", json=body | change)
            assert (wrong.status_code, wrong.json()["path"]) == (422, path), wrong.text
        added = await producer.post("/api/v2/items", json=body)
        assert (added.status_code, added.json()["sentiment"]) == (201, "positive")
        again = await producer.post("/api/v2/items", json=body)
        assert (again.status_code, again.json()) == (200, added.json())
        corrected = await producer.post("/api/v2/items", json=body | {"title": "Profit falls"})
        assert (corrected.status_code, corrected.json()["sentiment"]) == (200, "negative")
        moved = await program.correct_item(
            item_id,
            title="Profit falls",
            source=source,
            tickers=["OTHER"],
            reason="wrong ticker",
        )
        assert moved.tickers == ("OTHER",)
        polled = (
            await http.get(f"/api/v2/items?since={since}&configuration={configuration}")
        ).json()
        assert polled["retracted"] == [item_id]
        counts = (await http.get("/api/v2/metrics")).json()
        assert counts["total"] - before["total"] == counts["negative"] - before["negative"] == 1
        gone = await producer.delete(f"/api/v2/items/{item_id}")
        assert gone.status_code == 200, gone.text
        late = await producer.post("/api/v2/items", json=body)
        assert (late.status_code, (await producer.delete("/api/v2/items/x")).status_code) == (
            404,
            404,
        )
    listed = (await http.get("/api/v2/items")).json()["items"]
    assert item_id not in [item["id"] for item in listed]
    assert (await http.get("/api/v2/metrics")).json()["total"] == before["total"]

    def list_events_of_item(stream: Any) -> list[str]:
        return [f.event for f in stream.received_frames if (f.data or {}).get("id") == item_id]

    names = ["new_item", "item:corrected", "item:corrected", "item:retracted"]
    await every.wait_for_frame("the retraction", lambda _: list_events_of_item(every) == names)
    await own.wait_for_frame("the corrections", lambda _: list_events_of_item(own) == names[:3])
    other = await program.publish_item(title="Bank names chairman", source=source)
    assert (await program.retract_item(other.id, reason="a hoax")).retracted
    await every.wait_for_event("item:retracted", id=other.id, reason="a hoax")


async def test_items_are_polled_in_pages_and_an_unknown_cursor_is_reset(
    stack: Stack, http: httpx.AsyncClient, fresh: Callable[[str], str]
) -> None:
    """D6."""
    source = fresh("pages")
    titles = [f"{source} {number}" for number in range(5)]
    rows = "".join(f"{title},{source}\n" for title in titles)
    since = (await http.get("/api/v2/items?limit=1")).json()["as_of"]
    command = ["items", "load", "-", "--nats", stack.nats_url]
    loaded = await asyncio.to_thread(
        run_cli, *command, stdin=f"title,source\n{rows}".encode(), timeout=60
    )
    loaded.check_returncode()
    seen, more = [], True
    while more:
        page = (await http.get(f"/api/v2/items?since={since}&limit=2")).json()
        assert not page["reset"]
        seen.append([item["title"] for item in page["items"]])
        since, more = page["as_of"], page["more"]
    assert [title for titles_ in seen for title in titles_ if title.startswith(source)] == titles
    assert max(map(len, seen)) == 2
    lost = (await http.get("/api/v2/items?since=e0-5&limit=2")).json()
    assert lost["reset"]
    assert [item["title"] for item in lost["items"]] == titles[-2:]


async def test_alerts_and_programs_notify_and_every_tab_receives_reads(
    stack: Stack,
    http: httpx.AsyncClient,
    watch: Callable[..., Awaitable[Any]],
    user: str,
    fresh: Callable[[str], str],
) -> None:
    alerts = await watch("/api/stream/alerts")
    tabs = [await watch("/api/sse/notifications") for _ in range(2)]
    rule = {"kind": "price_above", "symbol": "IBM", "price": 1, "level": "error"}
    assert (await http.post("/api/alerts/rules", json=rule)).status_code == 201
    raised = await alerts.wait_for_event("alert:new", level="error", symbol="IBM", priority="high")
    assert {"alertId", "message", "timestamp"} <= set(raised.data)
    other = fresh("other")
    command = ["notify", "--nats", stack.nats_url, "--title", "Both of you"]
    command += ["--user", user, "--user", other]
    (await asyncio.to_thread(run_cli, *command, timeout=60)).check_returncode()
    async with httpx.AsyncClient(base_url=stack.url, cookies=stack.sign_in(other)) as theirs:
        assert (await theirs.get("/api/notifications")).json()["unread"] == 1
    for tab in tabs:
        frame = await tab.wait_for_event("notification", type="alert", is_read=False)
        assert frame.data["payload"]["alertId"] == raised.data["alertId"]
        await tab.wait_for_event("notification", title="Both of you")
    read = {"ids": [frame.data["id"]]}
    assert (await http.post("/api/notifications/read", json=read)).json() == {
        "read": 1,
        "unread": 1,
    }
    for tab in tabs:
        assert (await tab.wait_for_event("notification:read")).data["ids"] == [frame.data["id"]]
    assert (await http.post("/api/notifications/read-all")).json() == {"read": 1, "unread": 0}
    for tab in tabs:
        await tab.wait_for_frame(
            "all notifications are read",
            lambda f: f.event == "notification:read" and f.data["ids"] is None,
        )


async def test_every_event_of_a_call_carries_its_correlation_id(
    stack: Stack, http: httpx.AsyncClient, watch: Callable[..., Awaitable[Any]], user: str
) -> None:
    """This covers each service that takes commands, and the events that follow in others."""
    http.headers["X-Correlation-ID"] = "cause-1.x"
    inbox = await watch("/api/sse/notifications")
    order = {"symbol": "IBM", "side": "buy", "type": "market", "qty": 5}
    assert (await http.post("/api/orders", json=order)).status_code == 201
    await strategy(http)
    rule = {"kind": "price_above", "symbol": "IBM", "price": 1}
    assert (await http.post("/api/alerts/rules", json=rule)).status_code == 201
    configuration = {"name": "x", "tickers": ["IBM"]}
    assert (await http.post("/api/v2/configurations", json=configuration)).status_code == 201
    for type_ in ("order_filled", "alert"):
        await inbox.wait_for_event("notification", type=type_)
    assert (await http.post("/api/notifications/read-all")).json()["read"] == 2
    connection = await connect(stack.nats_url, "test")
    try:
        events = (await JetStreamEventLog(connection).page(pattern(owner=user), after=0)).events
    finally:
        await connection.close()
    kinds = {event.tag.rpartition(".")[0] for event in events}
    assert kinds >= {
        "order.placed", "order.filled", "trade.executed", "position.opened", "strategy.created",
        "rule.created", "alert.raised", "configuration.created", "notification.created",
        "notification.read",
    }  # fmt: skip
    assert {event.tag: event.metadata.correlation for event in events} == dict.fromkeys(
        (event.tag for event in events), "cause-1.x"
    )
