"""The identity of a command, and the answer to one whose service did not answer in time.

A command is identified by its user, its kind and a key: the caller's ``Idempotency-Key``, or else a
new one. The answer to a command of unknown outcome names the key. With that key the same request
may be sent again, and is carried out once.
"""

import hashlib
import re

import msgspec

from tapewire.log import CommandRejected, new_id
from tapewire.log.idempotency import KEY_HEADER, KEY_REUSED
from tapewire.runtime import Outcome, RequestTimeout
from tapewire.runtime.contracts.orders import PlaceOrder, order_id
from tapewire_services.edge.http.errors import (
    HttpError,
    UndoneCommand,
    rejection_to_http_error,
    unavailable,
)
from tapewire_services.edge.http.schema import MAX_IDEMPOTENCY_KEY_CHARACTERS

COMMAND_TIMEOUT_SECONDS = 2.8
"""When the edge answers a command at the latest, from its arrival. A service that receives the
command later does nothing."""
SESSION_TIMEOUT_SECONDS = 2.0
"""How much of that the lookup of the caller's session may take."""
MIN_TIMEOUT_SECONDS = 0.5
_VALID_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_IDEMPOTENCY_KEY_CHARACTERS}}}")


class CommandIdentity(msgspec.Struct, frozen=True):
    """The id of a command, and the key that it follows from. `given_key` is None for a key that the
    edge made."""

    key: str
    given_key: str | None
    command_id: str


def identify_command(payload: msgspec.Struct, given_key: str | None) -> CommandIdentity:
    """The identity of the command in `payload`: the same for the same user, kind of command and
    key, therefore a repeated request is carried out once.

    Raises:
        HttpError: 422, the key is malformed.
    """
    if given_key is not None and not _VALID_KEY.fullmatch(given_key):
        message = (
            f"{KEY_HEADER} has 1 to {MAX_IDEMPOTENCY_KEY_CHARACTERS} printable ASCII characters"
        )
        raise HttpError(422, message, path=KEY_HEADER, value=given_key[:32])
    key = given_key or new_id()
    hashed = f"{getattr(payload, 'user_id', '')}\n{type(payload).__name__}\n{key}"
    return CommandIdentity(key, given_key, hashlib.sha256(hashed.encode()).hexdigest()[:32])


def undone_command(reason: str) -> HttpError:
    """The 503 of a command that was not sent to its service."""
    undone = UndoneCommand(Outcome.NOT_DONE, None, None)
    return unavailable(f"Nothing was done, because {reason}; try again", command=undone)


def unanswered_command(
    error: RequestTimeout, payload: msgspec.Struct, identity: CommandIdentity
) -> HttpError:
    """The 503 that says whether nothing was done, and how to ask otherwise."""
    found_at = None
    if isinstance(payload, PlaceOrder):
        name = payload.client_order_id or identity.command_id
        found_at = f"/api/orders/{order_id(payload.user_id, name)}"
    if error.outcome is Outcome.NOT_DONE:
        message = "Nothing was done, because the service that owns this is away; try again"
    else:
        asking = "" if found_at is None else f"ask GET {found_at}, or "
        message = (
            f"It is not known whether this was done: {asking}send the same request again "
            f"with {KEY_HEADER}: {identity.key}, which does it at most once"
        )
    undone = UndoneCommand(error.outcome, identity.key, found_at)
    return unavailable(message, command=undone)


def rejected_command(
    rejection: CommandRejected, payload: msgspec.Struct, identity: CommandIdentity | None
) -> HttpError:
    """`rejection` as an error that names what is at fault: a field, or the idempotency key."""
    is_key_at_fault = rejection.path == KEY_HEADER or (
        # An order without a clientOrderId has one that follows from the key.
        isinstance(payload, PlaceOrder) and payload.client_order_id is None
    )
    if rejection.code == KEY_REUSED and identity is not None and is_key_at_fault:
        message = f"{KEY_HEADER} {identity.key!r} was used for another request"
        return HttpError(422, message, path=KEY_HEADER, value=identity.key)
    return rejection_to_http_error(rejection, payload)
