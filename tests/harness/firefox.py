"""Debian's Firefox for tests, by WebDriver BiDi. Playwright only drives builds of its own.

`firefox` is one browser for all tests of a process; `firefox_session` is a fresh session of it
(cookies, cache) for each test, which fails if a tab had an uncaught error. A `FirefoxTab` is a tab:
`goto`, `evaluate`, `wait_for`, `click`, `press`, `type_text`, `screenshot`. What it lacks is one
`command` away: https://w3c.github.io/webdriver-bidi/ lists them.

Its tests run on the event loop of the session, because they share one browser.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.harness import web_socket
from tests.harness.waiting import wait_until_async
from tests.harness.web_socket import WebSocket, WebSocketClosed

BROWSER_NAMES = ("firefox-esr", "firefox")
START_TIMEOUT_SECONDS = 90.0
COMMAND_TIMEOUT_SECONDS = 60.0
WAIT_TIMEOUT_SECONDS = 60.0
"""These allow for a slow or busy machine."""
PREFERENCES = {
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.backup.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "remote.prefs.recommended": True,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}
KEYS = {
    "Alt": "\ue00a",
    "ArrowDown": "\ue015",
    "ArrowLeft": "\ue012",
    "ArrowRight": "\ue014",
    "ArrowUp": "\ue013",
    "Backspace": "\ue003",
    "Control": "\ue009",
    "Delete": "\ue017",
    "End": "\ue010",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "F1": "\ue031",
    "Home": "\ue011",
    "PageDown": "\ue00f",
    "PageUp": "\ue00e",
    "Shift": "\ue008",
    "Space": " ",
    "Tab": "\ue004",
}
"""The names of keys (KeyboardEvent.key) and their codes in WebDriver."""
_LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")


class FirefoxError(Exception):
    """Firefox refused a command, or a script of a tab raised."""


class Firefox:
    """A running Firefox."""

    def __init__(self, process: asyncio.subprocess.Process, socket: WebSocket) -> None:
        self.process = process
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, FirefoxTab] = {}
        self._reading = asyncio.create_task(self._read())

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Execute a command of WebDriver BiDi. Raises FirefoxError if it fails."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        try:
            return await asyncio.wait_for(answer, COMMAND_TIMEOUT_SECONDS)
        except TimeoutError:
            raise FirefoxError(f"{method} was not answered") from None
        finally:
            del self._answers[number]

    async def new_session(self) -> "FirefoxSession":
        """A session with cookies, storage and cache of its own."""
        made = await self.command("browser.createUserContext")
        return FirefoxSession(self, str(made["userContext"]))

    async def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(FirefoxError, WebSocketClosed, OSError):
            await asyncio.wait_for(self.command("browser.close"), 10)
        self._reading.cancel()
        await self._socket.close()
        try:
            await asyncio.wait_for(self.process.wait(), 10)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def _open_tab(self, user_context: str) -> "FirefoxTab":
        made = await self.command("browsingContext.create", type="tab", userContext=user_context)
        tab = FirefoxTab(self, str(made["context"]))
        self._tabs[tab.context] = tab
        return tab

    async def _read(self) -> None:
        with contextlib.suppress(WebSocketClosed):
            while True:
                message = json.loads(await self._socket.receive())
                if message["type"] == "event":
                    self._on_event(message["method"], message["params"])
                elif answer := self._answers.get(message.get("id") or 0):
                    if message["type"] == "success":
                        answer.set_result(message["result"])
                    else:
                        answer.set_exception(
                            FirefoxError(f"{message['error']}: {message['message']}")
                        )
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(FirefoxError("the browser has ended"))

    def _on_event(self, method: str, parameters: dict[str, Any]) -> None:
        tab = self._tabs.get(parameters.get("source", {}).get("context", ""))
        if method == "log.entryAdded" and tab is not None and parameters["level"] == "error":
            text = str(parameters.get("text"))
            # The browser logs a rejected request as an error too, and tests provoke rejections.
            if parameters["type"] == "javascript" or "Failed to load resource" not in text:
                tab.errors.append(text)


class FirefoxSession:
    """Tabs that share cookies, storage and cache."""

    def __init__(self, browser: Firefox, user_context: str) -> None:
        self.browser = browser
        self._user_context = user_context
        self.tabs: list[FirefoxTab] = []

    async def open_tab(
        self, url: str = "about:blank", *, width: int = 1280, height: int = 900
    ) -> "FirefoxTab":
        """Open a tab with a viewport of `width` times `height` CSS pixels, and load `url`."""
        tab = await self.browser._open_tab(self._user_context)
        self.tabs.append(tab)
        await tab.resize(width, height)
        if url != "about:blank":
            await tab.goto(url)
        return tab

    async def close(self) -> None:
        await self.browser.command("browser.removeUserContext", userContext=self._user_context)


class FirefoxTab:
    """A tab. `errors` are its uncaught errors and the errors that it wrote to the console."""

    def __init__(self, browser: Firefox, context: str) -> None:
        self.browser = browser
        self.context = context
        self.errors: list[str] = []

    async def goto(self, url: str) -> None:
        """Load `url`; return at its `load` event."""
        await self.browser.command(
            "browsingContext.navigate", context=self.context, url=url, wait="complete"
        )

    async def reload(self) -> None:
        await self.browser.command("browsingContext.reload", context=self.context, wait="complete")

    async def go_back(self) -> None:
        await self.browser.command(
            "browsingContext.traverseHistory", context=self.context, delta=-1
        )

    async def evaluate(self, script: str, *arguments: Any) -> Any:
        """The value of an expression, or of a function of `arguments`; promises are awaited.

        Arguments and value are JSON. Raises FirefoxError if the script raises.
        """
        given = json.dumps(arguments)
        source = (
            f"async () => {{ const it = ({script}); "
            f"const value = await (typeof it === 'function' ? it(...{given}) : it); "
            "return JSON.stringify(value === undefined ? null : value); }"
        )
        answer = await self.browser.command(
            "script.callFunction",
            functionDeclaration=source,
            awaitPromise=True,
            target={"context": self.context},
            userActivation=True,
        )
        if answer["type"] == "exception":
            raise FirefoxError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    async def wait_for(
        self, script: str, *arguments: Any, timeout_seconds: float = WAIT_TIMEOUT_SECONDS
    ) -> Any:
        """Wait until `evaluate` returns something true; return that."""
        found: Any = None

        async def holds() -> bool:
            nonlocal found
            found = await self.evaluate(script, *arguments)
            return bool(found)

        await wait_until_async(
            f"in the tab: {script}",
            holds,
            describe_last=lambda: found,
            timeout_seconds=timeout_seconds,
        )
        return found

    async def click(self, selector: str) -> None:
        """Wait for the element that the CSS `selector` finds, and click its middle."""
        x, y = await self.wait_for(
            """(selector) => {
                const element = document.querySelector(selector);
                element?.scrollIntoView({block: 'center', behavior: 'instant'});
                const box = element?.getBoundingClientRect();
                return box?.width ? [box.x + box.width / 2, box.y + box.height / 2] : null;
            }""",
            selector,
        )
        move = {"type": "pointerMove", "x": round(x), "y": round(y)}
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        await self._perform("pointer", [move, down, up])

    async def press(self, keys: str) -> None:
        """Press a key or a chord: "Enter", "a", "Control+k"."""
        codes = [KEYS.get(name, name) for name in re.split(r"(?<=.)\+", keys)]
        down = [{"type": "keyDown", "value": code} for code in codes]
        await self._perform(
            "key", [*down, *({"type": "keyUp", "value": code} for code in reversed(codes))]
        )

    async def type_text(self, text: str) -> None:
        """Type `text` into the focused element."""
        actions = [{"type": how, "value": char} for char in text for how in ("keyDown", "keyUp")]
        await self._perform("key", actions)

    async def screenshot(self, path: Path) -> None:
        """Write a PNG of the viewport."""
        image = await self.browser.command(
            "browsingContext.captureScreenshot", context=self.context
        )
        path.write_bytes(base64.b64decode(image["data"]))

    async def resize(self, width: int, height: int) -> None:
        """Set the size of the viewport in CSS pixels."""
        await self.browser.command(
            "browsingContext.setViewport",
            context=self.context,
            viewport={"width": width, "height": height},
        )

    async def activate(self) -> None:
        """Bring the tab to the front: the others of its window become hidden."""
        await self.browser.command("browsingContext.activate", context=self.context)

    async def close(self) -> None:
        await self.browser.command("browsingContext.close", context=self.context)

    async def _perform(self, kind: str, actions: list[dict[str, Any]]) -> None:
        source = {"type": kind, "id": kind, "actions": actions}
        await self.browser.command("input.performActions", context=self.context, actions=[source])


@contextlib.asynccontextmanager
async def run_firefox(executable: str, **preferences: Any) -> AsyncIterator[Firefox]:
    """A headless Firefox with a new profile during the block."""
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as folder:
        lines = (
            f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
            for name, value in {**PREFERENCES, **preferences}.items()
        )
        Path(folder, "user.js").write_text("".join(lines))
        arguments = ("--headless", "--no-remote", "--remote-debugging-port=0", "--profile", folder)
        process = await asyncio.create_subprocess_exec(
            executable,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={"HOME": folder, "MOZ_HEADLESS": "1", "PATH": "/usr/bin:/bin"},
        )
        assert process.stderr is not None
        draining: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                url = await _read_url(process.stderr)
                draining = asyncio.create_task(_drain(process.stderr))
                socket = await web_socket.connect(f"{url}/session")
                browser = Firefox(process, socket)
                await browser.command("session.new", capabilities={})
                await browser.command("session.subscribe", events=["log.entryAdded"])
            yield browser
            await browser.close()
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                await process.wait()
            if draining is not None:
                draining.cancel()


async def _read_url(output: asyncio.StreamReader) -> str:
    """The URL at which Firefox listens."""
    seen = b""
    async for line in output:
        seen += line
        if found := _LISTENING.search(line):
            return found[1].decode()
    raise FirefoxError(f"Firefox did not start: {seen[-2000:].decode(errors='replace')}")


async def _drain(output: asyncio.StreamReader) -> None:
    while await output.read(1 << 16):
        pass


@pytest.fixture(scope="session")
def firefox_path() -> str:
    """The path of the browser."""
    found = next((path for name in BROWSER_NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSER_NAMES)} is on the PATH")
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def firefox(firefox_path: str) -> AsyncIterator[Firefox]:
    """A running browser."""
    async with run_firefox(firefox_path) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def firefox_session(firefox: Firefox) -> AsyncIterator[FirefoxSession]:
    """A session of its own for the test. Errors in its tabs fail the test."""
    session = await firefox.new_session()
    yield session
    errors = [error for tab in session.tabs for error in tab.errors]
    await session.close()
    assert errors == [], "a tab had errors"
