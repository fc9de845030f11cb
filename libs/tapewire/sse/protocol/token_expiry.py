"""When a token ends, read from the token itself. The signature is the server's business."""

import base64
import binascii
import json
import math

RENEWAL_MARGIN_SECONDS = 30.0
"""A token is renewed this long before it ends, or after two thirds of a shorter life."""


def read_expiry(token: str) -> float:
    """Return the time at which a JWT ends, in seconds since 1970; infinity for another token."""
    parts = token.split(".")
    if len(parts) != 3:
        return math.inf
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError, binascii.Error):
        return math.inf
    expiry = claims.get("exp") if isinstance(claims, dict) else None
    return float(expiry) if isinstance(expiry, int | float) else math.inf


def renewal_delay(expiry: float, now: float) -> float:
    """Return the seconds from `now` until a token that ends at `expiry` is to be renewed; 0 when it
    is due."""
    left = max(expiry - now, 0.0)
    return left - min(RENEWAL_MARGIN_SECONDS, left / 3)
