"""Personal data and credentials stay out of the log lines of the edge (C19).

A request carries them as the user id, or in a header, the query, the path or the body. The log
lines of a fault do not contain them either.
"""

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer
from tests.harness.publishers import EventLogDriver
from tests.harness.waiting import wait_until
from tests.integration.edge.stream_cases import open_stream
from tests.integration.edge.user_scenario import UserScenario

PEOPLE = ("ann.lee@mail.example.org", "+442079460958", "415-555-0123")
SECRETS = (
    "ann.lee",
    "mail.example",
    "442079460958",
    "415-555-0123",
    "hunter2",
    "k-123456",
    "aGk6aG8",
)


@pytest.mark.parametrize("user", PEOPLE)
async def test_personal_data_and_credentials_are_not_logged(
    harness: Harness,
    edge: EdgeProcess,  # noqa: ARG001 - it creates the streams
    journal: EventLogDriver,
    user: str,
) -> None:
    talkative = harness.shared_edge(
        TAPEWIRE_JWT_SECRET=HS256_SECRET, TAPEWIRE_TOKEN_IN_QUERY="on", TAPEWIRE_LOG_LEVEL="debug"
    )
    cast = UserScenario(journal, user)
    await cast.create_strategy_and_configuration()
    cookie = await talkative.sign_in(user)
    token = JwtIssuer().token(user, "HS256")
    headers = {"X-Api-Key": "k-123456", "Authorization": "Basic aGk6aG8="}
    secrets = {"password": "hunter2", "api_key": "k-123456", "token": token, "phone": PEOPLE[1]}
    query = f"token={token}&api_key=k-123456&password=hunter2&lastEventId={token}"
    clients = []
    for path, how in (
        ("/api/stream/orders", {"cookie": cookie, "headers": headers}),
        (f"/api/stream/orders?{query}", {}),
        (f"/sse/strategy/{cast.strategy.replace('+', '%2B')}", {"cookie": cookie}),
    ):
        async with await open_stream(talkative, path, **how) as stream:
            payload = stream.frames[-1].data
            clients.append(payload.get("clientId") or payload["client_id"])
    subject = f"ev.{_token(user)}.strategies.hunter2"
    await journal.connection.request(
        subject, b'{"password":"hunter2"', {"Tw-Type": "strategy.started.v1"}
    )
    async with talkative.client(cookie) as http:
        await http.post("/api/orders", json=secrets, headers=headers)
        await http.post("/api/session", json=secrets)
        for quoted in (user.replace("@", "%40").replace("+", "%2B"), token):
            assert (await http.get(f"/api/orders/{quoted}?{query}")).status_code == 422
            assert (await http.get(f"/api/orders/{quoted}")).status_code == 503
    async with await talkative.connect(f"/sse/strategy/hunter2?{query}", cookie) as answer:
        assert answer.status == 500
    before = "stream.closed"
    await wait_until(
        "all requests are logged",
        lambda: len(talkative.find_log_lines(before)) >= len(clients),
        describe_last=talkative.log_lines,
    )
    text = talkative.log_file.read_text().replace("sse/strategy/hunter2", "").replace(subject, "")
    assert "stream.open_failed" in text
    assert "request.unanswered" in text
    for raw in (*SECRETS, token, token.split(".")[1], cookie):
        assert raw not in text, next(line for line in text.splitlines() if raw in line)


def _token(user: str) -> str:
    from tapewire.log import encode_token

    return encode_token(user)
