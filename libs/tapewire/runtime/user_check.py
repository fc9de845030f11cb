"""Whether a service is connected to the message server as its own user.

In the accounts of `tapewire nats-config` a service answers requests only in its own account. As
another user, such as the administrator, it could hold leases and would never receive a request.
Start at `find_wrong_user`.
"""

from typing import Any

import msgspec

from tapewire.log import LogError
from tapewire.log.jetstream import NatsConnection
from tapewire.runtime.contracts import CALLS
from tapewire.runtime.nats_access import JETSTREAM_ACCOUNT, LOCAL, OPERATOR, USER_INFO_SUBJECT

_ACCOUNTS = frozenset(
    (*(call.service for call in CALLS), "edge", OPERATOR.name, LOCAL, JETSTREAM_ACCOUNT)
)
"""The accounts of Tapewire. A server with others, or with none, is the operator's own affair."""


async def find_wrong_user(connection: NatsConnection, service: str) -> str | None:
    """What is wrong with the user that `service` is connected as, and what it needs; None if
    nothing is, or if the server does not say who the user is."""
    try:
        reply = await connection.request(USER_INFO_SUBJECT)
        info = msgspec.json.decode(reply.data, type=dict[str, Any]).get("data", {})
        user, account = str(info.get("user", "")), info.get("account")
    except (LogError, msgspec.DecodeError, msgspec.ValidationError, AttributeError):
        return None
    if account == service or account not in _ACCOUNTS:
        return None
    return (
        f"the message server knows this process as the user {user!r} of the account {account!r}: "
        f"requests to {service} would not reach it. It needs its own user: "
        f"TAPEWIRE_NATS_USER={service} and TAPEWIRE_NATS_PASSWORD_FILE (DIR/nats/{service} of "
        "`tapewire up --data-dir DIR`), and a TAPEWIRE_NATS_URL without a user"
    )
