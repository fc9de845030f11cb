"""Every close reason has an action for the client, and the browser client has the same table."""

import re
from pathlib import Path

import pytest

from tapewire_services.edge.delivery.close_reason import ClientAction, CloseReason
from tapewire_services.edge.delivery.serializers.control_messages import (
    FINAL_EVENTS,
    session_ended_message,
)

CLIENT_TABLE = Path(__file__).parents[3] / "libs/client/packages/client/src/closing.ts"


def test_every_reason_has_an_action() -> None:
    actions = {reason: reason.client_action for reason in CloseReason}
    assert actions == {
        CloseReason.GONE: ClientAction.RECONNECT,
        CloseReason.SLOW: ClientAction.RECONNECT,
        CloseReason.EXPIRED: ClientAction.SIGN_IN,
        CloseReason.REVOKED: ClientAction.SIGN_IN,
        CloseReason.LIMIT: ClientAction.STOP,
        CloseReason.DRAIN: ClientAction.RECONNECT,
        CloseReason.DONE: ClientAction.STOP,
        CloseReason.POLLED: ClientAction.RECONNECT,
        CloseReason.QUIET: ClientAction.RECONNECT,
        CloseReason.FAILED: ClientAction.RECONNECT_LATER,
    }


def test_the_browser_client_has_the_same_actions_as_the_server() -> None:
    entries = re.findall(r'^  \["([a-z:]+)", "([a-z-]+)"\],$', CLIENT_TABLE.read_text(), re.M)
    assert dict(entries) == {name: action.value for name, action in FINAL_EVENTS.items()}


def test_only_the_end_of_a_session_asks_to_sign_in() -> None:
    assert session_ended_message(CloseReason.REVOKED)[0] == "auth:expired"
    with pytest.raises(ValueError, match="DRAIN"):
        session_ended_message(CloseReason.DRAIN)
