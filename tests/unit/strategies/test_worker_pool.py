"""The workers of an erased user, at the moment at which they are stopped."""

import asyncio
from collections.abc import Sequence

import pytest

from tapewire.events import Side, StopLossTriggered
from tapewire.log import EventDraft, LogError
from tapewire.log.erasures import make_erasure
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies
from tapewire_services.strategies.worker_pool import WorkerPool
from tests.harness.erasures import ERASED_AT
from tests.harness.order_builders import USER
from tests.harness.recorded_log import read_events
from tests.harness.strategies_process import (
    StrategiesProcess,
    make_buy_when_flat,
    wait_for_strategies_log,
)
from tests.unit.strategies.runner_scenario import TREND, RunnerScenario
from tests.unit.strategies.spec import make_stop_loss

pytestmark = pytest.mark.virtual_time

ERASURE = make_erasure("of-user", USER, ERASED_AT)


async def start_pool(scenario: RunnerScenario) -> tuple[StrategiesProcess, WorkerPool]:
    """A process without a runner, with a worker that guards a position which it has bought."""
    before = await scenario.start_process(make_buy_when_flat)
    await before.create_strategy(TREND, stop_loss=make_stop_loss("5"))
    await wait_for_strategies_log(scenario.server, "long", lambda seen: seen.is_settled())
    await asyncio.sleep(1)
    await before.kill()
    process = StrategiesProcess(
        scenario.server, scenario.order_client, make_decision_maker=make_buy_when_flat
    )
    await process.start(with_runner=False)
    active = ActiveStrategies()
    for recorded in await read_events(process.log, "ev.*.strategies.>"):
        active.apply(recorded)
    pool = WorkerPool(process.dependencies, process.quote_cache)
    for tracked in active.get_all():
        pool.update(tracked)
    scenario.order_client.received_requests.clear()
    return process, pool


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_stopped_worker_begins_nothing_after_the_command_that_was_in_progress(
    scenario: RunnerScenario, monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    """The erasure is read in the turn of the event loop in which the answer to the command arrives.
    The worker would place the order of its exit next, or repeat the command."""
    process, pool = await start_pool(scenario)
    append, exit_count = process.log.append, 0

    async def append_with_late_answer(drafts: Sequence[EventDraft]) -> int:
        nonlocal exit_count
        if not isinstance(drafts[0].event, StopLossTriggered):
            return await append(drafts)
        exit_count += 1
        last = await append(drafts) if is_stored else 0
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        loop.call_soon(answer.set_result, last)
        loop.call_soon(pool.forget_user, ERASURE)
        await answer
        if not is_stored:
            raise LogError("the server is away")
        return last

    monkeypatch.setattr(process.log, "append", append_with_late_answer)
    await scenario.publish_prices("90")
    await asyncio.sleep(5)
    assert exit_count == 1
    assert scenario.order_client.received_requests == []
    await pool.close()
    await process.kill()


async def test_the_workers_of_other_users_go_on(scenario: RunnerScenario) -> None:
    process, pool = await start_pool(scenario)
    pool.forget_user(make_erasure("of-bob", "bob", ERASED_AT))
    await scenario.publish_prices("90")
    await asyncio.sleep(5)  # of virtual time
    [closing] = scenario.order_client.received_requests
    assert closing.side is Side.SELL
    await pool.close()
    await process.kill()
