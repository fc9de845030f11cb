"""The OpenAPI and AsyncAPI documents describe what streams and services really send.

Schemas are closed: a field that is not described fails as much as one that is missing.
"""

import asyncio
import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from nats.aio.msg import Msg

from tapewire.cli.protocol.asyncapi import build_asyncapi
from tapewire.log.jetstream import NatsConnection, connect
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts import insights
from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES
from tapewire_services.edge.delivery.topics import SELECTABLE_TOPICS
from tests.harness.edge import USE_DEFAULT, EdgeProcess, Harness
from tests.harness.waiting import wait_until
from tests.integration.edge.openapi_document import OPENAPI_PATH, OpenApiDocument, close_objects

MAX_JUDGED = 20
"""How many events of one name are judged on each stream, and how many messages of one name."""
DESCRIBED_SUBJECTS = re.compile(r"(ev|px|mk|val)\.|svc\.[^.]+\.[^.]+$")
"""Those of events, values and requests; probes of a request's instances are internal."""
SERVICES = ("prices", "orders", "positions", "strategies", "alerts", "insights")
USER = "alice"
STREAM_EVENTS = {
    "connected", "order:update", "order:fill", "trade:new", "position:update", "price:update",
    "account:update",
    "strategy:update", "ai:decision", "alert:new", "agent:status", "metrics", "checkpoint",
    "CONNECTED", "initial_state", "subscribed", "PRICE_UPDATE", "STRATEGY_STARTED",
    "STRATEGY_UPDATED", "ORDER_PLACED", "ORDER_EXECUTED", "new_item", "item:corrected",
    "item:retracted", "notification", "notification:unread", "notification:read", "bar:snapshot",
    "bar:update", "item:metrics", "rule:update", "configuration:update",
}  # fmt: skip
"""What the streams must have sent before they are judged."""
MESSAGES = {
    "order.placed.v1", "order.filled.v1", "trade.executed.v1", "position.opened.v1",
    "position.valued.v1", "price.updated.v1", "strategy.started.v1", "decision.made.v1",
    "rule.triggered.v1", "alert.raised.v1", "notification.created.v1", "item.analysed.v1",
    "agent.status.v1", "svc.orders.place.request", "svc.orders.place.reply", "ErrorReply",
    "Acknowledgement", "svc.prices.newest-bars.request", "svc.prices.newest-bars.reply",
}  # fmt: skip
"""What must have been sent over NATS before it is judged."""


class NatsMessages:
    """The messages of all subjects that the AsyncAPI document describes."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = close_objects(document)
        self.received = Counter[str]()
        self.errors: list[str] = []
        self._patterns = [
            (re.compile(_pattern(channel["address"])), channel)
            for channel in self.document["channels"].values()
            if channel["address"] is not None
        ]
        self._replies: dict[str, str] = {}

    async def receive(self, message: Msg) -> None:
        """Judge a message. A reply belongs to the request that named its subject."""
        if not message.data and "Status" in (message.headers or {}):
            return  # the server's own: nobody listens
        if message.subject in self._replies:
            call = self._replies[message.subject]
            headers = message.headers or {}
            if "Tw-Ack" in headers:
                self._judge("Acknowledgement", message)
            else:
                is_error = "Nats-Service-Error" in headers
                self._judge("ErrorReply" if is_error else f"{call}.reply", message)
            return
        found = [
            channel for pattern, channel in self._patterns if pattern.fullmatch(message.subject)
        ]
        if not found:
            if DESCRIBED_SUBJECTS.match(message.subject):
                self.errors.append(f"{message.subject} is not described")
            return
        names = [
            reference["$ref"].rpartition("/")[2]
            for channel in found
            for reference in channel["messages"].values()
        ]
        if message.reply and message.subject.startswith("svc."):
            self._replies[message.reply] = message.subject
        tag = (message.headers or {}).get("Tw-Type", names[0])
        if tag in names:
            self._judge(tag, message)
        else:
            self.errors.append(f"{message.subject} has the message {tag}")

    def _judge(self, name: str, message: Msg) -> None:
        self.received[name] += 1
        if self.received[name] > MAX_JUDGED:
            return
        for validator, value in zip(
            self._validators(name),
            (json.loads(message.data or b"null"), dict(message.headers or {})),
            strict=True,
        ):
            for error in validator.iter_errors(value):
                self.errors.append(f"{name} at {error.json_path}: {error.message[:300]}")

    @functools.cache  # noqa: B019 - there is one instance
    def _validators(self, name: str) -> tuple[Draft202012Validator, Draft202012Validator]:
        """The validators of a message's payload and headers; it may have further headers."""
        described = self.document["components"]["messages"][name]
        headers = {**described.get("headers", {})}
        headers.pop("additionalProperties", None)
        payload, named = (
            Draft202012Validator({**schema, "components": self.document["components"]})
            for schema in (described.get("payload", {"type": "null"}), headers)
        )
        return payload, named


def _pattern(address: str) -> str:
    return "".join(
        "[^.]+" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[^}]+\})", address)
    )


async def _follow(
    edge: EdgeProcess, document: OpenApiDocument, path: str, names: Counter[str], **parts: str
) -> None:
    """Judge every event of a stream until cancelled."""
    template, judged = path.partition("?")[0], Counter[str]()
    cookie = parts.pop("cookie")
    stream = await edge.connect(path.format_map(parts), cookie)
    assert stream.status == 200, (path, await stream.body())
    async with stream:
        async for frame in stream:
            if frame.event is not None:
                names[frame.event] += 1
                judged[frame.event] += 1
                if judged[frame.event] <= MAX_JUDGED:
                    document.assert_event_documented(template, frame)


async def test_all_events_of_all_streams_and_all_messages_are_as_described(
    isolated_harness: Harness,
) -> None:
    harness = isolated_harness
    edge = harness.start_edge()
    for name in SERVICES:
        harness.start_service(name, TAPEWIRE_SPEED="5", TAPEWIRE_FEED_SYMBOLS="IBM,SPY")
    document = OpenApiDocument(await _fetch(edge))
    messages, names = NatsMessages(build_asyncapi("tapewire")), Counter[str]()
    connection = await connect(harness.broker.url, "test")
    try:
        # One subscription, so that a reply follows its request.
        await connection.client.subscribe(">", cb=messages.receive)
        cookie = await edge.sign_in(USER)
        await edge.wait_for_quotes("IBM", "SPY")
        ids = await _create_strategy_and_configuration(edge, cookie)
        async with asyncio.TaskGroup() as group:
            following = [
                group.create_task(_follow(edge, document, path, names, cookie=cookie, **ids))
                for path in _stream_paths()
            ]
            await _use_every_service(edge, connection, cookie, ids, names)
            await asyncio.to_thread(
                harness.start_service, "alerts", TAPEWIRE_AGENT_HEARTBEAT=USE_DEFAULT
            )
            await wait_until(
                "the streams have shown everything",
                lambda: names.keys() >= STREAM_EVENTS and messages.received.keys() >= MESSAGES,
                describe_last=lambda: (
                    STREAM_EVENTS - names.keys(),
                    MESSAGES - messages.received.keys(),
                ),
            )
            for task in following:
                task.cancel()
    finally:
        await connection.close()
    assert not messages.errors, messages.errors[:10]


async def _fetch(edge: EdgeProcess) -> dict[str, Any]:
    async with edge.client() as http:
        document: dict[str, Any] = (await http.get(OPENAPI_PATH)).json()
    return document


def _stream_paths() -> Iterator[str]:
    for route in STREAM_ROUTES:
        if route.path == "/api/stream":
            topics = ",".join(SELECTABLE_TOPICS).replace("bars", "bars:IBM:1s")
            yield f"{route.path}?topics={topics}"
        else:
            yield route.path


async def _create_strategy_and_configuration(edge: EdgeProcess, cookie: str) -> dict[str, str]:
    """Create what paths of streams name; return its ids by the names of path parameters."""
    rule = {"kind": "moving_average_crossover", "fast": 2, "slow": 3}
    async with edge.client(cookie) as http:
        strategy = await http.post(
            "/api/strategies", json={"symbol": "IBM", "rule": rule, "quantity": 1}
        )
        assert strategy.is_success, strategy.text
        configuration = await http.post(
            "/api/v2/configurations", json={"name": "mine", "tickers": ["IBM"]}
        )
        assert configuration.is_success, configuration.text
    return {
        "strategy_id": strategy.json()["strategyId"],
        "configuration_id": configuration.json()["id"],
    }


async def _use_every_service(
    edge: EdgeProcess,
    connection: NatsConnection,
    cookie: str,
    ids: dict[str, str],
    names: Counter[str],
) -> None:
    """Cause every kind of event; `names` has the events that streams have shown."""
    client = RequestClient(connection)
    async with edge.client(cookie) as http:

        async def post(path: str, body: Any = None) -> Any:
            answer = await http.post(path, json=body)
            assert answer.is_success, (path, answer.text)
            return answer.json() if answer.content else None

        await post(f"/api/strategies/{ids['strategy_id']}/start")
        await post("/api/orders", {"symbol": "IBM", "side": "buy", "type": "market", "qty": 2})
        far = {"symbol": "IBM", "side": "buy", "type": "limit", "qty": 1, "limitPrice": 0.01}
        placed = await post("/api/orders", far)
        await http.delete(f"/api/orders/{placed['orderId']}")
        refused = await http.get("/api/orders/none-such")
        assert refused.status_code == 404
        await post("/api/alerts/rules", {"kind": "price_above", "symbol": "IBM", "price": 0.01})
        await client.request(
            insights.SERVICE,
            insights.LOAD,
            insights.LoadItems(
                items=(insights.NewItem(title="IBM rises", source="a", tickers=("IBM",)),)
            ),
            insights.LoadReply,
            correlation="descriptions",
        )
        [item] = (await http.get("/api/v2/items")).json()["items"]
        changed = insights.PutItem(id=item["id"], title="IBM falls", source="a", tickers=("IBM",))
        for verb, request in (
            (insights.PUT, changed),
            (insights.RETRACT, insights.RetractItem(id=item["id"])),
        ):
            await client.request(
                insights.SERVICE,
                verb,
                request,
                insights.ItemReply,
                correlation="descriptions",
                command_id=f"descriptions-{verb}",
            )
        await wait_until("the fill is notified", lambda: "notification" in names)
        unread = (await http.get("/api/notifications")).json()["notifications"]
        await post("/api/notifications/read", {"ids": [one["id"] for one in unread]})
