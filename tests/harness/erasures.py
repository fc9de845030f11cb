"""Erasures of users, as `tapewire journal erase` appends them, and what is left in files."""

import asyncio
import contextlib
import gzip
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tapewire.events import CODEC
from tapewire.log import EventLog, LatestValueStore, Page, RecordedEvent, encode_token
from tapewire.log.checkpoint import BadCheckpoint, decode_checkpoint, join_parts
from tapewire.log.erasures import ERASURE_TAG, make_erasure, make_erasure_drafts
from tapewire.log.memory import MemoryEventLog

ERASED_AT = datetime(2026, 3, 2, 15, tzinfo=UTC)


async def append_erasure(log: EventLog, user: str) -> int:
    """Append the erasure of `user`; the sequence of its last event."""
    return await log.append(make_erasure_drafts(make_erasure(f"of-{user}", user, ERASED_AT)))


def recorded_erasure(user: str, sequence: int, domain: str) -> RecordedEvent:
    """The erasure of `user` in `domain`, stored at `sequence`."""
    drafts = make_erasure_drafts(make_erasure(f"of-{user}", user, ERASED_AT))
    [draft] = [one for one in drafts if one.subject.domain == domain]
    return RecordedEvent(
        sequence=sequence,
        subject=str(draft.subject),
        tag=ERASURE_TAG,
        data=CODEC.encode(draft.event),
        metadata=draft.metadata,
        time=ERASED_AT,
    )


@contextlib.contextmanager
def held_pages(log: MemoryEventLog, filter_: str) -> Iterator[None]:
    """Until the end of the block, the pages of `filter_` that a process reads from its `log` do not
    arrive."""
    released, read_page = asyncio.Event(), log.page

    async def page(filter: str, **bounds: int) -> Page:  # noqa: A002
        if filter == filter_:
            await released.wait()
        return await read_page(filter, **bounds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "page", page)
        try:
            yield
        finally:
            released.set()


def find_in_files(folder: Path, user: str) -> list[str]:
    """The files below `folder` that hold the user's id, as text or as a token of a subject, also
    compressed by gzip."""
    # os.walk passes over folders that the server removes meanwhile; Path.rglob fails on them.
    files = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    return [str(file.relative_to(folder)) for file in files if _names(user, _read(file))]


async def find_in_checkpoints(store: LatestValueStore, user: str) -> list[str]:
    """The keys of `store` whose value holds the user's id, also compressed as a checkpoint."""
    found = []
    for key, data in join_parts(await store.get_all()).items():
        with contextlib.suppress(BadCheckpoint):
            data = bytes(decode_checkpoint(data).state)
        if _names(user, key.encode() + data):
            found.append(key)
    return found


def _names(user: str, data: bytes) -> bool:
    return user.encode() in data or encode_token(user).encode() in data


def _read(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except FileNotFoundError:  # the server has removed it meanwhile
        return b""
    return gzip.decompress(data) if file.suffix == ".gz" else data
