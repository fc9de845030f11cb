"""What a connection logs when the server refuses a subject."""

import nats.errors
import pytest
from structlog.testing import capture_logs

from tapewire.log.jetstream import NatsConnection


@pytest.mark.parametrize(
    ("subject", "event", "level"),
    [
        ("_INBOX.abc.1", "nats.reply_expired", "info"),
        ("_R_.abc.def", "nats.reply_expired", "info"),
        ("ev.alice.trades.1", "nats.permission_denied", "warning"),
        ("inbox._inbox.1", "nats.permission_denied", "warning"),
    ],
)
async def test_an_expired_reply_is_not_a_missing_permission(
    subject: str, event: str, level: str
) -> None:
    text = f"nats: 'Permissions Violation for Publish to \"{subject}\"'".lower()
    with capture_logs() as logged:
        await NatsConnection().on_error(nats.errors.Error(text))
    assert [(one["event"], one["log_level"], one["subject"]) for one in logged] == [
        (event, level, subject.lower())
    ]
