"""Leases: work that must run once runs in one process, and a standby takes over in seconds.

A lease is a key with a time to live in the KV bucket `leases`. The holder renews it by the revision
it wrote last, a third of its life ahead; whoever finds it gone creates it. A holder that cannot
renew stops its work before the server forgets it, so two processes never both believe that they
hold it, as far as clocks run at one speed; what the work appends still states what it expects. A
process that stood still for longer than a lease lives wakes up with work in its hands: what must
not be done late asks `held` first.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from tapewire.log import AppendRejected, LogError, encode_token
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.compat import status_code

LEASE_TTL_SECONDS = 4
"""The life of a lease without renewal: what a takeover after a crash takes, at the most, plus
a try."""
RENEW_INTERVAL_SECONDS = LEASE_TTL_SECONDS / 4
RENEW_DEADLINE_SECONDS = LEASE_TTL_SECONDS * 0.75
"""After this long without a renewal the holder stops, while the server still keeps others out."""
ACQUIRE_RETRY_SECONDS = 0.5

logger = structlog.get_logger("tapewire.leases")


class Leases:
    """The leases that one process holds or stands by for."""

    def __init__(self, connection: NatsConnection, holder: str) -> None:
        self._connection = connection
        self._holder = holder.encode()
        self._renewed_at: dict[str, float] = {}
        """When each lease that is held was renewed last, by the loop's clock."""

    def is_held(self, name: str) -> bool:
        """Whether nobody else can hold `name` now, even if this process stood still just before."""
        renewed = self._renewed_at.get(encode_token(name))
        if renewed is None:
            return False
        return asyncio.get_running_loop().time() - renewed < LEASE_TTL_SECONDS

    async def run_while_held(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Stand by for `name`; while holding it, run `work`, which is cancelled when it is lost.

        Returns when the work returns, having let the lease go; raises what the work raises.
        """
        subject = f"$KV.leases.{encode_token(name)}"
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            revision = await self._acquire(subject)
            if revision is None:
                await asyncio.sleep(ACQUIRE_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
                continue
            logger.info("holds the lease", lease=name)
            self._renewed_at[encode_token(name)] = began
            try:
                if await self._run_work(subject, revision, work):
                    return
            finally:
                self._renewed_at.pop(encode_token(name), None)
                logger.info("holds the lease no more", lease=name)

    async def _run_work(
        self, subject: str, revision: int, work: Callable[[], Awaitable[None]]
    ) -> bool:
        """Whether the work came to its own end."""
        task = asyncio.ensure_future(work())
        renewal = asyncio.create_task(self._renew(subject, revision))
        try:
            await asyncio.wait({task, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
                return True
            return False
        finally:
            lost = renewal.done()
            await _cancel(task)
            await _cancel(renewal)
            if not lost:
                await self._release(subject)

    async def _acquire(self, subject: str) -> int | None:
        """The revision of the lease that is now ours, None when it is another's."""
        try:
            return await self._write_lease(subject, 0)
        except LogError:
            return None

    async def _renew(self, subject: str, revision: int) -> None:
        """Renew until the lease is lost."""
        clock = asyncio.get_running_loop().time
        name = subject.removeprefix("$KV.leases.")
        renewed = self._renewed_at[name]
        while clock() - renewed < RENEW_DEADLINE_SECONDS:
            await asyncio.sleep(RENEW_INTERVAL_SECONDS)
            began = clock()
            if began - renewed >= RENEW_DEADLINE_SECONDS:
                logger.warning("stood still for too long", subject=subject, seconds=began - renewed)
                return
            try:
                async with asyncio.timeout(max(renewed + RENEW_DEADLINE_SECONDS - began, 0.01)):
                    revision = await self._write_lease(subject, revision)
                renewed = self._renewed_at[name] = began
            except AppendRejected as foreign:
                revision_now = await self._own_revision(subject)
                if revision_now is None:
                    logger.warning("lost the lease", subject=subject, error=str(foreign))
                    return
                revision = revision_now
            except (LogError, TimeoutError) as error:
                logger.warning("could not renew the lease", subject=subject, error=str(error))

    async def _own_revision(self, subject: str) -> int | None:
        """The revision of a lease that is ours although its renewal seemed refused: the answer to
        an earlier renewal may have been lost."""
        with contextlib.suppress(LogError):
            message = await self._connection.request(
                f"$JS.API.DIRECT.GET.KV_leases.{subject}", timeout_seconds=1
            )
            if not status_code(message) and message.data == self._holder:
                return int((message.headers or {})["Nats-Sequence"])
        return None

    async def _write_lease(self, subject: str, expected_revision: int) -> int:
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(expected_revision),
            "Nats-TTL": f"{LEASE_TTL_SECONDS}s",
        }
        message = await self._connection.request(subject, self._holder, headers, timeout_seconds=1)
        answer = msgspec.json.decode(message.data)
        if "error" in answer:
            raise AppendRejected(answer["error"]["description"])
        return int(answer["seq"])

    async def _release(self, subject: str) -> None:
        with contextlib.suppress(LogError):
            ask = msgspec.json.encode({"filter": subject})
            await self._connection.request("$JS.API.STREAM.PURGE.KV_leases", ask, timeout_seconds=1)


async def _cancel(task: "asyncio.Future[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait({task})
