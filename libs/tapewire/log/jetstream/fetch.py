"""Reading stored messages: batched direct get, and what the leader says.

nats-py has no method for a batched direct get. A page is one request with many replies, closed by a
status message; replies form a chain (`Nats-Last-Sequence` names the one before), which is checked,
so that a reply lost on the way is an error here and never a hole in a page.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tapewire.log.jetstream.headers import status
from tapewire.log.jetstream.wire import Wire
from tapewire.log.port import PAGE_BYTES, Bounds, Meta, Recorded, Unavailable

SUBJECTS_AT_ONCE = 256
"""Asked for in one question: the server takes 1,024 at the most, and a question of a megabyte."""
_NOT_FOUND = 10037
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Stored(msgspec.Struct, frozen=True):
    """Messages of a page, and how many more the stream held."""

    messages: list[Msg]
    left: int


async def page(
    wire: Wire, stream: str, filter_: str, *, after: int, limit: int, max_bytes: int
) -> Stored:
    """The first messages after `after` that `filter_` takes. Raises Unavailable."""
    ask = {"next_by_subj": filter_, "seq": after + 1, "batch": limit, "max_bytes": max_bytes}
    return await _ask_many(wire, stream, ask, filter_)


async def newest(wire: Wire, stream: str, subjects: Sequence[str]) -> list[Msg]:
    """The last message of each of `subjects` that has one, in order. Raises Unavailable."""
    found: dict[str, Msg] = {}
    for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
        left, wanted = 1, list(subjects[start : start + SUBJECTS_AT_ONCE])
        while left and wanted:
            ask = {"multi_last": wanted, "max_bytes": PAGE_BYTES}
            answer = await _ask_many(wire, stream, ask, f"{len(wanted)} subjects")
            found |= {_header(message, "Nats-Subject"): message for message in answer.messages}
            left, wanted = answer.left, [subject for subject in wanted if subject not in found]
    return sorted(found.values(), key=lambda message: int(_header(message, "Nats-Sequence")))


def _header(message: Msg, name: str) -> str:
    return (message.headers or {})[name]


async def _ask_many(wire: Wire, stream: str, ask: dict[str, Any], what: str) -> Stored:
    replies = await wire.gather(
        f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(ask), None, lambda m: bool(status(m))
    )
    *messages, end = replies
    if status(end) == "404":
        return Stored([], 0)
    if status(end) != "204":
        raise Unavailable(f"reading {what} of {stream}: {end.headers}")
    _check_chain(replies, what)
    return Stored(messages, int((end.headers or {}).get("Nats-Num-Pending", "0")))


def _check_chain(replies: list[Msg], what: str) -> None:
    """Each reply names the one before it, the closing status too. Raises Unavailable."""
    before = "0"
    for reply in replies:
        headers = reply.headers or {}
        if headers.get("Nats-Last-Sequence", before) != before:
            raise Unavailable(f"a page of {what} lost a message after {before}: read it again")
        before = headers.get("Nats-Sequence", before)


async def last(wire: Wire, stream: str, filter_: str) -> int:
    """The leader's last sequence for `filter_`, 0 for none."""
    answer = await _ask(wire, f"$JS.API.STREAM.MSG.GET.{stream}", {"last_by_subj": filter_})
    return int(answer["message"]["seq"]) if "message" in answer else 0


async def before(wire: Wire, stream: str, moment: datetime) -> int:
    """The sequence before the first message stored at or after `moment`."""
    ask = {"next_by_subj": ">", "start_time": moment.isoformat(), "batch": 1}
    replies = await wire.gather(
        f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(ask), None, lambda m: bool(status(m))
    )
    if len(replies) > 1:
        return int((replies[0].headers or {})["Nats-Sequence"]) - 1
    return (await bounds(wire, stream)).last


async def bounds(wire: Wire, stream: str) -> Bounds:
    """The leader's extent of `stream`."""
    answer = await _ask(wire, f"$JS.API.STREAM.INFO.{stream}", {})
    if "state" not in answer:
        raise Unavailable(f"stream {stream} is not there: provision it")
    state = answer["state"]
    return Bounds(epoch(answer["created"]), state["first_seq"] or 1, state["last_seq"])


def epoch(created: str) -> str:
    """A stream's time of creation as a short word: ``e`` and microseconds in base 36."""
    moment = datetime.fromisoformat(created)
    number = int(moment.timestamp()) * 1_000_000 + moment.microsecond
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return f"e{digits}"


async def _ask(wire: Wire, subject: str, ask: dict[str, Any]) -> dict[str, Any]:
    message = await wire.request(subject, msgspec.json.encode(ask))
    answer: dict[str, Any] = msgspec.json.decode(message.data)
    error = answer.get("error")
    if error and error.get("err_code") != _NOT_FOUND:
        raise Unavailable(f"{subject}: {error.get('description')}")
    return answer


def recorded(headers: dict[str, str], data: bytes) -> Recorded:
    """A message of EVENTS, as a page or a republication holds it."""
    return Recorded(
        sequence=int(headers["Nats-Sequence"]),
        subject=headers["Nats-Subject"],
        tag=headers.get("Tw-Type", ""),
        data=data,
        meta=meta(headers),
        time=datetime.fromisoformat(headers["Nats-Time-Stamp"]),
    )


def meta(headers: dict[str, str]) -> Meta:
    """What travels beside an event."""
    return Meta(
        id=headers.get("Nats-Msg-Id", ""),
        correlation=headers.get("Tw-Correlation", ""),
        causation=headers.get("Tw-Causation"),
        traceparent=headers.get("traceparent"),
    )
