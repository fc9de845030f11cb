"""The event log on JetStream: the stream EVENTS behind the port `EventLog`."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tapewire.events import CATALOGUE, CODEC
from tapewire.log.jetstream import fetch
from tapewire.log.jetstream.reaction import Reaction
from tapewire.log.jetstream.streams import EVENTS
from tapewire.log.jetstream.wire import Wire, WireSubscription
from tapewire.log.port import (
    BATCH_EVENTS,
    PAGE_BYTES,
    PAGE_EVENTS,
    AlreadyStored,
    Bounds,
    Conflict,
    Draft,
    Page,
    Recorded,
    Refused,
    Unavailable,
    Uncertain,
)

_ALL = "ev.>"
_CONFLICTS = {10071, 10164}
_DUPLICATE_IN_BATCH = 10201
_AGAIN = {10158, 10163}
"""A batch that the server gave up before its commit: nothing stored, decide again."""
_FOR_NOW = {10008, 10009, 10023, 10077}
"""No leader, not enough resources, store failed: nothing stored."""


class JetStreamLog:
    """`EventLog` over one wire; any number may share it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def append(self, drafts: Sequence[Draft]) -> int:
        if not 0 < len(drafts) <= BATCH_EVENTS:
            raise Refused(f"{len(drafts)} events in one append: 1 to {BATCH_EVENTS} can be taken")
        *firsts, last = [_message(draft) for draft in drafts]
        if firsts:
            batch = secrets.token_hex(16)
            for number, (subject, data, headers) in enumerate(firsts, 1):
                marks = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                await self._wire.publish(subject, data, headers | marks)
            last[2].update(
                {
                    "Nats-Batch-Id": batch,
                    "Nats-Batch-Sequence": str(len(drafts)),
                    "Nats-Batch-Commit": "1",
                }
            )
        answer = await self._wire.request(*last)
        return _stored_at(msgspec.json.decode(answer.data))

    async def page(
        self,
        filter: str,  # noqa: A002
        *,
        after: int,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        try:
            # What is left of everything, in these words, the server knows without looking.
            wanted = ">" if filter == _ALL else filter
            stored = await fetch.page(
                self._wire, EVENTS, wanted, after=after, limit=limit, max_bytes=max_bytes
            )
        except Uncertain as silence:
            raise Unavailable(str(silence)) from silence
        return Page([fetch.recorded(m.headers or {}, m.data) for m in stored.messages], stored.left)

    async def newest(self, subjects: Sequence[str]) -> list[Recorded]:
        try:
            found = await fetch.newest(self._wire, EVENTS, subjects)
        except Uncertain as silence:
            raise Unavailable(str(silence)) from silence
        return [fetch.recorded(m.headers or {}, m.data) for m in found]

    async def last(self, filter: str) -> int:  # noqa: A002
        try:
            return await fetch.last(self._wire, EVENTS, filter)
        except Uncertain as silence:
            raise Unavailable(str(silence)) from silence

    async def bounds(self) -> Bounds:
        try:
            return await fetch.bounds(self._wire, EVENTS)
        except Uncertain as silence:
            raise Unavailable(str(silence)) from silence

    async def before(self, moment: datetime) -> int:
        try:
            return await fetch.before(self._wire, EVENTS, moment)
        except Uncertain as silence:
            raise Unavailable(str(silence)) from silence

    async def live(
        self,
        filter: str,  # noqa: A002
        on_event: Callable[[Recorded], None],
        on_gap: Callable[[str], None],
    ) -> WireSubscription:
        async def hear(message: Msg) -> None:
            on_event(fetch.recorded(message.headers or {}, message.data))

        return await self._wire.subscribe(f"live.{filter}", hear, on_gap)

    async def react(
        self,
        name: str,
        filter: str,  # noqa: A002
        handler: Callable[[Recorded], Awaitable[None]],
    ) -> Reaction:
        reaction = Reaction(self._wire, name, filter, handler)
        await reaction.start()
        return reaction


def _message(draft: Draft) -> tuple[str, bytes, dict[str, str]]:
    headers = {
        "Nats-Msg-Id": draft.meta.id,
        "Tw-Type": CATALOGUE.tag(type(draft.event)),
        "Tw-Correlation": draft.meta.correlation,
    }
    if draft.meta.causation is not None:
        headers["Tw-Causation"] = draft.meta.causation
    if draft.meta.traceparent is not None:
        headers["traceparent"] = draft.meta.traceparent
    if draft.expect is not None:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(draft.expect)
    return str(draft.subject), CODEC.encode(draft.event), headers


def _stored_at(answer: dict[str, Any]) -> int:
    error = answer.get("error")
    if error is None:
        if answer.get("duplicate"):
            raise AlreadyStored(f"an event of this id is at {answer['seq']}", int(answer["seq"]))
        return int(answer["seq"])
    code, words = error.get("err_code"), str(error.get("description"))
    if code in _CONFLICTS:
        raise Conflict(words)
    if code == _DUPLICATE_IN_BATCH:
        raise AlreadyStored(words)
    if code in _AGAIN:
        raise Uncertain(words)
    if code in _FOR_NOW or error.get("code") == 503:
        raise Unavailable(words)
    raise Refused(f"{words} ({code})")
