"""The parser of event streams, on the same cases as the browser client's."""

import json
from pathlib import Path
from typing import Any

import pytest

from tapewire.sse.protocol import parser
from tapewire.sse.protocol.parser import (
    BlockTooLong,
    CommentLine,
    EventBlock,
    EventStreamParser,
    IdBlock,
    RetryField,
)

ROOT = Path(__file__).parents[3]
CASES: list[dict[str, Any]] = json.loads(
    (ROOT / "libs/client/packages/client/conformance/parser_cases.json").read_text("utf-8")
)


def to_bytes(chunk: str | dict[str, str]) -> bytes:
    return chunk.encode() if isinstance(chunk, str) else bytes.fromhex(chunk["hex"])


def parse(chunks: list[bytes]) -> dict[str, Any]:
    made = EventStreamParser()
    parts = [part for chunk in chunks for part in made.feed(chunk)]
    blocks = [part for part in parts if isinstance(part, EventBlock)]
    ids = [part.id for part in parts if isinstance(part, IdBlock)]
    with_id = [part.id for part in parts if isinstance(part, EventBlock | IdBlock)]
    return {
        "blocks": [{"type": one.type, "data": one.data, "id": one.id} for one in blocks],
        "ids": ids,
        "retries": [part.milliseconds for part in parts if isinstance(part, RetryField)],
        "lastEventId": next((one for one in reversed(with_id) if one is not None), ""),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_parser_follows_the_event_stream_standard(case: dict[str, Any]) -> None:
    chunks = [to_bytes(chunk) for chunk in case["chunks"]]
    expected = {"ids": [], "retries": [], "lastEventId": "", **case}
    del expected["name"], expected["chunks"]
    whole = b"".join(chunks)
    assert parse(chunks) == expected
    assert parse([whole]) == expected
    assert parse([bytes([byte]) for byte in whole]) == expected
    for at in range(1, len(whole)):
        assert parse([whole[:at], whole[at:]]) == expected, f"cut after byte {at}"


def test_comments_are_returned_in_their_place() -> None:
    parts = EventStreamParser().feed(b": live\n\ndata: 1\n\n:x\n:  two\n")
    assert parts == [
        CommentLine("live"), EventBlock("message", "1", None), CommentLine("x"), CommentLine(" two")
    ]  # fmt: skip


@pytest.mark.parametrize("text", [b"data: " + b"x" * 100, b"data: xxxxxxxxx\n" * 10])
def test_a_block_without_an_end_is_an_error(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "MAX_BLOCK_CHARACTERS", 50)
    chunks = [text[at : at + 7] for at in range(0, len(text), 7)]
    with pytest.raises(BlockTooLong):
        parse(chunks)


def test_a_retry_with_many_digits_is_a_number() -> None:
    [part] = EventStreamParser().feed(b"retry: " + b"9" * 5000 + b"\n")
    assert isinstance(part, RetryField)
    assert part.milliseconds >= 10**14
