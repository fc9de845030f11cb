"""Leases: work that runs in one process only, and moves to a standby within seconds.

A lease is a key with a time to live in the KV bucket `leases`. The holder renews it in time with
the revision of its last write; a standby creates it after it has expired. A holder that cannot
renew stops its work before the lease expires, so no two processes hold it at the same time,
provided that their clocks run at the same speed. Appends state the sequence that they expect all
the same. A process that was paused for longer than a lease lives continues in the middle of its
work: anything that must not happen late checks `is_held` first.

A service keeps its leases over a NATS connection of their own. On a shared one a renewal waits
behind whatever the server does for that connection, such as a page of a long history. A holder
whose other connection is lost gives its leases up. Start at `Leases.run_while_held`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from nats.aio.msg import Msg

from tapewire.log import AppendRejected, LogError, Unavailable, encode_token
from tapewire.log.backoff import jittered, new_rng
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.atomic_batch import CONFLICT_CODES
from tapewire.log.jetstream.compat import status_code
from tapewire.log.jetstream.latest_values import MARKER_HEADERS, is_marker
from tapewire.log.jetstream.streams import LEASES

LEASE_TTL_SECONDS = 4
"""How long a lease lives without renewal. A takeover after a crash takes at most this long, plus
one attempt."""
RENEW_INTERVAL_SECONDS = LEASE_TTL_SECONDS / 4
RENEW_DEADLINE_SECONDS = LEASE_TTL_SECONDS * 0.75
"""A holder that could not renew for this long stops, while the lease still keeps others out."""
ACQUIRE_RETRY_SECONDS = 0.5

logger = structlog.get_logger("tapewire.leases")


class Leases:
    """The leases that one process holds or stands by for.

    `connection` carries the leases alone, `work_connection` what the holders of leases do; by
    default it is the same one.
    """

    def __init__(
        self,
        connection: NatsConnection,
        holder: str,
        *,
        work_connection: NatsConnection | None = None,
    ) -> None:
        self._connection = connection
        self._work_connection = work_connection or connection
        self._holder = holder.encode()
        self._rng = new_rng()
        self._problem: str | None = None
        self._renewed_at: dict[str, float] = {}
        """When each held lease was last renewed, in the loop's time."""

    def find_problem(self) -> str | None:
        """Why leases can be neither renewed nor acquired now; None if they can."""
        return None if self._problem is None else f"leases cannot be written: {self._problem}"

    def is_held(self, name: str) -> bool:
        """Whether no other process can hold `name` now, even if this process was just paused."""
        renewed = self._renewed_at.get(encode_token(name))
        if renewed is None:
            return False
        return asyncio.get_running_loop().time() - renewed < LEASE_TTL_SECONDS

    async def run_while_held(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Stand by for the lease `name`, and run `work` while holding it.

        `work` is cancelled when the lease is lost, and runs again when it is won again. Returns
        when `work` returns, after releasing the lease; raises what `work` raises.
        """
        subject = f"$KV.leases.{encode_token(name)}"
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            is_able = self._work_connection.is_connected
            revision = await self._acquire(subject) if is_able else None
            if revision is None:
                await asyncio.sleep(jittered(ACQUIRE_RETRY_SECONDS, self._rng))
                continue
            logger.info("lease.acquired", name=name)
            self._renewed_at[encode_token(name)] = began
            try:
                if await self._run_work(subject, revision, work):
                    return
            finally:
                self._renewed_at.pop(encode_token(name), None)
                logger.info("lease.released", name=name)

    async def _run_work(
        self, subject: str, revision: int, work: Callable[[], Awaitable[None]]
    ) -> bool:
        """Run `work` until it ends or the lease is lost; whether it ended."""
        task = asyncio.ensure_future(work())
        renewal = asyncio.create_task(self._renew(subject, revision))
        try:
            await asyncio.wait({task, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
                return True
            return False
        finally:
            lost = renewal.done() and not renewal.result()
            await _cancel(task)
            await _cancel(renewal)
            if not lost:
                await self._release(subject)

    async def _acquire(self, subject: str) -> int | None:
        """The revision of the lease that this process now holds; None if another process holds
        it."""
        try:
            return await self._write_lease(subject, 0)
        except AppendRejected:
            pass
        except LogError:
            return None
        with contextlib.suppress(LogError):
            found = await self._read_lease(subject)
            if found is not None and is_marker(found):
                return await self._write_lease(subject, _revision(found))
        return None

    async def _renew(self, subject: str, revision: int) -> bool:
        """Renew until the lease is lost, or until nothing can be done with it because the work's
        connection is lost; whether it is still held."""
        clock = asyncio.get_running_loop().time
        name = subject.removeprefix("$KV.leases.")
        renewed = able_at = self._renewed_at[name]
        while clock() - renewed < RENEW_DEADLINE_SECONDS:
            await asyncio.sleep(RENEW_INTERVAL_SECONDS)
            began = clock()
            if self._work_connection.is_connected:
                able_at = began
            elif began - able_at >= RENEW_DEADLINE_SECONDS:
                logger.warning("lease.given_up", name=name, seconds=began - able_at)
                return True
            if began - renewed >= RENEW_DEADLINE_SECONDS:
                logger.warning("lease.expired_during_pause", name=name, seconds=began - renewed)
                return False
            try:
                async with asyncio.timeout(max(renewed + RENEW_DEADLINE_SECONDS - began, 0.01)):
                    revision = await self._write_lease(subject, revision)
                renewed = self._renewed_at[name] = began
            except AppendRejected as error:
                revision_now = await self._own_revision(subject)
                if revision_now is None:
                    logger.warning("lease.lost", name=name, error=str(error))
                    return False
                revision = revision_now
            except (LogError, TimeoutError) as error:
                logger.warning("lease.renewal_failed", name=name, error=str(error))
        return False

    async def _own_revision(self, subject: str) -> int | None:
        """The revision of a lease that this process still holds although a renewal was rejected:
        the answer to an earlier renewal may have been lost."""
        with contextlib.suppress(LogError):
            found = await self._read_lease(subject)
            if found is not None and found.data == self._holder:
                return _revision(found)
        return None

    async def _read_lease(self, subject: str) -> Msg | None:
        """The stored lease, or the marker of its release. Raises LogError."""
        message = await self._connection.request(
            f"$JS.API.DIRECT.GET.{LEASES}.{subject}", timeout_seconds=1
        )
        return None if status_code(message) else message

    async def _write_lease(self, subject: str, expected_revision: int) -> int:
        """Write the lease in place of `expected_revision`, 0 for none; its revision. Raises
        LogError."""
        headers = {"Nats-TTL": f"{LEASE_TTL_SECONDS}s"}
        return await self._write(subject, self._holder, headers, expected_revision)

    async def _release(self, subject: str) -> None:
        """Replace the lease by a marker, which any standby may replace at once."""
        with contextlib.suppress(LogError):
            revision = await self._own_revision(subject)
            if revision is not None:
                await self._write(subject, b"", MARKER_HEADERS, revision)

    async def _write(
        self, subject: str, data: bytes, headers: dict[str, str], expected_revision: int
    ) -> int:
        expected = {"Nats-Expected-Last-Subject-Sequence": str(expected_revision)}
        try:
            message = await self._connection.request(
                subject, data, headers | expected, timeout_seconds=1
            )
        except LogError as failure:
            self._problem = str(failure)
            raise
        answer = msgspec.json.decode(message.data)
        error = answer.get("error")
        if error is not None and error.get("err_code") not in CONFLICT_CODES:
            self._problem = str(error.get("description"))
            raise Unavailable(self._problem)
        self._problem = None
        if error is not None:
            raise AppendRejected(error["description"])
        return int(answer["seq"])


def _revision(message: Msg) -> int:
    return int((message.headers or {})["Nats-Sequence"])


async def _cancel(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait({task})
