"""Secrets do not appear in the log, in any field or format."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tapewire.runtime.logging_setup import mask

SECRET = "D3-rH8BQvuYbHYKx"

FAILING_PROGRAM = f"""
import sys, structlog
from tapewire.runtime import logging_setup

logging_setup.configure_logging("edge", format_=sys.argv[1], level="info")

def handle(headers):
    raise RuntimeError("cannot serve password=" + headers["cookie"].partition("=")[2])

try:
    handle({{"cookie": "session={SECRET}"}})
except RuntimeError:
    structlog.get_logger("edge").exception("a request failed")
"""


def run_and_read_log(format_: str) -> str:
    """Return the log of a new process: logging is configured for a whole process."""
    command = [sys.executable, "-c", FAILING_PROGRAM, format_]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


@pytest.mark.parametrize("format_", ["console", "json"])
def test_a_traceback_has_no_variables_and_no_secrets(format_: str) -> None:
    """The regression: on a console, a failed request was logged with the local variables of every
    frame, which included the session cookie of the request."""
    text = run_and_read_log(format_)
    assert "in handle" in text
    assert "RuntimeError: cannot serve [redacted]" in text
    assert SECRET not in text


def test_a_traceback_is_part_of_its_json_line() -> None:
    (line,) = run_and_read_log("json").splitlines()
    assert json.loads(line)["event"] == "a request failed"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"client": "ann.lee@example.org-orders-17"}, {"client": "a***@e***.org-orders-17"}),
        ({"why": "called +44 20 7946 0958"}, {"why": "called ***58"}),
        (
            {"sessionId": "abc", "api_key": "k"},
            {"sessionId": "[redacted]", "api_key": "[redacted]"},
        ),
        ({"path": "/x?token=abc&a=1"}, {"path": "/x?[redacted]&a=1"}),
        (
            {"headers": {"Authorization": "Bearer abc"}},
            {"headers": {"Authorization": "[redacted]"}},
        ),
        ({"position": 17952059626, "seconds": 0.25}, {"position": 17952059626, "seconds": 0.25}),
        ({"client": "+442079460958-orders-17"}, {"client": "***58-orders-17"}),
        ({"why": "ring (415) 555-0123 or 415.555.0199"}, {"why": "ring ***23 or ***99"}),
        ({"mobile": "020 7946 0958"}, {"mobile": "***58"}),
        ({"at": "2026-03-02T14:30:00+00:00"}, {"at": "2026-03-02T14:30:00+00:00"}),
        (
            {"subject": "ev.ann%2Elee%40example%2Eorg.orders.1"},
            {"subject": "ev.a***@e***.org.orders.1"},
        ),
        ({"path": "/x/ann%40example.org"}, {"path": "/x/a***@e***.org"}),
        ({"body": '{"password": "a b", "qty": 1}'}, {"body": '{"[redacted], "qty": 1}'}),
        ({"body": '{"apiKey":"k-1","n":2}'}, {"body": '{"[redacted],"n":2}'}),
        ({"why": "X-Api-Key: k-1"}, {"why": "X-[redacted]"}),
        ({"why": "access_token=abc"}, {"why": "access_[redacted]"}),
        ({"why": "of eyJhbGciOi.eyJzdWIi.c2ln, odd"}, {"why": "of [redacted], odd"}),
        ({"why": "to nats://me:pw@host:4222"}, {"why": "to nats://[redacted]@host:4222"}),
        ({"error": ValueError("token=abc")}, {"error": "ValueError('[redacted]')"}),
        ({"data": b"session=abc"}, {"data": "b'[redacted]'"}),
    ],
)
def test_secrets_are_redacted_and_personal_data_is_masked(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert mask(given) == expected
