"""Every checkpoint is compared with a new fold of the log. Intact checkpoints of any sequence are
valid; an altered one is reported with the path of its first difference.
"""

import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tapewire import views
from tapewire.cli.verify import load_checkpoint_checks
from tapewire.events import CODEC
from tapewire.log.checkpoint import Checkpoint, encode_checkpoint
from tapewire.log.memory import MemoryLatestValueStore
from tapewire.log.quote_cache import QuoteCache
from tapewire.log.view_checkpoints import checkpoint_name
from tapewire.verify.checkpoints import VIEW_TYPES, first_difference
from tapewire_services.alerts.domain.armed_rules import ArmedRulesProjection
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.positions.position_repository import PositionRepository
from tapewire_services.positions.position_valuer import PositionValuer
from tapewire_services.positions.trade_consumer import TradeConsumer
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies
from tests.unit.verify.tampered_log import TamperedLog

USER = "user-1"


def altered(data: bytes, old: bytes, new: bytes) -> bytes:
    """Return a checkpoint with `old` replaced by `new` in its JSON."""
    return zlib.compress(zlib.decompress(data).replace(old, new))


def test_verify_knows_every_view() -> None:
    assert {kind.domain for kind in VIEW_TYPES.values()} >= {
        "orders", "positions", "strategies", "alerts", "rules", "notifications"
    }  # fmt: skip


def test_verify_loads_the_checkpoint_checks_of_every_service() -> None:
    assert {one.name for one in load_checkpoint_checks()} >= {
        "book",
        "positions",
        "strategies-runner",
        "alert-rules",
    }


@pytest.mark.parametrize("cut", [1, 50, 333, 600, None])
async def test_intact_view_checkpoints_at_any_sequence_are_valid(cut: int | None) -> None:
    day = await TamperedLog().write_events()
    for kind in VIEW_TYPES.values():
        for user in day.generator.users:
            await day.save_view_checkpoint(kind, user, cut)
    found, summary = await day.verify()
    assert found == []
    assert summary.views == len(VIEW_TYPES) * len(day.generator.users)


ALTERED: dict[str, Callable[[Any], None]] = {
    "OrdersView": lambda view: view[0].update(qty=77),
    "PositionsView": lambda view: view["positions"][0].update(realizedPnl=0.5),
    "StrategiesView": lambda view: view.pop(0),
    "AlertHistory": lambda view: view["rows"][-1].update(message="no"),
    "RulesView": lambda view: view.reverse(),
    "NotificationsView": lambda view: view["notifications"][0].update(is_read=True, isRead=True),
}


@pytest.mark.parametrize("name", ALTERED)
async def test_an_altered_view_checkpoint_is_found(name: str) -> None:
    day = await TamperedLog().write_events()
    kind = getattr(views, name)
    key = await day.save_view_checkpoint(kind, USER, 700)
    text = zlib.decompress(await day.values.get(key) or b"")
    checkpoint = json.loads(text)
    ALTERED[name](checkpoint["state"])
    await day.values.put(key, zlib.compress(json.dumps(checkpoint).encode()))
    [found], _ = await day.verify()
    assert (found.owner, found.domain, found.entity) == (USER, "checkpoint", checkpoint_name(kind))
    assert found.sequence == 700
    assert "folded it is" in found.what
    assert (await day.verify(user="user-2"))[0] == []


async def test_shared_views_are_found_by_their_names() -> None:
    """Two views fold the items, and each has its own checkpoint."""
    day = await TamperedLog().write_events()
    for kind in (views.ItemHistory, views.MetricsView):
        await day.save_view_checkpoint(kind, "_all")
    found, summary = await day.verify()
    assert (found, summary.views) == ([], 2)
    key = await day.save_view_checkpoint(views.MetricsView, "_all")
    data = await day.values.get(key) or b""
    await day.values.put(key, altered(data, b'"beyond":0', b'"beyond":7'))
    [one], _ = await day.verify()
    assert (one.owner, one.entity) == ("_all", "metrics")
    assert one.what == "beyond is 7, folded it is 0"
    assert (await day.verify(user="user-2"))[0] == [], (
        "a view of all users was checked for one user"
    )


async def test_checkpoints_ahead_of_the_log_and_unreadable_ones_are_found() -> None:
    day = await TamperedLog().write_events()
    key = await day.save_view_checkpoint(views.OrdersView, USER)
    data = await day.values.get(key) or b""
    last = day.server.journal.last

    await day.values.put(key, altered(data, b'"asOf":%d' % last, b'"asOf":%d' % (last + 9)))
    [found], _ = await day.verify()
    assert f"true for {last + 9}, the log ends at {last}" in found.what

    await day.values.put(key, data[:-9])
    [found], _ = await day.verify()
    assert "cannot be read" in found.what

    await day.values.put(key, altered(data, b'"epoch":"m1"', b'"epoch":"m0"'))
    none, summary = await day.verify()
    assert none == []
    assert summary.passed_over == {"of a log that is no more": 1}


async def test_values_that_are_not_folded_from_the_log_are_skipped_and_counted() -> None:
    day = await TamperedLog().write_events()
    await day.values.put("_all.moves-IBM", b'{"lows":[],"highs":[]}')
    await day.save_cursor("alerts-of-orders")
    found, summary = await day.verify()
    assert found == []
    assert summary.views == 1
    assert summary.passed_over == {"moves: not folded from the log": 1}
    await day.save_cursor("alerts-of-orders", day.server.journal.last + 1)
    [found_one], _ = await day.verify()
    assert "the log ends at" in found_one.what


class ConsumerCheckpoints:
    """The checkpoints of the consumers of a day, as of the sequence `as_of`."""

    def __init__(self, day: TamperedLog, as_of: int) -> None:
        self.day = day
        self.as_of = as_of

    async def book(self) -> tuple[str, bytes]:
        orders = OpenOrders()
        for recorded in self._of("orders"):
            orders.apply(recorded)
        return "_all.book", self._wrapped(orders.encode())

    async def runner(self) -> tuple[str, bytes]:
        active_strategies = ActiveStrategies()
        for recorded in self._of("strategies"):
            active_strategies.apply(recorded)
        return "_all.strategies-runner", self._wrapped(active_strategies.encode())

    async def rules(self) -> tuple[str, bytes]:
        rules = ArmedRulesProjection()
        for recorded in self._of("rules"):
            rules.apply(recorded)
        return "_all.alert-rules", self._wrapped(rules.serialize_state())

    async def positions(self) -> tuple[str, bytes]:
        values = MemoryLatestValueStore(self.day.server)
        repository = PositionRepository(self.day.log)
        taker = TradeConsumer(
            repository,
            PositionValuer(repository, values, QuoteCache(values, random.Random(1))),
        )
        await taker.handle(self._of("trades"))
        return "_all.positions", self._wrapped(taker.serialize_state())

    def _of(self, domain: str) -> list[Any]:
        return [one for one in self.day.events[: self.as_of] if one.event_subject.domain == domain]

    def _wrapped(self, state: bytes) -> bytes:
        return encode_checkpoint(Checkpoint(epoch="m1", as_of=self.as_of, state=msgspec.Raw(state)))


CONSUMERS = ("book", "runner", "rules", "positions")


@pytest.mark.parametrize("cut", [40, 400, 690])
@pytest.mark.parametrize("which", CONSUMERS)
async def test_intact_consumer_checkpoints_are_valid(which: str, cut: int) -> None:
    day = await TamperedLog().write_events()
    key, data = await getattr(ConsumerCheckpoints(day, cut), which)()
    await day.values.put(key, data)
    found, summary = await day.verify(checkpoint_checks=load_checkpoint_checks())
    assert found == []
    assert summary.views == 1


@pytest.mark.parametrize("which", CONSUMERS)
async def test_consumer_checkpoints_of_another_log_are_found(which: str) -> None:
    day, other = await TamperedLog().write_events(), await TamperedLog(2).write_events()
    cut = (
        other.find_sequence("strategy.signaled") if which == "runner" else 500
    )  # a strategy has an order at this sequence
    key, data = await getattr(ConsumerCheckpoints(other, cut), which)()
    await day.values.put(key, data)
    [found], _ = await day.verify(checkpoint_checks=load_checkpoint_checks())
    assert (found.owner, found.domain, found.entity) == ("_all", "checkpoint", key[5:])
    assert "folded it is" in found.what


async def test_stored_positions_may_be_newer_than_the_checkpoint_but_not_older() -> None:
    """Another process may have stored positions of later trades. A process reads them unchanged,
    and saves them in a checkpoint as of its own, earlier sequence."""
    day = await TamperedLog().write_events()
    key, data = await ConsumerCheckpoints(day, 600).positions()
    newer = altered(data, b'"asOf":600', b'"asOf":300')
    await day.values.put(key, newer)
    assert (await day.verify(checkpoint_checks=load_checkpoint_checks()))[0] == []
    older = altered(await _old_rows(day), b'"asOf":300', b'"asOf":600')
    await day.values.put(key, older)
    [found], _ = await day.verify(checkpoint_checks=load_checkpoint_checks())
    assert found.entity == "positions"


async def _old_rows(day: TamperedLog) -> bytes:
    """Return the checkpoint of a process that has handled only the first 300 events."""
    early = TamperedLog()
    early.server.journal._events = day.events[:320]
    for one in day.events[:320]:
        for name in (
            one.subject,
            f"ev.{one.event_subject.owner}.>",
            f"ev.*.{one.event_subject.domain}.>",
        ):
            early.server.journal._index.setdefault(name, []).append(one.sequence)
    _, data = await ConsumerCheckpoints(early, 300).positions()
    return data


def test_first_difference_returns_the_path() -> None:
    stored = CODEC.decode(b'{"a":[{"b":1},{"b":2.50}],"c":{}}', dict[str, Any])
    assert first_difference(stored, stored) is None
    same = CODEC.decode(b'{"c":{},"a":[{"b":1},{"b":2.5}]}', dict[str, Any])
    assert first_difference(stored, same) is None
    other = CODEC.decode(b'{"a":[{"b":1},{"b":2.51}],"c":{"d":1}}', dict[str, Any])
    found = first_difference(stored, other)
    assert found is not None
    assert found[0] == "a[1].b"
    assert first_difference({"a": [1]}, {"a": [1, 2]}) == ("a[1]", "not there", 2)
    assert first_difference({}, {"a": 1}) == ("a", "not there", 1)
