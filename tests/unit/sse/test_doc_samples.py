"""The samples of data in docs/clients.md and docs/protocol.md are what a client understands."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tapewire.payloads import BarPayload
from tapewire.sse import AnotherUserSignedIn, SignedOut, StreamEvent
from tapewire.sse.polling_connection import PollAnswer
from tapewire.sse.protocol.outcomes import RefusedForGood, classify_response
from tapewire.sse.protocol.parser import EventBlock, EventStreamParser

DOCS = Path(__file__).parents[3] / "docs"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def samples(page: str, language: str) -> list[str]:
    """The code blocks of `page` in `language`, "" for none."""
    text = (DOCS / page).read_text("utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for found, content in blocks if found == language]


def sample_with(page: str, key: str) -> tuple[str, Any]:
    """The one sample in JSON that has `key`, and its data."""
    [found] = [one for one in samples(page, "json") if key in json.loads(one)]
    return found, json.loads(found)


def refusal_of(text: str) -> Exception | None:
    outcome = classify_response(json.loads(text)["statusCode"], {}, text.encode(), NOW)
    assert isinstance(outcome, RefusedForGood)
    return outcome.error


def test_a_bar_is_decoded() -> None:
    text, _ = sample_with("clients.md", "interval")
    bar = StreamEvent.from_text("bar:update", text, None).payload
    assert isinstance(bar, BarPayload)
    assert (bar.symbol, bar.closed) == ("IBM", False)


def test_the_refusals_have_their_errors() -> None:
    errors = [one for one in samples("protocol.md", "json") if "statusCode" in json.loads(one)]
    assert [type(refusal_of(one)) for one in errors] == [SignedOut, AnotherUserSignedIn]
    assert str(refusal_of(errors[0])) == "No valid session found"


def test_the_answer_to_a_poll_is_decoded() -> None:
    text, data = sample_with("protocol.md", "events")
    answer = msgspec.json.decode(text, type=PollAnswer)
    assert answer.last_event_id == data["lastEventId"]
    assert [(one.event, one.id) for one in answer.events] == [("order:fill", "ehoci8cgakr-3")]


def test_a_frame_is_parsed() -> None:
    [frame] = [one for one in samples("protocol.md", "") if one.startswith("event: ")]
    parts = EventStreamParser().feed(f"{frame}\n".encode())
    blocks = [one for one in parts if isinstance(one, EventBlock)]
    assert [(one.type, one.id) for one in blocks] == [("order:fill", "ehoci8cgakr-3")]


def test_every_sample_in_json_is_one_of_these_or_a_change_of_content() -> None:
    keys = [set(json.loads(one)) for one in samples("protocol.md", "json")]
    assert all(one & {"statusCode", "events", "topics"} for one in keys)
    assert len(samples("clients.md", "json")) == 1
