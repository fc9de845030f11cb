"""Tabs of Chromium as they are without a test: hidden when they should be, and frozen.

Playwright keeps its pages visible and focused, and Chromium freezes no visible page. An
`UnattendedTab` is opened in a context that Playwright does not know, and driven by messages of the
DevTools protocol through the browser's own session. Chromium's headless shell has no back/forward
cache, so this is the newer headless mode of the whole browser. Start reading at
`UnattendedBrowser.open_tab`.
"""

import asyncio
import contextlib
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, Error, async_playwright

from tests.harness.chromium import BROWSER_ARGUMENTS
from tests.harness.waiting import wait_until, wait_until_async

ANSWER_TIMEOUT_SECONDS = 30.0
_PLAYWRIGHT_ARGUMENTS = [
    "--disable-back-forward-cache",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
]
"""What Playwright turns off of a browser's care for pages that are not looked at."""


class UnattendedTab:
    """A tab. `events` are the protocol's events since it was opened, as (method, parameters)."""

    def __init__(self, control: CDPSession, target: str, session: str) -> None:
        self._control, self._session = control, session
        self.target = target
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        control.on("Target.receivedMessageFromTarget", self._receive)

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command to the tab."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self.post(method, number, **parameters)
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            message = await answer
        assert "error" not in message, message
        found: dict[str, Any] = message["result"]
        return found

    async def post(self, method: str, number: int = 0, **parameters: Any) -> None:
        """Send a command whose answer may never come."""
        message = json.dumps({"id": number, "method": method, "params": parameters})
        await self._control.send(
            "Target.sendMessageToTarget", {"sessionId": self._session, "message": message}
        )

    async def evaluate(self, expression: str, argument: Any = None) -> Any:
        """The value of an expression, or of a function that is called with `argument`."""
        if argument is not None:
            expression = f"({expression})({json.dumps(argument)})"
        answer = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def go_back(self) -> list[str]:
        """Return to the page before; why it was loaded anew, and not restored as it was left."""
        self.events.clear()
        history = await self.send("Page.getNavigationHistory")
        before = history["entries"][history["currentIndex"] - 1]
        await self.post("Page.navigateToHistoryEntry", entryId=before["id"])

        def returned() -> bool:
            return any(method == "Page.frameNavigated" for method, _ in self.events)

        await wait_until("the page is back", returned, describe_last=lambda: self.events)
        if any(event.get("type") == "BackForwardCacheRestore" for _, event in self.events):
            return []
        explained = "Page.backForwardCacheNotUsed"
        await wait_until("the reason", lambda: any(name == explained for name, _ in self.events))
        reasons = [
            event["notRestoredExplanations"] for name, event in self.events if name == explained
        ]
        return sorted({one["reason"] for one in reasons[0]})

    def _receive(self, event: dict[str, Any]) -> None:
        if event["sessionId"] != self._session:
            return
        message = json.loads(event["message"])
        if "id" not in message:
            self.events.append((message["method"], message["params"]))
        elif (waiting := self._waiting.pop(message["id"], None)) is not None:
            waiting.set_result(message)


class UnattendedBrowser:
    """A browser with unattended tabs of one profile."""

    def __init__(self, control: CDPSession, context: str) -> None:
        self.control, self._context = control, context

    async def open_tab(self, url: str) -> UnattendedTab:
        """A tab that has loaded `url`."""
        made = await self.control.send(
            "Target.createTarget",
            {"url": "about:blank", "browserContextId": self._context, "newWindow": True},
        )
        target = made["targetId"]
        attached = await self.control.send(
            "Target.attachToTarget", {"targetId": target, "flatten": False}
        )
        tab = UnattendedTab(self.control, target, attached["sessionId"])
        await tab.send("Page.enable")
        await tab.send("Page.navigate", url=url)
        is_loaded = "location.href !== 'about:blank' && document.readyState === 'complete'"
        await wait_until_async(f"{url} is loaded", lambda: tab.evaluate(is_loaded))
        return tab

    async def close_tab(self, tab: UnattendedTab) -> None:
        """Close it, or nothing if it is closed."""
        with contextlib.suppress(Error):
            await self.control.send("Target.closeTarget", {"targetId": tab.target})


@asynccontextmanager
async def run_unattended_browser() -> AsyncIterator[UnattendedBrowser]:
    """Run Chromium in its newer headless mode, whose pages live as those in windows do."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium or google-chrome on the PATH")
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(
            executable_path=found,
            headless=False,
            args=(*BROWSER_ARGUMENTS, "--headless=new", "--process-per-tab"),
            ignore_default_args=_PLAYWRIGHT_ARGUMENTS,
        )
        control = await browser.new_browser_cdp_session()
        context = await control.send("Target.createBrowserContext")
        yield UnattendedBrowser(control, context["browserContextId"])
        await browser.close()
