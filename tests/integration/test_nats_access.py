"""Each service may do on NATS what it must, and nothing else.

The server is real, with the configuration of `tapewire nats-config`. The attempts are made with
nats-py and the service's own credentials. `test_a_service_is_refused…` has the table; the platform
itself runs under the same configuration in every test of `tapewire up`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
import pytest

from tapewire.cli.nats_config.accounts import ADMIN
from tapewire.cli.nats_config.declarations import service_accesses
from tapewire.log import OutcomeUnknown, RecordedEvent, Unavailable
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection
from tapewire.log.jetstream.latest_values import JetStreamLatestValueStore
from tapewire.log.jetstream.pending_replies import NotPermitted
from tapewire.log.jetstream.streams import (
    BARS,
    EVENTS,
    LEASES,
    PARKED,
    QUOTES,
    SESSIONS,
    TICKETS,
    stream_configs,
)
from tapewire.runtime.nats_access import NatsAccess
from tapewire.runtime.requests import Endpoint, serve_requests
from tests.harness.secured_nats import Attacker, SecuredNats, attack, secured_cluster
from tests.harness.waiting import wait_until

LOANS = NatsAccess(
    name="loans",
    appends=("loans",),
    values=("loan.rate.v1",),
    requests=("svc.alerts.send",),
    reads=(EVENTS,),
)
"""The access of examples/loans, another team's publisher."""
SERVICES = ("alerts", "edge", "insights", "orders", "positions", "prices", "strategies")
USERS = (*SERVICES, "operator", "loans")

ADMINISTRATION = (
    "$JS.API.STREAM.CREATE.FORGED",
    "$JS.API.STREAM.UPDATE.EVENTS",
    "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.STREAM.PURGE.EVENTS",
    "$JS.API.STREAM.PURGE.KV_leases",
    "$JS.API.STREAM.PURGE.KV_tickets",
    "$JS.API.STREAM.PURGE.PARKED",
    "$JS.API.STREAM.MSG.DELETE.EVENTS",
    "$JS.API.STREAM.SNAPSHOT.EVENTS",
    "$JS.API.STREAM.RESTORE.EVENTS",
    "$JS.API.STREAM.LEADER.STEPDOWN.EVENTS",
    "$JS.API.STREAM.NAMES",
    "$JS.API.CONSUMER.CREATE.EVENTS",
    "$JS.API.CONSUMER.CREATE.EVENTS.forged",
    "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.forged",
    "$JS.API.CONSUMER.DELETE.EVENTS.orders-view",
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.SERVER.REMOVE",
    "$JS.API.ACCOUNT.PURGE.JETSTREAM",
    "$SYS.REQ.SERVER.PING",
)
REFUSED_TO_ALL_BUT: dict[str, tuple[str, ...]] = {
    # Events: each domain has one writer; orders raises alerts about executions, too.
    "ev.alice.trades.forged": ("orders",),
    "ev.alice.orders.forged": ("orders",),
    "ev.alice.positions.forged": ("positions",),
    "ev.alice.strategies.forged": ("strategies",),
    "ev.alice.decisions.forged": ("strategies",),
    "ev.alice.rules.forged": ("alerts",),
    "ev._all.splits.forged": ("orders",),
    "ev._all.trades.forged": ("orders",),
    "ev.alice.splits.forged": (),
    "ev.alice.alerts.forged": ("alerts", "orders", "strategies"),
    "ev.alice.executions.forged": ("orders",),
    "ev.alice.notifications.forged": ("alerts",),
    "ev._all.items.forged": ("insights",),
    "ev.alice.configurations.forged": ("insights",),
    "ev.alice.loans.forged": ("loans",),
    "ev.alice.keys.forged": ("alerts", "insights", "orders", "strategies"),
    "ev.alice.forged": (),
    "ev.alice.orders.forged.more": (),
    # Values.
    "px.FORGED": ("prices",),
    "bars.1m.FORGED": ("prices",),
    "bars.state.symbol.FORGED": ("prices",),
    "mk.alice.FORGED": ("positions",),
    "val.alice.loan%2Erate%2Ev1.forged": ("loans",),
    "val.alice.other.forged": (),
    # Who is signed in, and who holds what.
    "$KV.sessions.forged": ("edge",),
    "$KV.tickets.forged": ("edge",),
    "$KV.journal.incarnation": (),
    "$KV.journal.mark": SERVICES,
    "$KV.journal.loss": SERVICES,
    "$KV.leases.paper-broker": ("orders",),
    "$KV.leases.price-feed": ("prices",),
    "$KV.leases.last-quotes": ("positions",),
    "$KV.leases.bars": ("prices",),
    "$KV.leases.strategies-runner": ("strategies",),
    "$KV.leases.forged": (),
    # Checkpoints, from which a service resumes.
    "view._all.book": ("orders",),
    "view._all.broker-state.acme.session": ("orders",),
    "view._all.positions": ("positions",),
    "view._all.last-quotes.IBM": ("positions",),
    "view._all.strategies-runner": ("strategies",),
    "view._all.strategies-marks.IBM": ("strategies",),
    "view._all.moves.IBM": ("alerts",),
    "view._all.rule-splits": ("alerts",),
    "view.alice.orders": ("orders",),
    "view.alice.buying-power": ("orders",),
    "view.alice.equity": ("positions",),
    "view.alice.equity.recent-3": ("positions",),
    "view.alice.forged": (),
    "parked.orders-view.1.ev.alice.orders.o": ("orders", "operator"),
    "parked.unmatched-executions.1.ev._unknown.executions.e": ("orders", "operator"),
    # Republished messages come from the streams alone.
    "live.ev.alice.trades.forged": (),
    "live.px.FORGED": (),
    # Requests.
    "svc.orders.place": ("orders", "edge", "strategies"),
    "svc.orders.cancel": ("orders", "edge", "strategies"),
    "svc.orders.correct": ("orders",),
    "svc.positions.account": ("positions", "edge"),
    "svc.orders.progress": ("orders", "edge", "operator"),
    "svc.alerts.notifying": ("alerts", "edge", "operator"),
    "svc.orders.split": ("orders",),
    "svc.strategies.start": ("strategies", "edge"),
    "svc.prices.bars": ("prices", "edge"),
    "svc.prices.newest-bars": ("prices", "edge"),
    "svc.alerts.send": ("alerts", "operator", "loans"),
    "svc.insights.add": ("insights", "operator"),
    "svc.insights.put": ("insights", "edge"),
    "svc.insights.retract": ("insights", "edge"),
    "say.test-events": ("edge",),
    # Who signs in, and what others do not show.
    f"$JS.API.DIRECT.GET.{SESSIONS}.$KV.sessions.x": ("edge",),
    f"$JS.API.STREAM.MSG.GET.{SESSIONS}": ("edge",),
    f"$JS.API.DIRECT.GET.{TICKETS}": ("edge",),
    f"$JS.API.DIRECT.GET.{PARKED}": (
        "alerts",
        "edge",
        "insights",
        "operator",
        "orders",
        "positions",
        "strategies",
    ),
    f"$JS.API.DIRECT.GET.{QUOTES}": ("prices",),
    f"$JS.API.DIRECT.GET.{BARS}": ("prices",),
    f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.orders-view": ("orders",),
    f"$JS.ACK.{EVENTS}.orders-view.1.1.1.1.1": ("orders",),
}
"""Subjects that only some users may publish to."""
REFUSED_SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    ">": (),
    "$KV.sessions.>": ("edge",),
    "$KV.tickets.>": (),
    "say.>": ("edge",),
    "svc.orders.place": ("orders",),
    "svc.orders.>": ("orders",),
    "svc.>": (),
    "ev.>": (),
    "$JS.API.>": (),
    "$JS.ACK.>": (),
    "$SYS.>": (),
    "live.ev.>": ("edge", "operator"),
    "live.mk.>": ("edge", "operator"),
}
"""Subjects that only some users may subscribe to."""


@pytest.fixture
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[SecuredNats]:
    with_permissions = getattr(request, "param", "permissions") == "permissions"
    made = SecuredNats(tmp_path, [*service_accesses(), LOANS], with_permissions=with_permissions)
    await made.start()
    await made.provision()
    yield made
    made.close()


async def read_state(server: SecuredNats) -> dict[str, Any]:
    """Everything that the streams hold, and which streams and consumers there are."""
    admin = await server.connect_as(ADMIN)
    state: dict[str, Any] = {"streams": await api(admin, "STREAM.NAMES")}
    for config in stream_configs():
        name = config["name"]
        info = await api(admin, f"STREAM.INFO.{name}", {"subjects_filter": ">"})
        state[name] = [info["created"], info["config"], info["state"]["last_seq"],
                       info["state"]["messages"], info["state"].get("subjects")]  # fmt: skip
    state["consumers"] = (await api(admin, f"CONSUMER.NAMES.{EVENTS}"))["consumers"]
    await admin.close()
    return state


async def api(admin: NatsConnection, verb: str, request: Any = None) -> dict[str, Any]:
    answer = await admin.request(f"$JS.API.{verb}", msgspec.json.encode(request or {}))
    found: dict[str, Any] = msgspec.json.decode(answer.data)
    assert "error" not in found, found
    return found


async def test_a_service_is_refused_what_it_does_not_declare(server: SecuredNats) -> None:
    """The table: every user tries everything that is not its own, and every refusal is the
    server's. Nothing of it is stored, answered or delivered."""
    before, refused, permitted = await read_state(server), 0, []
    for user in USERS:
        publications = [
            *ADMINISTRATION,
            *(subject for subject, owners in REFUSED_TO_ALL_BUT.items() if user not in owners),
        ]
        subscriptions = [s for s, owners in REFUSED_SUBSCRIPTIONS.items() if user not in owners]
        async with attack(server, user) as attacker:
            for subject in subscriptions:
                await attacker.client.subscribe(subject)
            await attacker.attempt(publications)
            attempts = [*publications, *subscriptions]
            permitted += [(user, one) for one in await attacker.find_permitted(attempts)]
            refused += len(attempts)
    assert permitted == []
    assert refused >= 60
    assert await read_state(server) == before


@pytest.mark.parametrize("server", ["accounts alone"], indirect=True)
async def test_the_accounts_alone_refuse_the_same_without_permissions(server: SecuredNats) -> None:
    """The second layer: with every user permitted everything inside its account, nothing that it
    does not declare leaves the account."""
    before = await read_state(server)
    for user in USERS:
        async with attack(server, user) as attacker:
            for subject in (
                *ADMINISTRATION,
                *(s for s, owners in REFUSED_TO_ALL_BUT.items() if user not in owners),
            ):
                if subject.startswith("$SYS"):
                    continue  # the system's own answers say nothing of the streams
                try:
                    answer = await attacker.client.request(subject, b"{}", timeout=0.2)
                except nats.errors.NoRespondersError:
                    continue
                except nats.errors.TimeoutError:
                    continue
                raise AssertionError(f"{user} got an answer from {subject}: {answer.data!r}")
    assert await read_state(server) == before


REPLY_TARGETS = (
    "ev.alice.trades.forged",
    "ev.alice.orders.forged",
    "px.FORGED",
    "mk.alice.FORGED",
    "$KV.sessions.forged",
    "$KV.journal.incarnation",
    "$KV.leases.paper-broker",
    "view._all.book",
    "parked.orders-view.1.ev.alice.orders.o",
    "$JS.API.STREAM.PURGE.EVENTS",
    "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.CONSUMER.DELETE.EVENTS.orders-view",
    "svc.orders.place",
    "say.test-events",
)
"""What a reply may not become: an event, a quote, a session, an administration of the streams."""
QUESTIONS = (
    json.dumps({"last_by_subj": "ev.alice.orders.o-1"}).encode(),
    json.dumps({"next_by_subj": ">", "seq": 1, "batch": 3}).encode(),
    b'{"batch":1,"no_wait":true}',
)
"""What the server answers: a message, a page, the next messages of a durable subscription."""


@pytest.mark.parametrize("server", ["permissions", "accounts alone"], indirect=True)
async def test_the_server_stores_no_reply_under_a_reply_subject(server: SecuredNats) -> None:
    """Reply-subject injection: the server does not check whether a client may publish to the reply
    subject of its request, and answers there itself. A reader could have its answer stored as a
    trade, or taken as an order to purge the journal."""
    orders = await server.connect_as("orders")
    event = b'{"side":"buy"}'
    await orders.request("ev.alice.orders.o-1", event, {"Tw-Type": "order.placed"})
    received: list[bytes] = []

    async def on_message(message: Any) -> None:
        if message.data not in QUESTIONS:  # which edge and strategies may ask
            received.append(message.data)

    async with attack(server, "edge") as edge, attack(server, "orders") as orders_service:
        await edge.client.subscribe("say.>", cb=on_message)
        await orders_service.client.subscribe("svc.orders.place", cb=on_message)
        await asyncio.gather(edge.client.flush(), orders_service.client.flush())
        before = await read_state(server)
        for access in server.accesses:
            targets = [target for target in REPLY_TARGETS if may_not_store(access, target)]
            async with attack(server, access.name) as attacker:
                for target in targets:
                    await inject(attacker, access, target)
        await edge.client.flush()
        assert await read_state(server) == before
        assert received == []
    await orders.close()


def may_not_store(access: NatsAccess, subject: str) -> bool:
    """Whether `access` has no right to the subject anyway."""
    if subject == "say.test-events":
        return access.name != "edge"
    if subject == "svc.orders.place":
        return access.name not in ("orders", "edge", "strategies")
    return access.name not in REFUSED_TO_ALL_BUT.get(subject, ())


async def inject(attacker: Attacker, access: NatsAccess, reply: str) -> None:
    """Ask for everything that is answered, and have the answer sent to `reply`."""
    for subject in (*access.api_subjects(), *access.requests):
        concrete = subject.replace(".>", ".ev.alice.orders.o-1").replace("*", "x")
        if "$JS.ACK" not in subject:
            for data in QUESTIONS:
                await attacker.client.publish(concrete, data, reply=reply)
    await attacker.client.flush(timeout=30)


async def test_the_attack_is_real_within_the_account_of_the_streams(server: SecuredNats) -> None:
    """What the accounts prevent: the administrator, who shares the account of the streams, has an
    answer stored as a trade. Without this the tests above could pass for another reason."""
    before = await read_state(server)
    async with attack(server, ADMIN) as attacker:
        await attacker.client.publish(
            f"$JS.API.STREAM.INFO.{EVENTS}", b"", reply="ev.alice.trades.forged"
        )
        await attacker.client.flush()
    assert (await read_state(server))[EVENTS][2] == before[EVENTS][2] + 1


async def test_an_answer_of_a_service_reaches_only_who_asked(server: SecuredNats) -> None:
    """A responder answers into the account of the caller: neither can it publish elsewhere, nor
    can the caller have the answer stored."""

    class Question(msgspec.Struct):
        pass

    async def answer(_question: Question, _context: Any) -> Question:
        return Question()

    orders, edge = await server.connect_as("orders"), await server.connect_as("edge")
    serving = await serve_requests(orders, "orders", {"place": Endpoint(Question, answer)})
    reply = await edge.request("svc.orders.place", b"{}")
    assert reply.data == b"{}"

    before = await read_state(server)
    async with attack(server, "strategies") as attacker:
        for target in ("ev.alice.trades.forged", "$JS.API.STREAM.PURGE.EVENTS", "px.FORGED"):
            await attacker.client.publish("svc.orders.place", b"{}", reply=target)
        await attacker.client.flush()
    # A later request is handled after the injected ones.
    await edge.request("svc.orders.place", b"{}")
    assert await read_state(server) == before
    await serving.close()
    for one in (orders, edge):
        await one.close()


async def test_a_refusal_is_an_error_at_once_that_names_the_subject(server: SecuredNats) -> None:
    prices = await server.connect_as("prices")
    began = asyncio.get_running_loop().time()
    with pytest.raises(NotPermitted, match=r"refuses ev\.alice\.trades\.t to this user"):
        await prices.request("ev.Alice.trades.t".replace("Alice", "alice"), b"{}")
    with pytest.raises(Unavailable, match=r"\$js\.api\.stream\.purge\.events"):
        await prices.request("$JS.API.STREAM.PURGE.EVENTS")
    assert asyncio.get_running_loop().time() - began < 4
    await prices.close()


async def test_what_a_service_declares_it_may_do(server: SecuredNats) -> None:
    """Of every user: each stored subject is stored once, each stream is read, each durable
    subscription is pulled."""
    for access in server.accesses:
        connection = await server.connect_as(access.name)
        for subject in access.stored_subjects():
            concrete = subject.replace("*", "x").replace(">", "x.ev.x.x.x")
            stored = msgspec.json.decode((await connection.request(concrete, b"1")).data)
            assert "seq" in stored, (access.name, subject, stored)
        for subject in access.api_subjects():
            if subject.startswith("$JS.API.STREAM.INFO"):
                info = msgspec.json.decode((await connection.request(subject)).data)
                assert "config" in info, (access.name, subject, info)
        for stream in access.reads:
            prefix = {"EVENTS": "ev.x.x", "MARKET": "px", "VIEWS": "view"}.get(stream, "x")
            store = JetStreamLatestValueStore(connection, stream=stream, prefix=prefix)
            assert await store.get("nobody") is None
        if EVENTS in access.reads:
            assert (await JetStreamEventLog(connection).bounds()).epoch
        for name, filter_ in access.durables.items():
            handled: list[int] = []

            async def handle(recorded: RecordedEvent, handled: list[int] = handled) -> None:
                handled.append(recorded.sequence)

            subscription = await JetStreamEventLog(connection).subscribe_durable(
                name, filter_, handle
            )
            await wait_until(f"{access.name} handles events of {name}", lambda: handled)  # noqa: B023
            await subscription.close()
        await connection.close()
    state = await read_state(server)
    assert {
        subject: n for subject, n in state[EVENTS][4].items() if n != len(writers(subject))
    } == {}


def writers(subject: str) -> list[str]:
    """The users that declare that they store `subject`."""
    domain = subject.split(".")[2]
    owner = subject.split(".")[1]
    return [
        access.name
        for access in [*service_accesses(), LOANS]
        if (domain in access.appends and owner != "_all")
        or (domain in access.appends_shared and owner == "_all")
    ]


async def test_a_process_of_the_edge_learns_of_a_session_that_another_ends(
    server: SecuredNats,
) -> None:
    """Messages that are stored in another account still reach the subscribers of their own."""
    one, other = await server.connect_as("edge"), await server.connect_as("edge")
    received: list[str] = []
    stores = [
        JetStreamLatestValueStore(each, stream=SESSIONS, prefix="$KV.sessions")
        for each in (one, other)
    ]
    await stores[1].subscribe(lambda key, _: received.append(key), lambda _: None)
    await other.request(f"$JS.API.STREAM.INFO.{EVENTS}")  # the subscription has arrived before it
    await stores[0].put("s-1", b"{}")
    await wait_until("the other process has it", lambda: received == ["s-1"])
    assert await stores[1].get("s-1") == b"{}"
    for each in (one, other):
        await each.close()


async def test_a_service_cannot_stop_or_ask_another_account(server: SecuredNats) -> None:
    """Inboxes, broadcasts and discovery of one service are invisible to the others."""
    edge = await server.connect_as("edge")
    received: list[str] = []

    async def on_message(message: Any) -> None:
        received.append(message.subject)

    for user in ("orders", "loans", "operator"):
        async with attack(server, user) as attacker:
            await attacker.client.subscribe("_INBOX.>", cb=on_message)
            await attacker.client.flush()
            await edge.request(f"$JS.API.STREAM.INFO.{EVENTS}")
            with pytest.raises((Unavailable, OutcomeUnknown)):
                await edge.request("svc.orders.list", timeout_seconds=0.5)
    assert received == []
    await edge.close()


async def test_the_accounts_work_in_a_cluster_of_three(tmp_path: Path) -> None:
    """Requests, events, batches, durable subscriptions and refusals across servers: each user is
    connected to another server than who answers it."""
    async with secured_cluster(tmp_path, [*service_accesses(), LOANS]) as servers:
        orders = [await server.connect_as("orders") for server in servers]
        edge = await servers[2].connect_as("edge")
        received: list[str] = []

        async def on_message(message: Any) -> None:
            received.append(message.subject)

        await edge.subscribe("live.ev.>", on_message, lambda _: None)
        first = 0
        while not received:  # until all servers know of the subscription
            stored = await orders[0].request("ev.bob.orders.o-1", b"{}", {"Tw-Type": "x"})
            first = msgspec.json.decode(stored.data)["seq"]
            await asyncio.sleep(0.1)
        for number, each in enumerate(orders, first + 1):
            stored = await each.request("ev.alice.orders.o-1", b"{}", {"Tw-Type": "x"})
            assert msgspec.json.decode(stored.data)["seq"] == number
            log = JetStreamEventLog(each)
            assert (await log.bounds()).last == number
            assert await log.last_sequence("ev.alice.>") == number
        subject = "live.ev.alice.orders.o-1"
        await wait_until("the edge received all", lambda: received.count(subject) == len(orders))
        handled: list[int] = []

        async def handle(recorded: RecordedEvent) -> None:
            handled.append(recorded.sequence)

        subscription = await JetStreamEventLog(orders[1]).subscribe_durable(
            "orders-view", "ev.*.orders.>", handle
        )
        everything = [*range(1, first + len(orders) + 1)]
        await wait_until("the durable subscription has all", lambda: sorted(handled) == everything)
        await subscription.close()

        before = await read_state(servers[0])
        for server in servers:
            async with attack(server, "edge") as attacker:
                for target in REPLY_TARGETS[:6]:
                    await inject(attacker, server.accesses[1], target)
        assert await read_state(servers[0]) == before
        for each in (*orders, edge):
            await each.close()


def test_every_stream_of_the_platform_is_in_the_table() -> None:
    """A new stream must be thought of here."""
    assert {config["name"] for config in stream_configs()} == {
        EVENTS, "MARKET", QUOTES, BARS, "VIEWS", PARKED, SESSIONS, LEASES, TICKETS
    }  # fmt: skip
