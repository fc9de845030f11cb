"""How nginx proxies streams and requests with the configuration file of docs/: frames arrive
immediately, only the edge compresses, idle streams stay open, errors are the edge's, and limits
count the client's address."""

import asyncio
import itertools
import zlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tapewire.runtime import Settings
from tests.balancer.conftest import CONNECT_RATE, MAX_CONNECTIONS
from tests.balancer.fleet import EdgeFleet, client_id_of
from tests.balancer.test_multiple_edges import read_to_end
from tests.harness import sse
from tests.harness.nginx import SITE_CONFIG_PATH, site_config
from tests.harness.publishers import order_rejected, orders_placed
from tests.harness.stream_assertions import read_refusal
from tests.harness.waiting import wait_until

PRICES_PATH = "/api/stream/prices"
ORDERS_PATH = "/api/stream/orders"
CUT_SECONDS = 30.0
"""How long to wait for a proxy to cut an idle stream."""
LARGE_BYTES = 16 * 1024
MAX_LARGE_EVENTS = 1000
"""Together several times the bytes that the kernel buffers between the edge and a reader."""

_addresses = itertools.count(2)


@pytest.fixture
def client_address() -> str:
    """A local address that no other test uses as the source of its connections."""
    return f"127.0.1.{next(_addresses)}"


async def empty(fleet: EdgeFleet) -> None:
    """Wait until all closed connections are gone."""

    def present() -> int:
        opened = sum(len(edge.find_log_lines("stream.opened")) for edge in fleet.edges)
        return opened - sum(len(edge.find_log_lines("stream.closed")) for edge in fleet.edges)

    await wait_until(
        "no client is connected", lambda: present() == 0, describe_last=present, timeout_seconds=60
    )


class TestFrames:
    async def test_each_frame_arrives_immediately(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        """Each event is read before the next one is appended; a frame that nginx buffers would
        never arrive."""
        cookie = await fleet.sign_in(alice := fresh("alice"))
        async with (
            fleet.harness.journal() as journal,
            await fleet.open_stream(ORDERS_PATH, cookie) as stream,
        ):
            await stream.read_until("order:update")
            for number in range(5):
                wanted = await journal.append(alice, *orders_placed(1, f"o-{number}"))
                assert (await stream.read()).sequence == wanted

    async def test_nginx_does_not_buffer_frames_of_a_stalled_reader(
        self, small_fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        """The edge sees that it cannot write and closes the stream as slow. nginx applies back
        pressure to the edge and does not spool unread bytes to a file."""
        cookie = await small_fleet.sign_in(alice := fresh("alice"))
        async with (
            small_fleet.harness.journal() as journal,
            await small_fleet.open_stream(
                ORDERS_PATH, cookie, source="127.0.4.1", receive_buffer=4096
            ) as stream,
        ):
            client = client_id_of(stream)
            edge = small_fleet.edges[small_fleet.find_edge_of(client)]
            closed = []
            for number in range(MAX_LARGE_EVENTS):
                await journal.append(alice, order_rejected(f"o-{number}", reason="x" * LARGE_BYTES))
                if number % 50 == 0 and (
                    closed := edge.find_log_lines("stream.closed", client_id=client)
                ):
                    break
            await wait_until(
                "the edge closes it",
                lambda: closed or edge.find_log_lines("stream.closed", client_id=client),
                timeout_seconds=60,
            )
            [line] = edge.find_log_lines("stream.closed", client_id=client)
            assert line["reason"] == "slow"

    async def test_headers_disable_buffering_in_further_proxies(self, fleet: EdgeFleet) -> None:
        async with await fleet.open_stream(PRICES_PATH) as stream:
            assert stream.header("x-accel-buffering") == "no"
            assert stream.header("cache-control") == "no-cache, no-transform"
            assert stream.header("content-type") == "text/event-stream"

    async def test_edge_compresses_and_flushes_each_frame(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        cookie = await fleet.sign_in(alice := fresh("alice"))
        gunzip, seen = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), b""
        async with fleet.harness.journal() as journal:
            stream = await fleet.connect(ORDERS_PATH, cookie, headers={"Accept-Encoding": "gzip"})
            async with stream:
                assert stream.header("content-encoding") == "gzip"
                assert "Accept-Encoding" in (stream.header("vary") or "")
                for number in range(5):
                    await journal.append(alice, *orders_placed(1, f"o-{number}"))
                    async with asyncio.timeout(30):
                        while f"o-{number}".encode() not in seen:
                            seen += gunzip.decompress(await stream._chunk())

    async def test_reader_that_declines_gzip_gets_an_uncompressed_stream(
        self, fleet: EdgeFleet
    ) -> None:
        async with await fleet.connect(
            PRICES_PATH, headers={"Accept-Encoding": "gzip;q=0"}
        ) as stream:
            assert stream.header("content-encoding") is None


class TestIdleStreams:
    async def test_keepalives_keep_an_idle_stream_open(
        self, small_fleet: EdgeFleet, client_address: str, fresh: Callable[[str], str]
    ) -> None:
        """The timeout of nginx is reduced to ten seconds here. The stream is never silent for
        longer: its keepalive interval is half a second, or several seconds on a busy machine."""
        front = small_fleet.start_proxy({"proxy_read_timeout 75s;": "proxy_read_timeout 10s;"})
        cookie = await small_fleet.sign_in(fresh("idle"))
        async with await front.open_stream(ORDERS_PATH, cookie, source=client_address) as stream:
            for _ in range(22):
                await stream.read_until("a comment", lambda frame: frame.comment == "keepalive")

    async def test_proxy_timeout_below_the_keepalive_interval_cuts_the_stream(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        """Proves that the timeout takes effect, which the test before this one depends on."""
        front = fleet.start_proxy({"proxy_read_timeout 75s;": "proxy_read_timeout 1s;"})
        cookie = await fleet.sign_in(fresh("idle"))
        async with await front.open_stream(ORDERS_PATH, cookie) as stream:
            assert not (await asyncio.wait_for(read_to_end(stream), CUT_SECONDS)).is_clean

    def test_nginx_timeout_exceeds_twice_the_keepalive_interval(self) -> None:
        assert f"proxy_read_timeout {int(Settings().keepalive_interval) * 2 + 15}s;" in (
            SITE_CONFIG_PATH.read_text()
        )


class TestRefusals:
    async def test_full_process_is_skipped_and_a_full_fleet_sends_retry_after(
        self, small_fleet: EdgeFleet
    ) -> None:
        """One edge is filled directly, so nginx does not know that it is full."""
        await empty(small_fleet)
        async with AsyncExitStack() as opened:
            for door, source in ((small_fleet.edges[0], "127.0.2.1"), (small_fleet, "127.0.2.2")):
                for _ in range(MAX_CONNECTIONS):
                    stream = await opened.enter_async_context(
                        await door.open_stream(PRICES_PATH, source=source)
                    )
                    served = small_fleet.find_edge_of(client_id_of(stream))
                    assert served == (0 if door is small_fleet.edges[0] else 1)
            for _ in range(10):
                answer = await small_fleet.connect(PRICES_PATH, source="127.0.2.9")
                assert answer.header("retry-after") == "5"
                status, body = await read_refusal(answer)
                assert (status, body["error"]) == (503, "Service Unavailable")
                assert "all the streams it can" in body["message"]

    async def test_rate_limit_applies_to_one_client_address(
        self, small_fleet: EdgeFleet, client_address: str
    ) -> None:
        """The processes count together, once they have exchanged their counts."""
        statuses = await self.connect_until_refused(small_fleet, client_address)
        assert statuses[:CONNECT_RATE] == [401] * CONNECT_RATE
        assert statuses.count(401) <= len(small_fleet.edges) * CONNECT_RATE
        answer = await small_fleet.connect(ORDERS_PATH, source=client_address)
        assert 1 <= int(answer.header("retry-after") or 0) <= 61
        assert (await read_refusal(answer))[0] == 429
        assert await self.try_connect(small_fleet, "127.0.3.1") == 401
        assert any(
            edge.find_log_lines("stream.rate_limited", address=client_address)
            for edge in small_fleet.edges
        )

    async def test_forwarded_address_from_a_client_is_ignored(
        self, small_fleet: EdgeFleet, client_address: str
    ) -> None:
        statuses = await self.connect_until_refused(small_fleet, client_address, "198.51.100.{}")
        assert statuses.count(401) <= len(small_fleet.edges) * CONNECT_RATE

    async def test_forwarded_address_from_an_untrusted_proxy_is_ignored(
        self, small_fleet: EdgeFleet, client_address: str
    ) -> None:
        """The request goes directly to an edge, past nginx."""
        edge = small_fleet.edges[0]
        lies = ({"X-Forwarded-For": f"198.51.101.{number}"} for number in itertools.count(1))
        statuses = [
            await self.try_connect(edge, client_address, next(lies))
            for _ in range(CONNECT_RATE + 1)
        ]
        assert statuses == [401] * CONNECT_RATE + [429]

    async def connect_until_refused(
        self, edge_client: Any, source_address: str, forwarded_address: Any = ""
    ) -> list[int]:
        """Connect until every process rejects it; return the statuses of all attempts."""
        statuses: list[int] = []
        async with asyncio.timeout(60):
            while statuses[-5:] != [429] * 5:
                headers = {"X-Forwarded-For": forwarded_address.format(len(statuses) % 200)}
                statuses.append(
                    await self.try_connect(
                        edge_client, source_address, headers if forwarded_address else None
                    )
                )
        return statuses

    async def try_connect(self, edge_client: Any, source_address: str, headers: Any = None) -> Any:
        async with await edge_client.connect(
            ORDERS_PATH, source=source_address, headers=headers
        ) as answer:
            return answer.status


class TestUpstreamConnections:
    async def test_nginx_reuses_its_connections_to_the_edges(self, fleet: EdgeFleet) -> None:
        """A hundred requests use far fewer than a hundred connections: HTTP/1.1 to the edge, and no
        `Connection: close`."""
        used = set()
        async with fleet.client() as http:
            for number in range(100):
                assert (await http.get("/api/prices")).status_code == 200
                if number % 10 == 0:
                    used |= self.count_connections(fleet)
        # One for each edge, and another after a pause in which nginx closed it.
        assert 1 <= len(used) <= 3 * len(fleet.edges), used

    async def test_a_proxy_that_speaks_http_1_0_passes_streams_on(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        """As nginx does by default. The browser would get the chunk sizes of a chunked answer."""
        front = fleet.start_proxy({"proxy_http_version 1.1;": "proxy_http_version 1.0;"})
        alice = fresh("alice")
        cookie = await fleet.sign_in(alice)
        async with (
            fleet.harness.journal() as journal,
            await sse.open_stream(front.url, ORDERS_PATH, cookie=cookie) as stream,
        ):
            await stream.read_until("order:update")
            for number in range(3):
                last = await journal.append(alice, order_rejected(f"plain-{number}"))
                while (frame := await stream.read()).id is None or frame.sequence < last:
                    pass
                assert frame.data["orderId"] == f"plain-{number}"

    def count_connections(self, fleet: EdgeFleet) -> set[tuple[int, int]]:
        ports = {edge.port for edge in fleet.edges}
        return {
            (one.raddr.port, one.laddr.port)
            for one in psutil.Process(fleet.nginx.pid).net_connections()
            if one.raddr and one.raddr.port in ports
        }

    async def test_access_log_contains_no_ticket(self, fleet: EdgeFleet) -> None:
        async with await fleet.connect(f"{ORDERS_PATH}?ticket=not-a-ticket-but-secret") as answer:
            assert answer.status == 401
        assert "not-a-ticket" not in "\n".join(fleet.nginx.access_log_lines())
        assert any(f"GET {ORDERS_PATH}" in line for line in fleet.nginx.access_log_lines())


class TestBrowserSecurity:
    @pytest.mark.parametrize(
        "path",
        [
            "/metrics", "/metrics/", "/docs", "/docs/openapi.json", "/health", "/health/sse",
            "/health/ready", "//metrics", "/%6detrics", "/x/../metrics", "/sse/../metrics",
            "/api/stream/%2e%2e/%2e%2e/metrics", "/./docs",
        ],
    )  # fmt: skip
    async def test_paths_of_operators_are_not_published(self, fleet: EdgeFleet, path: str) -> None:
        async with await fleet.connect(path) as answer:
            assert answer.status == 404
            assert b"tapewire" not in await answer.body()

    async def test_our_own_page_behind_nginx_may_change_things_and_another_may_not(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        async with fleet.client(await fleet.sign_in(fresh("alice"))) as http:
            for origin, status in ((fleet.url, 201), ("http://127.0.0.1:3000", 403)):
                # The client's own claims are replaced.
                headers = {"Origin": origin, "X-Forwarded-Host": "127.0.0.1:3000"}
                answer = await http.post("/api/stream/ticket", headers=headers)
                assert answer.status_code == status, origin

    async def test_the_session_cookie_behind_tls_has_the_host_prefix(
        self, small_fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        front = small_fleet.start_proxy({"X-Forwarded-Proto $scheme;": "X-Forwarded-Proto https;"})
        async with httpx.AsyncClient(base_url=front.url, trust_env=False) as http:
            answer = await http.post("/api/session", json={"userId": fresh("alice")})
        assert answer.headers["set-cookie"].startswith("__Host-session=")


def test_replacing_a_missing_config_line_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="occurs 0 times"):
        site_config([1, 2], 3, tmp_path, {"proxy_read_timeout 7s;": "x"})
