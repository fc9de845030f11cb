"""Passwords, keys and certificates of NATS are replaced while the platform is used.

No stream of a browser closes, and no order that was acknowledged is missing from it. The services
are processes of their own, each with its own user; nothing restarts.
"""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tapewire.cli.nats_config.declarations import service_accesses
from tapewire.log import Unavailable
from tapewire.log.jetstream import BadCredentials, NatsConnection, NatsCredentials, connect
from tapewire.log.jetstream.credentials import public_nkey
from tests.harness.certificates import CertificateAuthority, replace
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.nkeys import JwtAccount, make_user_seed
from tests.harness.secured_nats import SecuredNats, plain_server
from tests.harness.sse import SseStream, StreamEnded
from tests.harness.waiting import wait_until

SERVICES = ("prices", "orders", "edge")


class Platform:
    """NATS with TLS and users, the services that an order needs, and a reader."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self.server_ca = CertificateAuthority("first")
        replace(self.ca_file, self.server_ca.pem)
        self.server_ca.issue("server", folder)
        self.server_ca.issue("client", folder)
        self.nats = SecuredNats(
            folder / "nats-server",
            service_accesses(),
            head=f"""tls {{ cert_file: "{folder}/server.crt", key_file: "{folder}/server.key",
                           ca_file: "{folder}/ca.pem", verify: true }}""",
        )
        self.services: list[ManagedService] = []

    @property
    def tls(self) -> dict[str, str]:
        return {
            "ca": str(self.ca_file),
            "cert": str(self.folder / "client.crt"),
            "key": str(self.folder / "client.key"),
        }

    async def start(self) -> None:
        await self.nats.start()
        await self.nats.provision(**self.tls)
        for name in SERVICES:
            settings = {
                "TAPEWIRE_NATS_URL": self.nats.url,
                "TAPEWIRE_NATS_USER": name,
                "TAPEWIRE_NATS_PASSWORD_FILE": str(self.nats.password_file(name)),
                **{f"TAPEWIRE_NATS_{key.upper()}": value for key, value in self.tls.items()},
                "TAPEWIRE_SPEED": "20",
            }
            service = (
                EdgeProcess(settings, self.folder)
                if name == "edge"
                else ManagedService(name, settings, self.folder)
            )
            self.services.append(service)
            await asyncio.to_thread(service.wait_ready)

    @property
    def edge(self) -> EdgeProcess:
        edge = self.services[-1]
        assert isinstance(edge, EdgeProcess)
        return edge

    def renewals(self) -> list[int]:
        """How often each service has connected again."""
        return [len(one.find_log_lines("nats.reconnected")) for one in self.services]

    async def wait_renewed(self, before: list[int]) -> None:
        """Wait until every service has connected again since `before`."""
        await wait_until(
            "every service has connected again",
            lambda: all(now > then for now, then in zip(self.renewals(), before, strict=True)),
            describe_last=self.renewals,
        )

    async def close(self) -> None:
        for service in reversed(self.services):
            service.kill()
        self.nats.close()


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    made = Platform(tmp_path)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


class Trader:
    """Places orders one after another and reads the stream of them, all on one connection."""

    def __init__(self, edge: EdgeProcess) -> None:
        self._edge = edge
        self.acknowledged: list[str] = []
        self.refused: list[int] = []
        self.seen: list[str] = []
        self.ended: StreamEnded | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._edge.wait_for_quotes("IBM")
        self._cookie = await self._edge.sign_in("alice")
        self._stream: SseStream = await self._edge.open_stream("/api/stream/orders", self._cookie)
        self._tasks = [asyncio.create_task(self._trade()), asyncio.create_task(self._read())]

    async def _trade(self) -> None:
        async with self._edge.client(self._cookie) as http:
            for number in itertools.count():
                order = {"symbol": "IBM", "side": "buy", "type": "limit", "limitPrice": "0.01",
                         "qty": 1, "clientOrderId": f"o-{number}"}  # fmt: skip
                answer = await http.post("/api/orders", json=order)
                while answer.status_code == 503:  # as a client does: again, under the same id
                    self.refused.append(answer.status_code)
                    await asyncio.sleep(0.05)
                    answer = await http.post("/api/orders", json=order)
                assert answer.status_code in (200, 201), answer.text
                self.acknowledged.append(answer.json()["orderId"])

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._stream.read(seconds=120)
                if frame.event == "order:update" and not frame.data.get("snapshot"):
                    self.seen.append(frame.data["orderId"])
        except StreamEnded as end:
            self.ended = end

    async def wait_for_orders(self, count: int) -> None:
        """Wait until so many more orders were acknowledged."""
        goal = len(self.acknowledged) + count
        await wait_until(
            f"{goal} orders are acknowledged",
            lambda: self.fail_if_ended() or len(self.acknowledged) >= goal,
            describe_last=lambda: len(self.acknowledged),
        )

    def fail_if_ended(self) -> bool:
        """Fail if a task or the stream has ended; otherwise False."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()
        assert self.ended is None, f"the stream closed: {self.ended}"
        return False

    async def finish(self) -> None:
        """Stop trading; check that every acknowledged order has arrived, on the same stream."""
        self._tasks[0].cancel()
        await asyncio.wait({self._tasks[0]})
        await wait_until(
            "every acknowledged order is on the stream",
            lambda: self.fail_if_ended() or set(self.acknowledged) <= set(self.seen),
            describe_last=lambda: set(self.acknowledged) - set(self.seen),
        )
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._stream.close()
        # An order that never fills is placed and accepted: two events.
        counts = {order: self.seen.count(order) for order in self.acknowledged}
        assert len(set(self.acknowledged)) == len(self.acknowledged)
        assert max(counts.values()) <= 2


async def test_passwords_and_certificates_are_replaced_under_load(platform: Platform) -> None:
    trader = Trader(platform.edge)
    await trader.start()
    await trader.wait_for_orders(20)

    # 1. New passwords: first the files, then the server, which cuts off the old ones.
    before = platform.renewals()
    for user in SERVICES:
        replace(platform.nats.password_file(user), f"{secrets.token_hex(16)}\n".encode())
    platform.nats.reload()
    await platform.wait_renewed(before)
    await trader.wait_for_orders(20)

    # 2. A new authority: trusted by everybody first, ...
    new_ca = CertificateAuthority("second")
    before = platform.renewals()
    replace(platform.ca_file, platform.server_ca.pem + new_ca.pem)
    platform.nats.reload()
    await platform.wait_renewed(before)
    await trader.wait_for_orders(20)

    # 3. ... then new certificates by it for the server and its clients, ...
    before = platform.renewals()
    new_ca.issue("server", platform.folder)
    platform.nats.reload()
    new_ca.issue("client", platform.folder)
    await platform.wait_renewed(before)
    await trader.wait_for_orders(20)

    # 4. ... then the old authority is trusted no more.
    before = platform.renewals()
    replace(platform.ca_file, new_ca.pem)
    platform.nats.reload()
    await platform.wait_renewed(before)
    await trader.wait_for_orders(20)

    await trader.finish()
    assert all(one.process.poll() is None for one in platform.services)


async def test_a_password_that_the_server_does_not_know_yet_changes_nothing(
    platform: Platform,
) -> None:
    """The files may be replaced long before the server: what works is kept."""
    trader = Trader(platform.edge)
    await trader.start()
    before = platform.renewals()
    replace(platform.nats.password_file("orders"), b"not-known-to-the-server\n")
    orders = platform.services[1]
    await wait_until(
        "the new password was tried", lambda: orders.find_log_lines("nats.credentials_refused")
    )
    await trader.wait_for_orders(10)
    assert platform.renewals() == before

    platform.nats.reload()  # the server learns of it
    await wait_until(
        "the service connected again", lambda: orders.find_log_lines("nats.reconnected")
    )
    await trader.wait_for_orders(10)
    await trader.finish()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SecuredNats]:
    made = SecuredNats(tmp_path, service_accesses())
    await made.start()
    yield made
    made.close()


async def is_usable(connection: NatsConnection) -> bool:
    """Whether a message passes through the server and back."""
    received: list[bytes] = []

    async def on_message(message: Any) -> None:
        received.append(message.data)

    subscription = await connection.subscribe("test.echo", on_message, lambda _: None)
    await connection.publish("test.echo", b"1")
    await wait_until("the message is back", lambda: received)
    await subscription.close()
    return True


async def test_every_kind_of_credentials_is_accepted_from_files(tmp_path: Path) -> None:
    """A token, an nkey and a user with a password; a wrong one is refused, without its content."""
    seed = make_user_seed()
    (tmp_path / "seed").write_text(f"{seed}\n")
    (tmp_path / "token").write_text("a-token-of-some-length\n")
    (tmp_path / "password").write_text("a-password-of-some-length\n")
    users = f"""authorization {{ users: [
        {{ user: me, password: a-password-of-some-length }}
        {{ nkey: {public_nkey(seed.encode())} }}
    ] }}"""
    for auth, credentials in (
        (users, NatsCredentials(user="me", password_file=str(tmp_path / "password"))),
        (users, NatsCredentials(nkey=str(tmp_path / "seed"))),
        (
            "authorization { token: a-token-of-some-length }",
            NatsCredentials(token_file=str(tmp_path / "token")),
        ),
    ):
        with plain_server(tmp_path, auth) as url:
            connection = await connect(url, "test", credentials=credentials)
            assert await is_usable(connection)
            await connection.close()
            for name in ("seed", "token", "password"):
                wrong = make_user_seed() if name == "seed" else "wrong-secret"
                (tmp_path / f"wrong-{name}").write_text(wrong)
            refused = NatsCredentials(token_file=str(tmp_path / "wrong-token"))
            with pytest.raises(Unavailable, match="Authorization Violation") as error:
                await connect(url, "test", wait_seconds=1, credentials=refused)
            assert "wrong-secret" not in str(error.value)


async def test_a_creds_file_is_replaced_by_that_of_another_user(tmp_path: Path) -> None:
    """The JWT and the seed of one file belong together, at every connection."""
    account, file = JwtAccount(), tmp_path / "me.creds"
    replace(file, account.creds().encode())
    with plain_server(tmp_path, account.server_config, jetstream=False) as url:
        connection = await connect(url, "test", credentials=NatsCredentials(creds=str(file)))
        states: list[bool] = []
        connection.state_listeners.append(states.append)
        assert await is_usable(connection)

        replace(file, JwtAccount().creds().encode())  # of an account that the server does not know
        refused = NatsCredentials(creds=str(file))
        with pytest.raises(Unavailable, match="Authorization Violation"):
            await connect(url, "test", wait_seconds=1, credentials=refused)
        assert await is_usable(connection)
        assert states == []

        replace(file, account.creds().encode())
        await wait_until("the connection is renewed", lambda: states == [False, True])
        assert await is_usable(connection)
        await connection.close()


async def test_a_key_is_replaced_while_the_server_knows_both(tmp_path: Path) -> None:
    old, new, file = make_user_seed(), make_user_seed(), tmp_path / "seed"
    replace(file, old.encode())
    keys = ", ".join(f"{{ nkey: {public_nkey(seed.encode())} }}" for seed in (old, new))
    with plain_server(tmp_path, f"authorization {{ users: [{keys}] }}") as url:
        connection = await connect(url, "test", credentials=NatsCredentials(nkey=str(file)))
        states: list[bool] = []
        connection.state_listeners.append(states.append)
        replace(file, new.encode())
        # Requests during the renewal wait for it, and none fails.
        while states != [False, True]:
            assert (await connection.request("$JS.API.INFO")).data
            await asyncio.sleep(0.01)
        await connection.close()


async def test_a_server_without_tls_gets_no_password_where_tls_is_required(
    server: SecuredNats, tmp_path: Path
) -> None:
    """nats-py uses TLS only if the server asks for it: somebody between the two could remove it."""
    authority = CertificateAuthority("mine")
    replace(tmp_path / "ca.pem", authority.pem)
    credentials = server.credentials("orders", ca=str(tmp_path / "ca.pem"))
    with pytest.raises(Unavailable, match="offers no TLS"):
        await connect(server.url, "test", wait_seconds=1, credentials=credentials)
    with pytest.raises(Unavailable, match="offers no TLS"):
        await connect(
            server.url.replace("nats://", "tls://"), "test", wait_seconds=1,
            credentials=server.credentials("orders"),
        )  # fmt: skip


async def test_a_server_of_another_authority_is_refused(tmp_path: Path) -> None:
    theirs, mine = CertificateAuthority("theirs"), CertificateAuthority("mine")
    theirs.issue("server", tmp_path)
    replace(tmp_path / "ca.pem", mine.pem)
    tls = f'tls {{ cert_file: "{tmp_path}/server.crt", key_file: "{tmp_path}/server.key" }}'
    with plain_server(tmp_path, tls) as url:
        credentials = NatsCredentials(ca=str(tmp_path / "ca.pem"))
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await connect(url, "test", wait_seconds=1, credentials=credentials)
        replace(tmp_path / "ca.pem", theirs.pem)
        connection = await connect(url, "test", credentials=credentials)
        assert await is_usable(connection)
        await connection.close()


async def test_a_file_that_is_missing_at_the_start_is_an_error_at_once(server: SecuredNats) -> None:
    for wrong in (
        NatsCredentials(user="orders", password_file="/nowhere/password"),
        NatsCredentials(creds="/nowhere/me.creds"),
    ):
        with pytest.raises(BadCredentials, match="/nowhere"):
            await connect(server.url, "test", wait_seconds=60, credentials=wrong)


async def test_a_file_that_is_away_for_a_moment_does_not_end_the_connection(
    server: SecuredNats,
) -> None:
    """A volume of kubernetes is replaced file by file; the server restarts meanwhile."""
    connection = await server.connect_as("admin")
    file = server.password_file("admin")
    content = file.read_bytes()
    file.unlink()
    await connection.client.force_reconnect()
    await wait_until("the connection is lost", lambda: not connection.is_connected)
    replace(file, content)
    await wait_until("the connection is back", lambda: connection.is_connected)
    assert await is_usable(connection)
    await connection.close()
