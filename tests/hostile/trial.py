"""Runs every client behind every proxy at the same time, while events are appended.

Start reading at `run_trial`.
"""

import asyncio
import contextlib
import time
from pathlib import Path

import httpx
import msgspec
from playwright.async_api import Browser, BrowserContext

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, order_placed
from tests.harness.waiting import wait_until_async
from tests.hostile.proxies import HostileProxy, run_proxy
from tests.hostile.readers import (
    BrowserReader,
    CurlReader,
    PollReader,
    Reader,
    ReceivedId,
    session_cookie,
)

USER = "alice"
BROWSER_CLIENT, EVENT_SOURCE, CURL, POLLING = "browser client", "EventSource", "curl", "polling"
CLIENTS = (BROWSER_CLIENT, EVENT_SOURCE, CURL, POLLING)
CURL_OPTIONS = {HostileProxy.HTTP_2: ("--http2",), HostileProxy.HTTP_1_0: ("--http1.0",)}
EVENTS_PER_SECOND = 10.0
START_SECONDS = END_SECONDS = 7.0
"""More than clients have, before and after events are appended."""

ReaderKey = tuple[HostileProxy, str]


class TrialSize(msgspec.Struct, frozen=True, kw_only=True):
    """How long events are appended, and when the proxy that cuts connections does so."""

    seconds: float
    cut_seconds: float


FULL = TrialSize(seconds=45.0, cut_seconds=10.0)
SHORT = TrialSize(seconds=10.0, cut_seconds=4.0)


class AppendedEvent(msgspec.Struct, frozen=True):
    """An event, and when it was stored, in seconds since 1970."""

    sequence: int
    stored_at: float


class ReaderResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a client received. `first_seconds` is the time from its start to the first event."""

    started_at: float
    received: list[ReceivedId]
    opening_count: int

    @property
    def first_seconds(self) -> float:
        return self.received[0].received_at - self.started_at if self.received else float("inf")

    def lost_or_doubled(self, appended: list[AppendedEvent]) -> list[int]:
        """The sequences after the client's first that it has not received exactly once, in order.

        A later snapshot makes up for nothing, since it does not say what happened.
        """
        if not self.received:
            return [event.sequence for event in appended]
        first, *rest = [one.sequence for one in self.received]
        wanted = [event.sequence for event in appended if event.sequence > first]
        return [] if rest == wanted else sorted({*rest} ^ {*wanted}) or rest

    def longest_delay_seconds(self, appended: list[AppendedEvent]) -> float:
        """The longest time from storing an event to its arrival, without those before the first."""
        stored_at = {event.sequence: event.stored_at for event in appended}
        delays = [
            one.received_at - stored_at[one.sequence]
            for one in self.received[1:]
            if one.sequence in stored_at
        ]
        return max(delays, default=float("inf"))


class HostileTrialResult(msgspec.Struct, frozen=True):
    """A completed trial."""

    appended: list[AppendedEvent]
    results: dict[ReaderKey, ReaderResult]

    def __str__(self) -> str:
        rows = [
            f"{proxy.value}, {client}: first event after {one.first_seconds:.1f} s, "
            f"later ones up to {one.longest_delay_seconds(self.appended):.1f} s late, "
            f"{one.opening_count} streams, lost or doubled: "
            f"{len(one.lost_or_doubled(self.appended))} of {len(self.appended)}"
            for (proxy, client), one in self.results.items()
        ]
        return "\n  ".join([f"{len(self.appended)} events", *rows])


async def run_trial(
    harness: Harness, edge: EdgeProcess, browser: Browser, folder: Path, size: TrialSize
) -> HostileTrialResult:
    """Run it. Clients that receive nothing do not fail it; their results show it."""
    async with contextlib.AsyncExitStack() as running:
        context = await running.enter_async_context(
            await browser.new_context(ignore_https_errors=True)
        )
        readers: dict[ReaderKey, Reader] = {}
        journal = await running.enter_async_context(harness.journal())
        await journal.append(USER, order_placed("first"))

        async def start(proxy: HostileProxy) -> None:
            url = await running.enter_async_context(
                run_proxy(proxy, folder / proxy.name, edge.port, size.cut_seconds)
            )
            readers.update(await _start_readers(running, context, proxy, url))

        await asyncio.gather(*map(start, HostileProxy))
        await _wait_for_first(readers)
        appended = await _append_events(journal, size.seconds)
        await _wait_for_last(readers, appended[-1].sequence)
        results = {
            key: ReaderResult(
                started_at=one.started_at,
                received=await one.received(),
                opening_count=await one.opening_count(),
            )
            for key, one in readers.items()
        }
    return HostileTrialResult(appended, results)


async def _start_readers(
    running: contextlib.AsyncExitStack, context: BrowserContext, proxy: HostileProxy, url: str
) -> dict[ReaderKey, Reader]:
    """Sign in and start every client at `url`; return them."""
    # The certificate is the test's own.
    async with httpx.AsyncClient(verify=False, trust_env=False) as http:  # noqa: S501
        signed_in = await http.post(f"{url}/api/session", json={"userId": USER})
    cookie = session_cookie(signed_in.headers)
    name, _, value = cookie.partition("=")
    await context.add_cookies([{"name": name, "value": value, "url": url}])
    started: dict[ReaderKey, Reader] = {}
    for kind in (BROWSER_CLIENT, EVENT_SOURCE):
        page = await context.new_page()
        await page.goto(f"{url}/client/tapewire.js")
        browser_reader = BrowserReader.run(page, kind)
        started[proxy, kind] = await running.enter_async_context(browser_reader)
    curl = CurlReader.run(url, cookie, CURL_OPTIONS.get(proxy, ()))
    started[proxy, CURL] = await running.enter_async_context(curl)
    polling = PollReader.run(url, cookie)
    started[proxy, POLLING] = await running.enter_async_context(polling)
    return started


async def _append_events(journal: EventLogDriver, seconds: float) -> list[AppendedEvent]:
    appended = []
    for number in range(int(seconds * EVENTS_PER_SECOND)):
        sequence = await journal.append(USER, order_placed(f"o-{number}"))
        appended.append(AppendedEvent(sequence, time.time()))
        await asyncio.sleep(1 / EVENTS_PER_SECOND)
    return appended


async def _wait_for_first(readers: dict[ReaderKey, Reader]) -> None:
    """Wait until every client has received something, or should have."""

    async def have_all() -> bool:
        return all([bool(await reader.received()) for reader in readers.values()])

    with contextlib.suppress(AssertionError):
        await wait_until_async("each has one", have_all, timeout_seconds=START_SECONDS)


async def _wait_for_last(readers: dict[ReaderKey, Reader], sequence: int) -> None:
    """Wait until every client has received the event `sequence`, or should have."""

    async def have_all() -> bool:
        received = [await reader.received() for reader in readers.values()]
        return all(bool(one) and one[-1].sequence == sequence for one in received)

    with contextlib.suppress(AssertionError):
        await wait_until_async("each has the last", have_all, timeout_seconds=END_SECONDS)
