"""The common behaviour of all REST calls that the OpenAPI document names (R6).

Calls require a session and return the correlation id. Errors have one shape with the field's path.
A call is 503 while its service is unavailable. The document describes all of these answers.
"""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess
from tests.integration.edge.openapi_document import OPENAPI_PATH, OpenApiDocument
from tests.integration.edge.valid_input import BODIES, QUERIES, of_nothing

OPEN = {
    ("GET", "/api/prices"), ("GET", "/api/bars"), ("GET", "/api/v2/metrics"),
    ("GET", "/api/v2/items"),
    ("POST", "/api/session"), ("GET", "/health"), ("GET", "/health/live"),
    ("GET", "/health/ready"), ("GET", "/health/sse"), ("GET", "/api/stream/metrics"),
}  # fmt: skip
"""Calls that need no session."""
OWN = {
    ("GET", "/api/prices"), ("POST", "/api/session"), ("GET", "/api/session"),
    ("DELETE", "/api/session"), ("POST", "/api/stream/ticket"), ("POST", "/api/stream/test"),
    ("PATCH", "/api/stream/none-such"),
    ("GET", "/api/sse/status"), ("GET", "/health"), ("GET", "/health/live"),
    ("GET", "/api/operations/services"), ("GET", "/api/operations/connections"),
    ("GET", "/api/operations/journal"), ("GET", "/api/operations/explain"),
    ("GET", "/health/ready"), ("GET", "/health/sse"), ("GET", "/api/stream/metrics"),
}  # fmt: skip
"""Calls that the edge answers without another service."""
_BODIES = {(method, of_nothing(path)): body for (method, path), body in BODIES.items()}
JSON = {"Content-Type": "application/json"}
_numbers = itertools.count()


@pytest.fixture
async def document(edge: EdgeProcess) -> OpenApiDocument:
    async with edge.client() as http:
        return OpenApiDocument((await http.get(OPENAPI_PATH)).json())


@pytest.fixture
async def calls(document: OpenApiDocument) -> list[tuple[str, str, bool]]:
    """The method and the path of every call, and whether it takes a body."""
    found = [
        (method, of_nothing(path), "requestBody" in operation)
        for (method, path), operation in document.operations.items()
    ]
    assert len(found) >= 36, found
    return found


def is_error(answer: Any, status: Any, error: str) -> Any:
    body = answer.json()
    assert (answer.status_code, body["statusCode"], body["error"]) == (status, status, error)
    assert body["message"]
    return body


async def test_every_call_returns_the_correlation_id_and_requires_a_session(
    edge: EdgeProcess, document: OpenApiDocument, calls: list[tuple[str, str, bool]]
) -> None:
    async with edge.client() as http:
        for method, path, _ in calls:
            correlation = f"call-{next(_numbers)}"
            answer = await http.request(method, path, headers={"X-Correlation-ID": correlation})
            assert answer.headers.get_list("x-correlation-id") == [correlation], (method, path)
            document.assert_documented(answer)
            if (method, path) not in OPEN:
                body = is_error(answer, 401, "Unauthorized")
                assert body["message"] == "No valid session found"


async def test_every_call_names_the_invalid_field(
    edge: EdgeProcess,
    document: OpenApiDocument,
    calls: list[tuple[str, str, bool]],
    fresh: Callable[[str], str],
) -> None:
    cookie = await edge.sign_in(fresh("alice"), ["admin"])
    taking = [(method, path) for method, path, takes in calls if takes]
    assert len(taking) >= 9, taking
    async with edge.client(cookie) as http:
        for method, path in taking:
            good = _BODIES[method, path]
            odd = is_error(
                await http.request(method, path, json={**good, "odd": 1}), 422,
                "Unprocessable Entity",
            )  # fmt: skip
            assert odd["path"] == "odd", (method, path)
            name = next(iter(good))
            wrong = await http.request(method, path, json={**good, name: {"a": 1}})
            body = is_error(wrong, 422, "Unprocessable Entity")
            assert (body["path"].split(".")[0].split("[")[0], body["value"]) == (name, {"a": 1})
            nothing = await http.request(method, path, content=b"{", headers=JSON)
            is_error(nothing, 400, "Bad Request")
            large = await http.request(method, path, content=b" " * 70_000, headers=JSON)
            is_error(large, 413, "Content Too Large")
            for answer in (wrong, nothing, large):
                document.assert_documented(answer)


async def test_every_call_refuses_unknown_query_parameters_by_name(
    edge: EdgeProcess,
    document: OpenApiDocument,
    calls: list[tuple[str, str, bool]],
    fresh: Callable[[str], str],
) -> None:
    """Also a misspelled name, the name of another call, and a known one that is given twice. The
    value may be a secret, and is not repeated."""
    cookie = await edge.sign_in(fresh("alice"), ["admin"])
    refused = 0
    async with edge.client(cookie) as http:
        for method, path, takes in calls:
            if path.startswith("/health") or path == "/api/stream/metrics":
                continue
            body = _BODIES[method, path] if takes else None
            paged = "limit" in known(document, path, method)
            for query, name in (
                ("password=hunter2", "password"),
                ("Limit=5", "Limit"),
                ("limit=5&until=2026", "until" if paged else "limit"),
                ("limit=5&limit=6", "limit"),
            ):
                answer = await http.request(method, f"{path}?{query}", json=body)
                found = is_error(answer, 422, "Unprocessable Entity")
                assert found["path"] == name, (method, path, query)
                assert "hunter2" not in answer.text
                document.assert_documented(answer)
                refused += 1
    assert refused >= 4 * 28, refused


def known(document: OpenApiDocument, path: str, method: str = "GET") -> set[str]:
    """The query parameters of a call."""
    operation = document.operations.get((method, path), {})
    return {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}


LISTS = {
    "/api/orders": "orders", "/api/trades": "trades", "/api/strategies": "strategies",
    "/api/alerts": "alerts", "/api/alerts/rules": "rules", "/api/positions": "positions",
    "/api/notifications": "notifications", "/api/prices": "prices", "/api/bars": "bars",
    "/api/v2/items": "items",
    "/api/v2/configurations": "configurations",
}  # fmt: skip


def test_every_list_is_paged(document: OpenApiDocument) -> None:
    """A new list without pages would be cut off, or fail, once it is long."""
    lists = set[str]()
    for (method, path), operation in document.operations.items():
        content = operation["responses"].get("200", {}).get("content", {})
        reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
        if method == "GET" and reference.endswith("List"):
            lists.add(path)
            assert {"limit", "cursor"} <= known(document, path), path
    assert lists == LISTS.keys()


async def test_every_call_is_503_with_retry_after_while_its_service_is_unavailable(
    edge: EdgeProcess,
    document: OpenApiDocument,
    calls: list[tuple[str, str, bool]],
    fresh: Callable[[str], str],
) -> None:
    """The harness runs no other services."""
    cookie = await edge.sign_in(fresh("alice"), ["admin"])
    away = []
    async with edge.client(cookie) as http:
        for method, path, takes in calls:
            if (method, path) in OWN:
                continue
            body = _BODIES[method, path] if takes else None
            query = QUERIES.get((method, path))
            answer = await http.request(method, path, json=body, params=query)
            assert answer.status_code == 503, (method, path, answer.text)
            is_error(answer, 503, "Service Unavailable")
            document.assert_documented(answer)
            assert int(answer.headers["retry-after"]) >= 1, (method, path)
            away.append((method, path))
    assert len(away) >= 25, away


async def test_openapi_document_has_an_html_page(edge: EdgeProcess) -> None:
    async with edge.client() as http:
        page = await http.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for expected in (
        "/api/orders", "/api/alerts/rules", "/sse/strategy/{strategy_id}", "Idempotency-Key",
        "Retry-After", "<a href=#Problem>", "<h3 id=Problem>",
    ):  # fmt: skip
        assert expected in page.text
