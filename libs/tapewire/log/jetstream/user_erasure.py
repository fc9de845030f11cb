"""Erases a user: removes everything that NATS stores of them, while services run.

1. The user's sessions are revoked.
2. A `UserErased` event is appended. Consumers that read it forget the user and checkpoint what is
   left of their state; the erasure waits for these checkpoints.
3. The user's events are overwritten in their files, and the user's messages in other streams
   removed.
4. A service that was acting for the user may have stored something meanwhile. If an event was
   found after the erasure, or anything within `QUIET_SECONDS`, this begins again with step 1.
5. Messages that were replaced earlier are removed from the files too.

It can be interrupted at any time and run again. Start at `erase_user`.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import msgspec

from tapewire.events import CODEC
from tapewire.log.erasures import make_erasure, make_erasure_drafts
from tapewire.log.ids import new_id
from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.erased_stores import UserStores
from tapewire.log.jetstream.erasure_receipt import (
    ErasureReceipt,
    digest_sequences,
    sign_receipt,
)
from tapewire.log.jetstream.event_log import JetStreamEventLog
from tapewire.log.jetstream.journal_admin import record_removal
from tapewire.log.jetstream.journal_record import journal_store, read_event_id, read_extent
from tapewire.log.jetstream.stream_rewriting import purge
from tapewire.log.jetstream.streams import EVENTS, JOURNAL
from tapewire.log.ports import PAGE_BYTES, PAGE_EVENTS, AppendRejected, LogError, Unavailable
from tapewire.log.subjects import pattern
from tapewire.log.work_progress import OnProgress, WorkProgress, ignore_progress

QUIET_SECONDS = 5.0
"""How long nothing of the user may appear before the erasure counts as complete. More than the
interval at which services store views, and than a request lasts."""
MAX_ROUNDS = 20
MAX_REPETITIONS = 5
"""How often a round appends the erasure before it removes events, which takes long."""
SETTLE_SECONDS = 1.0
"""How long after the erasure a service may store what it had begun."""
POLL_SECONDS = 0.25
DEFAULT_WAIT_SECONDS = 60.0
_PENDING_PREFIX = "erasure-"
"""Keys of the bucket `journal`: erasures that are not complete."""


class ErasureIncomplete(LogError):
    """A service still holds the user, or still stores something of the user."""


async def erase_user(
    connection: NatsConnection,
    user: str,
    *,
    ignored_checkpoints: Collection[str] = (),
    wait_seconds: float = DEFAULT_WAIT_SECONDS,
    on_progress: OnProgress = ignore_progress,
) -> ErasureReceipt:
    """Remove everything that is stored of `user`, and return the receipt.

    Args:
        ignored_checkpoints: names of shared checkpoints that do not follow erasures.
        wait_seconds: how long to wait for services to forget the user.
        on_progress: called for each step.

    Raises:
        ErasureIncomplete: a service does not run, or the user remains active.
        BadSubject: `user` cannot be a user id.
        LogError: a stream cannot be read or written.
    """
    erasure = _Erasure(connection, user, ignored_checkpoints, wait_seconds, on_progress)
    return await erasure.run()


class _Erasure:
    """One run of the command."""

    def __init__(
        self,
        connection: NatsConnection,
        user: str,
        ignored_checkpoints: Collection[str],
        wait_seconds: float,
        on_progress: OnProgress,
    ) -> None:
        self._connection = connection
        self._user = user
        self._filter = pattern(owner=user)
        self._log = JetStreamEventLog(connection)
        self._stores = UserStores(connection, user)
        self._ignored_checkpoints = ignored_checkpoints
        self._wait_seconds = wait_seconds
        self._on_progress = on_progress
        self._id = new_id()
        self._sequences: set[int] = set()
        self._removed: Counter[str] = Counter()

    async def run(self) -> ErasureReceipt:
        started_at = datetime.now(UTC)
        pending_store = journal_store(self._connection)
        pending_keys = [
            key for key in await pending_store.get_all() if key.startswith(_PENDING_PREFIX)
        ]
        rounds = 0
        rewritten: dict[str, int] = {}
        if pending_keys or await self._is_anything_left():
            own_key = f"{_PENDING_PREFIX}{self._id}"
            await pending_store.put(own_key, CODEC.encode({"startedAt": started_at}))
            rounds = await self._remove_all()
            self._on_progress(WorkProgress("removing replaced messages from the files"))
            rewritten = await self._stores.rewrite_files()
            for key in (*pending_keys, own_key):
                await purge(self._connection, JOURNAL, f"$KV.journal.{key}")
        return await self._make_receipt(started_at, rounds, rewritten)

    async def _remove_all(self) -> int:
        """Remove everything in rounds, until nothing appears; the number of rounds."""
        for number in range(1, MAX_ROUNDS + 1):
            await self._stores.revoke_sessions()
            erased_at = await self._have_services_forget()
            # Who has read an event that follows the erasure knows the user again.
            if await self._remove_events() < erased_at and await self._remove_others():
                return number
            self._on_progress(
                WorkProgress("a service stored something of the user after the erasure")
            )
        raise ErasureIncomplete(
            f"the user remains active: {MAX_ROUNDS} times something was stored again. Keep the "
            "user from signing in, then run the command again"
        )

    async def _have_services_forget(self) -> int:
        """Append the erasure until nothing of the user follows it, as a command that was in
        progress may. Returns the sequence of the last one."""
        for _ in range(MAX_REPETITIONS):
            sequence = await self._append_erasure()
            await asyncio.sleep(SETTLE_SECONDS)
            if await self._log.last_sequence(self._filter) < sequence:
                break
        return sequence

    async def _remove_others(self) -> bool:
        """Remove what is stored beside the events, until nothing appears. Returns whether nothing
        does, and no event either."""
        for _ in range(MAX_REPETITIONS):
            self._removed.update(await self._stores.remove())
            self._removed["states"] += await self._stores.remove_from_states()
            found = await self._watch()
            if found != "others":
                return found is None
        return False

    async def _append_erasure(self) -> int:
        """Append the erasure, and wait until all shared checkpoints cover it. Its sequence."""
        drafts = make_erasure_drafts(make_erasure(self._id, self._user, datetime.now(UTC)))
        first = await self._log.append(drafts) - len(drafts) + 1
        deadline = asyncio.get_running_loop().time() + self._wait_seconds
        self._on_progress(WorkProgress(f"waiting until services have read the erasure at {first}"))
        while True:
            stale = await self._find_stale_checkpoints(first)
            if not stale:
                return first
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(POLL_SECONDS)
        holders = sorted(name for name, names_user in stale.items() if names_user)
        if holders:
            raise ErasureIncomplete(
                f"the checkpoints {', '.join(holders)} still hold the user: start the services "
                "that write them, then run the command again"
            )
        names = ", ".join(sorted(stale))
        self._on_progress(WorkProgress(f"not up to date, but without the user: {names}"))
        return first

    async def _remove_events(self) -> int:
        """Overwrite the user's present events, page by page, each after it was recorded as removed.
        One after the other: the server rewrites a file for each, and stores nothing meanwhile.
        Whoever stores further events must read another erasure before these are removed. Returns
        the sequence of the last one, 0 for none."""
        last = await self._log.last_sequence(self._filter)
        while True:
            page = await stream_reads.read_page(
                self._connection,
                EVENTS,
                self._filter,
                after=0,
                limit=PAGE_EVENTS,
                max_bytes=PAGE_BYTES,
            )
            sequences = [int((one.headers or {})["Nats-Sequence"]) for one in page.messages]
            if not sequences or sequences[0] > last:
                return last
            left = [sequence for sequence in sequences if sequence not in self._sequences]
            if not left:  # a replica lags
                await asyncio.sleep(POLL_SECONDS)
                continue
            await self._record(left)
            for sequence in left:
                await self._remove_event(sequence)
                self._sequences.add(sequence)
                self._on_progress(WorkProgress("removing events", len(self._sequences)))

    async def _record(self, sequences: list[int]) -> None:
        """Record what will be missing, for the guards of the journal."""
        extent = await read_extent(self._connection)
        if extent is None:
            raise Unavailable("the stream EVENTS was deleted meanwhile")
        first = extent.bounds.first
        if first in sequences:
            first = await self._find_first_other(first)
        await record_removal(
            self._connection,
            first=first,
            removed=extent.gap_count + sum(sequence > first for sequence in sequences),
            is_erasure=True,
        )

    async def _find_first_other(self, after: int) -> int:
        """The first sequence from `after` on that is not of the user."""
        prefix = self._filter.removesuffix(">")
        while True:
            page = await self._log.page(pattern(), after=after - 1)
            for recorded in page.events:
                if not recorded.subject.startswith(prefix):
                    return recorded.sequence
            if not page.events:
                raise Unavailable(f"nothing can be read after {after}")
            after = page.events[-1].sequence + 1

    async def _remove_event(self, sequence: int) -> None:
        """Overwrite one event in its file; it may be gone already."""
        message = await self._connection.request(
            f"$JS.API.STREAM.MSG.DELETE.{EVENTS}",
            msgspec.json.encode({"seq": sequence, "no_erase": False}),
        )
        error: dict[str, Any] | None = msgspec.json.decode(message.data).get("error")
        if error is not None and await read_event_id(self._connection, sequence) is not None:
            raise AppendRejected(f"event {sequence}: {error.get('description')}")

    async def _watch(self) -> str | None:
        """Look for anything of the user for `QUIET_SECONDS`: ``events``, ``others`` or None."""
        deadline = asyncio.get_running_loop().time() + QUIET_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            if await self._log.last_sequence(self._filter):
                return "events"
            if await self._stores.count() or await self._stores.remove_from_states():
                return "others"
        return None

    async def _is_anything_left(self) -> bool:
        if await self._log.last_sequence(self._filter) or await self._stores.count():
            return True
        shared = await self._find_stale_checkpoints((await self._log.bounds()).last + 1)
        return any(shared.values()) or bool(await self._stores.remove_from_states())

    async def _find_stale_checkpoints(self, sequence: int) -> dict[str, bool]:
        bounds = await self._log.bounds()
        return await self._stores.find_stale_checkpoints(
            sequence, bounds, self._ignored_checkpoints
        )

    async def _make_receipt(
        self, started_at: datetime, rounds: int, rewritten: dict[str, int]
    ) -> ErasureReceipt:
        sequences = sorted(self._sequences)
        receipt = ErasureReceipt(
            erasure_id=self._id,
            user=self._user,
            epoch=(await self._log.bounds()).epoch,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            events=len(sequences),
            first_sequence=sequences[0] if sequences else 0,
            last_sequence=sequences[-1] if sequences else 0,
            sequences_digest=digest_sequences(sequences),
            removed={kind: count for kind, count in self._removed.items() if count},
            rewritten=rewritten,
            rounds=rounds,
        )
        return sign_receipt(receipt)
