"""Quotes that waited on their way confirm nothing, in virtual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tapewire.log import Unavailable
from tapewire.log.freshness import QuoteFreshness
from tapewire.log.quote_arrivals import SETTLING_SECONDS, QuoteArrivals
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.virtual_time
LIMIT = 4.0


class Link:
    """A message server that can stand still, and the judge of what arrives from it."""

    def __init__(self) -> None:
        self.clock = asyncio.get_running_loop().time
        self.freshness = QuoteFreshness(LIMIT, started_at=self.clock())
        self.arrivals = QuoteArrivals(self.freshness, self._probe, self.clock)
        self.answers = asyncio.Event()
        self.answers.set()
        self.is_cut = False
        self._running = asyncio.create_task(self.arrivals.run())

    async def _probe(self) -> None:
        await self.answers.wait()
        if self.is_cut:
            raise Unavailable("no connection")

    def is_fresh(self, symbol: str = "IBM") -> bool:
        return not self.freshness.is_stale(symbol, self.clock())

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    made = Link()
    yield made
    await made.stop()


async def test_a_quote_over_a_live_connection_is_fresh_however_late_it_is(link: Link) -> None:
    await asyncio.sleep(100)
    assert link.arrivals.confirm("IBM")
    assert link.is_fresh()


@pytest.mark.parametrize("seconds", [5, 60, 600])
async def test_quotes_that_waited_while_the_server_stood_still_are_not(
    link: Link, seconds: float
) -> None:
    link.arrivals.confirm("IBM")
    link.answers.clear()
    await asyncio.sleep(seconds)
    assert not link.arrivals.confirm("IBM"), "it arrives before the answer to the probe"
    assert not link.is_fresh()
    link.answers.set()
    await asyncio.sleep(SETTLING_SECONDS / 2)
    assert not link.arrivals.confirm("IBM"), "or shortly after it"
    assert not link.is_fresh()


async def test_quotes_that_waited_are_not_if_the_answer_to_the_probe_overtakes_them(
    link: Link,
) -> None:
    link.is_cut = True
    await asyncio.sleep(60)
    link.is_cut, restored_at = False, link.clock()
    await wait_until("a probe is answered", lambda: link.arrivals._answered_probe_at >= restored_at)
    assert not link.arrivals.confirm("IBM")
    assert not link.is_fresh()


async def test_quotes_are_fresh_again_soon_after_the_server_answers(link: Link) -> None:
    link.answers.clear()
    await asyncio.sleep(60)
    link.arrivals.confirm("IBM")
    link.answers.set()
    await asyncio.sleep(2 * SETTLING_SECONDS + LIMIT / 8)
    assert link.arrivals.confirm("IBM")
    assert link.is_fresh()


async def test_a_lost_connection_counts_as_standing_still(link: Link) -> None:
    link.is_cut = True
    await asyncio.sleep(10)
    assert not link.arrivals.confirm("IBM")
    link.is_cut = False
    await asyncio.sleep(2 * SETTLING_SECONDS + LIMIT / 8)
    assert link.arrivals.confirm("IBM")


async def test_a_short_pause_is_no_reason_to_distrust(link: Link) -> None:
    link.answers.clear()
    await asyncio.sleep(1)
    assert link.arrivals.confirm("IBM")


async def test_a_process_that_was_suspended_trusts_nothing_that_waited_for_it() -> None:
    """Its clock has moved on, and no task has run."""
    link = Link()
    await asyncio.sleep(1)
    suspended_seconds = 30.0
    link.arrivals._clock = lambda: link.clock() + suspended_seconds
    assert not link.arrivals.confirm("IBM")
    await link.stop()
