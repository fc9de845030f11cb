"""Generates requests from a seed, for every route, from valid parts, invalid parts and noise.

The streams come from the route table. The calls and their bodies come from the OpenAPI document
that the edge serves. Start reading at `RequestFuzzer.connection_bytes`.
"""

import base64
import gzip
import json
import random
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer, sign_jwt

HEADER_NAMES = [
    "Authorization", "Cookie", "X-User-ID", "X-User-Roles", "X-Forwarded-For", "Last-Event-ID",
    "Origin", "Sec-Fetch-Mode", "X-Correlation-ID", "Accept-Encoding", "Forwarded", "Host",
    "Idempotency-Key", "Accept", "Content-Type", "Expect", "Range", "If-None-Match", "Upgrade",
    "X-HTTP-Method-Override", "traceparent",
]  # fmt: skip
QUERY_PARAMETERS = [
    "ticket", "token", "userId", "symbols", "maxRate", "lastEventId", "last_event_id", "topics",
    "since", "until", "limit", "unread", "tags", "tickers",
]  # fmt: skip
METHODS = ["GET"] * 8 + ["POST"] * 4 + ["PATCH", "DELETE", "OPTIONS", "HEAD", "PUT", "BREW", "get"]
STATIC_PATHS = [
    "/",
    "/docs",
    "/docs/openapi.json",
    "/metrics",
    "/static/docs.css",
    "/client/",
    "/nowhere",
]
ODD_PATH_SEGMENTS = [
    "x", "%00", "%2e%2e", "..", "%2F", "%ff%fe", "a%0d%0ab", "%", "%zz", "*", "ev.>", "a b", "%20",
    "a" * 70, "a" * 5000, "%E2%80%A8", "{}", "null", "-1", ".",
]  # fmt: skip
ODD_PATHS = [
    "*", "//", "/.", "/../etc/passwd", "/static/..%2f..%2fpyproject.toml", "/static/%2e%2e/x",
    "http://elsewhere/api/session", "/api/stream/orders/", "/api//session", "/API/session",
    "/static/%00", "/client/%ff", "?", "/" + "a" * 9000, "/static/" + "a" * 300,
]  # fmt: skip
ODD_IDS = [
    "zz9-5", "1-1-1", "-1", "0", "99999999999999999999", "1700000000000-7", "9223372036854775807",
    "a-", "-", "é-1", "\u0661-1",
]  # fmt: skip
ODD_QUERIES = [
    "NaN", "inf", "1e400", "0.1", "30", "1e3", "-0", "orders", "prices:IBM,orders", "prices:",
    "orders:IBM", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31", "2026-13-01",
    "1969-12-31T23:59:59Z", "IBM,,ibm, ibm", "," * 2000, "x" * 3000, "%00", "%ff", "%f0%9f%98%80",
    "%ed%a0%80", "true",
]  # fmt: skip
ODD_VALUES: list[Any] = [
    None, True, -1, 0, 1.5, 2**70, 1e308, "", "x", "NaN", "1e999", "-0", "\u0000", "\ud800", [],
    {}, [[]], {"kind": []}, "a" * 5000, "\u0661\u0662", " 1", "1_000", 10**400, "_all",
    "*", ">", "a.b c",
]  # fmt: skip
FORWARDED_ADDRESSES = [
    "198.51.100.1",
    "::1",
    "[::1]:9",
    "fe80::1%eth0",
    "10.0.0.1",
    "",
    "x",
    "1.2.3",
    "1" * 99,
]
ODD_BODIES = [
    b"", b"{", b"null", b"[]", b"\xff\xfe{\x00}", b'"\\ud800"', b'{"a":1,"a":2}', b"{}" * 9,
    b"\x00", b"1e999", b"[" * 30_000, b'{"a":' * 10_000, b'{"rule":{"kind":[' * 3000,
    b"[1" + b",1" * 30_000 + b"]",
    b'{"qty":' + b"9" * 60_000 + b"}", b'{"qty":1e99999999}', b" " * 66_000,
]  # fmt: skip
MALFORMED_REQUESTS = [
    b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00" * 64,
    b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n", b"GET  /  HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n: x\r\n\r\n", b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
]  # fmt: skip


class FuzzRoute(NamedTuple):
    """A method, a path template with ``{…}``, and the schema of the body, if it has one."""

    method: str
    path: str
    body: Any = None


def fuzz_routes(document: dict[str, Any]) -> list[FuzzRoute]:
    """Return all streams, all operations of an OpenAPI `document`, and some files."""
    found = [FuzzRoute("GET", route.path) for route in STREAM_ROUTES] * 2
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            schemas = [one["schema"] for one in content.values()]
            found.append(FuzzRoute(method.upper(), path, schemas[0] if schemas else None))
    return found + [FuzzRoute("GET", path) for path in STATIC_PATHS]


class RequestFuzzer:
    """Generates requests from `seed`; `valid_credentials` are accepted by the edge."""

    def __init__(
        self, seed: int, valid_credentials: Sequence[bytes], fuzz_routes: Sequence[FuzzRoute]
    ) -> None:
        self.rng = random.Random(seed)
        self.valid_credentials = valid_credentials
        self.issuer = JwtIssuer()
        self._routes = fuzz_routes

    def connection_bytes(self) -> bytes:
        """Return all bytes of one connection: a request, several, or a malformed one."""
        kind = self.rng.random()
        if kind < 0.06:
            return self.rng.choice(MALFORMED_REQUESTS) + self.noise()
        if kind < 0.12:
            count = self.rng.choice([2, 3, 40])
            return b"".join(self.request(is_last=number == count - 1) for number in range(count))
        made = self.request()
        if kind < 0.17:
            return made[: self.rng.randrange(len(made) + 1)]
        if kind < 0.22:
            index = self.rng.randrange(len(made))
            return made[:index] + self.noise()[:4] + made[index + self.rng.randrange(4) :]
        return made

    def request(self, *, is_last: bool = True) -> bytes:
        rng, pick = self.rng, self.rng.choice
        route = pick(self._routes)
        method = route.method if rng.random() < 0.8 else pick(METHODS)
        target = self.target(route)
        # The valid credentials must stay valid: no request signs out.
        if method == "DELETE" and "session" in target.lower():
            method = "POST"
        lines = [f"{method} {target} {self.version()}".encode(), b"Host: localhost"]
        if rng.random() < 0.9:
            lines.append(b"Content-Type: application/json")
        if rng.random() < 0.6:
            lines.append(self.valid_credential_header())
        for _ in range(rng.randrange(5)):
            lines += [pick(HEADER_NAMES).encode() + b": " + self.header_value()] * pick(
                [1, 1, 1, 2]
            )
        if rng.random() < 0.03:
            lines += [b"X-%d: " % number + b"v" * 50 for number in range(pick([100, 2000]))]
        if rng.random() < 0.02:
            lines.append(b"X-Long: " + b"v" * pick([9_000, 70_000]))
        if rng.random() < 0.05:
            lines += [b"Connection: Upgrade", b"Upgrade: " + pick([b"websocket", b"h2c", b"x"])]
            lines += [b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGVzdA=="]
        elif is_last:
            lines.append(b"Connection: close")
        body = self.body(route) if route.body is not None or rng.random() < 0.1 else b""
        return self.frame_request(lines, body)

    def version(self) -> str:
        return "HTTP/1.1" if self.rng.random() < 0.97 else "HTTP/1.0"

    def target(self, route: FuzzRoute) -> str:
        rng = self.rng
        path = rng.choice(ODD_PATHS) if rng.random() < 0.04 else route.path
        while "{" in path:
            before, _, rest = path.partition("{")
            path = before + rng.choice(ODD_PATH_SEGMENTS).replace("{", "(") + rest.partition("}")[2]
        query = "&".join(
            f"{rng.choice(QUERY_PARAMETERS)}={self.query_value()}" for _ in range(rng.randrange(4))
        )
        # A space would end the target. Other odd characters are sent unchanged.
        return path.replace(" ", "+") + (f"?{query}" if query else "")

    def query_value(self) -> str:
        if self.rng.random() < 0.6:
            return self.rng.choice([*ODD_QUERIES, *ODD_IDS]).replace(" ", "%20")
        return "".join(f"%{byte:02X}" for byte in self.header_value())

    def valid_credential_header(self) -> bytes:
        """Return a header with valid credentials."""
        good = self.rng.choice(self.valid_credentials)
        return (b"Authorization: Bearer " if b"." in good else b"Cookie: session=") + good

    def header_value(self) -> bytes:
        rng = self.rng
        made = rng.choice(
            [
                self.noise,
                self.credential,
                self.credential,
                self.forwarded_addresses,
                self.header_keyword,
            ]
        )()
        if rng.random() < 0.3:
            index = rng.randrange(len(made) + 1)
            made = made[:index] + self.noise()[:3] + made[index + rng.randrange(3) :]
        return made

    def header_keyword(self) -> bytes:
        words = [
            *ODD_IDS, "websocket", "100-continue", "gzip;q=2", "gzip, br;q=0", "*;q=0", "null",
            "bytes=0-1", "application/json; charset=utf-16", "multipart/form-data", "text/html",
            "navigate", "00-0-0-0", "deflate" * 50,
        ]  # fmt: skip
        return self.rng.choice(words).encode()

    def noise(self) -> bytes:
        rng = self.rng
        allowed = bytes([*range(0x20, 0x7F), *range(0x80, 0x100), 0x09])
        return bytes(rng.choice(allowed) for _ in range(rng.choice([0, 1, 3, 20, 300])))

    def credential(self) -> bytes:
        pick = self.rng.choice
        return pick([b"Bearer ", b"bearer", b"session=", b'session="', b"", b"Basic "]) + pick(
            [
                *self.valid_credentials,
                self.token(),
                self.token(),
                b"\\073=\\777",
                b"a=b; session",
                b"=;=;=",
            ]
        )

    def token(self) -> bytes:
        """Return a signed token with odd claims, or with some parts replaced by noise."""
        rng, pick = self.rng, self.rng.choice
        odd: list[Any] = [
            None,
            True,
            -1,
            1e308,
            2**70,
            "",
            "x",
            [],
            {},
            "_all",
            "\ud800",
            "a" * 200,
        ]
        claims = {
            "sub": pick(["alice", *odd]), "exp": pick([time.time() + 60, *odd]),
            "nbf": pick([0, *odd]), "iat": pick([0, *odd]), "aud": pick(odd), "iss": pick(odd),
            "jti": pick(odd), "roles": pick([["admin"], *odd]),
        }  # fmt: skip
        some_claims = {name: value for name, value in claims.items() if rng.random() < 0.7}
        headers = {"kid": pick(["k", "ES256-0", *["x" * 99]])} if rng.random() < 0.5 else {}
        kind = pick(["HS256", "HS384", "ES256", "none"])
        key = {"ES256": self.issuer.key("ES256")[1], "none": None}.get(kind, HS256_SECRET)
        made = sign_jwt(some_claims, key, kind, headers)
        if rng.random() < 0.3:
            parts = made.split(".")
            parts[rng.randrange(3)] = base64.urlsafe_b64encode(self.noise()).decode().rstrip("=")
            made = ".".join(parts[: rng.randrange(1, 5)])
        return made.encode()

    def forwarded_addresses(self) -> bytes:
        return ", ".join(self.rng.choices(FORWARDED_ADDRESSES, k=self.rng.randrange(1, 6))).encode()

    def body(self, route: FuzzRoute) -> bytes:
        """Return a body that matches the schema, nearly matches it, or is nonsense."""
        rng, pick = self.rng, self.rng.choice
        if route.body is None or rng.random() < 0.15:
            return pick([*ODD_BODIES, self.noise()])
        made = json.dumps(self.schema_value(route.body)).encode()
        if rng.random() < 0.1:
            index = rng.randrange(len(made))
            made = made[:index] + self.noise()[:2] + made[index + rng.randrange(3) :]
        return made

    def schema_value(self, schema: dict[str, Any]) -> Any:
        """Return a value of `schema`, with random invalid parts."""
        rng, pick = self.rng, self.rng.choice
        if rng.random() < 0.12:
            return pick(ODD_VALUES)
        if "anyOf" in schema:
            return self.schema_value(pick(schema["anyOf"]))
        if "enum" in schema:
            return pick(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            names = [n for n in schema["properties"] if rng.random() < 0.9]
            made = {name: self.schema_value(schema["properties"][name]) for name in names}
            return made if rng.random() < 0.95 else {**made, pick(["\x00", "more", ""]): 1}
        if kind == "array":
            return [self.schema_value(schema["items"]) for _ in range(pick([0, 1, 2, 30]))]
        if kind == "integer":
            return pick([1, 5, 20, 0, -1, 10**9, 10**19])
        if schema.get("format") == "decimal":
            return pick([1, 2.5, 100, "3", "0.000001", 1e-9, 10**12, -1, "1e5", 10**30, 1e-300])
        return pick(["IBM", "AAPL", "alice", "cheap", "x" * 40, "Zoë", "a\nb", "\u2028", "😀"])

    def frame_request(self, lines: list[bytes], body: bytes) -> bytes:
        """Return the request with its length, in chunks, or with an invalid length."""
        how = self.rng.random()
        if how < 0.1:
            lines.append(b"Content-Encoding: " + self.rng.choice([b"gzip", b"deflate", b"x"]))
            body = gzip.compress(body)
        if how < 0.8:
            if body or how < 0.05:
                lines.append(b"Content-Length: %d" % len(body))
        elif how < 0.92:
            lines.append(b"Transfer-Encoding: chunked")
            cut = self.rng.randrange(len(body) + 1)
            parts = [part for part in (body[:cut], body[cut:]) if part]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        else:
            odd = [b"-1", b"1e3", b"99999999999999999999", b"0x5", b"", b"5, 6", b"70000", b"+1"]
            lines.append(b"Content-Length: " + self.rng.choice(odd))
            lines += [b"Transfer-Encoding: chunked"] * self.rng.choice([0, 0, 1])
        return b"\r\n".join([*lines, b"", b""]) + body
