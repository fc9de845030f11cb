"""Security headers of every kind of response (W10)."""

from collections.abc import Callable

import httpx
import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.pages import build_terminal

PAGES = ["/", "/dashboard", "/static/docs.css", "/client/tapewire.js"]
CALLS = [
    "/api/prices", "/api/session", "/api/orders", "/api/stream/orders", "/api/stream/metrics",
    "/api/nowhere", "/nowhere", "/health", "/health/ready", "/metrics", "/docs",
    "/docs/openapi.json", "/static/nowhere", "/assets/nowhere", "/api/v2/items?since=x",
]  # fmt: skip


def assert_protected(response: httpx.Response) -> None:
    headers = response.headers
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers.get_list("referrer-policy") == ["same-origin"]
    assert headers.get_list("x-frame-options") == ["DENY"]
    assert headers.get_list("cross-origin-resource-policy") == ["same-origin"]
    [policy] = headers.get_list("content-security-policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", CALLS)
async def test_calls_and_errors_are_protected_and_not_stored(edge: EdgeProcess, path: str) -> None:
    async with edge.client() as http:
        response = await http.get(path)
    assert_protected(response)
    assert response.headers.get_list("cache-control") == ["no-store"]


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_protected_and_revalidated(edge: EdgeProcess, path: str) -> None:
    build_terminal()
    async with edge.client() as http:
        response = await http.get(path)
    assert response.status_code == 200
    assert_protected(response)
    assert response.headers.get_list("cache-control") == ["no-cache"]


async def test_rejections_and_changes_are_protected(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    async with edge.client() as http:
        for response in (
            await http.post("/api/session", json={"userId": fresh("alice")}),
            await http.post("/api/orders", headers={"Origin": "https://evil.example"}),
            await http.post("/api/orders", content=b"x"),
            await http.get("/", headers={"Host": "evil.example"}),
            await http.get("/", headers={"Host": "a b"}),
            await http.options("/api/orders", headers={"Origin": "https://evil.example"}),
        ):
            assert_protected(response)
            assert response.headers.get_list("cache-control") == ["no-store"]


async def test_streams_are_protected(edge: EdgeProcess) -> None:
    async with await edge.open_stream("/api/stream/prices") as stream:
        assert stream.header("x-content-type-options") == "nosniff"
        assert stream.header("cache-control") == "no-cache, no-transform"


async def test_malformed_http_is_answered_without_sniffing_or_storing(edge: EdgeProcess) -> None:
    async with await edge.connect("/ x", method="G\tET") as answer:
        assert answer.status == 400
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("cache-control") == "no-store"


async def test_https_is_required_from_the_first_visit_on(harness: Harness) -> None:
    edge = harness.shared_edge(TAPEWIRE_TRUSTED_PROXIES="127.0.0.1", TAPEWIRE_SIGN_IN="off")
    async with edge.client() as http:
        for headers, is_sent in (
            ({"Host": "tapewire.example", "X-Forwarded-Proto": "https"}, True),
            ({"Host": "tapewire.example", "X-Forwarded-Proto": "http"}, False),
            ({"Host": "tapewire.example"}, False),
            # It would stop every other server on this machine from speaking plain HTTP.
            ({"Host": "localhost:8000", "X-Forwarded-Proto": "https"}, False),
        ):
            answer = await http.get("/", headers=headers)
            assert ("strict-transport-security" in answer.headers) is is_sent, headers
