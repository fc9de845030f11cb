"""Newest-wins values on a JetStream stream that keeps one message a subject."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.compat import status_code
from tapewire.log.jetstream.connection import GapAwareSubscription, NatsConnection
from tapewire.log.ports import PAGE_BYTES, PAGE_EVENTS, AppendRejected, OutcomeUnknown, Unavailable

NO_MESSAGE_CODE = 10037
UNAVAILABLE_STATUS = 503
"""What JetStream answers while it has no leader."""


class JetStreamLatestValueStore:
    """`Values` under ``{prefix}.`` of `stream`.

    `live` says where the stream republishes them (``live.px``); without republication it is the
    prefix itself, which is heard as it is sent, before it is stored.
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

    async def put_unacknowledged(self, key: str, data: bytes) -> None:
        await self._connection.publish(f"{self._prefix}.{key}", data)

    async def get(self, key: str) -> bytes | None:
        subject = f"$JS.API.DIRECT.GET.{self._stream}.{self._prefix}.{key}"
        try:
            message = await self._connection.request(subject)
        except OutcomeUnknown as silence:
            raise Unavailable(str(silence)) from silence
        if status_code(message) == "404":
            return None
        return message.data

    async def pop(self, key: str) -> bytes | None:
        subject = f"{self._prefix}.{key}"
        try:
            # Asked of the leader: a replica that lags would not know a value just put.
            found = await self._request_api("MSG.GET", {"last_by_subj": subject})
        except OutcomeUnknown as silence:
            raise Unavailable(str(silence)) from silence
        if found is None:
            return None
        message = found["message"]
        # Purging says how much it removed, and the server does one thing after another: who
        # removed this very message took it, whoever else had read it.
        upto = {"filter": subject, "seq": message["seq"] + 1}
        purged = await self._request_api("PURGE", upto)
        if purged is None or not purged["purged"]:
            return None
        return base64.b64decode(message.get("data", ""))

    async def _request_api(self, verb: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """What the JetStream API answers, None for nothing found."""
        subject = f"$JS.API.STREAM.{verb}.{self._stream}"
        message = await self._connection.request(subject, msgspec.json.encode(request))
        answer: dict[str, Any] = msgspec.json.decode(message.data)
        error = answer.get("error")
        if error is None:
            return answer
        if error.get("err_code") == NO_MESSAGE_CODE:
            return None
        words = f"{self._stream}: {error.get('description')}"
        raise (
            Unavailable(words) if error.get("code") == UNAVAILABLE_STATUS else AppendRejected(words)
        )

    async def get_all(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        after, more = 0, True
        while more:
            page = await self._read_page(after)
            for message in page.messages:
                headers = message.headers or {}
                found[headers["Nats-Subject"][len(self._prefix) + 1 :]] = message.data
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
        except OutcomeUnknown as silence:
            raise Unavailable(str(silence)) from silence

    async def subscribe(
        self, on_value: Callable[[str, bytes], None], on_gap: Callable[[str], None]
    ) -> GapAwareSubscription:
        async def hear(message: Msg) -> None:
            on_value(message.subject[len(self._live_prefix) + 1 :], message.data)

        return await self._connection.subscribe(f"{self._live_prefix}.>", hear, on_gap)
