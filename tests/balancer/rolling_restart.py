"""A trial: readers read and traders trade through nginx while everything behind it is restarted.

The load continues until all steps are done. Every step waits until orders were placed and every
reader is connected again, so no step depends on timing. Start reading at `run_rolling_restart`.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from tapewire.log import EventLog, RecordedEvent
from tapewire.log.jetstream import JetStreamEventLog, connect
from tests.balancer.fleet import EdgeFleet
from tests.balancer.reader import EventSourceReader
from tests.balancer.stream_checks import (
    PATHS,
    ReaderHistory,
    RollingTrialRecording,
    last_visible_sequences,
    longest_delay_seconds,
)
from tests.balancer.trial_result import RollingTrialResult, RollingTrialSize, TrialPhase
from tests.harness.edge import ManagedService
from tests.harness.order_invariants import unfinished_orders
from tests.harness.planned_orders import USERS, PlannedOrder, random_order
from tests.harness.recorded_log import error_lines, read_new_events
from tests.harness.trader import TRADERS_PER_USER, Trader, TraderAnswers
from tests.harness.waiting import wait_until, wait_until_async

SERVICES = ("prices", "orders", "positions", "alerts", "strategies")
SPEED = 5.0
"""A multiple of real time: about 20 quotes a second per symbol."""
STEP_TIMEOUT_SECONDS = 180.0
"""How long a step may take until orders are placed again and every reader is connected."""
STOP_TIMEOUT_SECONDS = 60.0
SETTLE_TIMEOUT_SECONDS = 300.0
RETRYABLE_STATUSES = frozenset({502, 503, 504})
"""Statuses after which a trader retries. nginx itself sends 502 and 504."""


async def run_rolling_restart(
    fleet: EdgeFleet, size: RollingTrialSize, seed: int
) -> RollingTrialResult:
    """Run the trial. Raises AssertionError if it cannot be completed."""
    trial = _RollingTrial(fleet, size, seed)
    await trial.run()
    return trial.result()


class _RollingTrial:
    def __init__(self, fleet: EdgeFleet, size: RollingTrialSize, seed: int) -> None:
        self._fleet, self._size, self._seed = fleet, size, seed
        self._answers = TraderAnswers()
        self._readers: list[EventSourceReader] = []
        self._services: dict[str, ManagedService] = {}
        self._phases: list[TrialPhase] = []
        self._is_over = False
        self._epoch = ""
        self._events: list[RecordedEvent] = []

    async def run(self) -> None:
        for name in SERVICES:
            await self._start_service(name)
        cookies = {user: await self._fleet.sign_in(user) for user in USERS}
        self._readers = [
            EventSourceReader(self._fleet.url, number, user, path, cookies[user])
            for number, (path, user) in zip(
                range(self._size.reader_count),
                itertools.cycle(itertools.product(PATHS, USERS)),
                strict=False,
            )
        ]
        async with asyncio.TaskGroup() as group, self._open_log() as log:
            reading = [group.create_task(reader.run()) for reader in self._readers]
            async with asyncio.TaskGroup() as flowing:
                for trader in self._run_traders(cookies):
                    flowing.create_task(trader.run())
                await self._wait_until_settled()
                await self._run_phase("undisturbed", self._restart_nothing)
                await self._run_phase(
                    "every edge restarted, one after another", self._restart_edges
                )
                await self._run_phase("an edge killed", self._kill_edges)
                await self._run_phase(
                    "edges, services and the message server restarted", self._restart_everything
                )
                self._is_over = True
            self._epoch = (await log.bounds()).epoch
            await self._wait_until_quiescent(log)
            # Nothing is awaited between the end of the wait and this: no reader receives an event
            # that was not read from the log.
            for task in reading:
                task.cancel()

    def result(self) -> RollingTrialResult:
        recording = RollingTrialRecording(
            epoch=self._epoch,
            events=self._events,
            readers=[
                ReaderHistory(
                    reader_number=one.number,
                    user=one.user,
                    path=one.path,
                    history=one.history,
                    arrivals=one.arrivals,
                )
                for one in self._readers
            ],
            placed=self._answers.placed,
            errors=error_lines(self._fleet.harness.log_text()),
        )
        for phase in self._phases:
            phase.longest_delay_seconds = longest_delay_seconds(
                recording, phase.started_at, phase.ended_at
            )
        return RollingTrialResult(
            seed=self._seed,
            edge_count=len(self._fleet.edges),
            recording=recording,
            phases=self._phases,
        )

    # The load

    def _run_traders(self, cookies: dict[str, str]) -> Iterator[Trader]:
        mean = TRADERS_PER_USER * len(USERS) / self._size.orders_per_second
        for user_index, user in enumerate(USERS):
            for number in range(TRADERS_PER_USER):
                rng = random.Random(f"trader {user} {number} {self._seed}")
                numbers = itertools.count(
                    number * len(USERS) + user_index, TRADERS_PER_USER * len(USERS)
                )
                orders = self._generate_orders(rng, numbers)
                yield Trader(
                    self._fleet.url,
                    orders,
                    cookies[user],
                    self._answers,
                    rng,
                    mean,
                    RETRYABLE_STATUSES,
                )

    def _generate_orders(
        self, rng: random.Random, numbers: Iterator[int]
    ) -> Iterator[PlannedOrder]:
        """Yield the orders of the trial until it ends; the order number selects the user."""
        return itertools.takewhile(
            lambda _: not self._is_over, (random_order(rng, number) for number in numbers)
        )

    # The steps

    async def _run_phase(self, name: str, steps: Callable[[], Awaitable[None]]) -> None:
        for reader in self._readers:
            reader.longest_silence_seconds = 0.0
        before = sum((reader.stream_end_counts for reader in self._readers), Counter[str]())
        refused = sum(reader.refused_statuses.total() for reader in self._readers)
        again = Counter(self._answers.retry_counts)
        phase = TrialPhase(
            name=name, started_at=time.time(), stream_end_counts=Counter(), retry_counts=Counter()
        )
        await steps()
        await self._wait_until_settled()
        phase.ended_at = time.time()
        phase.longest_silence_seconds = max(
            reader.longest_silence_seconds for reader in self._readers
        )
        phase.stream_end_counts = (
            sum((reader.stream_end_counts for reader in self._readers), Counter[str]()) - before
        )
        phase.refused_stream_count = (
            sum(reader.refused_statuses.total() for reader in self._readers) - refused
        )
        phase.retry_counts = self._answers.retry_counts - again
        self._phases.append(phase)

    async def _wait_until_settled(self) -> None:
        """Wait until enough further orders are placed and every reader is connected."""
        upto = len(self._answers.placed) + self._size.orders_per_step
        await wait_until(
            f"{upto} orders are placed",
            lambda: len(self._answers.placed) >= upto,
            describe_last=lambda: (len(self._answers.placed), self._answers.retry_counts),
            timeout_seconds=STEP_TIMEOUT_SECONDS,
        )
        await wait_until(
            "every reader is connected",
            lambda: all(reader.is_connected for reader in self._readers),
            describe_last=lambda: [one.number for one in self._readers if not one.is_connected],
            timeout_seconds=STEP_TIMEOUT_SECONDS,
        )

    async def _restart_nothing(self) -> None:
        await self._wait_until_settled()

    async def _restart_edges(self) -> None:
        for number in range(len(self._fleet.edges)):
            await self._restart_edge(number)
            await self._wait_until_settled()

    async def _kill_edges(self) -> None:
        self._fleet.edges[0].kill()
        await self._wait_until_settled()
        self._fleet.restart_edge(0)
        await self._wait_ready(self._fleet.edges[0])

    async def _restart_everything(self) -> None:
        """Restart everything. The message server is down while an edge and a service stop, and is
        up for the next step."""
        half = len(SERVICES) // 2
        for name in SERVICES[:half]:
            await self._restart_service(name)
            await self._wait_until_settled()
        self._fleet.edges[0].terminate()
        self._services[SERVICES[half]].terminate()
        self._fleet.harness.broker.kill()
        await self._wait_exited(self._fleet.edges[0])
        await self._wait_exited(self._services[SERVICES[half]])
        await asyncio.to_thread(self._fleet.harness.broker.start)
        self._fleet.restart_edge(0)
        await self._wait_ready(self._fleet.edges[0])
        await self._start_service(SERVICES[half])
        await self._wait_until_settled()
        for name in SERVICES[half + 1 :]:
            await self._restart_service(name)
            await self._wait_until_settled()
        for number in range(1, len(self._fleet.edges)):
            await self._restart_edge(number)
            await self._wait_until_settled()

    async def _restart_edge(self, number: int) -> None:
        self._fleet.edges[number].terminate()
        await self._wait_exited(self._fleet.edges[number])
        self._fleet.restart_edge(number)
        await self._wait_ready(self._fleet.edges[number])

    async def _restart_service(self, name: str) -> None:
        self._services[name].terminate()
        await self._wait_exited(self._services[name])
        await self._start_service(name)

    async def _start_service(self, name: str) -> None:
        start = self._fleet.harness.start_service
        self._services[name] = await asyncio.to_thread(start, name, TAPEWIRE_SPEED=SPEED)

    async def _wait_ready(self, service: ManagedService) -> None:
        await asyncio.to_thread(service.wait_ready)

    async def _wait_exited(self, service: ManagedService) -> None:
        code = await asyncio.to_thread(service.process.wait, STOP_TIMEOUT_SECONDS)
        assert code == 0, (
            f"{service.name} ended with {code}: {service.log_file.read_text()[-3000:]}"
        )

    # The end

    @contextlib.asynccontextmanager
    async def _open_log(self) -> AsyncIterator[EventLog]:
        connection = await connect(self._fleet.harness.broker.url, "balancer")
        try:
            yield JetStreamEventLog(connection)
        finally:
            await connection.close()

    async def _wait_until_quiescent(self, log: EventLog) -> None:
        """Read the log once no order changes any more, and until every reader has received all
        events read that its stream shows, and no others."""

        async def have_orders_ended() -> bool:
            await read_new_events(log, self._events)
            return not unfinished_orders(self._events, self._answers.placed)

        async def have_readers_received_all() -> bool:
            await read_new_events(log, self._events)
            return not self._find_readers_elsewhere()

        await wait_until_async(
            "every order has its final status",
            have_orders_ended,
            describe_last=lambda: unfinished_orders(self._events, self._answers.placed)[:5],
            timeout_seconds=SETTLE_TIMEOUT_SECONDS,
        )
        await wait_until_async(
            "every reader is at the end of the log",
            have_readers_received_all,
            describe_last=self._find_readers_elsewhere,
            timeout_seconds=SETTLE_TIMEOUT_SECONDS,
        )

    def _find_readers_elsewhere(self) -> Sequence[str]:
        """Readers that lack an event read, or that have received later ones."""
        lasts = last_visible_sequences(self._events, itertools.product(USERS, PATHS))
        return [
            f"reader {one.number} ({one.path}) at {one.last_id}, not {lasts[one.user, one.path]}"
            for one in self._readers
            if not lasts[one.user, one.path]
            <= int((one.last_id or "-0").rpartition("-")[2])
            <= len(self._events)
        ]
