"""The browser client with bearer tokens: streams and calls that outlive them."""

import asyncio
import time
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer
from tests.harness.publishers import order_placed

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

LIFE_SECONDS = 3
TIMEOUT_SECONDS = 60
CONNECT_SCRIPT = """async () => {
    const { connect } = await import('/client/tapewire.js');
    window.seen = { ids: [], clients: [], states: [], errors: [] };
    window.stream = connect('/api/stream/orders', {
        token: () => window.issueToken(),
        onEvent: ({ type, id, data }) => {
            if (type === 'connected') seen.clients.push(data.clientId);
            else if (id) seen.ids.push(id);
        },
        onState: ({ name }) => seen.states.push(name),
    });
}"""


class TokenPage:
    """A page with a stream of a user without a session cookie."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.issued: list[float] = []
        self.is_signed_out = False
        self._issuer = JwtIssuer()

    async def open(self, edge: EdgeProcess) -> None:
        await self.page.expose_function("issueToken", self._issue)
        await self.page.goto(f"{edge.url}/client/tapewire.js")
        await self.page.evaluate(CONNECT_SCRIPT)

    async def wait_for(self, condition: str) -> dict[str, Any]:
        """Wait until the condition on `seen` is true; return `seen`."""
        await self.page.wait_for_function(f"() => {condition}", timeout=TIMEOUT_SECONDS * 1000)
        found: dict[str, Any] = await self.page.evaluate("() => seen")
        return found

    def _issue(self) -> str:
        self.issued.append(time.time())
        # One that has expired: the server refuses it.
        seconds = -1 if self.is_signed_out else LIFE_SECONDS
        return self._issuer.token("alice", "HS256", seconds=seconds)


@pytest_asyncio.fixture(loop_scope="session")
async def token_page(isolated_harness: Harness, page: Page) -> TokenPage:
    made = TokenPage(page)
    await made.open(isolated_harness.start_edge(TAPEWIRE_JWT_SECRET=HS256_SECRET))
    return made


async def test_a_stream_outlives_its_tokens_without_a_gap(
    isolated_harness: Harness, token_page: TokenPage
) -> None:
    sequences = []
    async with isolated_harness.journal() as journal:
        for number in range(LIFE_SECONDS * 2 * 10):
            sequences.append(await journal.append("alice", order_placed(f"o-{number}")))
            await asyncio.sleep(0.1)

    last = f"seen.ids.some((id) => id.endsWith('-{sequences[-1]}'))"
    seen = await token_page.wait_for(f"{last} && seen.clients.length >= 3")
    received = [int(id_.rpartition("-")[2]) for id_ in seen["ids"]]
    assert seen["states"] == ["connecting", "live"]
    assert [one for one in received if one in sequences] == sequences
    assert len(token_page.issued) >= 3


async def test_a_stream_whose_next_token_is_refused_ends_as_signed_out(
    token_page: TokenPage,
) -> None:
    await token_page.wait_for("seen.states.includes('live')")
    token_page.is_signed_out = True

    seen = await token_page.wait_for("seen.states.includes('signed-out')")

    assert seen["states"][-1] == "signed-out"
    issued = len(token_page.issued)
    await asyncio.sleep(1)
    assert len(token_page.issued) == issued


async def test_a_call_goes_on_with_another_token_after_a_refusal(token_page: TokenPage) -> None:
    statuses = await token_page.page.evaluate(
        """async () => {
            const { call } = await import('/client/tapewire.js');
            let asked = 0;
            const token = () => (++asked === 1 ? 'expired' : window.issueToken());
            const { userId } = await call('GET', '/api/session', undefined, { token });
            const refused = await call('GET', '/api/session', undefined, { token: () => 'no' })
                .catch((error) => error.statusCode);
            return [userId, asked, refused];
        }"""
    )
    assert statuses == ["alice", 2, 401]
