"""Clients that disconnect while they send a request.

Regression: a client that disconnected before its body had arrived, such as a phone in a tunnel, was
logged as `request.failed`, an error with a traceback. Operators were alerted to an error that only
the client had caused.
"""

import asyncio

import pytest

from tests.harness.edge import EdgeProcess
from tests.harness.waiting import wait_until

HEAD = (
    "POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: session={cookie}\r\n"
    "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
)


@pytest.mark.parametrize("path", ["/api/orders", "/api/session"])
async def test_client_disconnect_during_the_body_is_not_an_error(
    edge: EdgeProcess, path: str
) -> None:
    cookie = await edge.sign_in("gina")
    before = len(edge.find_log_lines("request.incomplete", path=path))
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(HEAD.format(path=path, cookie=cookie).encode() + b'{"symbol":')
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await wait_until(
        "the incomplete request is logged",
        lambda: len(edge.find_log_lines("request.incomplete", path=path)) > before,
        describe_last=lambda: edge.log_lines()[-3:],
    )
    assert not edge.find_log_lines("request.failed", path=path)
