"""Every checkpoint is folded again from scratch: an intact one is right wherever it was cut, an
altered one is told with the first place that differs.
"""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from services.alerts.domain.armed import ArmedRules
from services.orders.openorders import OpenOrders
from services.positions.ledger import Ledger
from services.positions.taking import Taker
from services.positions.valuing import Valuer
from services.strategies.roster import Roster
from tapewire import views
from tapewire.cli.verify import kept
from tapewire.events import CODEC
from tapewire.log.market import Market
from tapewire.log.memory import MemoryValues
from tapewire.verify.checkpoints import KINDS, first_difference
from tests.unit.verify.corrupt import Forgery

USER = "user-1"


def test_every_view_of_the_package_is_known() -> None:
    assert {kind.domain for kind in KINDS.values()} >= {
        "orders", "positions", "strategies", "alerts", "rules", "notifications"
    }  # fmt: skip


def test_every_service_says_what_it_keeps() -> None:
    assert {one.name for one in kept()} >= {"book", "positions", "strategies-runner", "alert-rules"}


@pytest.mark.parametrize("cut", [1, 50, 333, 600, None])
async def test_intact_views_are_right_wherever_they_were_cut(cut: int | None) -> None:
    day = await Forgery().write()
    for kind in KINDS.values():
        for user in day.tape.users:
            await day.keep(kind, user, cut)  # type: ignore[arg-type]
    found, summary = await day.verify()
    assert found == []
    assert summary.views == len(KINDS) * len(day.tape.users)


ALTERED: dict[str, Callable[[Any], None]] = {
    "OrdersView": lambda view: view[0].update(qty=77),
    "PositionsView": lambda view: view["positions"][0].update(realizedPnl=0.5),
    "StrategiesView": lambda view: view.pop(0),
    "AlertsView": lambda view: view[-1].update(message="no"),
    "RulesView": lambda view: view.reverse(),
    "NotificationsView": lambda view: view["notifications"][0].update(is_read=True, isRead=True),
}


@pytest.mark.parametrize("name", ALTERED)
async def test_an_altered_view_is_told(name: str) -> None:
    day = await Forgery().write()
    kind = getattr(views, name)
    key = await day.keep(kind, USER, 700)
    checkpoint = json.loads(await day.values.get(key) or b"")
    ALTERED[name](checkpoint["view"])
    await day.values.put(key, json.dumps(checkpoint).encode())
    [found], _ = await day.verify()
    assert (found.owner, found.domain, found.entity) == (USER, "checkpoint", kind.domain)
    assert found.sequence == 700
    assert "folded it is" in found.what
    assert (await day.verify(user="user-2"))[0] == []


async def test_views_of_everybody_are_known_by_their_names() -> None:
    """Two views fold the items, and each has a checkpoint of its own."""
    day = await Forgery().write()
    for kind in (views.ItemsView, views.MetricsView):
        await day.keep(kind, "_all")
    found, summary = await day.verify()
    assert (found, summary.views) == ([], 2)
    key = await day.keep(views.MetricsView, "_all")
    data = await day.values.get(key) or b""
    await day.values.put(key, data.replace(b'"beyond":0', b'"beyond":7'))
    [one], _ = await day.verify()
    assert (one.owner, one.entity) == ("_all", "metrics")
    assert one.what == "beyond is 7, folded it is 0"
    assert (await day.verify(user="user-2"))[0] == [], "what it is folded from is not read then"


async def test_a_checkpoint_that_cannot_be_true() -> None:
    day = await Forgery().write()
    key = await day.keep(views.OrdersView, USER)
    data = await day.values.get(key) or b""
    last = day.server.journal.last

    await day.values.put(key, data.replace(b'"asOf":%d' % last, b'"asOf":%d' % (last + 9)))
    [found], _ = await day.verify()
    assert f"true for {last + 9}, the log ends at {last}" in found.what

    await day.values.put(key, data[:-9])
    [found], _ = await day.verify()
    assert "cannot be read" in found.what

    await day.values.put(key, data.replace(b'"epoch":"m1"', b'"epoch":"m0"'))
    none, summary = await day.verify()
    assert none == []
    assert summary.passed_over == {"of a log that is no more": 1}


async def test_what_no_log_is_folded_into_is_passed_over_and_counted() -> None:
    day = await Forgery().write()
    await day.values.put("_all.moves-IBM", b'{"lows":[],"highs":[]}')
    await day.cursor("alerts-of-orders")
    found, summary = await day.verify()
    assert found == []
    assert summary.views == 1
    assert summary.passed_over == {"moves: not folded from the log": 1}
    await day.cursor("alerts-of-orders", day.server.journal.last + 1)
    [found_one], _ = await day.verify()
    assert "the log ends at" in found_one.what


class Followers:
    """What the followers of a day keep, true for `cut`."""

    def __init__(self, day: Forgery, cut: int) -> None:
        self.day = day
        self.cut = cut

    async def book(self) -> tuple[str, bytes]:
        orders = OpenOrders("m1")
        for recorded in self._of("orders"):
            orders.apply(recorded)
        orders.as_of = self.cut
        return "_all.book", orders.encode()

    async def runner(self) -> tuple[str, bytes]:
        roster = Roster()
        for recorded in self._of("strategies"):
            roster.apply(recorded)
        return "_all.strategies-runner", self._wrapped(roster.encode())

    async def rules(self) -> tuple[str, bytes]:
        rules = ArmedRules()
        for recorded in self._of("rules"):
            rules.apply(recorded)
        return "_all.alert-rules", self._wrapped(rules.save())

    async def positions(self) -> tuple[str, bytes]:
        values = MemoryValues(self.day.server)
        taker = Taker(Ledger(self.day.log), Valuer(values, Market(values, random.Random(1))))
        await taker.take(self._of("trades"))
        return "_all.positions", self._wrapped(taker.save())

    def _of(self, domain: str) -> list[Any]:
        return [one for one in self.day.events[: self.cut] if one.place.domain == domain]

    def _wrapped(self, state: bytes) -> bytes:
        return b'{"asOf":%d,"epoch":"m1","state":%b}' % (self.cut, state)


FOLLOWERS = ("book", "runner", "rules", "positions")


@pytest.mark.parametrize("cut", [40, 400, 690])
@pytest.mark.parametrize("which", FOLLOWERS)
async def test_what_followers_keep_is_folded_again(which: str, cut: int) -> None:
    day = await Forgery().write()
    key, data = await getattr(Followers(day, cut), which)()
    await day.values.put(key, data)
    found, summary = await day.verify(kept=kept())
    assert found == []
    assert summary.views == 1


@pytest.mark.parametrize("which", FOLLOWERS)
async def test_what_followers_keep_of_another_day_is_told(which: str) -> None:
    day, other = await Forgery().write(), await Forgery(2).write()
    cut = other.find("strategy.signaled") if which == "runner" else 500  # one is at work then
    key, data = await getattr(Followers(other, cut), which)()
    await day.values.put(key, data)
    [found], _ = await day.verify(kept=kept())
    assert (found.owner, found.domain, found.entity) == ("_all", "checkpoint", key[5:])
    assert "folded it is" in found.what


async def test_positions_kept_may_be_newer_than_the_trades_taken_but_not_older() -> None:
    """Another process had stored the positions of later trades already: they are read as they are,
    and kept with the place in the log that this process is at."""
    day = await Forgery().write()
    key, data = await Followers(day, 600).positions()
    newer = data.replace(b'"asOf":600', b'"asOf":300')
    await day.values.put(key, newer)
    assert (await day.verify(kept=kept()))[0] == []
    older = (await _old_rows(day)).replace(b'"asOf":300', b'"asOf":600')
    await day.values.put(key, older)
    [found], _ = await day.verify(kept=kept())
    assert found.entity == "positions"


async def _old_rows(day: Forgery) -> bytes:
    """As a process would keep them that knew the positions of the first 300 events."""
    early = Forgery()
    early.server.journal._events = day.events[:320]
    for one in day.events[:320]:
        for name in (one.subject, f"ev.{one.place.owner}.>", f"ev.*.{one.place.domain}.>"):
            early.server.journal._index.setdefault(name, []).append(one.sequence)
    _, data = await Followers(early, 300).positions()
    return data


def test_the_first_difference_has_a_path() -> None:
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
