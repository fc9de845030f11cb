"""The terminal in Chromium at 500 quotes a second: first prices, frames, interactions, memory.

The page of a signed-in user is 1,600 x 900 pixels large and has all panels of the desk. It is
measured as it is, and with its processor time cut to a quarter, as developer tools do it for a
slower device. Server and browser share this machine, so that figures of a busy machine are too bad.

`TAPEWIRE_BENCH_PAGE_MINUTES=30` watches the memory for so long; without it, for no time.
"""

import asyncio
import itertools
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, CDPSession, Page, ViewportSize, async_playwright

from tests.bench.sizes import TableRows, percentile
from tests.bench.system import BenchSystem, run_system
from tests.harness.chromium import BROWSER_ARGUMENTS, BROWSER_NAMES
from tests.harness.pages import build_terminal

SYMBOL_COUNT = 500
"""Each is quoted once a second."""
FEED_SECONDS = 2_400
OPEN_OF_DAY_MS = 34_200_000
VIEWPORT: ViewportSize = {"width": 1600, "height": 900}
RATES = (1, 4)
"""The times by which the page's processor is slowed down."""
OPENINGS = 5
FRAME_SECONDS = 20
SETTLE_MS = 4_000
MEMORY_MINUTES = int(os.environ.get("TAPEWIRE_BENCH_PAGE_MINUTES", "0"))

OBSERVE_SCRIPT = """
    window.measured = {inputs: [], firstQuoteMs: 0};
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (entry.interactionId)
            measured.inputs.push([entry.duration, entry.name]);
    }).observe({type: 'event', durationThreshold: 16});
    addEventListener('DOMContentLoaded', () => {
        const observer = new MutationObserver(() => {
            if (!document.querySelector('#panel-watchlist tbody tr[data-key] td')) return;
            observer.disconnect();
            requestAnimationFrame(() => requestAnimationFrame((now) => {
                measured.firstQuoteMs = now;
            }));
        });
        observer.observe(document.documentElement, {subtree: true, childList: true});
    });
"""
FRAMES_SCRIPT = """(seconds) => new Promise((resolve) => {
    const times = [];
    const step = (now) => {
        times.push(now);
        if (now - times[0] < seconds * 1000) requestAnimationFrame(step);
        else resolve(times);
    };
    requestAnimationFrame(step);
})"""


async def measure_page() -> TableRows:
    build_terminal()
    executable = next((path for name in BROWSER_NAMES if (path := shutil.which(name))), None)
    if executable is None:
        raise SystemExit(f"no browser: none of {', '.join(BROWSER_NAMES)} is on the PATH")
    rows: TableRows = []
    with tempfile.TemporaryDirectory(prefix="tapewire-bench-") as folder:
        feed = Path(folder) / "feed.csv"
        write_feed(feed)
        with run_system("--feed", str(feed)) as system:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=executable, args=BROWSER_ARGUMENTS
                )
                for rate in RATES:
                    rows.append(await measure_opening(browser, system, rate))
                page = await open_signed_in(browser, system)
                await page.wait_for_timeout(SETTLE_MS)
                for rate in RATES:
                    rows += await measure_running(page, rate)
                if MEMORY_MINUTES:
                    rows.append(await measure_memory(page))
                await browser.close()
    return rows


def write_feed(file: Path) -> None:
    """Write a recording in which each symbol is quoted once a second, the symbols evenly spread
    over it."""
    random_numbers = random.Random(1)
    names = [f"{chr(65 + i // 26)}{chr(65 + i % 26)}" for i in range(SYMBOL_COUNT)]
    prices = [random_numbers.uniform(10, 300) for _ in names]
    with file.open("w") as lines:
        lines.write("ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n")
        for second in range(FEED_SECONDS):
            for i, name in enumerate(names):
                price = prices[i] = max(
                    1, prices[i] + random_numbers.choice((-0.03, -0.01, 0.01, 0.03))
                )
                at = OPEN_OF_DAY_MS + second * 1000 + i * 1000 // SYMBOL_COUNT
                lines.write(
                    f"{at},{name},{price - 0.01:.2f},100,{price + 0.01:.2f},100,{price:.2f},200\n"
                )


async def measure_opening(browser: Browser, system: BenchSystem, rate: int) -> tuple[str, str]:
    """A new browser session opens the page, signed out."""
    paints, quotes = [], []
    for _ in range(OPENINGS):
        context = await browser.new_context(viewport=VIEWPORT)
        page = await context.new_page()
        await slow_down(await context.new_cdp_session(page), rate)
        await open_page(page, system)
        paints.append(
            await page.evaluate(
                "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
            )
        )
        quotes.append(await page.evaluate("measured.firstQuoteMs"))
        await context.close()
    return (
        f"{describe(rate)}: opened with an empty cache, median of {OPENINGS}",
        (
            f"first paint {percentile(paints, 0.5):.0f} ms, "
            f"first quote {percentile(quotes, 0.5):.0f} ms"
        ),
    )


async def open_signed_in(browser: Browser, system: BenchSystem) -> Page:
    context = await browser.new_context(viewport=VIEWPORT)
    await context.request.post(f"{system.url}/api/session", data={"userId": "bench"})
    page = await context.new_page()
    await open_page(page, system)
    return page


async def open_page(page: Page, system: BenchSystem) -> None:
    await page.add_init_script(OBSERVE_SCRIPT)
    await page.goto(system.url, wait_until="commit")
    await page.wait_for_function("() => measured.firstQuoteMs > 0", timeout=60_000)


async def measure_running(page: Page, rate: int) -> TableRows:
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    await slow_down(session, rate)
    await page.wait_for_timeout(SETTLE_MS)
    before = await read_metrics(session)
    times = await page.evaluate(FRAMES_SCRIPT, FRAME_SECONDS)
    after = await read_metrics(session)
    gaps = [end - start for start, end in itertools.pairwise(times)]
    seconds = (times[-1] - times[0]) / 1000
    busy, script = (
        (after[name] - before[name]) / seconds for name in ("TaskDuration", "ScriptDuration")
    )
    inputs = await measure_interactions(page)
    await slow_down(session, 1)
    await session.detach()
    return [
        (
            f"{describe(rate)}: {SYMBOL_COUNT} quotes/s",
            (
                f"{len(gaps) / seconds:.1f} frames/s, apart p95 {percentile(gaps, 0.95):.0f} ms, "
                f"p99 {percentile(gaps, 0.99):.0f} ms; page busy {busy:.0%}, scripts {script:.0%}"
            ),
        ),
        (
            f"{describe(rate)}: {len(inputs)} presses and keys, until the next paint",
            (
                f"p50 {percentile(inputs, 0.5):.0f} ms, p98 {percentile(inputs, 0.98):.0f} ms, "
                f"longest {max(inputs):.0f} ms"
            ),
        ),
    ]


async def measure_interactions(page: Page) -> list[float]:
    """Choose symbols, fill in a quantity, open and close the menu of panels and the help; return
    the milliseconds until what they changed was painted. Those below 16 ms are not reported by the
    browser."""
    await page.evaluate("measured.inputs = []")
    quantity = page.locator("#panel-ticket").get_by_label("Quantity")
    rows = page.locator("#panel-watchlist tbody tr[data-key]")
    for number in range(8):
        await rows.nth(2 + number).click()
        await page.wait_for_timeout(300)
        await quantity.fill("")
        await quantity.press_sequentially("12", delay=60)
    for _ in range(2):
        await page.get_by_role("button", name="Panels").click()
        await page.wait_for_timeout(300)
        await page.keyboard.press("Escape")
        await page.wait_for_timeout(300)
    return [duration for duration, _ in await page.evaluate("measured.inputs")]


async def measure_memory(page: Page) -> tuple[str, str]:
    """The JavaScript heap after a collection, and the nodes of the document, minute by minute."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    heaps, nodes = [], []
    for _ in range(MEMORY_MINUTES + 1):
        await session.send("HeapProfiler.collectGarbage")
        metrics = await read_metrics(session)
        heaps.append(metrics["JSHeapUsedSize"] / 1e6)
        nodes.append(metrics["Nodes"])
        await asyncio.sleep(60)
    # The lines of recent prices fill up during the first minutes.
    third = len(heaps) // 3
    return (
        f"memory over {MEMORY_MINUTES} minutes",
        (
            f"heap {heaps[0]:.1f} MB at first, {heaps[third]:.1f} MB after {third} minutes, "
            f"{heaps[-1]:.1f} MB at the end (most {max(heaps):.1f}); "
            f"nodes {nodes[0]:.0f}, {nodes[third]:.0f}, {nodes[-1]:.0f}"
        ),
    )


async def slow_down(session: CDPSession, rate: int) -> None:
    await session.send("Emulation.setCPUThrottlingRate", {"rate": rate})


async def read_metrics(session: CDPSession) -> dict[str, float]:
    answer: Any = await session.send("Performance.getMetrics")
    return {metric["name"]: metric["value"] for metric in answer["metrics"]}


def describe(rate: int) -> str:
    return "page" if rate == 1 else f"page, {rate} times slower"
