"""Storing and reading checkpoints, and rejecting invalid ones."""

import random
import zlib

import msgspec
import pytest

from tapewire.log import Bounds
from tapewire.log.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    PART_BYTES,
    BadCheckpoint,
    Checkpoint,
    checkpoint_key,
    decode_checkpoint,
    encode_checkpoint,
    join_parts,
    read_checkpoint,
    restore_state,
    shared_checkpoint_key,
    write_checkpoint,
)
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer

BOUNDS = Bounds("e1", 1, 10)
KEY = checkpoint_key("a.b", "orders")


def make_checkpoint(*, epoch: str = "e1", as_of: int = 7, state: bytes = b'"x"') -> Checkpoint:
    return Checkpoint(epoch=epoch, as_of=as_of, state=msgspec.Raw(state))


async def test_a_stored_checkpoint_is_read_back_and_compressed() -> None:
    store, state = MemoryLatestValueStore(MemoryServer()), b'["' + b"x" * 10_000 + b'"]'
    await write_checkpoint(store, KEY, epoch="e1", as_of=7, state=state)
    checkpoint = await read_checkpoint(store, KEY)
    assert checkpoint is not None
    assert (checkpoint.epoch, checkpoint.as_of, bytes(checkpoint.state)) == ("e1", 7, state)
    assert len(await store.get(KEY) or b"") < 200


async def test_a_missing_checkpoint_is_none() -> None:
    assert await read_checkpoint(MemoryLatestValueStore(MemoryServer()), KEY) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b'{"epoch":"e1","asOf":7,"view":[]}',
        encode_checkpoint(make_checkpoint())[:-5],
        zlib.compress(b"[]"),
        zlib.compress(b'{"epoch":"e1","asOf":"7","state":[]}'),
        zlib.compress(b'{"epoch":"e1","asOf":7,"state":[]'),
        zlib.compress(b'{"epoch":"e1","asOf":7,"state":' + b"[" * 100_000),
    ],
)
async def test_an_unreadable_checkpoint_counts_as_missing(data: bytes) -> None:
    with pytest.raises(BadCheckpoint):
        decode_checkpoint(data)
    store = MemoryLatestValueStore(MemoryServer())
    await store.put(KEY, data)
    assert await read_checkpoint(store, KEY) is None


def test_decompression_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_checkpoint(make_checkpoint(state=b'"' + b"x" * 5000 + b'"'))
    assert decode_checkpoint(data).as_of == 7
    monkeypatch.setattr("tapewire.log.checkpoint.MAX_CHECKPOINT_BYTES", 1000)
    with pytest.raises(BadCheckpoint, match="longer than 1000 bytes"):
        decode_checkpoint(data)
    assert MAX_CHECKPOINT_BYTES > 64 << 20


def restore_text(state: bytes) -> str:
    return msgspec.json.decode(state, type=str)


@pytest.mark.parametrize(
    ("checkpoint", "restored"),
    [
        (make_checkpoint(), "x"),
        (make_checkpoint(as_of=10), "x"),
        (make_checkpoint(as_of=11), None),
        (make_checkpoint(epoch="e0"), None),
        (make_checkpoint(state=b"1"), None),
        (None, None),
    ],
)
def test_only_a_checkpoint_of_this_log_is_restored(
    checkpoint: Checkpoint | None, restored: str | None
) -> None:
    assert restore_state(checkpoint, BOUNDS, restore_text, name="orders") == restored


def test_a_checkpoint_ahead_of_the_log_differs_from_one_of_another_epoch() -> None:
    assert make_checkpoint(as_of=11).is_ahead_of(BOUNDS)
    assert not make_checkpoint(as_of=10).is_ahead_of(BOUNDS)
    assert not make_checkpoint(as_of=11, epoch="e0").is_ahead_of(BOUNDS)


def test_keys_are_two_tokens() -> None:
    assert KEY == "a%2Eb.orders"
    assert shared_checkpoint_key("feed-place") == "_all.feed-place"


def incompressible(size: int, seed: int = 1) -> bytes:
    return f'"{random.Random(seed).randbytes(size).hex()}"'.encode()


async def write_large(store: MemoryLatestValueStore, *, as_of: int) -> None:
    await write_checkpoint(
        store, KEY, epoch="e1", as_of=as_of, state=incompressible(2 * PART_BYTES, as_of)
    )


async def test_a_missing_part_counts_as_a_missing_checkpoint() -> None:
    store = MemoryLatestValueStore(MemoryServer())
    await write_large(store, as_of=1)
    assert await read_checkpoint(store, KEY) is not None
    await store.pop(f"{KEY}.part-1")
    assert await read_checkpoint(store, KEY) is None


async def test_parts_of_two_checkpoints_are_never_joined() -> None:
    """Two processes may store the same checkpoint. A reader sees one of them, or none."""
    store = MemoryLatestValueStore(MemoryServer())
    await write_large(store, as_of=1)
    old = await store.get(f"{KEY}.part-1") or b""
    await write_large(store, as_of=2)
    await store.put(f"{KEY}.part-1", old)
    assert await read_checkpoint(store, KEY) is None
    assert KEY in join_parts(await store.get_all())
    with pytest.raises(BadCheckpoint):
        decode_checkpoint(join_parts(await store.get_all())[KEY])


async def test_a_checkpoint_that_is_replaced_while_it_is_read_is_read_again() -> None:
    store = MemoryLatestValueStore(MemoryServer())
    await write_large(store, as_of=1)

    class ReplacedDuringReadStore(MemoryLatestValueStore):
        async def get(self, key: str) -> bytes | None:
            return await store.get(key)

        async def get_revision(self, key: str) -> tuple[bytes | None, int]:
            found = await store.get_revision(key)
            if not replaced:
                replaced.append(key)
                await write_large(store, as_of=2)
            return found

    replaced: list[str] = []
    found = await read_checkpoint(ReplacedDuringReadStore(MemoryServer()), KEY)
    assert found is not None
    assert found.as_of == 2


async def test_verification_reads_checkpoints_in_parts() -> None:
    store = MemoryLatestValueStore(MemoryServer())
    await write_large(store, as_of=3)
    await store.put("other", b"whole")
    joined = join_parts(await store.get_all())
    assert joined.keys() == {KEY, "other"}
    assert decode_checkpoint(joined[KEY]).as_of == 3
