"""An issuer of JWTs for tests: keys, valid and invalid tokens, and a JWKS over HTTP.

A `JwtIssuer` has one key pair of each kind at a time; `rotate` generates new ones. `serve_jwks`
runs a real server for its JWKS. A test can change the server's responses, and the server counts its
requests.
"""

import asyncio
import base64
import contextlib
import functools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.harness.connections import serve_connections

HS256_SECRET = "an-example-secret-of-forty-characters-xx"


@functools.cache
def _rsa_key(_number: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Generating an RSA key takes a while, so tests share keys."""
    return rsa.generate_private_key(65537, bits)


@functools.cache
def _ec_key(_number: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    """The public part of `key` in the form of a JWKS."""
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    algorithm = jwt.algorithms.RSAAlgorithm if is_rsa else jwt.algorithms.ECAlgorithm
    found = json.loads(algorithm.to_jwk(key.public_key()))
    return {**found, **({"kid": kid} if kid else {}), **more}


class JwtIssuer:
    """Signs with its newest keys."""

    def __init__(self) -> None:
        self.key_generation = 0

    def rotate(self) -> None:
        self.key_generation += 1

    def key(self, algorithm: str) -> tuple[str | None, Any]:
        """The key's id, and the key to sign with."""
        if algorithm == "HS256":
            return None, HS256_SECRET
        made = (
            _rsa_key(self.key_generation) if algorithm == "RS256" else _ec_key(self.key_generation)
        )
        return f"{algorithm}-{self.key_generation}", made

    def jwks(self) -> bytes:
        keys = [self.key(algorithm) for algorithm in ("RS256", "ES256")]
        return json.dumps({"keys": [public_jwk(key, kid) for kid, key in keys]}).encode()

    def token(
        self,
        user: str = "alice",
        algorithm: str = "RS256",
        *,
        seconds: float = 300,
        now: float | None = None,
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A valid token; claims that are None are omitted."""
        kid, key = self.key(algorithm)
        now = time.time() if now is None else now
        claims = {"sub": user, "exp": now + seconds, **claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        return sign_jwt(
            claims, key, algorithm, headers={**({"kid": kid} if kid else {}), **(headers or {})}
        )


def sign_jwt(claims: Any, key: Any, algorithm: str, headers: dict[str, Any]) -> str:
    """Sign as the library does, with any claims."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jwt.api_jws.PyJWS().encode(payload, key, algorithm=algorithm, headers=headers)


def unsigned_jwt(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


class JwksServer:
    """The response of the server: `body` with `status`. It counts the requests."""

    def __init__(self) -> None:
        self.url = ""
        self.body = b"{}"
        self.status = 200
        self.request_count = 0


@contextlib.asynccontextmanager
async def serve_jwks(body: bytes) -> AsyncIterator[JwksServer]:
    """Serve a JWKS over HTTP on a free port."""
    jwks = JwksServer()
    jwks.body = body

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            jwks.request_count += 1
            head = f"HTTP/1.1 {jwks.status} X\r\nContent-Length: {len(jwks.body)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + jwks.body)
            await writer.drain()
        writer.close()

    async with serve_connections(answer) as port:
        jwks.url = f"http://127.0.0.1:{port}/keys"
        yield jwks
