"""Whatever a request shows of who sends it: an answer that is meant, never a failure of ours (C2).

`TAPEWIRE_TEST_FUZZ_SECONDS` makes it longer, `TAPEWIRE_TEST_SEED` repeats what was found.
"""

import asyncio
import base64
import os
import random
import time

import pytest

from tests.issuer import SECRET, Issuer, sign

SECONDS = float(os.environ.get("TAPEWIRE_TEST_FUZZ_SECONDS", "2"))
ENOUGH = 2000
MEANT = {200, 201, 204, 400, 401, 403, 404, 405, 409, 422, 429, 431, 503}
ALWAYS = {200, 401}
"""What some of the answers must be: who is good gets in, who is not does not."""
PATHS = [
    "/api/stream/orders", "/api/stream/prices", "/api/stream/trading", "/api/session",
    "/api/orders", "/api/stream/ticket",
]  # fmt: skip
NAMES = [
    "Authorization", "Cookie", "X-User-ID", "X-User-Roles", "X-Forwarded-For", "Last-Event-ID",
    "Origin", "Sec-Fetch-Mode", "X-Correlation-ID", "Accept-Encoding", "Forwarded", "Host",
]  # fmt: skip
QUERIES = ["ticket", "token", "userId", "symbols", "maxRate", "lastEventId", "last_event_id"]


class Fuzz:
    """Requests from a seed, made of good parts, bad parts and noise."""

    def __init__(self, seed, good):
        self.rng = random.Random(seed)
        self.good = good
        self.issuer = Issuer()

    def request(self):
        """What is sent, as bytes."""
        pick = self.rng.choice
        method = pick(["GET"] * 6 + ["POST", "OPTIONS", "DELETE", "HEAD", "BREW"])
        query = "&".join(f"{pick(QUERIES)}={self.escaped()}" for _ in range(self.rng.randrange(4)))
        # What is good stays good: nobody signs out.
        path = pick(PATHS) if method != "DELETE" else "/api/orders/x"
        lines = [f"{method} {path}?{query} HTTP/1.1".encode(), b"Host: edge"]
        count = self.rng.randrange(5)
        lines += [pick(NAMES).encode() + b": " + self.value() for _ in range(count)]
        return b"\r\n".join([*lines, b"Connection: close", b"", b""])

    def value(self):
        rng = self.rng
        made = rng.choice([self.noise, self.credential, self.credential, self.address])()
        if rng.random() < 0.3:
            place = rng.randrange(len(made) + 1)
            made = made[:place] + self.noise()[:3] + made[place + rng.randrange(3) :]
        return made

    def escaped(self):
        return "".join(f"%{byte:02X}" for byte in self.value())

    def noise(self):
        rng = self.rng
        allowed = bytes([*range(0x20, 0x7F), *range(0x80, 0x100), 0x09])
        return bytes(rng.choice(allowed) for _ in range(rng.choice([0, 1, 3, 20, 300])))

    def credential(self):
        pick = self.rng.choice
        return pick([b"Bearer ", b"bearer", b"session=", b'session="', b"", b"Basic "]) + pick(
            [*self.good, self.token(), self.token(), b"\\073=\\777", b"a=b; session", b"=;=;="]
        )

    def token(self):
        """A signed token of odd claims, or odd parts with a good signature's shape."""
        rng, pick = self.rng, self.rng.choice
        odd = [None, True, -1, 1e308, 2**70, "", "x", [], {}, "_all", "\ud800", "a" * 200]
        claims = {
            "sub": pick(["alice", *odd]), "exp": pick([time.time() + 60, *odd]),
            "nbf": pick([0, *odd]), "iat": pick([0, *odd]), "aud": pick(odd), "iss": pick(odd),
            "jti": pick(odd), "roles": pick([["admin"], *odd]),
        }  # fmt: skip
        kept = {name: value for name, value in claims.items() if rng.random() < 0.7}
        headers = {"kid": pick(["k", "ES256-0", *["x" * 99]])} if rng.random() < 0.5 else {}
        kind = pick(["HS256", "HS384", "ES256", "none"])
        key = {"ES256": self.issuer.key("ES256")[1], "none": None}.get(kind, SECRET)
        made = sign(kept, key, kind, headers)
        if rng.random() < 0.3:
            parts = made.split(".")
            parts[rng.randrange(3)] = base64.urlsafe_b64encode(self.noise()).decode().rstrip("=")
            made = ".".join(parts[: rng.randrange(1, 5)])
        return made.encode()

    def address(self):
        pick = self.rng.choice
        hops = [
            b"198.51.100.1",
            b"::1",
            b"[::1]:9",
            b"fe80::1%eth0",
            b"10.0.0.1",
            b"",
            b"x",
            b"1.2.3",
        ]
        return b", ".join(pick(hops) for _ in range(self.rng.randrange(1, 6)))


async def status_of(edge, request):
    """The status of the answer, None for none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        writer.write(request)
        async with asyncio.timeout(60):
            line = await reader.readline()
        return int(line.split()[1]) if line else None
    finally:
        writer.close()


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_no_request_makes_the_edge_fail(house, fresh, tmp_path):
    seed = int(os.environ.get("TAPEWIRE_TEST_SEED") or random.randrange(1 << 32))
    issuer, file = Issuer(), tmp_path / "jwks.json"
    file.write_bytes(issuer.jwks())
    edge = house.edge(
        TAPEWIRE_JWT_SECRET=SECRET,
        TAPEWIRE_JWT_JWKS=file,
        TAPEWIRE_TOKEN_IN_QUERY="on",
        TAPEWIRE_TRUSTED_PROXIES="127.0.0.1,::1",
        TAPEWIRE_USER_HEADER_FROM="127.0.0.1",
    )
    cookie = await edge.sign_in(fresh("alice"))
    good = [
        cookie.encode(),
        issuer.token("alice", "HS256").encode(),
        issuer.token("alice").encode(),
    ]
    fuzz, ends, tried = Fuzz(seed, good), time.monotonic() + SECONDS, {}
    while time.monotonic() < ends or not ALWAYS.issubset(tried):
        requests = [fuzz.request() for _ in range(16)]
        for request, status in zip(
            requests, await asyncio.gather(*(status_of(edge, one) for one in requests)), strict=True
        ):
            assert status in MEANT, (seed, status, request)
            tried[status] = tried.get(status, 0) + 1
        assert ALWAYS.issubset(tried) or sum(tried.values()) < ENOUGH, (seed, tried)
    bad = [line for line in edge.lines() if "exception" in line or line["level"] == "error"]
    assert not bad, (seed, bad[:3])
    assert "Traceback" not in edge.log.read_text()
    async with edge.client(cookie) as http:
        assert (await http.get("/api/session")).status_code == 200
