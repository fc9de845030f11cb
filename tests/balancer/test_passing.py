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

import psutil
import pytest

from tapewire.runtime import Settings
from tests.balancer.conftest import PLACES, RATE
from tests.balancer.fleet import Fleet, client_of
from tests.balancer.nginx import SITE, site
from tests.balancer.test_across import ending
from tests.integration.edge.market import many, rejected
from tests.integration.edge.test_sessions import refusal
from tests.waiting import until

PRICES = "/api/stream/prices"
ORDERS = "/api/stream/orders"
LARGE_BYTES = 16 * 1024
MOST_LARGE = 1000
"""Together several times what the kernel holds between the edge and a reader."""

_addresses = itertools.count(2)


@pytest.fixture
def address() -> str:
    """Of this machine, and no other test's: where a client comes from."""
    return f"127.0.1.{next(_addresses)}"


async def empty(fleet) -> None:
    """Wait until all who left are gone."""

    def present():
        opened = sum(len(edge.logged("stream opened")) for edge in fleet.edges)
        return opened - sum(len(edge.logged("stream closed")) for edge in fleet.edges)

    await until("nobody is connected", lambda: present() == 0, seen=present, seconds=60)


class TestFrames:
    async def test_come_at_once(self, fleet: Fleet, fresh: Callable[[str], str]) -> None:
        """Each is read before the next one happens: what waited in nginx would wait for ever."""
        cookie = await fleet.sign_in(alice := fresh("alice"))
        async with (
            fleet.house.journal() as journal,
            await fleet.follow(ORDERS, cookie) as stream,
        ):
            await stream.until("order:update")
            for number in range(5):
                wanted = await journal.append(alice, *many(1, f"o-{number}"))
                assert (await stream.read()).sequence == wanted

    async def test_of_a_reader_that_reads_nothing_do_not_pile_up_in_nginx(
        self, narrow: Fleet, fresh: Callable[[str], str]
    ) -> None:
        """The edge sees that nothing leaves, and closes it as slow: nginx holds back the edge, in
        place of writing a file of what nobody reads."""
        cookie = await narrow.sign_in(alice := fresh("alice"))
        async with (
            narrow.house.journal() as journal,
            await narrow.follow(ORDERS, cookie, source="127.0.4.1", receive_buffer=4096) as stream,
        ):
            client = client_of(stream)
            edge = narrow.edges[narrow.opened(client)]
            closed = []
            for number in range(MOST_LARGE):
                await journal.append(alice, rejected(f"o-{number}", reason="x" * LARGE_BYTES))
                if number % 50 == 0 and (closed := edge.logged("stream closed", client=client)):
                    break
            await until(
                "the edge closes it",
                lambda: closed or edge.logged("stream closed", client=client),
                seconds=60,
            )
            [line] = edge.logged("stream closed", client=client)
            assert line["reason"] == "slow"

    async def test_say_to_the_next_proxy_that_nothing_may_wait(self, fleet: Fleet) -> None:
        async with await fleet.follow(PRICES) as stream:
            assert stream.header("x-accel-buffering") == "no"
            assert stream.header("cache-control") == "no-cache, no-transform"
            assert stream.header("content-type") == "text/event-stream"

    async def test_are_compressed_by_the_edge_and_flushed_one_by_one(
        self, fleet: Fleet, fresh: Callable[[str], str]
    ) -> None:
        cookie = await fleet.sign_in(alice := fresh("alice"))
        gunzip, seen = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), b""
        async with fleet.house.journal() as journal:
            stream = await fleet.connect(ORDERS, cookie, headers={"Accept-Encoding": "gzip"})
            async with stream:
                assert stream.header("content-encoding") == "gzip"
                assert "Accept-Encoding" in stream.header("vary")
                for number in range(5):
                    await journal.append(alice, *many(1, f"o-{number}"))
                    async with asyncio.timeout(30):
                        while f"o-{number}".encode() not in seen:
                            seen += gunzip.decompress(await stream._chunk())

    async def test_of_a_stream_are_plain_for_a_reader_who_wants_them_so(self, fleet: Fleet) -> None:
        async with await fleet.connect(PRICES, headers={"Accept-Encoding": "gzip;q=0"}) as stream:
            assert stream.header("content-encoding") is None


class TestIdleStreams:
    async def test_are_not_cut_while_the_edge_keeps_them_alive(
        self, narrow: Fleet, address: str
    ) -> None:
        """With its time cut down to ten seconds, nginx lets a stream live that is never silent
        for longer than that: for half a second, or several where the machine is busy."""
        front = narrow.front({"proxy_read_timeout 75s;": "proxy_read_timeout 10s;"})
        async with await front.follow(PRICES, source=address) as stream:
            for _ in range(22):
                await stream.until("a comment", lambda frame: frame.comment == "keepalive")

    async def test_are_cut_by_a_proxy_that_has_less_patience_than_the_edge(
        self, fleet: Fleet
    ) -> None:
        """That time is at work, then, and the first one of these tests says something."""
        front = fleet.front({"proxy_read_timeout 75s;": "proxy_read_timeout 1s;"})
        async with await front.follow(PRICES) as stream:
            assert not (await ending(stream)).clean

    def test_have_twice_the_time_that_the_edge_is_silent_for(self) -> None:
        assert f"proxy_read_timeout {int(Settings().keepalive_interval) * 2 + 15}s;" in (
            SITE.read_text()
        )


class TestRefusals:
    async def test_a_full_process_is_no_reason_to_refuse_and_full_ones_say_when_again(
        self, narrow: Fleet
    ) -> None:
        """One is filled past nginx, which then knows nothing of its being full."""
        await empty(narrow)
        async with AsyncExitStack() as opened:
            for door, source in ((narrow.edges[0], "127.0.2.1"), (narrow, "127.0.2.2")):
                for _ in range(PLACES):
                    stream = await opened.enter_async_context(
                        await door.follow(PRICES, source=source)
                    )
                    served = narrow.opened(client_of(stream))
                    assert served == (0 if door is narrow.edges[0] else 1)
            for _ in range(10):
                answer = await narrow.connect(PRICES, source="127.0.2.9")
                assert answer.header("retry-after") == "5"
                status, body = await refusal(answer)
                assert (status, body["error"]) == (503, "Service Unavailable")
                assert "all the streams it can" in body["message"]

    async def test_an_address_that_comes_too_often_is_refused_and_nobody_else_is(
        self, narrow: Fleet, address: str
    ) -> None:
        """The processes count together, as soon as they have told each other."""
        statuses = await self.until_refused(narrow, address)
        assert statuses[:RATE] == [401] * RATE
        assert statuses.count(401) <= len(narrow.edges) * RATE
        answer = await narrow.connect(ORDERS, source=address)
        assert 1 <= int(answer.header("retry-after")) <= 61
        assert (await refusal(answer))[0] == 429
        assert await self.attempt(narrow, "127.0.3.1") == 401
        assert any(edge.logged("too many streams", address=address) for edge in narrow.edges)

    async def test_what_a_client_says_of_its_address_is_not_believed(
        self, narrow: Fleet, address: str
    ) -> None:
        statuses = await self.until_refused(narrow, address, "198.51.100.{}")
        assert statuses.count(401) <= len(narrow.edges) * RATE

    async def test_nor_what_somebody_says_who_is_no_proxy_of_ours(
        self, narrow: Fleet, address: str
    ) -> None:
        """Straight to an edge, past nginx."""
        edge = narrow.edges[0]
        lies = ({"X-Forwarded-For": f"198.51.101.{number}"} for number in itertools.count(1))
        statuses = [await self.attempt(edge, address, next(lies)) for _ in range(RATE + 1)]
        assert statuses == [401] * RATE + [429]

    async def until_refused(self, door, source, claimed=""):
        """Come until it is refused by all: what each attempt was answered."""
        statuses = []
        async with asyncio.timeout(60):
            while statuses[-5:] != [429] * 5:
                headers = {"X-Forwarded-For": claimed.format(len(statuses) % 200)}
                statuses.append(await self.attempt(door, source, headers if claimed else None))
        return statuses

    async def attempt(self, door, source, headers=None):
        async with await door.connect(ORDERS, source=source, headers=headers) as answer:
            return answer.status


class TestConnections:
    async def test_of_nginx_are_used_again_by_the_next_request(self, fleet: Fleet) -> None:
        """Hundred requests, and not a hundred connections: HTTP/1.1 to the edge, and no
        `Connection: close` on the way."""
        used = set()
        async with fleet.client() as http:
            for number in range(100):
                assert (await http.get("/health/live")).status_code == 200
                if number % 10 == 0:
                    used |= self.connections(fleet)
        # One an edge; another after a pause in which nginx closed it.
        assert 1 <= len(used) <= 3 * len(fleet.edges), used

    def connections(self, fleet):
        ports = {edge.port for edge in fleet.edges}
        return {
            (one.raddr.port, one.laddr.port)
            for one in psutil.Process(fleet.nginx.pid).net_connections()
            if one.raddr and one.raddr.port in ports
        }

    async def test_leave_no_ticket_in_the_log_of_nginx(self, fleet: Fleet) -> None:
        async with await fleet.connect(f"{ORDERS}?ticket=not-a-ticket-but-secret") as answer:
            assert answer.status == 401
        assert "not-a-ticket" not in "\n".join(fleet.nginx.requests())
        assert any(f"GET {ORDERS}" in line for line in fleet.nginx.requests())


def test_a_line_that_is_changed_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="comes 0 times"):
        site([1, 2], 3, tmp_path, {"proxy_read_timeout 7s;": "x"})
