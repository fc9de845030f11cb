"""What travels with a request and its replies: headers, contexts, errors, and the content digest.

Header names are promises to callers in other languages; docs/producing.md lists them.
"""

import enum
import hashlib
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from tapewire.log import IdempotencyKey

CORRELATION_HEADER = "Tw-Correlation"
COMMAND_HEADER = "Tw-Command"
KEY_HEADER = "Tw-Idempotency-Key"
"""The idempotency key as the user sent it. The command id follows from it."""
DEADLINE_HEADER = "Tw-Deadline"
"""When the caller stops waiting, in milliseconds since 1970 by the caller's clock."""
ACK_HEADER = "Tw-Ack"
"""In a request: acknowledge it at once. In a reply: the request has arrived at this instance, and
the reply follows."""
LIVE_HEADER = "Tw-Live"
"""In a reply to a probe: the instance that responds."""
INSTANCE_HEADER = "Tw-Instance"
TIME_HEADER = "Tw-Time"
"""The instance's clock at the time of the reply, in milliseconds since 1970."""

REQUEST_TIMEOUT_SECONDS = 5.0
MAX_COMMAND_ID_CHARACTERS = 128

Q = TypeVar("Q", bound=msgspec.Struct)


class Outcome(enum.StrEnum):
    """What is known about a request that was not answered."""

    NOT_DONE = "not_done"
    """Nothing was stored, and nothing will be."""
    UNKNOWN = "unknown"
    """It may have been carried out. Ask for its result, or repeat it with the same command id."""


class RequestTimeout(Exception):
    """The service is down, overloaded or too slow. A command may be repeated with the same id;
    after `Outcome.NOT_DONE` also with another."""

    def __init__(self, message: str, outcome: Outcome = Outcome.UNKNOWN) -> None:
        super().__init__(message)
        self.outcome = outcome


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """What arrives with a request. `command_id` is the same when a caller repeats a request.

    `idempotency_key` is the user's key, if there is one, and `digest` that of the request.
    """

    correlation: str
    command_id: str
    traceparent: str | None
    idempotency_key: str | None = None
    digest: str = ""

    def key(self, user: str) -> IdempotencyKey | None:
        """The idempotency key of the command, for `CommandHandler.handle`."""
        if self.idempotency_key is None:
            return None
        return IdempotencyKey(
            user=user,
            text=self.idempotency_key,
            command_id=self.command_id,
            digest=self.digest,
        )


class Endpoint(msgspec.Struct, Generic[Q], frozen=True):
    """The type of a request and its handler, which may raise CommandRejected."""

    request: type[Q]
    handler: Callable[[Q, RequestContext], Awaitable[msgspec.Struct]]


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A rejection on the wire. `outcome` is present if the service could not decide."""

    code: str
    message: str
    path: str | None = None
    outcome: Outcome | None = None


UNDECIDED_CODES = frozenset({"unavailable", "internal", "expired"})
"""Codes of replies that reject nothing: the service could not handle the request."""


def content_digest(verb: str, request: msgspec.Struct) -> str:
    """The SHA-256 of what `request` means: equal for equal fields, however they were written."""
    fields = msgspec.to_builtins(request, builtin_types=(Decimal,))
    text = json.dumps([verb, fields], sort_keys=True, separators=(",", ":"), default=_canonical)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> str:
    """A decimal without the zeros that do not change its value."""
    sign, digits, exponent = Decimal(value).as_tuple()
    if isinstance(exponent, str):  # NaN or infinity
        return str(value)
    text = "".join(map(str, digits)).lstrip("0")
    significant = text.rstrip("0")
    if not significant:
        return "0"
    return f"{'-' if sign else ''}{significant}e{exponent + len(text) - len(significant)}"
