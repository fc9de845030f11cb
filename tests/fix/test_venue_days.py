"""The FIX broker at a venue that restarts, and at one whose trading day begins anew.

No execution is lost or booked twice, and no order is sent twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
import structlog

from fix_broker import connection
from tapewire.events import TimeInForce
from tests.fix.broker_trial import FixBrokerTrial, run_trial
from tests.fix.foreign_venue import Acceptor, ForeignVenue
from tests.harness.waiting import wait_until

DAY_BEGINS = [
    pytest.param({"DAY_START": "00:00"}, False, id="the broker says so once a day"),
    pytest.param({"RESET_ON_LOGON": "true"}, False, id="the broker says so at every logon"),
    pytest.param({}, True, id="the venue says so"),
]


@pytest.fixture(autouse=True)
def _leave_without_logout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process has no time to log out."""
    monkeypatch.setattr(connection, "LOGOUT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def restartable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acceptor]:
    """An acceptor of these tests alone."""
    folder = tmp_path_factory.mktemp("restartable")
    acceptor = Acceptor(folder, client_count=3, keeps_books=True)
    yield acceptor
    acceptor.stop()


async def test_a_venue_that_restarts_goes_on_with_its_orders(restartable: Acceptor) -> None:
    async with run_trial(restartable.open_venue()) as trial:
        names = ("filled", "canceled", "replaced")
        filled, canceled, replaced = [await trial.place_at_venue(name) for name in names]
        trial.venue.execute(filled, "30")
        await trial.until("filled", "partially_filled 30")
        _lose_connection(trial)
        trial.venue.execute(filled, "20")  # the engine has it, and nobody else
        await trial.process.cancel_order(canceled)
        restartable.restart()
        await trial.replace(replaced, qty=Decimal(70))
        trial.link.is_refusing = False
        await trial.until("filled", "partially_filled 50")
        await trial.until("canceled", "canceled 0")
        await trial.until("replaced", lambda order: order.qty == 70 and not order.replacement)
        trial.venue.execute(filled, "50")
        await trial.until("filled", "filled 100")
        executions = await trial.executions()
        assert len(executions) == len(set(executions)) == 3


async def test_orders_that_are_placed_while_a_venue_restarts_arrive_once(
    restartable: Acceptor,
) -> None:
    async with run_trial(restartable.open_venue()) as trial:
        names = [f"o{number}" for number in range(12)]
        ids = [await trial.place(name) for name in names[:4]]
        restartable.restart()
        ids += [await trial.place(name) for name in names[4:8]]
        await trial.venue.wait_for("logged on", lambda seen: seen["is_logged_on"])
        restartable.restart()
        ids += [await trial.place(name) for name in names[8:]]
        await trial.venue.wait_for("all", lambda seen: set(ids) == set(seen["orders"]))
        for name, id_ in zip(names, ids, strict=True):
            await trial.until(name, lambda order: order.venue_order_id is not None)
            trial.venue.execute(id_, "100")
        for name in names:
            await trial.until(name, "filled 100")
        assert len(await trial.executions()) == len(names)


async def test_a_broker_and_its_venue_restart_together(restartable: Acceptor) -> None:
    async with run_trial(restartable.open_venue()) as trial:
        id_ = await trial.place_at_venue("o")
        await trial.process.kill()
        trial.venue.execute(id_, "60")
        restartable.restart()
        await trial.restart()
        await trial.until("o", "partially_filled 60")
        trial.venue.execute(id_, "40")
        await trial.until("o", "filled 100")
        assert len(await trial.executions()) == 2


@pytest.mark.parametrize(("settings", "is_said"), DAY_BEGINS)
async def test_a_trading_day_that_begins_anew_loses_and_repeats_nothing(
    venue: ForeignVenue, settings: dict[str, str], is_said: bool
) -> None:
    async with run_trial(venue, **settings) as trial:
        day = await trial.place_at_venue("day", time_in_force=TimeInForce.DAY)
        gtc = await trial.place_at_venue("gtc")
        for id_ in (day, gtc):
            venue.execute(id_, "40")
        for name in ("day", "gtc"):
            await trial.until(name, "partially_filled 40")
        _lose_connection(trial)
        missed = venue.execute(gtc, "10")["orders"][gtc]["executions"][-1]["id"]
        with structlog.testing.capture_logs() as logs:
            _begin_day(trial, is_said=is_said)
            trial.link.is_refusing = False
            # The report of the end was lost with its number: the status says it.
            seen = await trial.until("day", "canceled 40")
            assert seen.order("day").reason == "expired at the venue"
            await wait_until(
                "the missing execution is logged",
                lambda: _missing_executions(logs) == {(gtc, "50", "40")},
                describe_last=lambda: logs,
            )
        # What was executed meanwhile is sent again, with what was received before.
        for execution in venue.describe()["orders"][gtc]["executions"]:
            venue.do("repeat", order=gtc, execution=execution["id"])
        await trial.until("gtc", "partially_filled 50")
        venue.execute(gtc, "50")
        await trial.until("gtc", "filled 100")
        executions = [id_.partition(":")[2] for id_ in await trial.executions() if id_]
        assert len(executions) == len(set(executions)) == 4
        assert missed in executions
        # The new day is a day like any other.
        new = await trial.place_at_venue("new", time_in_force=TimeInForce.DAY)
        venue.execute(new, "100")
        await trial.until("new", "filled 100")


@pytest.mark.parametrize(("settings", "is_said"), DAY_BEGINS)
async def test_what_is_reported_before_the_day_ends_is_not_reported_by_the_next_one(
    venue: ForeignVenue, settings: dict[str, str], is_said: bool
) -> None:
    async with run_trial(venue, **settings) as trial:
        day = await trial.place_at_venue("day", time_in_force=TimeInForce.DAY)
        gtc = await trial.place_at_venue("gtc")
        venue.execute(gtc, "40")
        venue.do("end", order=day, status="C", text="the day is over")
        await trial.until("gtc", "partially_filled 40")
        await trial.until("day", "canceled 0")
        with structlog.testing.capture_logs() as logs:
            logons = venue.describe()["logons"]
            _begin_day(trial, is_said=is_said)
            await venue.wait_for("logged on again", lambda seen: seen["logons"] > logons)
            venue.execute(gtc, "60")
            seen = await trial.until("gtc", "filled 100")
        assert seen.order("day").reason == "the day is over"
        assert len(await trial.executions()) == 2
        assert not _missing_executions(logs)


async def test_a_connection_that_breaks_within_a_day_keeps_the_numbers(
    venue: ForeignVenue,
) -> None:
    async with run_trial(venue, DAY_START="00:00") as trial:
        id_ = await trial.place_at_venue("o")
        _lose_connection(trial)
        venue.execute(id_, "60")
        await trial.restart()
        trial.link.is_refusing = False
        await trial.until("o", "partially_filled 60")


def _lose_connection(trial: FixBrokerTrial) -> None:
    trial.link.is_refusing = True
    trial.link.cut()


def _begin_day(trial: FixBrokerTrial, *, is_said: bool) -> None:
    """The venue's day ends, and another one begins for both sides."""
    trial.venue.do("begin_day", is_said=is_said)
    trial.day += 1


def _missing_executions(logs: Sequence[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    """The orders with executions that were not received, with what was executed and booked."""
    return {
        (one["order_id"], one["executed"], one["booked"])
        for one in logs
        if one["event"] == "fix.executions_missing"
    }
