"""Newest-wins values on a JetStream stream that keeps one message a subject."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tapewire.log.jetstream import fetch
from tapewire.log.jetstream.headers import status
from tapewire.log.jetstream.wire import Wire, WireSubscription
from tapewire.log.port import PAGE_BYTES, PAGE_EVENTS, Refused, Unavailable, Uncertain

NO_MESSAGE = 10037
AWAY = 503
"""What JetStream answers while it has no leader."""


class JetStreamValues:
    """`Values` under ``{prefix}.`` of `stream`.

    `live` says where the stream republishes them (``live.px``); without republication it is the
    prefix itself, which is heard as it is sent, before it is stored.
    """

    def __init__(self, wire: Wire, *, stream: str, prefix: str, live: str | None = None) -> None:
        self._wire = wire
        self._stream = stream
        self._prefix = prefix
        self._live = live or prefix

    async def put(self, key: str, data: bytes, *, ttl: int | None = None) -> None:
        headers = {"Nats-TTL": f"{ttl}s"} if ttl is not None else None
        message = await self._wire.request(f"{self._prefix}.{key}", data, headers)
        answer = msgspec.json.decode(message.data)
        if "error" in answer:
            raise Refused(f"{self._stream} {key}: {answer['error'].get('description')}")

    async def post(self, key: str, data: bytes) -> None:
        await self._wire.publish(f"{self._prefix}.{key}", data)

    async def get(self, key: str) -> bytes | None:
        subject = f"$JS.API.DIRECT.GET.{self._stream}.{self._prefix}.{key}"
        try:
            message = await self._wire.request(subject)
        except Uncertain as silence:
            raise Unavailable(str(silence)) from silence
        if status(message) == "404":
            return None
        return message.data

    async def take(self, key: str) -> bytes | None:
        subject = f"{self._prefix}.{key}"
        try:
            # Asked of the leader: a replica that lags would not know a value just put.
            found = await self._call("MSG.GET", {"last_by_subj": subject})
        except Uncertain as silence:
            raise Unavailable(str(silence)) from silence
        if found is None:
            return None
        message = found["message"]
        # Purging says how much it removed, and the server does one thing after another: who
        # removed this very message took it, whoever else had read it.
        upto = {"filter": subject, "seq": message["seq"] + 1}
        purged = await self._call("PURGE", upto)
        if purged is None or not purged["purged"]:
            return None
        return base64.b64decode(message.get("data", ""))

    async def _call(self, verb: str, ask: dict[str, Any]) -> dict[str, Any] | None:
        """What the JetStream API answers, None for nothing found."""
        subject = f"$JS.API.STREAM.{verb}.{self._stream}"
        message = await self._wire.request(subject, msgspec.json.encode(ask))
        answer: dict[str, Any] = msgspec.json.decode(message.data)
        error = answer.get("error")
        if error is None:
            return answer
        if error.get("err_code") == NO_MESSAGE:
            return None
        words = f"{self._stream}: {error.get('description')}"
        raise Unavailable(words) if error.get("code") == AWAY else Refused(words)

    async def all(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        after, more = 0, True
        while more:
            page = await self._page(after)
            for message in page.messages:
                headers = message.headers or {}
                found[headers["Nats-Subject"][len(self._prefix) + 1 :]] = message.data
                after = int(headers["Nats-Sequence"])
            more = page.left > 0
        return found

    async def _page(self, after: int) -> fetch.Stored:
        try:
            return await fetch.page(
                self._wire,
                self._stream,
                f"{self._prefix}.>",
                after=after,
                limit=PAGE_EVENTS,
                max_bytes=PAGE_BYTES,
            )
        except Uncertain as silence:
            raise Unavailable(str(silence)) from silence

    async def live(
        self, on_value: Callable[[str, bytes], None], on_gap: Callable[[str], None]
    ) -> WireSubscription:
        async def hear(message: Msg) -> None:
            on_value(message.subject[len(self._live) + 1 :], message.data)

        return await self._wire.subscribe(f"{self._live}.>", hear, on_gap)
