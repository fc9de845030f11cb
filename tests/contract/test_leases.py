"""Leases: work that runs in one process at a time, and a standby that takes over."""

import asyncio

import pytest

from tapewire.log.jetstream import JetStreamLatestValueStore, NatsConnection
from tapewire.log.jetstream.streams import LEASES
from tapewire.runtime.leases import LEASE_TTL_SECONDS, Leases
from tests.contract.backends import JetStreamBackend
from tests.harness.waiting import WAIT_TIMEOUT_SECONDS, wait_until


class LeaseHolders:
    """Records the holders of a lease, and how many held it at the same time."""

    def __init__(self) -> None:
        self.holding: list[str] = []
        self.history: list[str] = []
        self.max_concurrent = 0

    def work_of(self, name: str) -> "HolderWork":
        return HolderWork(self, name)


class HolderWork:
    def __init__(self, work: LeaseHolders, name: str) -> None:
        self._work = work
        self._name = name
        self.finished = asyncio.Event()

    async def __call__(self) -> None:
        work = self._work
        work.holding.append(self._name)
        work.history.append(self._name)
        work.max_concurrent = max(work.max_concurrent, len(work.holding))
        try:
            await self.finished.wait()
        finally:
            work.holding.remove(self._name)


async def test_a_standby_takes_over_when_the_work_of_the_holder_ends(
    jetstream: JetStreamBackend,
) -> None:
    work = LeaseHolders()
    one, two = work.work_of("one"), work.work_of("two")
    first = asyncio.create_task(
        Leases(await jetstream.connect(), "one").run_while_held("feed", one)
    )
    await wait_until("the first holds the lease", lambda: work.holding == ["one"])
    second = asyncio.create_task(
        Leases(await jetstream.connect(), "two").run_while_held("feed", two)
    )

    one.finished.set()
    await asyncio.wait_for(first, WAIT_TIMEOUT_SECONDS)

    await wait_until("the second took over", lambda: work.holding == ["two"])
    two.finished.set()
    await second
    assert work.max_concurrent == 1


async def is_free(jetstream: JetStreamBackend) -> bool:
    """Return whether the lease is released, without waiting for its expiry."""
    leases = JetStreamLatestValueStore(
        await jetstream.connect(), stream=LEASES, prefix="$KV.leases"
    )
    return await leases.get("feed") is None


async def test_a_canceled_holder_releases_the_lease_at_once(jetstream: JetStreamBackend) -> None:
    work = LeaseHolders()
    first = asyncio.create_task(
        Leases(await jetstream.connect(), "one").run_while_held("feed", work.work_of("one"))
    )
    await wait_until("the first holds the lease", lambda: work.holding == ["one"])
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert work.holding == []
    assert await is_free(jetstream)

    two = work.work_of("two")
    second = asyncio.create_task(
        Leases(await jetstream.connect(), "two").run_while_held("feed", two)
    )
    await wait_until("the second holds the lease", lambda: work.holding == ["two"])
    two.finished.set()
    await second


async def test_leases_of_different_names_are_independent(jetstream: JetStreamBackend) -> None:
    work, leases = LeaseHolders(), Leases(await jetstream.connect(), "one")
    names = ["prices", "paper broker", "a.b", "*"]
    shares = [work.work_of(name) for name in names]
    tasks = [
        asyncio.create_task(leases.run_while_held(name, share))
        for name, share in zip(names, shares, strict=True)
    ]
    await wait_until("all leases are held", lambda: sorted(work.holding) == sorted(names))
    for share in shares:
        share.finished.set()
    await asyncio.gather(*tasks)


async def test_an_error_of_the_work_is_raised_and_releases_the_lease(
    jetstream: JetStreamBackend,
) -> None:
    async def fail() -> None:
        raise RuntimeError("the feed is broken")

    with pytest.raises(RuntimeError, match="the feed is broken"):
        await Leases(await jetstream.connect(), "one").run_while_held("feed", fail)
    assert await is_free(jetstream)

    work = LeaseHolders()
    share = work.work_of("two")
    second = asyncio.create_task(
        Leases(await jetstream.connect(), "two").run_while_held("feed", share)
    )
    await wait_until("another process holds the lease", lambda: work.holding == ["two"])
    share.finished.set()
    await second


async def crash(connection: NatsConnection) -> None:
    """Write the lease of a holder that then disappears."""
    headers = {"Nats-Expected-Last-Subject-Sequence": "0", "Nats-TTL": f"{LEASE_TTL_SECONDS}s"}
    await connection.request("$KV.leases.feed", b"crashed", headers)


async def test_a_standby_takes_over_when_the_lease_of_a_crashed_holder_expires(
    jetstream: JetStreamBackend,
) -> None:
    work = LeaseHolders()
    share = work.work_of("standby")
    loop = asyncio.get_running_loop()
    began = loop.time()
    await crash(await jetstream.connect())
    standby = asyncio.create_task(
        Leases(await jetstream.connect(), "standby").run_while_held("feed", share)
    )

    await wait_until("the standby holds the lease", lambda: work.holding)
    assert loop.time() - began > LEASE_TTL_SECONDS / 2
    share.finished.set()
    await standby


async def test_a_lease_is_renewed_until_the_work_ends(jetstream: JetStreamBackend) -> None:
    work = LeaseHolders()
    one, two = work.work_of("one"), work.work_of("two")
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(
        Leases(await jetstream.connect(), "one").run_while_held("feed", one)
    )
    await wait_until("the first holds the lease", lambda: work.holding == ["one"])
    second = asyncio.create_task(
        Leases(await jetstream.connect(), "two").run_while_held("feed", two)
    )

    until_then = loop.time() + LEASE_TTL_SECONDS + 1
    await wait_until("the time to live of a lease has passed", lambda: loop.time() > until_then)

    assert work.history == ["one"]
    for share in (one, two):
        share.finished.set()
    await asyncio.gather(first, second)


async def test_a_holder_that_cannot_renew_stops_before_another_starts(
    jetstream: JetStreamBackend,
) -> None:
    """The server is frozen. The holder stops while its lease still excludes other processes."""
    work = LeaseHolders()
    shares = [work.work_of("one"), work.work_of("two")]
    tasks = [
        asyncio.create_task(
            Leases(await jetstream.connect(), f"{number}").run_while_held("feed", share)
        )
        for number, share in enumerate(shares)
    ]
    await wait_until("one of them holds the lease", lambda: work.holding)

    async with jetstream.server_frozen():
        await wait_until("the holder stopped", lambda: not work.holding)

    await wait_until("one of them holds the lease again", lambda: work.holding)
    assert work.max_concurrent == 1
    for share in shares:
        share.finished.set()
    await asyncio.gather(*tasks)


async def test_a_suspended_holder_detects_the_expired_lease_before_it_continues(
    jetstream: JetStreamBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a process that got no processor time until its lease had expired executed orders
    at old quotes, at the same time as its successor."""
    work = LeaseHolders()
    leases = Leases(await jetstream.connect(), "one")
    assert not leases.is_held("feed")
    first = asyncio.create_task(leases.run_while_held("feed", work.work_of("one")))
    await wait_until("the process holds the lease", lambda: work.holding == ["one"])
    assert leases.is_held("feed")
    loop = asyncio.get_running_loop()
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + LEASE_TTL_SECONDS)
    assert work.holding == ["one"], "a task has run since the time changed"
    assert not leases.is_held("feed")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
