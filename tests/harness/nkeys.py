"""Keys and JWTs of NATS (ADR-14), made for tests: operators, accounts and users."""

import base64
import binascii
import json
import os
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_SEED_PREFIX = 18 << 3
OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3
"""The prefixes of the kinds of keys."""


def _encode(body: bytes) -> str:
    checksum = binascii.crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(body + checksum).decode().rstrip("=")


class NatsKey:
    """A key of the kind `prefix`."""

    def __init__(self, prefix: int, raw: bytes | None = None) -> None:
        raw = raw or os.urandom(32)
        self._private = Ed25519PrivateKey.from_private_bytes(raw)
        head = bytes([_SEED_PREFIX | prefix >> 5, (prefix & 31) << 3])
        self.seed = _encode(head + raw)
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = _encode(bytes([prefix]) + public)

    def sign_jwt(self, subject: "NatsKey", kind: str, **claims: Any) -> str:
        """A JWT about `subject`, signed by this key."""
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {
            "jti": os.urandom(16).hex(),
            "iat": int(time.time()),
            "iss": self.public,
            "name": kind,
            "sub": subject.public,
            "nats": {"type": kind, "version": 2, **claims},
        }
        text = f"{_base64(json.dumps(head).encode())}.{_base64(json.dumps(body).encode())}"
        return f"{text}.{_base64(self._private.sign(text.encode()))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def make_user_seed(raw: bytes | None = None) -> str:
    """Return the seed of a new user key (``SU`` and 56 characters), as `nk -gen user` does."""
    return NatsKey(USER, raw).seed


USER_SEED = make_user_seed(bytes(range(32)))
"""A key that is in the repository, and therefore no secret."""


class JwtAccount:
    """An operator with one account. `server_config` is for the server, `creds` for a user."""

    def __init__(self) -> None:
        operator, self._account = NatsKey(OPERATOR), NatsKey(ACCOUNT)
        limits = dict.fromkeys(
            ("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1
        )
        account_jwt = operator.sign_jwt(
            self._account, "account", limits={**limits, "wildcards": True}
        )
        self.server_config = f"""
            operator: "{operator.sign_jwt(operator, "operator")}"
            resolver: MEMORY
            resolver_preload: {{ {self._account.public}: "{account_jwt}" }}
        """

    def creds(self) -> str:
        """The content of a ``.creds`` file for a new user."""
        user = NatsKey(USER)
        jwt = self._account.sign_jwt(user, "user", subs=-1, data=-1, payload=-1)
        return (
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )
