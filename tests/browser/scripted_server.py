"""A server with scripted responses, for situations that a real server rarely produces.

It serves the page and the client from the project's files, under the content security policy of the
edge. The test scripts everything under /api/.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Request, Route

from tapewire_services.edge.http.pages import CONTENT_SECURITY_POLICY

ROOT = Path(__file__).parents[2]
ORIGIN = "http://tapewire.test"
PAGES = {"/": "index.html", "/dashboard": "dashboard.html"}
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
IBM_QUOTE = {
    "symbol": "IBM",
    "price": 182.0,
    "bid": 181.99,
    "ask": 182.01,
    "volume": 1200,
    "change": -0.5,
    "changePercent": -0.274,
    "timestamp": "2026-01-05T14:30:00Z",
}

ScriptedAnswer = tuple[int, Any] | tuple[int, Any, dict[str, str]]


def error_answer(status: int, message: str, **more: Any) -> ScriptedAnswer:
    """An error response in the format that all errors share."""
    return status, {"error": "Error", "message": message, "statusCode": status, **more}


def stream_answer(*events: tuple[str, Any]) -> ScriptedAnswer:
    """A stream that ends after `events`. Its retry of one hour keeps the page from reconnecting
    during a test."""
    frames = [f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events]
    body = "retry: 3600000\n\n" + "".join(frames)
    return 200, body, {"content-type": "text/event-stream"}


class ScriptedServer:
    """`answer_call` scripts the answers; `requests` holds the received requests, as (method and
    path, JSON body)."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []
        self._answers: dict[str, Callable[[Any], ScriptedAnswer]] = {}
        self.answer_call("GET /api/session", lambda _: error_answer(401, "No valid session found"))
        prices = ("price:update", {"initializing": True, "prices": [IBM_QUOTE]})
        self.answer_call("GET /api/stream/prices", lambda _: stream_answer(prices))

    def answer_call(self, call: str, answer: Callable[[Any], ScriptedAnswer]) -> None:
        """Answer `call`, such as "POST /api/orders", from its JSON body."""
        self._answers[call] = answer

    def request_bodies(self, call: str) -> list[Any]:
        return [body for received_call, body in self.requests if received_call == call]

    def sign_in_user(self, user: str, *, orders: list[dict[str, Any]] | None = None) -> None:
        """Script an existing session whose trading stream has these orders."""
        session = {"userId": user, "roles": [], "expiresAt": "2099-01-01T00:00:00Z"}
        self.answer_call("GET /api/session", lambda _: (200, session))
        snapshot = ("order:update", {"snapshot": True, "orders": orders or []})
        self.answer_call("GET /api/stream/trading", lambda _: stream_answer(snapshot))

    async def install(self, context: BrowserContext) -> None:
        await context.route(f"{ORIGIN}/**", self._handle_route)

    async def _handle_route(self, route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN).partition("?")[0]
        if path.startswith("/api/"):
            await self._answer_call(route, route.request, path)
            return
        file = _read_file(path)
        headers = {
            "content-type": CONTENT_TYPES[file.suffix],
            "content-security-policy": CONTENT_SECURITY_POLICY,
        }
        await route.fulfill(body=file.read_bytes(), headers=headers)

    async def _answer_call(self, route: Route, request: Request, path: str) -> None:
        call = f"{request.method} {path}"
        body = request.post_data_json
        self.requests.append((call, body))
        answer = self._answers.get(
            call, lambda _: error_answer(404, f"nothing scripted for {call}")
        )
        status, payload, *more = answer(body)
        headers = {"content-type": "application/json", **(more[0] if more else {})}
        text = payload if isinstance(payload, str) else json.dumps(payload)
        await route.fulfill(status=status, body=text, headers=headers)


def _read_file(path: str) -> Path:
    if path in PAGES:
        return ROOT / "services/edge/web" / PAGES[path]
    _, folder, name = path.split("/", 2)
    return (
        ROOT
        / {"static": "services/edge/web", "client": "libs/client/packages/client/dist"}[folder]
        / name
    )
