"""What nginx does with streams and requests, with the file that docs/ gives: they come at once,
compressed by the edge alone, not cut while idle, refused in the edge's words, and counted by the
address of the client.
"""

import asyncio
import itertools
import zlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tapewire.runtime import Settings
from tests.balancer.conftest import CONNECT_RATE, MAX_CONNECTIONS
from tests.balancer.fleet import EdgeFleet, client_id_of
from tests.balancer.nginx import SITE_CONFIG_PATH, site_config
from tests.balancer.test_multiple_edges import read_to_end
from tests.harness.publishers import order_rejected, orders_placed
from tests.harness.stream_assertions import read_refusal
from tests.harness.waiting import wait_until

PRICES_PATH = "/api/stream/prices"
ORDERS_PATH = "/api/stream/orders"
LARGE_BYTES = 16 * 1024
MAX_LARGE_EVENTS = 1000
"""Together several times what the kernel holds between the edge and a reader."""

_addresses = itertools.count(2)


@pytest.fixture
def client_address() -> str:
    """Of this machine, and no other test's: where a client comes from."""
    return f"127.0.1.{next(_addresses)}"


async def empty(fleet: EdgeFleet) -> None:
    """Wait until all who left are gone."""

    def present() -> Any:
        opened = sum(len(edge.find_log_lines("stream.opened")) for edge in fleet.edges)
        return opened - sum(len(edge.find_log_lines("stream.closed")) for edge in fleet.edges)

    await wait_until(
        "nobody is connected", lambda: present() == 0, describe_last=present, timeout_seconds=60
    )


class TestFrames:
    async def test_come_at_once(self, fleet: EdgeFleet, fresh: Callable[[str], str]) -> None:
        """Each is read before the next one happens: what waited in nginx would wait for ever."""
        cookie = await fleet.sign_in(alice := fresh("alice"))
        async with (
            fleet.harness.journal() as journal,
            await fleet.open_stream(ORDERS_PATH, cookie) as stream,
        ):
            await stream.read_until("order:update")
            for number in range(5):
                wanted = await journal.append(alice, *orders_placed(1, f"o-{number}"))
                assert (await stream.read()).sequence == wanted

    async def test_of_a_reader_that_reads_nothing_do_not_pile_up_in_nginx(
        self, small_fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        """The edge sees that nothing leaves, and closes it as slow: nginx holds back the edge, in
        place of writing a file of what nobody reads."""
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

    async def test_say_to_the_next_proxy_that_nothing_may_wait(self, fleet: EdgeFleet) -> None:
        async with await fleet.open_stream(PRICES_PATH) as stream:
            assert stream.header("x-accel-buffering") == "no"
            assert stream.header("cache-control") == "no-cache, no-transform"
            assert stream.header("content-type") == "text/event-stream"

    async def test_are_compressed_by_the_edge_and_flushed_one_by_one(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        cookie = await fleet.sign_in(alice := fresh("alice"))
        gunzip, seen = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), b""
        async with fleet.harness.journal() as journal:
            stream = await fleet.connect(ORDERS_PATH, cookie, headers={"Accept-Encoding": "gzip"})
            async with stream:
                assert stream.header("content-encoding") == "gzip"
                assert "Accept-Encoding" in stream.header("vary")
                for number in range(5):
                    await journal.append(alice, *orders_placed(1, f"o-{number}"))
                    async with asyncio.timeout(30):
                        while f"o-{number}".encode() not in seen:
                            seen += gunzip.decompress(await stream._chunk())

    async def test_of_a_stream_are_plain_for_a_reader_who_wants_them_so(
        self, fleet: EdgeFleet
    ) -> None:
        async with await fleet.connect(
            PRICES_PATH, headers={"Accept-Encoding": "gzip;q=0"}
        ) as stream:
            assert stream.header("content-encoding") is None


class TestIdleStreams:
    async def test_are_not_cut_while_the_edge_keeps_them_alive(
        self, small_fleet: EdgeFleet, client_address: str
    ) -> None:
        """With its time cut down to ten seconds, nginx lets a stream live that is never silent
        for longer than that: for half a second, or several where the machine is busy."""
        front = small_fleet.start_proxy({"proxy_read_timeout 75s;": "proxy_read_timeout 10s;"})
        async with await front.open_stream(PRICES_PATH, source=client_address) as stream:
            for _ in range(22):
                await stream.read_until("a comment", lambda frame: frame.comment == "keepalive")

    async def test_are_cut_by_a_proxy_that_has_less_patience_than_the_edge(
        self, fleet: EdgeFleet
    ) -> None:
        """That time is at work, then, and the first one of these tests says something."""
        front = fleet.start_proxy({"proxy_read_timeout 75s;": "proxy_read_timeout 1s;"})
        async with await front.open_stream(PRICES_PATH) as stream:
            assert not (await read_to_end(stream)).is_clean

    def test_have_twice_the_time_that_the_edge_is_silent_for(self) -> None:
        assert f"proxy_read_timeout {int(Settings().keepalive_interval) * 2 + 15}s;" in (
            SITE_CONFIG_PATH.read_text()
        )


class TestRefusals:
    async def test_a_full_process_is_no_reason_to_refuse_and_full_ones_say_when_again(
        self, small_fleet: EdgeFleet
    ) -> None:
        """One is filled past nginx, which then knows nothing of its being full."""
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

    async def test_an_address_that_comes_too_often_is_refused_and_nobody_else_is(
        self, small_fleet: EdgeFleet, client_address: str
    ) -> None:
        """The processes count together, as soon as they have told each other."""
        statuses = await self.connect_until_refused(small_fleet, client_address)
        assert statuses[:CONNECT_RATE] == [401] * CONNECT_RATE
        assert statuses.count(401) <= len(small_fleet.edges) * CONNECT_RATE
        answer = await small_fleet.connect(ORDERS_PATH, source=client_address)
        assert 1 <= int(answer.header("retry-after")) <= 61
        assert (await read_refusal(answer))[0] == 429
        assert await self.try_connect(small_fleet, "127.0.3.1") == 401
        assert any(
            edge.find_log_lines("stream.rate_limited", address=client_address)
            for edge in small_fleet.edges
        )

    async def test_what_a_client_says_of_its_address_is_not_believed(
        self, small_fleet: EdgeFleet, client_address: str
    ) -> None:
        statuses = await self.connect_until_refused(small_fleet, client_address, "198.51.100.{}")
        assert statuses.count(401) <= len(small_fleet.edges) * CONNECT_RATE

    async def test_nor_what_somebody_says_who_is_no_proxy_of_ours(
        self, small_fleet: EdgeFleet, client_address: str
    ) -> None:
        """Straight to an edge, past nginx."""
        edge = small_fleet.edges[0]
        lies = ({"X-Forwarded-For": f"198.51.101.{number}"} for number in itertools.count(1))
        statuses = [
            await self.try_connect(edge, client_address, next(lies))
            for _ in range(CONNECT_RATE + 1)
        ]
        assert statuses == [401] * CONNECT_RATE + [429]

    async def connect_until_refused(
        self, edge_client: Any, source_address: Any, forwarded_address: Any = ""
    ) -> Any:
        """Come until it is refused by all: what each attempt was answered."""
        statuses = []
        async with asyncio.timeout(60):
            while statuses[-5:] != [429] * 5:
                headers = {"X-Forwarded-For": forwarded_address.format(len(statuses) % 200)}
                statuses.append(
                    await self.try_connect(
                        edge_client, source_address, headers if forwarded_address else None
                    )
                )
        return statuses

    async def try_connect(self, edge_client: Any, source_address: Any, headers: Any = None) -> Any:
        async with await edge_client.connect(
            ORDERS_PATH, source=source_address, headers=headers
        ) as answer:
            return answer.status


class TestConnections:
    async def test_of_nginx_are_used_again_by_the_next_request(self, fleet: EdgeFleet) -> None:
        """Hundred requests, and not a hundred connections: HTTP/1.1 to the edge, and no
        `Connection: close` on the way."""
        used = set()
        async with fleet.client() as http:
            for number in range(100):
                assert (await http.get("/health/live")).status_code == 200
                if number % 10 == 0:
                    used |= self.count_connections(fleet)
        # One an edge; another after a pause in which nginx closed it.
        assert 1 <= len(used) <= 3 * len(fleet.edges), used

    def count_connections(self, fleet: EdgeFleet) -> Any:
        ports = {edge.port for edge in fleet.edges}
        return {
            (one.raddr.port, one.laddr.port)
            for one in psutil.Process(fleet.nginx.pid).net_connections()
            if one.raddr and one.raddr.port in ports
        }

    async def test_leave_no_ticket_in_the_log_of_nginx(self, fleet: EdgeFleet) -> None:
        async with await fleet.connect(f"{ORDERS_PATH}?ticket=not-a-ticket-but-secret") as answer:
            assert answer.status == 401
        assert "not-a-ticket" not in "\n".join(fleet.nginx.access_log_lines())
        assert any(f"GET {ORDERS_PATH}" in line for line in fleet.nginx.access_log_lines())


def test_a_line_that_is_changed_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="comes 0 times"):
        site_config([1, 2], 3, tmp_path, {"proxy_read_timeout 7s;": "x"})
