"""`JetStreamLatestValueStore`: newest-wins values in a stream that keeps one message per
subject."""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tapewire.log.bounds import Bounds
from tapewire.log.jetstream import repeated_reads, stream_reads
from tapewire.log.jetstream.atomic_batch import CONFLICT_CODES, OutgoingMessage, store_together
from tapewire.log.jetstream.compat import status_code
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.gap_aware_subscription import GapAwareSubscription
from tapewire.log.ports import (
    PAGE_BYTES,
    PAGE_EVENTS,
    AppendRejected,
    Conflict,
    OutcomeUnknown,
    Unavailable,
)
from tapewire.log.stored_value import StoredValue

NO_MESSAGE_CODE = 10037
MARKER_HEADERS = {"KV-Operation": "DEL", "Nats-TTL": "1s"}
"""The headers of a marker: the key has no value. They are those of NATS's own key-value buckets.
The marker expires too."""
MARKER = b"KV-Operation: DEL"
UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)
"""The time of a value that is received before it is stored."""
UNAVAILABLE_STATUS = 503
"""JetStream's status while it has no leader."""


class JetStreamLatestValueStore:
    """The values below ``{prefix}.`` in `stream`.

    The stream republishes them under `live_prefix` (such as ``live.px``). Without republication
    `live_prefix` is the prefix itself, and subscribers receive values before they are stored.
    """

    def __init__(
        self,
        connection: NatsConnection,
        *,
        stream: str,
        prefix: str,
        live_prefix: str | None = None,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._prefix = prefix
        self._live_prefix = live_prefix or prefix

    async def put(self, key: str, data: bytes, *, ttl: int | None = None) -> None:
        headers = {"Nats-TTL": f"{ttl}s"} if ttl is not None else None
        message = await self._connection.request(f"{self._prefix}.{key}", data, headers)
        answer = msgspec.json.decode(message.data)
        if "error" in answer:
            raise AppendRejected(f"{self._stream} {key}: {answer['error'].get('description')}")

    async def put_all(
        self, values: Mapping[str, bytes], expected_revisions: Mapping[str, int] | None = None
    ) -> int:
        expected = expected_revisions or {}
        messages: list[OutgoingMessage] = [
            (f"{self._prefix}.{key}", data, _expectation(expected.get(key)))
            for key, data in values.items()
        ]
        answer = msgspec.json.decode((await store_together(self._connection, messages)).data)
        error = answer.get("error")
        if error is None:
            return int(answer["seq"])
        description = f"{self._stream}: {error.get('description')}"
        if error.get("err_code") in CONFLICT_CODES:
            raise Conflict(description)
        raise AppendRejected(description)

    async def put_unacknowledged(self, key: str, data: bytes) -> None:
        await self._connection.publish(f"{self._prefix}.{key}", data)

    async def get(self, key: str) -> bytes | None:
        return (await self.get_revision(key))[0]

    async def get_revision(self, key: str) -> tuple[bytes | None, int]:
        subject = f"$JS.API.DIRECT.GET.{self._stream}.{self._prefix}.{key}"
        message = await repeated_reads.read(self._connection, subject)
        if status_code(message) == "404" or is_marker(message):
            return None, 0
        return message.data, int((message.headers or {}).get("Nats-Sequence", 0))

    async def pop(self, key: str) -> bytes | None:
        subject = f"{self._prefix}.{key}"
        try:
            # The leader is asked, because a lagging replica may not know a value that was just
            # stored.
            found = await self._request_api("MSG.GET", {"last_by_subj": subject})
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error
        if found is None:
            return None
        message = found["message"]
        if MARKER in base64.b64decode(message.get("hdrs", "")):
            return None
        data = base64.b64decode(message.get("data", ""))
        # Whoever replaces the value by a marker owns it: the server accepts one replacement of each
        # sequence. The marker expires, so nothing has to be deleted.
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(message["seq"]),
            **MARKER_HEADERS,
        }
        answer = msgspec.json.decode((await self._connection.request(subject, b"", headers)).data)
        if "error" not in answer:
            return data
        if answer["error"].get("err_code") in CONFLICT_CODES:
            return None
        raise AppendRejected(f"{self._stream} {key}: {answer['error'].get('description')}")

    async def _request_api(self, verb: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """Send a request to the JetStream API; None if the message was not found."""
        subject = f"$JS.API.STREAM.{verb}.{self._stream}"
        message = await self._connection.request(subject, msgspec.json.encode(request))
        answer: dict[str, Any] = msgspec.json.decode(message.data)
        error = answer.get("error")
        if error is None:
            return answer
        if error.get("err_code") == NO_MESSAGE_CODE:
            return None
        description = f"{self._stream}: {error.get('description')}"
        raise (
            Unavailable(description)
            if error.get("code") == UNAVAILABLE_STATUS
            else AppendRejected(description)
        )

    async def get_all(self) -> dict[str, bytes]:
        return {key: value.data for key, value in (await self.read_all()).items()}

    async def read_all(self) -> dict[str, StoredValue]:
        found: dict[str, StoredValue] = {}
        after, more = 0, True
        while more:
            page = await self._read_page(after)
            for message in page.messages:
                headers = message.headers or {}
                if not is_marker(message):
                    key = headers["Nats-Subject"][len(self._prefix) + 1 :]
                    found[key] = _to_stored_value(message)
                after = int(headers["Nats-Sequence"])
            more = page.remaining > 0
        return found

    async def _read_page(self, after: int) -> stream_reads.StoredMessages:
        try:
            return await stream_reads.read_page(
                self._connection,
                self._stream,
                f"{self._prefix}.>",
                after=after,
                limit=PAGE_EVENTS,
                max_bytes=PAGE_BYTES,
            )
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def bounds(self) -> Bounds:
        return await stream_reads.bounds(self._connection, self._stream)

    async def subscribe(
        self, on_value: Callable[[str, StoredValue], None], on_gap: Callable[[str], None]
    ) -> GapAwareSubscription:
        async def receive(message: Msg) -> None:
            if not is_marker(message):
                key = message.subject[len(self._live_prefix) + 1 :]
                on_value(key, _to_stored_value(message))

        return await self._connection.subscribe(f"{self._live_prefix}.>", receive, on_gap)


def is_marker(message: Msg) -> bool:
    """Whether `message` says that its key has no value."""
    return message.headers is not None and message.headers.get("KV-Operation") == "DEL"


def _to_stored_value(message: Msg) -> StoredValue:
    """The value in a message that the stream returned or republished. One that is received before
    it is stored has the sequence 0."""
    headers = message.headers or {}
    stored_at = headers.get("Nats-Time-Stamp")
    return StoredValue(
        message.data,
        int(headers.get("Nats-Sequence", 0)),
        UNKNOWN_TIME if stored_at is None else datetime.fromisoformat(stored_at),
    )


def _expectation(revision: int | None) -> dict[str, str]:
    if revision is None:
        return {}
    return {"Nats-Expected-Last-Subject-Sequence": str(revision)}
