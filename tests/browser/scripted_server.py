"""A server with scripted responses, for situations that a real server rarely produces.

It serves the built terminal under the content security policy of the edge. The test scripts
everything under /api/: answers to calls, and what the stream of topics opens with and sends.
"""

import asyncio
import contextlib
import itertools
import json
import mimetypes
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tapewire_services.edge.http.pages import CONTENT_SECURITY_POLICY, TERMINAL_PATHS
from tests.harness.connections import serve_connections
from tests.harness.pages import build_terminal

SIGN_OF_LIFE_SECONDS = 0.5
"""The edge says so often that a stream without new prices is alive."""
PRICES_KEEPALIVE_MS = 2_000
"""A stream with prices that is silent for three of these is not live."""
IBM_QUOTE = {
    "symbol": "IBM",
    "price": 182.0,
    "bid": 181.99,
    "ask": 182.01,
    "volume": 1200,
    "change": -0.5,
    "changePercent": -0.274,
    "timestamp": "2026-01-05T14:30:00Z",
    "age": 0.1,
    "stale": False,
}

ScriptedAnswer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
ScriptedEvent = tuple[str, Any]


def error_answer(status: int, message: str, **more: Any) -> ScriptedAnswer:
    """An error response in the format that all errors share."""
    return status, {"error": "Error", "message": message, "statusCode": status, **more}


def price_events(*quotes: dict[str, Any]) -> list[ScriptedEvent]:
    """What the topic `prices` opens with for these quotes."""
    snapshot = {"initializing": True, "prices": quotes, "timestamp": IBM_QUOTE["timestamp"]}
    return [("price:update", snapshot)]


class ScriptedServer:
    """`answer_call` scripts the answers, and `openings` the events that each topic of a stream
    begins with. `requests` holds the received calls, as (method and path, JSON body). Start it with
    `run_scripted_server`."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, Any]] = []
        self.openings: dict[str, list[ScriptedEvent]] = {"prices": price_events(IBM_QUOTE)}
        self.is_streaming = True
        """False: streams are refused, and what is known is from before."""
        self.is_caught_up = True
        """False: streams do not say that they have sent all that they open with."""
        self._is_sending = asyncio.Event()
        self._is_sending.set()
        self._answers: dict[str, Callable[[Any], ScriptedAnswer]] = {}
        self._numbers = itertools.count(1)
        self._last_number = 0
        self._sent: list[tuple[int, bytes]] = []
        self._streams: dict[str, tuple[asyncio.StreamWriter, set[str]]] = {}
        self.answer_always("GET /api/session", error_answer(401, "No valid session found"))
        for path, name in [
            ("orders", "orders"), ("trades", "trades"), ("strategies", "strategies"),
            ("notifications", "notifications"), ("v2/items", "items"),
            ("v2/configurations", "configurations"), ("alerts/rules", "rules"),
        ]:  # fmt: skip
            self.answer_list(path, name)

    @property
    def is_silent(self) -> bool:
        """Whether nothing is sent on streams, as if something on the way held them back."""
        return not self._is_sending.is_set()

    @is_silent.setter
    def is_silent(self, is_silent: bool) -> None:
        if is_silent:
            self._is_sending.clear()
        else:
            self._is_sending.set()

    @property
    def position(self) -> str:
        """The id of the last event."""
        return f"e-{self._last_number}"

    def answer_call(self, call: str, answer: Callable[[Any], ScriptedAnswer]) -> None:
        """Answer `call`, such as "POST /api/orders", from its JSON body."""
        self._answers[call] = answer

    def answer_always(self, call: str, answer: ScriptedAnswer) -> None:
        """Answer `call` in the same way every time."""
        self.answer_call(call, lambda _: answer)

    def answer_list(self, path: str, name: str, *rows: dict[str, Any], **more: Any) -> None:
        """Answer the call for a list, which has all that happened so far."""

        def answer(_: Any) -> ScriptedAnswer:
            position = {"asOf": self.position, "as_of": self.position}
            return 200, {name: rows, "more": False, "reset": False, "unread": 0, **position, **more}

        self.answer_call(f"GET /api/{path}", answer)

    def request_bodies(self, call: str) -> list[Any]:
        return [body for received_call, body in self.requests if received_call == call]

    def sign_in_user(self, user: str, *, orders: list[dict[str, Any]] | None = None) -> None:
        """Script an existing session of a user who has these orders."""
        session = {"userId": user, "roles": [], "expiresAt": "2099-01-01T00:00:00Z"}
        self.answer_always("GET /api/session", (200, session))
        self.openings["orders"] = [("order:update", {"snapshot": True, "orders": orders or []})]
        self.openings["notifications"] = [("notification:unread", {"unread": 0})]

    def send(self, event: str, data: Any) -> None:
        """Send an event on every open stream."""
        frame = self._frame(event, data)
        self._sent.append((self._last_number, frame))
        for writer, _ in self._streams.values():
            writer.write(frame)

    def end_streams(self) -> None:
        """End every stream, and refuse the next ones."""
        self.is_streaming = False
        self.cut_streams()

    def cut_streams(self) -> None:
        """End every stream; the next ones are served."""
        for writer, _ in self._streams.values():
            writer.transport.abort()

    def _frame(self, event: str, data: Any) -> bytes:
        id_line = ""
        if not event.startswith(("price:", "stream:", "connected")):
            self._last_number = next(self._numbers)
            id_line = f"id: {self.position}\n"
        return f"event: {event}\ndata: {json.dumps(data)}\n{id_line}\n".encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the one request of a connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request_line, *lines = head.split("\r\n")
            method, target, _ = request_line.split(" ")
            names = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
            content = await reader.readexactly(int(names.get("content-length", "0")))
            url = urlsplit(target)
            body: Any = json.loads(content) if content else None
            if not url.path.startswith("/api/"):
                _write_file(writer, url.path)
            elif url.path == "/api/stream" and self.is_streaming and "wait=" in url.query:
                await asyncio.sleep(SIGN_OF_LIFE_SECONDS)
                _write_json(writer, 200, {"events": [], "lastEventId": self.position})
            elif url.path == "/api/stream" and self.is_streaming:
                topics = parse_qs(url.query)["topics"][0].split(",")
                last_id = names.get("last-event-id", "")
                await self._stream(writer, {unquote(topic) for topic in topics}, last_id)
            elif method == "PATCH" and url.path.startswith("/api/stream/"):
                self._change_stream(writer, url.path.rpartition("/")[2], set(body["topics"]))
            else:
                self._answer(writer, f"{method} {url.path}", body)
            await writer.drain()
        writer.close()

    async def _stream(self, writer: asyncio.StreamWriter, topics: set[str], last_id: str) -> None:
        """Serve a stream, one that resumes after the event `last_id` unless that is empty."""
        await self._is_sending.wait()
        client_id = f"client-{next(self._numbers)}"
        self._streams[client_id] = writer, topics
        try:
            _write_head(writer, 200, {"content-type": "text/event-stream"})
            content = {"clientId": client_id, "pricesKeepaliveMs": PRICES_KEEPALIVE_MS}
            writer.write(b"retry: 1000\n\n" + self._frame("connected", content))
            self._open_topics(writer, {"prices"} & topics if last_id else topics)
            for number, frame in self._sent:
                if last_id and number > int(last_id.rpartition("-")[2]):
                    writer.write(frame)
            if self.is_caught_up:
                writer.write(b": live\n\n")
            while True:
                await writer.drain()
                await asyncio.sleep(SIGN_OF_LIFE_SECONDS)
                await self._is_sending.wait()
                writer.write(b": prices\n\n")
        finally:
            del self._streams[client_id]

    def _open_topics(self, writer: asyncio.StreamWriter, topics: set[str]) -> None:
        for topic in sorted(topics):
            for event, data in self.openings.get(topic, []):
                writer.write(self._frame(event, data))

    def _change_stream(
        self, writer: asyncio.StreamWriter, client_id: str, topics: set[str]
    ) -> None:
        content = {"clientId": client_id, "topics": sorted(topics), "symbols": None, "maxRate": 10}
        stream, before = self._streams[client_id]
        self._open_topics(stream, topics - before)
        stream.write(self._frame("stream:updated", content))
        self._streams[client_id] = stream, topics
        _write_json(writer, 200, content)

    def _answer(self, writer: asyncio.StreamWriter, call: str, body: Any) -> None:
        self.requests.append((call, body))
        answer = self._answers.get(
            call, lambda _: error_answer(404, f"nothing scripted for {call}")
        )
        status, payload, *more = answer(body)
        _write_json(writer, status, payload, more[0] if more else {})


def _write_head(writer: asyncio.StreamWriter, status: int, headers: dict[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} Scripted", "connection: close", "cache-control: no-store"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


def _write_json(
    writer: asyncio.StreamWriter, status: int, payload: Any, headers: dict[str, str] | None = None
) -> None:
    content = json.dumps(payload).encode()
    _write_head(
        writer,
        status,
        {
            "content-type": "application/json",
            "content-length": str(len(content)),
            **(headers or {}),
        },
    )
    writer.write(content)


def _write_file(writer: asyncio.StreamWriter, path: str) -> None:
    name = "index.html" if path in TERMINAL_PATHS else path.removeprefix("/")
    file = build_terminal() / name
    if not file.is_file():
        _write_json(writer, *error_answer(404, f"no file {name}")[:2])
        return
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if file.suffix == ".js":
        content_type = "text/javascript"
    content = file.read_bytes()
    headers = {
        "content-type": f"{content_type}; charset=utf-8",
        "content-length": str(len(content)),
        "content-security-policy": CONTENT_SECURITY_POLICY,
    }
    _write_head(writer, 200, headers)
    writer.write(content)


@contextlib.asynccontextmanager
async def run_scripted_server() -> AsyncIterator[ScriptedServer]:
    """Run a server during the block."""
    build_terminal()
    server = ScriptedServer()
    async with serve_connections(server.serve) as port:
        server.url = f"http://127.0.0.1:{port}"
        yield server
