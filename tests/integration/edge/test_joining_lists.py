"""A REST list and a stream of its topic join without a gap, at the `asOf` of the list (U1, W3).

A page reads its lists while its one stream is open, and other tabs go on changing everything. The
causes are real: REST calls to a whole system. Whatever a list holds, the later events of the topic
bring it to the state that the list has in the end; it is as good to resume a stream from `asOf`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import httpx
import pytest

from tests.harness import sse
from tests.harness.sse import READ_TIMEOUT_SECONDS, Frame, SseStream
from tests.harness.stack import Stack
from tests.harness.waiting import POLL_INTERVAL_SECONDS, wait_until

ROWS_TIMEOUT_SECONDS = 60.0
JOINS = 3
"""How often each list is read while everything changes."""
FAR = {"symbol": "IBM", "side": "buy", "type": "limit", "qty": 1, "limitPrice": 0.01}
MARKET = {"symbol": "IBM", "side": "buy", "type": "market", "qty": 1}
RULE_OF_THE_END = {"kind": "price_below", "symbol": "IBM", "price": 0.01}
RULE = {"kind": "moving_average_crossover", "fast": 2, "slow": 3}

State = dict[str, Any]
Apply = Callable[[State, Frame], None]


class JoinedList:
    """A list: its path and topic, and how its rows and the topic's events make a state."""

    def __init__(
        self, path: str, topic: str, field: str, key: str, value: str, apply: Apply
    ) -> None:
        self.path = path
        self.topic = topic
        self._field = field
        self._key = key
        self._value = value
        self._apply = apply

    def __repr__(self) -> str:
        return self.path

    async def read(self, http: httpx.AsyncClient) -> tuple[State, str]:
        """The state of all pages, and the `asOf` of the first one."""
        answer = await http.get(self.path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        as_of = page.get("asOf") or page["as_of"]
        rows = page[self._field]
        while "next" in page:
            page = (await http.get(self.path, params={"cursor": page["next"]})).json()
            rows += page[self._field]
        # A position of 0 is closed.
        existing = [row for row in rows if row.get("quantity", 1) != 0]
        return {row[self._key]: row[self._value] for row in existing}, as_of

    def join(self, state: State, as_of: str, frames: Iterable[Frame]) -> State:
        """The state after the events that are later than `as_of`."""
        joined = dict(state)
        for frame in frames:
            if frame.id is not None and frame.sequence > _sequence(as_of):
                self._apply(joined, frame)
        return joined


def _sequence(event_id: str) -> int:
    return int(event_id.rpartition("-")[2])


def _apply_rows(events: tuple[str, ...], key: str, value: str) -> Apply:
    """An event has a row; after `deleted` there is none."""

    def apply(state: State, frame: Frame) -> None:
        if frame.event is not None and frame.event in events and not frame.data.get("snapshot"):
            state[frame.data[key]] = frame.data[value]
            if frame.data.get("change") == "deleted":
                del state[frame.data[key]]

    return apply


def _apply_position(state: State, frame: Frame) -> None:
    if frame.event == "position:update" and not frame.data.get("snapshot"):
        for one in frame.data["positions"]:
            state[one["symbol"]] = one["quantity"]
            if not one["quantity"]:
                del state[one["symbol"]]


def _apply_notification(state: State, frame: Frame) -> None:
    if frame.event == "notification":
        state[frame.data["id"]] = frame.data["is_read"]
    elif frame.event == "notification:read":
        ids = frame.data["ids"]
        state.update(dict.fromkeys(state if ids is None else ids, True))


def _apply_item(state: State, frame: Frame) -> None:
    if frame.event in ("new_item", "item:corrected"):
        state[frame.data["id"]] = frame.data["title"]
    elif frame.event == "item:retracted":
        state.pop(frame.data["id"], None)


def _rows(path: str, topic: str, field: str, key: str, value: str, *events: str) -> JoinedList:
    return JoinedList(path, topic, field, key, value, _apply_rows(events, key, value))


LISTS = (
    _rows("/api/orders", "orders", "orders", "orderId", "status", "order:update", "order:fill"),
    _rows("/api/trades", "orders", "trades", "tradeId", "qty", "trade:new"),
    JoinedList("/api/positions", "positions", "positions", "symbol", "quantity", _apply_position),
    _rows("/api/strategies", "strategies", "strategies", "strategyId", "name", "strategy:update"),
    _rows("/api/alerts", "alerts", "alerts", "alertId", "message", "alert:new"),
    _rows("/api/alerts/rules", "alert-rules", "rules", "ruleId", "armed", "rule:update"),
    JoinedList(
        "/api/notifications",
        "notifications",
        "notifications",
        "id",
        "is_read",
        _apply_notification,
    ),
    _rows(
        "/api/v2/configurations",
        "configurations",
        "configurations",
        "id",
        "name",
        "configuration:update",
    ),
    JoinedList("/api/v2/items", "items", "items", "id", "title", _apply_item),
)
ALL_TOPICS = "/api/stream?topics=" + ",".join(dict.fromkeys(one.topic for one in LISTS))


@pytest.fixture
async def http(stack: Stack, fresh: Callable[[str], str]) -> AsyncIterator[httpx.AsyncClient]:
    cookies = stack.sign_in(fresh("joins"), ["admin"])
    async with httpx.AsyncClient(base_url=stack.url, cookies=cookies, timeout=60) as client:
        yield client


@contextlib.asynccontextmanager
async def collecting(stream: SseStream) -> AsyncIterator[None]:
    """Read the stream all the time; `stream.frames` has what has come."""

    async def collect() -> None:
        while True:
            await stream.read(seconds=600)

    task = asyncio.create_task(collect())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await stream.close()


class OtherTabs:
    """Changes everything that the lists have, until `stop`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._is_stopping = False
        self.rounds = 0

    async def run(self) -> None:
        while not self._is_stopping:
            await asyncio.gather(
                self._trade(), self._change_strategies(), self._alert(), self._configure(),
                self._publish(),
            )  # fmt: skip
            self.rounds += 1

    async def wait_for_round(self, number: int) -> None:
        """Wait until everything was changed more than `number` times."""
        await wait_until("everything has changed", lambda: self.rounds > number)

    def stop(self) -> None:
        self._is_stopping = True

    async def _post(self, path: str, body: Any = None) -> Any:
        answer = await self._http.post(path, json=body)
        assert answer.is_success, (path, answer.text)
        return answer.json()

    async def _delete(self, path: str) -> None:
        answer = await self._http.delete(path)
        assert answer.is_success, (path, answer.text)

    async def _trade(self) -> None:
        """Buy more than is sold: a list of positions without any would prove nothing."""
        side = {"side": "sell", "qty": 1} if self.rounds % 2 else {"side": "buy", "qty": 2}
        await self._post("/api/orders", MARKET | side)
        far = await self._post("/api/orders", FAR)
        await self._delete(f"/api/orders/{far['orderId']}")

    async def _change_strategies(self) -> None:
        body = {"symbol": "IBM", "rule": RULE, "quantity": 1, "name": f"s{self.rounds}"}
        remaining, deleted = [(await self._post("/api/strategies", body)) for _ in range(2)]
        path = f"/api/strategies/{remaining['strategyId']}"
        await self._http.patch(path, json={"name": f"changed {self.rounds}"})
        await self._delete(f"/api/strategies/{deleted['strategyId']}")

    async def _alert(self) -> None:
        """One rule triggers at once, the other never; reading is of all notifications so far."""
        rule = {"kind": "price_above", "symbol": "IBM", "price": 0.01}
        await self._post("/api/alerts/rules", rule)
        never = await self._post("/api/alerts/rules", {**rule, "price": 1_000_000})
        await self._delete(f"/api/alerts/rules/{never['ruleId']}")
        await self._post("/api/notifications/read-all")

    async def _configure(self) -> None:
        body = {"name": "mine", "tickers": ["IBM"]}
        remaining, deleted = [(await self._post("/api/v2/configurations", body)) for _ in range(2)]
        path = f"/api/v2/configurations/{remaining['id']}"
        await self._http.patch(path, json={"name": f"changed {self.rounds}"})
        await self._delete(f"/api/v2/configurations/{deleted['id']}")

    async def _publish(self) -> None:
        for title in ("kept", "withdrawn"):
            body = {"title": f"{title} {self.rounds}", "source": "tests", "tickers": ["IBM"]}
            item = await self._post("/api/v2/items", body)
        await self._delete(f"/api/v2/items/{item['id']}")


async def read_missed(http: httpx.AsyncClient, topic: str, last_id: str, end: str) -> list[Frame]:
    """What a client resumes with that has the last id `last_id`, up to the id `end`."""
    frames = list[Frame]()
    async with asyncio.timeout(READ_TIMEOUT_SECONDS):
        while _sequence(last_id) < _sequence(end):
            headers = {"Accept": "application/json", "Last-Event-ID": last_id}
            answer = await http.get(f"/api/stream?topics={topic}&wait=1", headers=headers)
            document = answer.json()
            last_id = document["lastEventId"]
            frames += [
                Frame(b"", one["event"], one["data"], one["id"]) for one in document["events"]
            ]
    return frames


async def _read_rows(joined: JoinedList, http: httpx.AsyncClient) -> tuple[State, str]:
    """The rows of a list once it has some, and its id: orders may wait, and views lag."""
    async with asyncio.timeout(ROWS_TIMEOUT_SECONDS):
        while True:
            state, end = await joined.read(http)
            if state:
                return state, end
            await asyncio.sleep(POLL_INTERVAL_SECONDS)


async def test_every_list_joins_its_topic_without_a_gap(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    stream = await sse.connect(stack.url, ALL_TOPICS, cookie=http.cookies["session"])
    await stream.read_until("the position of the stream", lambda frame: frame.id)
    tabs, joins = OtherTabs(http), list[tuple[JoinedList, State, str]]()
    async with collecting(stream):
        working = asyncio.create_task(tabs.run())
        for number in range(JOINS):
            await tabs.wait_for_round(number)
            joins += [(joined, *await joined.read(http)) for joined in LISTS]
        tabs.stop()
        await working
        ends = {one.path: await _read_rows(one, http) for one in LISTS}
        last = (await http.post("/api/alerts/rules", json=RULE_OF_THE_END)).json()["ruleId"]
        await wait_until(
            "the stream has everything",
            lambda: any(
                one.event == "rule:update" and one.data["ruleId"] == last for one in stream.frames
            ),
        )
    for joined, state, as_of in joins:
        end_state, end = ends[joined.path]
        assert end_state, f"{joined} has no rows, which proves nothing"
        missed = await read_missed(http, joined.topic, as_of, end)
        for frames in (stream.frames, missed):
            until_end = [one for one in frames if one.id and one.sequence <= _sequence(end)]
            assert joined.join(state, as_of, until_end) == end_state, (joined, as_of)
        assert "stream:reset" not in {one.event for one in missed}
