"""Runs a trial from its start to its recording: clients watch, traders trade, and the caller
injects faults.

Start reading at `run_trial`. Everything runs in one task group, so any failure ends the trial.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import msgspec

from tapewire.log import EventLog, RecordedEvent
from tapewire.log.jetstream import JetStreamEventLog, connect
from tests.harness.history import LogIncarnation, StreamOpened
from tests.harness.order_invariants import unfinished_orders
from tests.harness.order_trial.checks import OrderTrialRecording, ReceivedHistory, streamed_domains
from tests.harness.order_trial.plan import OrderTrialPlan, WatcherBehavior
from tests.harness.order_trial.watcher import OrderStreamClient
from tests.harness.planned_orders import USERS, PlannedOrder
from tests.harness.recorded_log import error_lines, read_new_events
from tests.harness.stack import Stack
from tests.harness.trader import TRADERS_PER_USER, Trader, TraderAnswers
from tests.harness.waiting import wait_until_async

SETTLE_TIMEOUT_SECONDS = 300.0
"""The limit for reaching a settled state, which usually takes two or three seconds."""

FaultInjection = Callable[[TraderAnswers], Awaitable[None]]
"""Injects all faults of a trial, given the answers to traders so far."""


class OrderTrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """A completed trial: the recording, and figures."""

    recording: OrderTrialRecording
    retry_counts: Counter[str]
    refused_stream_count: int
    longest_silence_seconds: float
    duration_seconds: float

    def __str__(self) -> str:
        watched = self.recording.watched
        connects = [e for one in watched for e in one.history if isinstance(e, StreamOpened)]
        resumes = sum(connect.requested_id is not None for connect in connects)
        resets = sum(one.count_frames("stream:reset") for one in watched)
        return (
            f"{len(self.recording.placed)} orders (requests repeated {self.retry_counts.total()}), "
            f"{len(self.recording.events)} events, "
            f"{len(connects)} client connects "
            f"({resumes} resumes; {self.refused_stream_count} refused), "
            f"longest silence {self.longest_silence_seconds:.1f} s, "
            f"{resets} resets, {self.duration_seconds:.0f} s"
        )


async def run_trial(
    plan: OrderTrialPlan, stack: Stack, inject_faults: FaultInjection
) -> OrderTrialResult:
    """Run `plan` on a running `stack`. Raises AssertionError if it cannot be completed."""
    began = time.monotonic()
    cookies = {user: str(stack.sign_in(user).get("session")) for user in USERS}
    answers, watchers = TraderAnswers(), _start_watchers(plan, stack.url, cookies)
    are_faults_over = asyncio.Event()

    async def inject() -> None:
        await inject_faults(answers)
        are_faults_over.set()

    def is_over() -> bool:
        return plan.ends_with_faults and are_faults_over.is_set()

    traders = _create_traders(plan, stack.url, cookies, answers, is_over)
    async with asyncio.TaskGroup() as group, _open_log(stack.nats_url) as log:
        watching = [group.create_task(watcher.run()) for watcher in watchers]
        async with asyncio.TaskGroup() as flowing:
            flowing.create_task(inject())
            for trader in traders:
                flowing.create_task(trader.run())
        for watcher in watchers:
            watcher.is_calm = True
        epoch = (await log.bounds()).epoch
        events = await _wait_until_settled(log, answers, watchers)
        # Nothing is awaited between the end of the wait and this: no client receives an event that
        # `events` lacks.
        for task in watching:
            task.cancel()
    return OrderTrialResult(
        recording=OrderTrialRecording(
            epoch=epoch,
            events=events,
            watched=[ReceivedHistory(one.number, one.behavior, one.history) for one in watchers],
            placed=answers.placed,
            lists=answers.lists,
            errors=error_lines(stack.log_text()),
        ),
        retry_counts=answers.retry_counts,
        refused_stream_count=sum(watcher.refused_statuses for watcher in watchers),
        longest_silence_seconds=max(watcher.longest_silence_seconds for watcher in watchers),
        duration_seconds=time.monotonic() - began,
    )


def _start_watchers(
    plan: OrderTrialPlan, url: str, cookies: dict[str, str]
) -> list[OrderStreamClient]:
    return [
        OrderStreamClient(
            url, number, manner, cookies[manner.user], _rng_for(plan, f"client {number}")
        )
        for number, manner in enumerate(plan.watcher_behaviors)
    ]


def _create_traders(
    plan: OrderTrialPlan,
    url: str,
    cookies: dict[str, str],
    answers: TraderAnswers,
    is_over: Callable[[], bool],
) -> list[Trader]:
    mean = TRADERS_PER_USER * len(USERS) / plan.orders_per_second
    made = []
    for user in USERS:
        orders = [planned for planned in plan.orders if planned.user == user]
        for number in range(TRADERS_PER_USER):
            share: Iterable[PlannedOrder] = itertools.takewhile(
                lambda _: not is_over(), orders[number::TRADERS_PER_USER]
            )
            own = _rng_for(plan, f"trader {user} {number}")
            made.append(Trader(url, share, cookies[user], answers, own, mean))
    return made


def _rng_for(plan: OrderTrialPlan, name: str) -> random.Random:
    return random.Random(f"{name} {plan.seed}")


@contextlib.asynccontextmanager
async def _open_log(nats_url: str) -> AsyncIterator[EventLog]:
    connection = await connect(nats_url, "trial")
    try:
        yield JetStreamEventLog(connection)
    finally:
        await connection.close()


async def _wait_until_settled(
    log: EventLog, answers: TraderAnswers, watchers: Sequence[OrderStreamClient]
) -> list[RecordedEvent]:
    """Return all events of the log, once no order changes any more and every client has received
    all of these events that its stream shows, and no others.

    Services may go on to append events, such as positions and the states of restarted processes.
    """
    events = list[RecordedEvent]()

    async def have_orders_ended() -> bool:
        await read_new_events(log, events)
        return not unfinished_orders(events, answers.placed)

    async def have_clients_received_all() -> bool:
        await read_new_events(log, events)
        return not _find_clients_elsewhere(watchers, events)

    await wait_until_async(
        "every order has its final status",
        have_orders_ended,
        describe_last=lambda: unfinished_orders(events, answers.placed)[:5],
        timeout_seconds=SETTLE_TIMEOUT_SECONDS,
    )
    await wait_until_async(
        "every client is at the end of the log",
        have_clients_received_all,
        describe_last=lambda: _find_clients_elsewhere(watchers, events),
        timeout_seconds=SETTLE_TIMEOUT_SECONDS,
    )
    return events


def _find_clients_elsewhere(
    watchers: Sequence[OrderStreamClient], events: Sequence[RecordedEvent]
) -> list[str]:
    """Clients that lack one of `events`, or that have received later ones."""
    expected = LogIncarnation("", events)
    return [
        f"client {one.number} at {one.last_id}, the log at {expected.last}"
        for one in watchers
        if not _last_visible(expected, one.behavior)
        <= int((one.last_id or "-0").rpartition("-")[2])
        <= expected.last
    ]


def _last_visible(expected: LogIncarnation, behavior: WatcherBehavior) -> int:
    visible = expected.visible_between(
        behavior.user, 0, expected.last + 1, streamed_domains(behavior)
    )
    return visible[-1] if visible else 0
