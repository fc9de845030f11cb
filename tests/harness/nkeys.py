"""Keys of NATS users, made for tests."""

import base64
import binascii
import os

_SEED_PREFIX, _USER_PREFIX = 18 << 3, 20 << 3


def make_user_seed(raw: bytes | None = None) -> str:
    """Return the seed of a new user key (``SU`` and 56 characters), as `nk -gen user` does."""
    raw = raw or os.urandom(32)
    body = bytes([_SEED_PREFIX | _USER_PREFIX >> 5, (_USER_PREFIX & 31) << 3]) + raw
    checksum = binascii.crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(body + checksum).decode().rstrip("=")


USER_SEED = make_user_seed(bytes(range(32)))
"""A key that is in the repository, and therefore no secret."""
