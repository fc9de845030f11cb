"""The streams of bars: QUOTES, which they are folded from, and BARS, in which they are kept.

QUOTES holds every quote of the last minutes, in the order in which MARKET stored them. BARS holds
the closed bars of each symbol and interval, and of each symbol the state that the next quote is
folded into. Who folds bars calls `BarStore.claim` first: from then on the store accepts nothing of
an earlier owner.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from nats.aio.msg import Msg

from tapewire.log.bounds import Bounds
from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.atomic_batch import CONFLICT_CODES, OutgoingMessage, store_together
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.streams import BARS, QUOTES
from tapewire.log.ports import (
    CATCH_UP_PAGE_BYTES,
    CATCH_UP_PAGE_EVENTS,
    AppendRejected,
    Conflict,
    Unavailable,
)
from tapewire.log.subjects import decode_token, encode_token

BATCH_SYMBOLS = 150
"""Symbols that are stored in one atomic batch."""
_STATES = "bars.state.symbol."
_POSITION = "bars.state.position"
_ONE_PER_SUBJECT = {"Nats-Rollup": "sub"}
"""The headers of a message that replaces the earlier ones of its subject."""


class StoredQuote(msgspec.Struct, frozen=True):
    """A quote of QUOTES, encoded, with its sequence and the time at which it was stored."""

    sequence: int
    stored_at: datetime
    data: bytes


class QuoteHistory:
    """The quotes of the last minutes."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection

    async def bounds(self) -> Bounds:
        """The extent of the history. Its epoch changes when it begins anew. Raises Unavailable."""
        return await stream_reads.bounds(self._connection, QUOTES)

    async def read_after(self, sequence: int) -> list[StoredQuote]:
        """The first quotes after `sequence`; none at the end. Raises Unavailable."""
        page = await stream_reads.read_page(
            self._connection,
            QUOTES,
            ">",
            after=sequence,
            limit=CATCH_UP_PAGE_EVENTS,
            max_bytes=CATCH_UP_PAGE_BYTES,
        )
        return [_stored_quote(message) for message in page.messages]


class SymbolRecord(msgspec.Struct, frozen=True):
    """What is stored of one symbol at once: its state, and the bars that were closed since, encoded
    by interval. `seconds` is how long the bars of an interval are kept, None as long as there is
    room."""

    symbol: str
    state: bytes
    closed: tuple[tuple[str, bytes, int | None], ...]


class BarStore:
    """The bars of all symbols. The contents of messages are the caller's."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection
        self._revision = 0
        self._position = b""

    async def claim(self) -> tuple[dict[str, bytes], bytes | None]:
        """Become the only one who may store bars. Return the states by symbol, and the position
        that was stored last; None before the first.

        Raises:
            LogError: the stream cannot be read or written now.
        """
        stored = await self._read_all(_POSITION)
        self._position = stored[-1].data if stored else b""
        await self._store_batch([], self._position, expects_own=False)
        messages = await self._read_all("bars.state.>")
        if not messages or _sequence(messages[-1]) != self._revision:
            raise Unavailable(f"a replica of {BARS} lags behind {self._revision}")
        states = {
            decode_token(subject.removeprefix(_STATES)): message.data
            for message in messages
            if (subject := _header(message, "Nats-Subject")).startswith(_STATES)
        }
        return states, self._position or None

    async def store(self, records: Sequence[SymbolRecord], position: bytes) -> None:
        """Store `records` and then `position`. A symbol's state and bars are stored together. If
        this fails, the states of some symbols are newer than the stored position.

        Raises:
            Conflict: another process has claimed the store.
            LogError: not everything was stored.
        """
        for start in range(0, max(len(records), 1), BATCH_SYMBOLS):
            batch = records[start : start + BATCH_SYMBOLS]
            is_last = start + BATCH_SYMBOLS >= len(records)
            messages = [one for record in batch for one in _record_messages(record)]
            await self._store_batch(messages, position if is_last else self._position)
        self._position = position

    async def read_bars(self, symbol: str, interval: str) -> list[bytes]:
        """The stored messages with bars of `symbol`, in order. Raises Unavailable."""
        messages = await self._read_all(f"bars.{interval}.{encode_token(symbol)}")
        return [message.data for message in messages]

    async def _store_batch(
        self, messages: list[OutgoingMessage], position: bytes, *, expects_own: bool = True
    ) -> None:
        headers = dict(_ONE_PER_SUBJECT)
        if expects_own:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(self._revision)
        fence: OutgoingMessage = (_POSITION, position, headers)
        answer = msgspec.json.decode(
            (await store_together(self._connection, [*messages, fence])).data
        )
        error = answer.get("error")
        if error is None:
            self._revision = int(answer["seq"])
            return
        description = f"{BARS}: {error.get('description')}"
        if error.get("err_code") in CONFLICT_CODES:
            raise Conflict(description)
        raise AppendRejected(description)

    async def _read_all(self, filter_: str) -> list[Msg]:
        found: list[Msg] = []
        remaining = 1
        while remaining:
            page = await stream_reads.read_page(
                self._connection,
                BARS,
                filter_,
                after=_sequence(found[-1]) if found else 0,
                limit=CATCH_UP_PAGE_EVENTS,
                max_bytes=CATCH_UP_PAGE_BYTES,
            )
            found += page.messages
            remaining = page.remaining if page.messages else 0
        return found


def _record_messages(record: SymbolRecord) -> list[OutgoingMessage]:
    token = encode_token(record.symbol)
    bars: list[OutgoingMessage] = [
        (
            f"bars.{interval}.{token}",
            data,
            {} if seconds is None else {"Nats-TTL": f"{seconds}s"},
        )
        for interval, data, seconds in record.closed
    ]
    return [*bars, (f"{_STATES}{token}", record.state, dict(_ONE_PER_SUBJECT))]


def _stored_quote(message: Msg) -> StoredQuote:
    return StoredQuote(
        _sequence(message),
        datetime.fromisoformat(_header(message, "Nats-Time-Stamp")),
        message.data,
    )


def _sequence(message: Msg) -> int:
    return int(_header(message, "Nats-Sequence"))


def _header(message: Msg, name: str) -> str:
    return (message.headers or {})[name]
