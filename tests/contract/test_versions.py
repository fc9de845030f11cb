"""A changed event type, on a log with both versions.

The events are from before the change, from after it, and from a program that is not updated yet.
States, views and streams contain all of them in the current version.
docs/events-changing.md describes how to make such a change.
"""

import contextlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Self

import msgspec
import pytest

from tapewire.events import CODEC, Catalogue, Event, event, upcast
from tapewire.log import (
    Command,
    CommandHandler,
    Decider,
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    NewEvent,
    new_id,
    view_checkpoints,
)
from tapewire_services.edge.delivery.frames import FrameEncoder
from tapewire_services.edge.delivery.serializers.trading import serialize_trading
from tests.contract.backends import Backend
from tests.harness.recorded_log import read_events

WALLET = EventSubject("alice", "wallets", "w-1")


class OldWalletPaid(Event, frozen=True, kw_only=True):
    """Version 1: an amount in cents, with the currency in its text."""

    wallet: str
    cents: str


@event("wallet.paid", version=2, domain="wallets", sse="wallet:paid")
class WalletPaid(Event, frozen=True, kw_only=True):
    """Version 2: an exact amount, with a separate currency."""

    wallet: str
    amount: Decimal
    currency: str


@upcast("wallet.paid", version=1)
def _with_currency(fields: dict[str, Any]) -> dict[str, Any]:
    cents, _, currency = fields.pop("cents").partition(" ")
    return {**fields, "amount": Decimal(cents) / 100, "currency": currency or "USD"}


OLD_CATALOGUE = Catalogue()
event("wallet.paid", domain="wallets", catalogue=OLD_CATALOGUE)(OldWalletPaid)


@pytest.fixture
def old_program(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a context manager in which the log writes like a program that knows only version 1."""

    @contextlib.contextmanager
    def running() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr("tapewire.log.memory.journal.CATALOGUE", OLD_CATALOGUE)
            patch.setattr("tapewire.log.jetstream.event_log.CATALOGUE", OLD_CATALOGUE)
            yield

    return running


async def append(log: EventLog, *events: Event) -> None:
    for one in events:
        meta = EventMetadata(id=new_id(), correlation="c")
        await log.append([EventDraft(subject=WALLET, event=one, metadata=meta)])


class Spend(msgspec.Struct, frozen=True):
    """A command: spend everything in one currency."""

    id: str
    currency: str


def decide(state: dict[str, Decimal], command: Command) -> list[NewEvent]:
    assert isinstance(command, Spend)
    left = state.get(command.currency, Decimal(0))
    return [NewEvent(WALLET, WalletPaid(wallet="w-1", amount=-left, currency=command.currency))]


def evolve(state: dict[str, Decimal], one: Event) -> dict[str, Decimal]:
    assert isinstance(one, WalletPaid), one
    return {**state, one.currency: state.get(one.currency, Decimal(0)) + one.amount}


DECIDER: Decider[dict[str, Decimal], Command] = Decider({}, decide, evolve)


class WalletView:
    """A sum per currency."""

    domain = "wallets"

    def __init__(self, sums: dict[str, Decimal] | None = None) -> None:
        self.sums = sums or {}

    def apply(self, one: Event) -> None:
        self.sums = evolve(self.sums, one)

    def encode(self) -> bytes:
        return CODEC.encode(self.sums)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        return cls(CODEC.decode(data, dict[str, Decimal]))


async def test_a_log_of_two_versions_is_read_in_the_current_version(
    backend: Backend, old_program: Any
) -> None:
    log, values = await backend.event_log(), await backend.value_store()
    with old_program():
        await append(log, OldWalletPaid(wallet="w-1", cents="1050"))
        await append(log, OldWalletPaid(wallet="w-1", cents="5 EUR"))
    view, bounds = await view_checkpoints.load(log, values, WalletView, "alice")
    await view_checkpoints.save(values, "alice", "wallets", view, bounds)
    await append(log, WalletPaid(wallet="w-1", amount=Decimal("0.25"), currency="EUR"))
    with old_program():
        await append(log, OldWalletPaid(wallet="w-1", cents="1 EUR"))

    stored = await read_events(log)
    assert [one.tag for one in stored] == ["wallet.paid.v1"] * 2 + ["wallet.paid.v2"] + [
        "wallet.paid.v1"
    ]
    assert stored[1].data == b'{"wallet":"w-1","cents":"5 EUR"}'  # the stored bytes are unchanged

    sums = {"USD": Decimal("10.5"), "EUR": Decimal("0.31")}
    entities = CommandHandler(log, DECIDER)
    assert (await entities.load(WALLET)).state == sums
    view, _ = await view_checkpoints.load(log, values, WalletView, "alice")  # from the checkpoint
    assert view.sums == sums

    # A new event of this state is appended in the current version, at the sequence that was read.
    known = await entities.handle(WALLET, Spend("spend", "EUR"), correlation="c")
    assert known.state["EUR"] == 0
    assert (await read_events(log))[-1].tag == "wallet.paid.v2"

    def unreadable(*_: object) -> None:
        raise AssertionError("everything can be shown")

    encoder = FrameEncoder(unreadable)
    frames = [encoder.encode(one, "e1", serialize_trading) or b"" for one in stored]
    assert frames[1].split(b"\n")[:2] == [
        b"event: wallet:paid",
        b'data: {"wallet":"w-1","amount":0.05,"currency":"EUR"}',
    ]
    assert b'"amount":0.25,"currency":"EUR"' in frames[2]
    for one, frame in zip(stored, frames, strict=True):
        assert f"\nid: e1-{one.sequence}\n".encode() in frame
