"""Hosts: DNS rebinding, and requests whose ``Host`` breaks HTTP (W1, W5).

An attacker's DNS server can lead a browser to this machine under the attacker's own name. To the
browser the edge then is the attacker's site, and only the ``Host`` header tells the difference.
"""

import asyncio

import pytest

from tests.harness.edge import EdgeProcess, Harness

SIGN_IN = {"userId": "case-rebind", "roles": ["admin"]}


@pytest.fixture
def edge(harness: Harness) -> EdgeProcess:
    """Return an edge with the development sign-in and a listed origin."""
    return harness.shared_edge(TAPEWIRE_ORIGINS="https://desk.example,https://b.example")


class TestDnsRebinding:
    @pytest.mark.parametrize(
        "host",
        ["rebind.attacker.example", "localhost.attacker.example", "127.0.0.1.attacker.example",
         "notlocalhost", "edge"],
    )  # fmt: skip
    async def test_a_strangers_name_is_421(self, edge: EdgeProcess, host: str) -> None:
        headers = {"Host": f"{host}:{edge.port}"}
        async with edge.client() as http:
            for answer in (
                await http.post("/api/session", json=SIGN_IN, headers=headers),
                await http.get("/api/prices", headers=headers),
                await http.get("/", headers=headers),
                await http.get("/health/live", headers=headers),
            ):
                body = answer.json()
                assert (answer.status_code, body["path"], body["value"]) == (421, "Host", host)
            async with http.stream("GET", "/api/stream/prices", headers=headers) as stream:
                assert stream.status_code == 421

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.8.7", "[::1]", "LOCALHOST"])
    @pytest.mark.parametrize("port", ["", ":8000"])
    async def test_the_development_sign_in_answers_to_names_of_this_machine(
        self, edge: EdgeProcess, host: str, port: str
    ) -> None:
        async with edge.client() as http:
            answer = await http.post(
                "/api/session", json=SIGN_IN, headers={"Host": f"{host}{port}"}
            )
        assert answer.status_code == 201

    @pytest.mark.parametrize("host", ["desk.example", "10.1.2.3:8000", "[fd00::1]", "0.0.0.0:1"])
    async def test_listed_hosts_and_addresses_are_served_without_the_sign_in(
        self, edge: EdgeProcess, host: str
    ) -> None:
        """DNS can invent names only. Probes and Prometheus use the address of a pod."""
        async with edge.client() as http:
            assert (await http.get("/health/live", headers={"Host": host})).status_code == 200
            answer = await http.post("/api/session", json=SIGN_IN, headers={"Host": host})
        assert answer.status_code == 403
        assert answer.json()["path"] == "Host"

    async def test_without_the_development_sign_in_any_name_is_served(
        self, harness: Harness
    ) -> None:
        edge = harness.shared_edge(TAPEWIRE_SIGN_IN="off")
        headers = {"Host": "tapewire.example"}
        async with edge.client() as http:
            assert (await http.get("/api/prices", headers=headers)).status_code == 200
            answer = await http.post("/api/session", json=SIGN_IN, headers=headers)
        assert answer.status_code == 403

    async def test_the_name_that_a_trusted_proxy_was_asked_for_counts(
        self, harness: Harness
    ) -> None:
        edge = harness.shared_edge(TAPEWIRE_TRUSTED_PROXIES="127.0.0.1")
        headers = {"X-Forwarded-Host": "rebind.attacker.example"}
        async with edge.client() as http:
            answer = await http.post("/api/session", json=SIGN_IN, headers=headers)
        assert answer.status_code == 421


class TestMalformedHosts:
    @pytest.mark.parametrize(
        ("lines", "status"),
        [
            ("", 400),
            ("Host: localhost\r\nHost: localhost\r\n", 400),
            ("Host: localhost\r\nhost: evil.example\r\n", 400),
            ("Host:\r\n", 400),
            ("Host: local host\r\n", 400),
            ("Host: localhost/path\r\n", 400),
            ("Host: user@localhost\r\n", 400),
            ("Host: localhost:port\r\n", 400),
            ("Host: localhost, evil.example\r\n", 400),
            ("Host: localhost\r\n", 200),
        ],
    )
    @pytest.mark.parametrize("path", ["/health/live", "/api/stream/prices"])
    async def test_a_request_needs_exactly_one_valid_host(
        self, edge: EdgeProcess, lines: str, status: int, path: str
    ) -> None:
        accept = "Accept: text/event-stream\r\n"
        answered = await _status(edge, f"GET {path} HTTP/1.1\r\n{lines}{accept}\r\n")
        assert answered == status

    async def test_http_1_0_needs_no_host(self, edge: EdgeProcess) -> None:
        assert await _status(edge, "GET /health/live HTTP/1.0\r\n\r\n") == 200
        twice = "GET /health/live HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n\r\n"
        assert await _status(edge, twice) == 400


async def _status(edge: EdgeProcess, request: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        writer.write(request.encode())
        async with asyncio.timeout(20):
            return int((await reader.readline()).split()[1])
    finally:
        writer.close()
