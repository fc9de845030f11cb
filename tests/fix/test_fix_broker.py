"""The FIX broker at a venue on QuickFIX: orders, races, lost connections, and what is repeated."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from fix_broker import connection
from tapewire.events import OrderType, Side, TimeInForce, TradeExecuted
from tapewire.runtime.contracts.orders import PlaceOrder, order_id
from tests.fix.broker_trial import FixBrokerTrial, run_trial
from tests.fix.foreign_venue import ForeignVenue
from tests.harness.order_builders import USER
from tests.harness.orders_process import (
    OrdersLogSummary,
)


@pytest.fixture
async def trial(
    venue: ForeignVenue, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FixBrokerTrial]:
    # A killed process has no time to log out.
    monkeypatch.setattr(connection, "LOGOUT_SECONDS", 0.0)
    async with run_trial(venue) as trial:
        yield trial


def executions(seen: OrdersLogSummary) -> list[str | None]:
    return [one.event.execution_id for one in seen.events if isinstance(one.event, TradeExecuted)]


async def test_orders_of_all_types_are_accepted_executed_and_rejected(
    trial: FixBrokerTrial,
) -> None:
    for number, type_ in enumerate(OrderType):
        for time_in_force in TimeInForce:
            request = PlaceOrder(
                user_id=USER,
                symbol="IBM",
                side=Side.BUY,
                type=type_,
                qty=Decimal("10.5"),
                limit_price=Decimal("100.25") if type_.has_limit_price else None,
                stop_price=Decimal("99.75") if type_.has_stop_price else None,
                time_in_force=time_in_force,
                client_order_id=f"o-{number}-{time_in_force.value}",
            )
            await trial.process.place_order(request)
    venue = await trial.venue.wait_for("16 orders", lambda seen: len(seen["orders"]) == 16)
    terms = {(one["qty"], one["price"], one["stop"]) for one in venue["orders"].values()}
    assert terms == {
        ("10.5", "None", "None"),
        ("10.5", "100.25", "None"),
        ("10.5", "None", "99.75"),
        ("10.5", "100.25", "99.75"),
    }
    id_ = order_id(USER, "o-1-gtc")
    trial.venue.execute(id_, "4", "100.25", fields={12: "0.01", 13: "1"})
    executed_at = {60: "20131007-14:30:00.123"}
    trial.venue.execute(id_, "6.5", "100.20", times=3, fields=executed_at)
    seen = await trial.until("o-1-gtc", "filled 10.5")
    venue_times = [
        one.event.venue_time for one in seen.events if isinstance(one.event, TradeExecuted)
    ]
    assert venue_times[1] == datetime(2013, 10, 7, 14, 30, 0, 123_000, tzinfo=UTC)
    assert seen.order("o-1-gtc").fee_total == Decimal("0.04")
    assert len(executions(seen)) == len(set(executions(seen))) == 2
    trial.venue.do("set_policy", order="reject")
    await trial.place("refused")
    seen = await trial.until("refused", "rejected 0")
    assert seen.order("refused").reason == "not today"


async def test_a_cancel_races_with_fills(trial: FixBrokerTrial) -> None:
    trial.venue.do("set_policy", cancel="wait")
    first, second = await trial.place_at_venue("first"), await trial.place_at_venue("second")
    for id_ in (first, second):
        assert (await trial.process.cancel_order(id_)).status.value == "pending_cancel"
    await trial.venue.wait_for("both asked", lambda seen: len(seen["waiting"]) == 2)
    trial.venue.execute(first, "77")
    trial.venue.execute(second, "100")
    trial.venue.do("set_policy", cancel="do")
    trial.venue.do("decide", text="too late")
    await trial.until("first", "canceled 77")
    await trial.until("second", "filled 100")


async def test_a_replaced_order_is_canceled_under_its_newest_id(trial: FixBrokerTrial) -> None:
    id_ = await trial.place_at_venue("o")
    for qty in ("150", "120"):
        await trial.replace(id_, qty=Decimal(qty), limit_price=Decimal("101.5"))
        await trial.until("o", lambda order, qty=qty: order.qty == Decimal(qty))
    trial.venue.do("set_policy", replace="refuse")
    await trial.replace(id_, qty=Decimal(10))
    seen = await trial.until("o", lambda order: order.reason == "too late")
    assert seen.order("o").qty == Decimal(120)
    trial.venue.execute(id_, "20", "101.5")
    await trial.process.cancel_order(id_)
    await trial.until("o", "canceled 20")
    assert len(trial.venue.describe()["orders"][id_]["ids"]) == 3


async def test_a_refused_cancel_lets_the_order_work_on(trial: FixBrokerTrial) -> None:
    id_ = await trial.place_at_venue("o")
    trial.venue.do("set_policy", cancel="refuse")
    for _ in range(2):
        await trial.process.cancel_order(id_)
        await trial.until("o", lambda order: order.status.value == "new" and order.reason)
    trial.venue.execute(id_, "100")
    await trial.until("o", "filled 100")


async def test_what_the_venue_does_unasked_is_reported(trial: FixBrokerTrial) -> None:
    expired, canceled = await trial.place_at_venue("e"), await trial.place_at_venue("c")
    triggered = await trial.place_at_venue("t")
    trial.venue.do("end", order=expired, status="C", text="")
    trial.venue.do("end", order=canceled, status="4", text="")
    trial.venue.do("report", order=triggered, exec_type="L")
    assert (await trial.until("e", "canceled 0")).order("e").reason == "expired at the venue"
    assert (await trial.until("c", "canceled 0")).order("c").reason == "canceled by the venue"
    trial.venue.execute(canceled, "5")  # executed before, reported later
    await trial.until("c", "canceled 5")


async def test_executions_while_the_connection_is_down_are_booked_once(
    trial: FixBrokerTrial,
) -> None:
    id_ = await trial.place_at_venue("o")
    trial.venue.execute(id_, "1")
    await trial.until("o", "partially_filled 1")
    trial.link.is_refusing = True
    trial.link.cut()
    for _ in range(3):
        trial.venue.execute(id_, "10")
    trial.link.is_refusing = False
    seen = await trial.until("o", "partially_filled 31")
    assert len(executions(seen)) == 4
    assert None in trial.process.problems
    assert any(problem and "FIX" in problem for problem in trial.process.problems)


async def test_a_killed_process_is_told_again_what_it_had_not_stored(trial: FixBrokerTrial) -> None:
    trial.venue.do("set_policy", cancel="wait", replace="wait")
    ids = [await trial.place_at_venue(name) for name in ("f", "c", "r")]
    await trial.process.cancel_order(ids[1])
    await trial.replace(ids[2], qty=Decimal(70))
    await trial.venue.wait_for("both asked", lambda seen: len(seen["waiting"]) == 2)
    await trial.process.kill()
    trial.venue.execute(ids[0], "100")
    trial.venue.do("set_policy", cancel="do", replace="do")
    trial.venue.do("decide", text="too late")
    await trial.restart()
    await trial.until("f", "filled 100")
    await trial.until("c", "canceled 0")
    await trial.until("r", lambda order: order.qty == Decimal(70) and order.replacement is None)


async def test_requests_that_got_lost_are_asked_again(trial: FixBrokerTrial) -> None:
    ids = [await trial.place_at_venue(name) for name in ("c", "r")]
    trial.link.is_refusing = True
    trial.link.cut()
    await trial.process.cancel_order(ids[0])
    await trial.replace(ids[1], qty=Decimal(70))
    await trial.restart()
    trial.link.is_refusing = False
    await trial.until("c", "canceled 0")
    await trial.until("r", lambda order: order.qty == Decimal(70) and order.replacement is None)


async def test_a_refusal_that_got_lost_is_asked_for_again(trial: FixBrokerTrial) -> None:
    trial.venue.do("set_policy", cancel="wait", replace="wait")
    ids = [await trial.place_at_venue(name) for name in ("c", "r")]
    await trial.process.cancel_order(ids[0])
    await trial.replace(ids[1], qty=Decimal(150))
    await trial.venue.wait_for("both asked", lambda seen: len(seen["waiting"]) == 2)
    for id_ in ids:
        trial.venue.execute(id_, "100")
    await trial.until("r", "pending_replace 100")
    trial.link.is_refusing = True
    trial.link.cut()
    trial.venue.do("set_policy", cancel="refuse", replace="refuse")
    trial.venue.do("decide", text="too late")
    trial.link.is_refusing = False
    for name in ("c", "r"):
        await trial.until(name, "filled 100")


async def test_an_order_that_is_cut_on_its_way_arrives_once(trial: FixBrokerTrial) -> None:
    await trial.place_at_venue("before")
    trial.link.cut(after_bytes=40)
    first = await trial.place("cut")
    second = await trial.place("behind")
    await trial.venue.wait_for("both", lambda seen: {first, second} <= set(seen["orders"]))
    trial.venue.execute(first, "100")
    await trial.until("cut", "filled 100")


async def test_an_order_that_waits_for_the_connection_is_sent_unless_it_was_canceled(
    trial: FixBrokerTrial,
) -> None:
    await trial.place_at_venue("before")
    trial.link.is_refusing = True
    trial.link.cut()
    waiting, canceled = await trial.place("waiting"), await trial.place("canceled")
    await trial.process.cancel_order(canceled)
    trial.link.is_refusing = False
    await trial.venue.wait_for("it came", lambda seen: waiting in seen["orders"])
    await trial.until("canceled", "canceled 0")
    assert canceled not in trial.venue.describe()["orders"]


async def test_a_damaged_message_is_dropped_and_sent_again(trial: FixBrokerTrial) -> None:
    id_ = await trial.place_at_venue("o")
    trial.link.damage_next_message()
    trial.venue.execute(id_, "60")
    trial.venue.execute(id_, "40")
    seen = await trial.until("o", "filled 100")
    assert len(executions(seen)) == 2
    assert trial.link.connection_count == 1


async def test_corrections_and_busts_of_executions_are_booked(trial: FixBrokerTrial) -> None:
    id_ = await trial.place_at_venue("o")
    trial.venue.execute(id_, "60", "100")
    described = trial.venue.execute(id_, "40", "100")
    await trial.until("o", "filled 100")
    first, second = (one["id"] for one in described["orders"][id_]["executions"])
    trial.venue.correct(id_, first, "60", "100")
    trial.venue.correct(id_, first, "60", "99")
    await trial.until("o", lambda order: order.filled_avg_price == Decimal("99.4"))
    trial.venue.correct(id_, second, "0")
    await trial.until("o", lambda order: order.filled_qty == 60)


async def test_a_number_that_is_too_low_ends_the_session_and_is_a_problem(
    trial: FixBrokerTrial,
) -> None:
    id_ = await trial.place_at_venue("o")
    trial.venue.do("set_next_number", number=1)
    trial.venue.execute(id_, "60")
    await trial.venue.wait_for("logged out", lambda seen: not seen["is_logged_on"])
    await trial.until("o", "new 0")
    assert any("MsgSeqNum too low" in (problem or "") for problem in trial.process.problems)
    trial.venue.do("set_next_number", number=50)
    await trial.restart()
    await trial.venue.wait_for("logged on", lambda seen: seen["is_logged_on"])
