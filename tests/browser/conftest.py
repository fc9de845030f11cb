"""A Chromium for the tests of this folder. Without Chromium they are skipped with the reason.

All tests share one browser, and each has a fresh context (cookies, cache). A test fails if its page
had an uncaught error or violated the strict content security policy.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
)

from tests.harness.chromium import browser, chromium  # noqa: F401  # fixtures

WAIT_TIMEOUT_MS = 60_000
"""Allows for a slow or busy machine."""

OpenPage = Callable[[], Awaitable[Page]]


@contextlib.asynccontextmanager
async def new_context(browser: Browser) -> AsyncIterator[BrowserContext]:  # noqa: F811
    """A browser session during the block."""
    made = await browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    made.set_default_timeout(WAIT_TIMEOUT_MS)
    expect.set_options(timeout=WAIT_TIMEOUT_MS)
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def page_opener(context: BrowserContext) -> AsyncIterator[OpenPage]:
    """Opens tabs during the block. Raises AssertionError at its end if a page had errors."""
    wrong: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # The browser logs a rejected request as an error too, and some tests provoke rejections.
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    async def opened() -> Page:
        page = await context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        return page

    yield opened
    assert wrong == [], "the page had errors"


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:  # noqa: F811
    async with new_context(browser) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(context: BrowserContext) -> AsyncIterator[OpenPage]:
    """Open tabs in one browser session; page errors fail the test."""
    async with page_opener(context) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage) -> Page:
    return await open_page()
