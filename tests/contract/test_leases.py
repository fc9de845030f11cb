"""Leases: work that runs in one process at a time, and a standby that takes over."""

import asyncio

import pytest

from tapewire.log.jetstream import JetStreamValues, Wire
from tapewire.log.jetstream.streams import LEASES
from tapewire.runtime.leases import LEASE_SECONDS, Leases
from tests.contract.backends import JetStreamBackend
from tests.waiting import WAIT_SECONDS, until


class Work:
    """Notes who holds the lease, and when two did at once."""

    def __init__(self) -> None:
        self.holding: list[str] = []
        self.story: list[str] = []
        self.most = 0

    def by(self, name: str) -> "Share":
        return Share(self, name)


class Share:
    def __init__(self, work: Work, name: str) -> None:
        self._work = work
        self._name = name
        self.done = asyncio.Event()

    async def __call__(self) -> None:
        work = self._work
        work.holding.append(self._name)
        work.story.append(self._name)
        work.most = max(work.most, len(work.holding))
        try:
            await self.done.wait()
        finally:
            work.holding.remove(self._name)


async def test_one_holds_and_the_other_takes_over_when_the_work_ends(
    jetstream: JetStreamBackend,
) -> None:
    work = Work()
    one, two = work.by("one"), work.by("two")
    first = asyncio.create_task(Leases(await jetstream.wire(), "one").hold("feed", one))
    await until("the first holds it", lambda: work.holding == ["one"])
    second = asyncio.create_task(Leases(await jetstream.wire(), "two").hold("feed", two))

    one.done.set()
    await asyncio.wait_for(first, WAIT_SECONDS)

    await until("the second took over", lambda: work.holding == ["two"])
    two.done.set()
    await second
    assert work.most == 1


async def free(jetstream: JetStreamBackend) -> bool:
    """Whether nobody holds the lease: it was let go, and does not wait for its life to end."""
    leases = JetStreamValues(await jetstream.wire(), stream=LEASES, prefix="$KV.leases")
    return await leases.get("feed") is None


async def test_a_canceled_holder_lets_go_at_once(jetstream: JetStreamBackend) -> None:
    work = Work()
    first = asyncio.create_task(Leases(await jetstream.wire(), "one").hold("feed", work.by("one")))
    await until("the first holds it", lambda: work.holding == ["one"])
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert work.holding == []
    assert await free(jetstream)

    two = work.by("two")
    second = asyncio.create_task(Leases(await jetstream.wire(), "two").hold("feed", two))
    await until("the second holds it", lambda: work.holding == ["two"])
    two.done.set()
    await second


async def test_leases_of_different_names_are_apart(jetstream: JetStreamBackend) -> None:
    work, leases = Work(), Leases(await jetstream.wire(), "one")
    names = ["prices", "paper broker", "a.b", "*"]
    shares = [work.by(name) for name in names]
    tasks = [
        asyncio.create_task(leases.hold(name, share))
        for name, share in zip(names, shares, strict=True)
    ]
    await until("all are held", lambda: sorted(work.holding) == sorted(names))
    for share in shares:
        share.done.set()
    await asyncio.gather(*tasks)


async def test_what_the_work_raises_is_raised_and_the_lease_is_free(
    jetstream: JetStreamBackend,
) -> None:
    async def fail() -> None:
        raise RuntimeError("the feed is broken")

    with pytest.raises(RuntimeError, match="the feed is broken"):
        await Leases(await jetstream.wire(), "one").hold("feed", fail)
    assert await free(jetstream)

    work = Work()
    share = work.by("two")
    second = asyncio.create_task(Leases(await jetstream.wire(), "two").hold("feed", share))
    await until("another holds it", lambda: work.holding == ["two"])
    share.done.set()
    await second


async def crashed(wire: Wire) -> None:
    """A holder that wrote its lease and was never heard of again."""
    headers = {"Nats-Expected-Last-Subject-Sequence": "0", "Nats-TTL": f"{LEASE_SECONDS}s"}
    await wire.request("$KV.leases.feed", b"crashed", headers)


async def test_a_standby_takes_over_seconds_after_a_crash(jetstream: JetStreamBackend) -> None:
    work = Work()
    share = work.by("standby")
    loop = asyncio.get_running_loop()
    began = loop.time()
    await crashed(await jetstream.wire())
    standby = asyncio.create_task(Leases(await jetstream.wire(), "standby").hold("feed", share))

    await until("the standby holds it", lambda: work.holding)
    assert loop.time() - began > LEASE_SECONDS / 2
    share.done.set()
    await standby


async def test_a_lease_is_kept_for_as_long_as_the_work_takes(jetstream: JetStreamBackend) -> None:
    work = Work()
    one, two = work.by("one"), work.by("two")
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(Leases(await jetstream.wire(), "one").hold("feed", one))
    await until("the first holds it", lambda: work.holding == ["one"])
    second = asyncio.create_task(Leases(await jetstream.wire(), "two").hold("feed", two))

    until_then = loop.time() + LEASE_SECONDS + 1
    await until("longer than a lease lives", lambda: loop.time() > until_then)

    assert work.story == ["one"]
    for share in (one, two):
        share.done.set()
    await asyncio.gather(first, second)


async def test_a_holder_that_cannot_renew_stops_before_another_begins(
    jetstream: JetStreamBackend,
) -> None:
    """The server freezes: the holder gives up while its lease still keeps others out."""
    work = Work()
    shares = [work.by("one"), work.by("two")]
    tasks = [
        asyncio.create_task(Leases(await jetstream.wire(), f"{number}").hold("feed", share))
        for number, share in enumerate(shares)
    ]
    await until("one of them holds it", lambda: work.holding)

    async with jetstream.frozen():
        await until("the holder stopped", lambda: not work.holding)

    await until("one of them holds it again", lambda: work.holding)
    assert work.most == 1
    for share in shares:
        share.done.set()
    await asyncio.gather(*tasks)


async def test_a_holder_that_stood_still_knows_that_it_holds_nothing_before_it_does_anything(
    jetstream: JetStreamBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was starved of the processor for longer than its lease lived executed orders
    at the quotes of before, beside its successor."""
    work = Work()
    leases = Leases(await jetstream.wire(), "one")
    assert not leases.held("feed")
    first = asyncio.create_task(leases.hold("feed", work.by("one")))
    await until("it holds it", lambda: work.holding == ["one"])
    assert leases.held("feed")
    loop = asyncio.get_running_loop()
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + LEASE_SECONDS)
    assert work.holding == ["one"], "nothing has had its turn yet"
    assert not leases.held("feed")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
