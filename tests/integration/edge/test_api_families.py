"""The streams beyond orders and prices: trading, strategies, dashboard and notifications.

The tests append events to the log and publish quotes directly, and read the streams from sockets.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from tapewire.events import CODEC, AgentStatusChanged, Event
from tapewire.log import EVERYBODY
from tapewire.log.jetstream import JetStreamLatestValueStore
from tapewire.log.jetstream.streams import MARKET
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.golden_events import golden_event
from tests.harness.publishers import EventLogDriver, QuoteDriver, order_placed
from tests.harness.sse import SseStream, is_event_at
from tests.harness.waiting import WAIT_TIMEOUT_SECONDS, wait_until

STRATEGY = "5c1f0e9a7d3b2864"


class SignedInUser:
    """A user who is signed in at `edge`, and whose events are appended to `journal`."""

    def __init__(self, name: str, cookie: str, edge: EdgeProcess, journal: EventLogDriver) -> None:
        self.name = name
        self.cookie = cookie
        self.edge = edge
        self.journal = journal

    async def append(self, domain: str, entity: str, event: Event) -> int:
        """Append an event of the user; return its sequence."""
        return await self.journal.append_event(self.name, domain, entity, event)

    async def append_public(self, domain: str, entity: str, event: Event) -> int:
        """Append an event that everybody may see; return its sequence."""
        return await self.journal.append_event(EVERYBODY, domain, entity, event)

    async def open_stream(self, path: str, **how: Any) -> SseStream:
        return await self.edge.open_stream(path, self.cookie, **how)

    async def connect(self, path: str, **how: Any) -> SseStream:
        return await self.edge.connect(path, self.cookie, **how)


@pytest.fixture
def user(alice: str, cookie: str, edge: EdgeProcess, journal: EventLogDriver) -> SignedInUser:
    return SignedInUser(alice, cookie, edge, journal)


@pytest.fixture
async def value(journal: EventLogDriver, alice: str) -> Callable[..., Awaitable[None]]:
    """A function that stores a valuation in MARKET, as the positions service does."""
    values = JetStreamLatestValueStore(journal.connection, stream=MARKET, prefix=f"mk.{alice}")

    async def put(symbol: str, **fields: Any) -> None:
        now = datetime.now(UTC).isoformat()
        valued = golden_event("position.valued", symbol=symbol, timestamp=now, **fields)
        await values.put(symbol, CODEC.encode(valued))

    return put


class TestPositions:
    """The stream of positions (T2)."""

    PATH = "/api/stream/positions"

    async def test_snapshot_is_followed_by_changes(
        self, user: SignedInUser, market: QuoteDriver, fresh: Callable[[str], str]
    ) -> None:
        symbol = fresh("POS")
        await market.publish(symbol, 513)
        await user.edge.wait_for_quotes(symbol)
        held = {"position__symbol": symbol, "position__quantity": 10, "position__costBasis": 5000}
        await user.append("positions", symbol, golden_event("position.opened", **held))
        async with await user.open_stream(self.PATH) as stream:
            snapshot = await stream.read_until("position:update")
            [position] = snapshot.data["positions"]
            assert snapshot.data["snapshot"] is True
            assert (position["symbol"], position["quantity"]) == (symbol, 10)
            assert set(position) - {"stale"} == {  # on a busy machine the quote is old by now
                "symbol", "quantity", "entryPrice", "currentPrice", "unrealizedPnL", "realizedPnL",
            }  # fmt: skip
            assert (position["currentPrice"], position["unrealizedPnL"]) == (513, 130)
            assert snapshot.data["totalValue"] == 5130

            held |= {"position__quantity": 20, "position__costBasis": 10000}
            last = await user.append("positions", symbol, golden_event("position.changed", **held))
            changed = await stream.read_until("position:update")
            assert changed.sequence == last
            assert changed.data["totalValue"] == 10260
            assert changed.data["positions"][0]["quantity"] == 20

            held |= {"position__quantity": 0, "position__costBasis": 0}
            await user.append("positions", symbol, golden_event("position.closed", **held))
            closed = await stream.read_until("position:update")
            assert (closed.data["positions"][0]["quantity"], closed.data["totalValue"]) == (0, 0)
            assert closed.data["positions"][0]["unrealizedPnL"] == 0

    async def test_new_valuation_is_sent_without_an_id(
        self,
        user: SignedInUser,
        market: QuoteDriver,
        value: Callable[..., Awaitable[None]],
        fresh: Callable[[str], str],
    ) -> None:
        symbol = fresh("POS")
        await market.publish(symbol, 513)
        await user.edge.wait_for_quotes(symbol)
        held = {"position__symbol": symbol, "position__quantity": 10, "position__costBasis": 5000}
        await user.append("positions", symbol, golden_event("position.opened", **held))
        async with await user.open_stream(self.PATH) as stream:
            await stream.read_until("position:update")
            await market.publish(symbol, 520)
            await value(symbol, quantity=10, currentPrice=520)
            revalued = await stream.read_until(
                "a revaluation", lambda f: f.event == "position:update" and f.id is None
            )
            [position] = revalued.data["positions"]
            assert (position["currentPrice"], position["unrealizedPnL"]) == (520, 200)
            assert revalued.data["totalValue"] == 5200

    async def test_other_users_positions_are_not_shown(
        self, user: SignedInUser, fresh: Callable[[str], str]
    ) -> None:
        async with await user.open_stream(self.PATH) as stream:
            await stream.read_until("position:update")
            await user.journal.append_event(
                fresh("bob"), "positions", "X", golden_event("position.opened")
            )
            last = await user.append_public("agents", fresh("a"), golden_event("agent.status"))
            assert (await stream.read()).sequence == last


class TestRecentEvents:
    """The streams of decisions, alerts and strategies (T5, T6, T7, C11, C18)."""

    @pytest.mark.parametrize(
        ("path", "domain", "tag", "name"),
        [
            ("/api/stream/ai-decisions", "decisions", "decision.made", "ai:decision"),
            ("/api/stream/alerts", "alerts", "alert.raised", "alert:new"),
            ("/api/stream/strategies", "strategies", "strategy.signaled", "strategy:update"),
        ],
    )
    async def test_stream_sends_recent_events_then_live_events_and_resumes(
        self, user: SignedInUser, path: str, domain: str, tag: str, name: str
    ) -> None:
        await user.append(domain, "1", golden_event(tag))
        async with await user.open_stream(path) as stream:
            recent = await stream.read()
            assert (recent.event, recent.id) == (name, None)
            begun = await stream.read()
            assert begun.event == "checkpoint"
            last = await user.append(domain, "2", golden_event(tag))
            live = await stream.read()
            assert (live.event, live.sequence) == (name, last)
            assert live.data == recent.data
        missed = await user.append(domain, "3", golden_event(tag))
        async with await user.open_stream(path, last_event_id=live.id) as stream:
            assert (await stream.read()).sequence == missed

    async def test_recent_events_are_the_last_100(self, user: SignedInUser) -> None:
        """A stream begins with at most 100 events of the last five minutes."""
        for number in range(105):
            await user.append("alerts", "1", golden_event("alert.raised", alertId=f"{number}"))
        async with await user.open_stream("/api/stream/alerts") as stream:
            seen = [(await stream.read()).data["alertId"] for _ in range(100)]
            assert seen == [f"{number}" for number in range(5, 105)]
            assert (await stream.read()).event == "checkpoint"

    async def test_decision_and_alert_have_all_fields(self, user: SignedInUser) -> None:
        query = "/api/stream?topics=ai-decisions,alerts"
        async with await user.open_stream(query) as stream:
            await stream.read_until("checkpoint")
            await user.append("decisions", "1", golden_event("decision.made"))
            decision = (await stream.read()).data
            assert {
                "decisionId", "strategyId", "symbol", "action", "confidence", "reasoning",
                "timestamp",
            } <= set(decision)  # fmt: skip
            await user.append("alerts", "1", golden_event("alert.raised", level="warning"))
            alert = (await stream.read()).data
            assert {"alertId", "level", "message", "symbol", "timestamp"} <= set(alert)
            assert "priority" not in alert

    async def test_error_alert_has_high_priority_and_its_delivery_is_logged(
        self, user: SignedInUser
    ) -> None:
        async with await user.open_stream("/api/stream/alerts") as stream:
            await stream.read_until("checkpoint")
            last = await user.append("alerts", "1", golden_event("alert.raised", level="error"))
            alert = await stream.read()
            assert alert.data["priority"] == "high"
            expected = {
                "event": "connection.urgent_event_written",
                "client_id": stream.frames[1].data["clientId"],
                "sequence": last,
                "correlation_id": stream.header("x-correlation-id"),
                "event_correlation_id": "c-test",
            }
        await wait_until(
            "the delivery is logged with the connection and the cause of the alert",
            lambda: user.edge.find_log_lines(**expected),
            describe_last=lambda: user.edge.log_lines()[-3:],
        )

    async def test_strategy_stream_shows_each_change_of_one_strategy(
        self, user: SignedInUser
    ) -> None:
        await user.append("strategies", STRATEGY, golden_event("strategy.created"))
        async with await user.open_stream(f"/api/stream/strategies/{STRATEGY}") as stream:
            await stream.read_until("checkpoint")
            other = golden_event("strategy.started", strategy__strategyId="another")
            await user.append("strategies", "another", other)
            for tag, change in (
                ("strategy.started", "started"),
                ("strategy.signaled", "signal"),
                ("strategy.updated", "updated"),
                ("strategy.traded", "traded"),
                ("strategy.stop_loss_triggered", "stop_loss_triggered"),
                ("strategy.stop_loss_executed", "stop_loss_executed"),
                ("strategy.failed", "error"),
                ("strategy.stopped", "stopped"),
                ("strategy.completed", "completed"),
            ):
                await user.append("strategies", STRATEGY, golden_event(tag))
                frame = await stream.read()
                assert (frame.event, frame.data["change"]) == ("strategy:update", change)
                assert {"strategyId", "symbol", "status", "timestamp"} <= set(frame.data)
                if change == "error":
                    assert frame.data["errorCode"]
                    assert frame.data["details"]

    @pytest.mark.parametrize("family", ["/api/stream/strategies", "/sse/strategy"])
    async def test_unknown_strategy_and_other_users_strategy_are_404(
        self, user: SignedInUser, fresh: Callable[[str], str], family: str
    ) -> None:
        theirs = fresh("theirs")
        created = golden_event("strategy.created", strategy__strategyId=theirs)
        await user.journal.append_event(fresh("bob"), "strategies", theirs, created)
        for id_ in ("none-such", theirs, "x" * 100, "%2A"):
            answer = await user.connect(f"{family}/{id_}")
            assert answer.status == 404
            body = CODEC.decode(await answer.body(), dict)
            await answer.close()
            assert (body["message"], body["statusCode"]) == ("Strategy not found", 404)
        answer = await user.edge.connect(f"{family}/none-such")
        assert answer.status == 401
        await answer.close()


class TestAgents:
    """Agent status events are public, in order, and replayed after a reconnect (T10)."""

    async def test_every_trading_stream_shows_agent_status(
        self, user: SignedInUser, fresh: Callable[[str], str]
    ) -> None:
        paths = ["orders", "positions", "trading", "ai-decisions", "strategies", "alerts"]
        streams = [await user.open_stream(f"/api/stream/{path}") for path in paths]
        for stream in streams:
            await stream.read_until("the place", lambda frame: frame.id)
        last = await user.append_public("agents", fresh("a"), golden_event("agent.status"))
        for stream in streams:
            status_frame = await stream.read_numbered()
            assert (status_frame.event, status_frame.sequence) == ("agent:status", last)
            assert {"service", "state", "timestamp"} <= set(status_frame.data)
            await stream.close()
        await user.append("orders", "o", order_placed("o"))
        missed = await user.append_public("agents", fresh("a"), golden_event("agent.status"))
        async with await user.open_stream(
            "/api/stream/orders", last_event_id=status_frame.id
        ) as stream:
            assert [(await stream.read()).event for _ in range(2)] == [
                "order:update", "agent:status",
            ]  # fmt: skip
            assert stream.frames[-1].sequence == missed

    @pytest.mark.parametrize("path", ["prices?symbols=NONE", "metrics"])
    async def test_public_stream_shows_agent_status_without_id_or_private_fields(
        self, edge: EdgeProcess, journal: EventLogDriver, fresh: Callable[[str], str], path: str
    ) -> None:
        """The frame has no id, no host name and no error detail."""
        host, detail = fresh("host"), fresh("detail")
        event = golden_event("agent.status", instance=host, detail=detail)
        assert isinstance(event, AgentStatusChanged)
        again = golden_event("agent.status", instance=host, state="stopped")
        async with await edge.open_stream(f"/api/stream/{path}") as stream:
            await stream.read_until(
                "the first", lambda frame: frame.event in ("price:update", "metrics")
            )
            for each in (event, again):
                await journal.append_event(EVERYBODY, "agents", fresh("a"), each)
            frames = [await stream.read_until("agent:status") for _ in range(2)]
        assert [frame.id for frame in frames] == [None, None]
        assert set(frames[0].data) == {"service", "instance", "state", "timestamp"}
        assert [frame.data["state"] for frame in frames] == [event.state.value, "stopped"]
        assert frames[0].data["instance"] == frames[1].data["instance"]
        seen = b"".join(frame.raw for frame in stream.frames).decode()
        assert host not in seen
        assert detail not in seen

    async def test_new_edge_replays_missed_events_from_the_log_in_order(
        self, harness: Harness, user: SignedInUser, fresh: Callable[[str], str]
    ) -> None:
        async with await user.open_stream("/api/stream/orders") as stream:
            begun = await stream.read_until("order:update")
        wanted = []
        for number in range(12):
            if number % 3:
                wanted.append(await user.append("orders", f"o{number}", order_placed(f"o{number}")))
            else:
                event = golden_event("agent.status")
                wanted.append(await user.append_public("agents", fresh("a"), event))
        new_edge = harness.start_edge()
        try:
            async with await new_edge.open_stream(
                "/api/stream/orders", user.cookie, last_event_id=begun.id
            ) as stream:
                assert [(await stream.read()).sequence for _ in wanted] == wanted
        finally:
            assert new_edge.stop() == 0


class TestTopics:
    """Several topics on one connection with one cursor (T11)."""

    async def test_stream_shows_only_the_requested_topics(
        self, user: SignedInUser, market: QuoteDriver, fresh: Callable[[str], str]
    ) -> None:
        one, other = fresh("ONE"), fresh("OTHER")
        await market.publish(one, 10)
        await user.edge.wait_for_quotes(one)
        query = f"/api/stream?topics=orders,alerts,prices:{one}"
        async with await user.open_stream(query) as stream:
            prices = await stream.read()
            assert [quote["symbol"] for quote in prices.data["prices"]] == [one]
            snapshot = await stream.read_until("order:update")
            assert snapshot.id
            await market.publish(other, 10)
            await user.append("strategies", "s", golden_event("strategy.started"))
            last = await user.append("alerts", "1", golden_event("alert.raised"))
            assert (await stream.read()).sequence == last
            await market.publish(one, 11)
            assert (await stream.read()).data["symbol"] == one

    @pytest.mark.parametrize(
        "topics", ["", "?topics=", "?topics=gossip", "?topics=orders:IBM", "?topics=orders,%00"]
    )
    async def test_invalid_topics_are_422_with_the_field(
        self, user: SignedInUser, topics: str
    ) -> None:
        answer = await user.connect(f"/api/stream{topics}")
        assert answer.status == 422
        assert CODEC.decode(await answer.body(), dict)["path"] == "topics"
        await answer.close()

    async def test_session_is_required_unless_prices_are_the_only_topic(
        self, edge: EdgeProcess
    ) -> None:
        async with await edge.open_stream("/api/stream?topics=prices") as stream:
            assert (await stream.read()).data["initializing"] is True
        answer = await edge.connect("/api/stream?topics=prices,orders")
        assert answer.status == 401
        await answer.close()


class TestStrategyFamily:
    """The API family of strategies (S1 to S4)."""

    async def opened(
        self, edge: EdgeProcess, path: str, cookie: str | None = None, **how: Any
    ) -> SseStream:
        stream = await edge.connect(path, cookie, **how)
        assert stream.status == 200
        assert (await stream.read()).retry is not None
        connected = await stream.read()
        assert connected.event == "CONNECTED"
        assert connected.data["type"] == "CONNECTED"
        assert connected.data["client_id"]
        return stream

    @pytest.mark.parametrize("path", ["/sse/strategies", "/sse/strategies/reconnect"])
    async def test_every_event_of_the_user_is_shown_under_its_name(
        self, user: SignedInUser, path: str
    ) -> None:
        stream = await self.opened(user.edge, path, user.cookie)
        state = await stream.read_until("initial_state")
        assert state.id
        for domain, tag, name in (
            ("strategies", "strategy.started", "STRATEGY_STARTED"),
            ("orders", "order.placed", "ORDER_PLACED"),
            ("orders", "order.filled", "ORDER_EXECUTED"),
            ("orders", "order.rejected", "ORDER_REJECTED"),
            ("orders", "order.canceled", "ORDER_CANCELLED"),
            ("orders", "order.failed", "ORDER_FAILED"),
            ("orders", "order.waiting", "ORDER_UPDATED"),
            ("strategies", "strategy.stop_loss_triggered", "SL_TRIGGERED"),
            ("strategies", "strategy.stop_loss_executed", "SL_EXECUTED"),
            ("strategies", "strategy.updated", "STRATEGY_UPDATED"),
            ("strategies", "strategy.failed", "STRATEGY_ERROR"),
            ("strategies", "strategy.stopped", "STRATEGY_STOPPED"),
            ("strategies", "strategy.completed", "STRATEGY_COMPLETED"),
            ("reports", "report.strategy_started", "STRATEGY_STARTED"),
            ("reports", "report.order_executed", "ORDER_EXECUTED"),
            ("reports", "report.stop_loss_triggered", "SL_TRIGGERED"),
            ("reports", "report.error", "ERROR"),
        ):
            last = await user.append(domain, "1", golden_event(tag))
            received = await stream.read()
            assert (received.event, received.sequence) == (name, last), tag
            assert (received.data["type"], received.data["user_id"]) == (name, user.name)
            assert received.data["timestamp"]
        for frame in stream.frames:
            assert all(re.fullmatch(r"[a-z_]+", key) for key in keys_of(frame.data)), frame
        await stream.close()
        missed = await user.append("strategies", "1", golden_event("strategy.started"))
        again = await self.opened(user.edge, path, user.cookie, last_event_id=received.id)
        assert (await again.read()).sequence == missed
        await again.close()

    async def test_each_kind_of_event_has_its_fields(self, user: SignedInUser) -> None:
        stream = await self.opened(user.edge, "/sse/strategies", user.cookie)
        await stream.read_until("initial_state")
        await user.append("strategies", "1", golden_event("strategy.started"))
        assert set((await stream.read()).data) == {
            "type", "timestamp", "strategy_id", "user_id", "status", "position", "message",
        }  # fmt: skip
        sells = golden_event(
            "order.placed",
            order__side="sell",
            order__clientOrderId=f"{STRATEGY}-2-sl",
            order__strategyId=STRATEGY,
        )
        await user.append("orders", "1", sells)
        order = (await stream.read()).data
        assert (order["order_type"], order["strategy_id"]) == ("SL_SELL", STRATEGY)
        assert {"order_id", "symbol", "quantity", "price", "status"} <= set(order)
        await user.append("strategies", "1", golden_event("strategy.stop_loss_triggered"))
        assert {"strategy_id", "trigger_price", "current_price", "order_id"} <= set(
            (await stream.read()).data
        )
        await stream.close()

    async def test_idle_stream_sends_a_ping(self, harness: Harness, cookie: str) -> None:
        edge = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=0.3)
        stream = await self.opened(edge, "/sse/strategies", cookie)
        await stream.read_until("initial_state")
        assert (await stream.read_until("PING")).data["type"] == "PING"
        await stream.close()

    async def test_strategy_stream_shows_its_orders_prices_and_state(
        self,
        harness: Harness,
        alice: str,
        cookie: str,
        market: QuoteDriver,
        journal: EventLogDriver,
        fresh: Callable[[str], str],
    ) -> None:
        edge, symbol = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=0.3), fresh("ONE")
        rule = {"kind": "breakout", "window": 5, "marginPercent": 0.25}
        mine = {
            "strategy__strategyId": STRATEGY,
            "strategy__symbol": symbol,
            "strategy__rule": rule,
            "strategy__stopLoss": {"kind": "trailing", "percent": 2},
        }
        await market.publish(symbol, 10)
        await edge.wait_for_quotes(symbol)
        await journal.append_event(
            alice, "strategies", STRATEGY, golden_event("strategy.created", **mine)
        )
        stream = await self.opened(edge, f"/sse/strategy/{STRATEGY}", cookie)
        assert (await stream.read_until("subscribed")).data["symbols"] == [symbol]
        assert (await stream.read_until("PRICE_UPDATE")).data["ltp"] == 10
        state = await stream.read_until("initial_state")
        assert (state.data["strategy_id"], state.data["symbol"]) == (STRATEGY, symbol)
        assert state.data["rule"] == {
            "kind": "breakout", "window": 5, "margin_percent": Decimal("0.25"),
        }  # fmt: skip
        assert state.data["stop_loss"] == {"kind": "trailing", "percent": 2}

        await journal.append_event(alice, "orders", "1", order_placed("1"))
        last = await journal.append_event(
            alice, "orders", "2", order_placed("2", strategy_id=STRATEGY)
        )
        assert (await stream.read_until("ORDER_PLACED")).sequence == last
        await journal.append_event(
            alice, "strategies", STRATEGY,
            golden_event("strategy.started", **mine, strategy__status="started"),
        )  # fmt: skip
        await stream.read_until("STRATEGY_STARTED")
        assert (await stream.read_until("state_update")).data["status"] == "started"
        await market.publish(symbol, 11)
        assert (await stream.read_until("PRICE_UPDATE")).data["symbol"] == symbol
        await stream.close()

    async def test_price_stream_sends_the_current_price_and_updates(
        self, edge: EdgeProcess, market: QuoteDriver, fresh: Callable[[str], str]
    ) -> None:
        symbol = fresh("PX")
        await market.publish(symbol, 10)
        await edge.wait_for_quotes(symbol)
        cookie = await edge.sign_in(fresh("alice"))
        stream = await self.opened(edge, f"/sse/prices?symbols=%20{symbol.lower()}%20", cookie)
        assert (await stream.read()).data["symbols"] == [symbol]
        first = await stream.read()
        assert (first.event, first.data["ltp"]) == ("PRICE_UPDATE", 10)
        assert {"symbol", "ltp", "change", "change_percent"} <= set(first.data)
        await market.publish(symbol, 12)
        assert (await stream.read()).data["ltp"] == 12
        await stream.close()


class TestNotifications:
    """The stream of notifications (N1)."""

    async def test_stream_shows_new_and_read_notifications(
        self, harness: Harness, alice: str, journal: EventLogDriver
    ) -> None:
        edge = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=0.3)
        cookie = await edge.sign_in(alice)
        async with await edge.open_stream("/api/sse/notifications", cookie) as stream:
            begun = await stream.read_until("notification:unread")
            assert (begun.data["unread"], bool(begun.id)) == (0, True)
            last = await journal.append_event(
                alice, "notifications", "1", golden_event("notification.created")
            )
            frame = await stream.read_until("notification")
            assert frame.sequence == last
            assert set(frame.data) == {
                "id", "type", "title", "message", "payload", "is_read", "created_at",
            }  # fmt: skip
            await journal.append_event(
                alice, "notifications", "all", golden_event("notification.read")
            )
            assert "ids" in (await stream.read_until("notification:read")).data
            beat = await stream.read_until("heartbeat")
            assert beat.data["status"] == "connected"


class TestDashboard:
    """The streams of analysed items (D1, D2)."""

    async def test_items_and_metrics_need_no_session(
        self, harness: Harness, journal: EventLogDriver, fresh: Callable[[str], str]
    ) -> None:
        edge = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=0.3)
        async with await edge.open_stream("/api/v2/stream") as stream:
            before = await stream.read_until("metrics")
            assert before.id is None
            id_ = fresh("item")
            last = await journal.append_event(
                EVERYBODY, "items", id_, golden_event("item.analysed", item__id=id_)
            )
            frame = await stream.read_until("new_item")
            assert (frame.data["id"], frame.sequence) == (id_, last)
            assert {
                "title", "source", "tickers", "tags", "sentiment", "score", "timestamp",
            } <= set(frame.data)  # fmt: skip
            counted = await stream.read_until("metrics")
            assert counted.data["total"] == before.data["total"] + 1
            assert {"positive", "neutral", "negative", "tags", "rates"} <= set(counted.data)
            await stream.read_until("heartbeat")

    async def test_configuration_stream_follows_a_change_of_its_tickers(
        self, user: SignedInUser, fresh: Callable[[str], str]
    ) -> None:
        id_ = fresh("conf")

        async def configured(tag: str, tickers: list[str]) -> None:
            event = golden_event(tag, configuration__id=id_, configuration__tickers=tickers,
                           configuration__tags=[])  # fmt: skip
            await user.append("configurations", id_, event)

        async def item(ticker: str) -> int:
            event = golden_event("item.analysed", item__tickers=[ticker])
            return await user.append_public("items", fresh("i"), event)

        path = f"/api/v2/configurations/{id_}/stream"
        answer = await user.connect(path)
        assert answer.status == 404
        await answer.close()
        await configured("configuration.created", ["AAA"])
        answer = await user.edge.connect(path)
        assert answer.status == 401
        await answer.close()
        async with await user.open_stream(path) as stream:
            await stream.read_until("checkpoint")
            await item("BBB")
            last = await item("AAA")
            assert (await stream.read_until("new_item")).sequence == last
            await configured("configuration.changed", ["BBB"])
            await item("AAA")
            last = await item("BBB")
            assert (await stream.read_until("new_item")).sequence == last
        other = await user.edge.sign_in(fresh("bob"))
        answer = await user.edge.connect(path, other)
        assert answer.status == 404
        await answer.close()


@pytest.mark.parametrize(
    ("path", "domain", "tag", "name"),
    [
        ("/api/v2/stream", "items", "item.analysed", "new_item"),
        ("/api/sse/notifications", "notifications", "notification.created", "notification"),
    ],
)
async def test_busy_stream_sends_heartbeats(
    harness: Harness,
    alice: str,
    journal: EventLogDriver,
    fresh: Callable[[str], str],
    path: str,
    domain: str,
    tag: str,
    name: str,
) -> None:
    """A client treats a missing heartbeat as the end of the stream (D1, N1)."""
    edge = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=0.3)
    owner = EVERYBODY if domain == "items" else alice
    async with (
        asyncio.timeout(WAIT_TIMEOUT_SECONDS),
        await edge.open_stream(path, await edge.sign_in(alice)) as stream,
    ):
        while len([frame for frame in stream.frames if frame.event == "heartbeat"]) < 2:
            last = await journal.append_event(owner, domain, fresh("busy"), golden_event(tag))
            await stream.read_until("it", partial(is_event_at, name=name, sequence=last))


class TestHistoricalReplay:
    """Replays with `since` and `until` (B9)."""

    async def test_interval_is_replayed_and_the_stream_ends(self, user: SignedInUser) -> None:
        await user.append("orders", "0", order_placed("0"))
        await asyncio.sleep(0.05)
        since = datetime.now(UTC)
        await asyncio.sleep(0.05)
        wanted = [await user.append("orders", f"{n}", order_placed(f"{n}")) for n in (1, 2)]
        await asyncio.sleep(0.05)
        end = datetime.now(UTC)
        await asyncio.sleep(0.05)
        await user.append("orders", "3", order_placed("3"))

        query = f"since={_utc(since)}&until={_utc(end)}"
        async with await user.open_stream(f"/api/stream/orders?{query}") as stream:
            *events, complete = await stream.read_to_end()
        assert [event.sequence for event in events] == wanted
        assert complete.event == "replay:complete"

        again = await user.connect(f"/api/stream/orders?{query}", last_event_id=complete.id)
        assert again.status == 204
        await again.close()

    async def test_replay_without_until_continues_live(self, user: SignedInUser) -> None:
        since = datetime.now(UTC) - timedelta(seconds=60)
        wanted = [await user.append("orders", "1", order_placed("1"))]
        async with await user.open_stream(f"/api/stream/orders?since={_utc(since)}") as stream:
            first = await stream.read_until("order:update")
            assert first.sequence == wanted[0]
            last = await user.append("orders", "2", order_placed("2"))
            assert (await stream.read()).sequence == last

    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ("since=yesterday", "since"),
            ("since=2026-03-02T14:30:00Z&until=never", "until"),
            ("until=2026-03-02T14:30:00Z", "until"),
            ("since=0001-01-01T00:00:00%2B23:00", "since"),
            ("since=2263-01-01", "since"),
            ("since=9999-12-31T23:59:59-12:00", "since"),
            ("since=1969-12-31T23:59:59Z", "since"),
            ("since=2026-03-02&until=1969-12-31", "until"),
        ],
    )
    async def test_invalid_time_is_422_with_its_field(
        self, user: SignedInUser, query: str, path: str
    ) -> None:
        answer = await user.connect(f"/api/stream/orders?{query}")
        assert answer.status == 422
        assert CODEC.decode(await answer.body(), dict)["path"] == path
        await answer.close()

    @pytest.mark.parametrize("until", ["9999-12-31", "2262-04-12", "2100-01-01T00:00:00Z"])
    async def test_an_end_in_the_future_is_the_present(
        self, user: SignedInUser, until: str
    ) -> None:
        """A time that no message server can count used to be one before all events."""
        since = datetime.now(UTC) - timedelta(seconds=60)
        wanted = [await user.append("orders", "1", order_placed("1"))]
        query = f"since={_utc(since)}&until={until}"
        async with await user.open_stream(f"/api/stream/orders?{query}") as stream:
            *events, complete = await stream.read_to_end()
        # Earlier tests have left public events, which every stream shows.
        orders = [event for event in events if event.event == "order:update"]
        assert [order.sequence for order in orders] == wanted, {one.event for one in events}
        assert complete.event == "replay:complete"

    async def test_price_stream_rejects_since(self, edge: EdgeProcess) -> None:
        answer = await edge.connect("/api/stream/prices?since=2026-03-02T14:30:00Z")
        assert answer.status == 422
        await answer.close()


def keys_of(data: Any) -> Iterator[Any]:
    """The keys of all objects in `data`, at any depth."""
    if isinstance(data, dict):
        yield from data
    for part in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from keys_of(part)


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
