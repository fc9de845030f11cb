"""The load process: `python -m tests.soak.load_generator PORT NATS_URL SEED`.

It appends the initial state and prints a `LoadReport`. Then it reads commands (`RunConnects`) as
lines of JSON from its input, and answers each with a report once all its connections are closed.
"""

import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from tapewire.log.jetstream import connect
from tests.soak.client import RESPONSE_TIMEOUT_SECONDS
from tests.soak.event_producer import HISTORY_STREAMS, HISTORY_USER, SoakEventProducer
from tests.soak.plan import MAX_STRICT_SCENARIO_SECONDS, LoadReport, RunConnects
from tests.soak.scenarios import (
    RARE_SCENARIOS,
    SCENARIO_WEIGHTS,
    ConnectionScenario,
    SoakHttpClient,
    UnexpectedResult,
)

CONCURRENT_SCENARIOS = 64
"""Scenarios that run at the same time; some open several connections."""
CONNECTS_PER_RARE_SCENARIO = 4000
CONNECTS_PER_EVENT = 8
MAX_KEPT_VIOLATIONS = 20
HISTORY_SECONDS = 3600


class LoadGenerator:
    """Runs all scenarios."""

    def __init__(self, http_client: SoakHttpClient, producer: SoakEventProducer) -> None:
        self._http_client = http_client
        self._producer = producer
        self._last_event_at = 0
        self._last_rare_at = 0
        self._outcome_counts: Counter[str] = Counter()
        self._violations: list[str] = []

    async def run_connects(self, connect_count: int) -> LoadReport:
        """Run scenarios until that many connections were opened and every scenario has ended."""
        street, began, events = self._http_client, time.monotonic(), self._producer.events
        first = street.connect_count
        self._outcome_counts, self._violations = Counter(), []
        self._last_event_at = first
        visits = self._run_scenarios(first + connect_count)
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENT_SCENARIOS):
                group.create_task(self._run_sequentially(visits))
            group.create_task(self._append_events(first + connect_count))
        return LoadReport(
            connect_count=street.connect_count - first,
            duration_seconds=time.monotonic() - began,
            event_count=self._producer.events - events,
            outcome_counts=dict(self._outcome_counts),
            violations=self._violations,
        )

    def _run_scenarios(self, until: int) -> Iterator[ConnectionScenario]:
        kinds, weights = [*SCENARIO_WEIGHTS], [*SCENARIO_WEIGHTS.values()]
        while self._http_client.connect_count < until:
            if self._http_client.connect_count >= self._last_rare_at:
                self._last_rare_at = self._http_client.connect_count + CONNECTS_PER_RARE_SCENARIO
                yield from RARE_SCENARIOS
            yield self._http_client.rng.choices(kinds, weights)[0]

    async def _run_sequentially(self, scenarios: Iterator[ConnectionScenario]) -> None:
        for visit in scenarios:
            began = time.monotonic()
            try:
                self._outcome_counts[await visit(self._http_client)] += 1
            except (UnexpectedResult, OSError, TimeoutError) as error:
                if (
                    isinstance(error, UnexpectedResult)
                    and time.monotonic() - began > MAX_STRICT_SCENARIO_SECONDS
                ):
                    self._outcome_counts["too late"] += 1
                    continue
                self._outcome_counts["wrong"] += 1
                if len(self._violations) < MAX_KEPT_VIOLATIONS:
                    self._violations.append(f"{visit.__name__}: {error!r}")

    async def _append_events(self, until: int) -> None:
        """Append the number of events that belongs to the number of connects."""
        while self._last_event_at < until:
            if self._last_event_at < self._http_client.connect_count:
                self._last_event_at += CONNECTS_PER_EVENT
                await self._producer.append_next_event()
            else:
                await asyncio.sleep(0.001)


async def fill_and_read_history(http_client: SoakHttpClient) -> None:
    """Fill the edge's memory of recent events while a reader receives them."""
    # Not the gateway header, because its sessions last only seconds here.
    token = http_client.issuer.token(HISTORY_USER, "HS256", seconds=HISTORY_SECONDS)
    known = f"Authorization: Bearer {token}"
    requests = [http_client.build_request("GET", path, known) for path in HISTORY_STREAMS]
    readers = [await http_client.send(request) for request in requests]

    async def wait_until_sent(sequence: int) -> None:
        mark = f"id: {http_client.producer.epoch}-{sequence}\n".encode()
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT_SECONDS):
                while mark not in readers[0].body_tail:
                    await readers[0].wait_for_progress()
        except TimeoutError:
            raise AssertionError(f"no frame with {mark!r}: {readers[0].body_tail!r}") from None

    await http_client.producer.fill_recent_events(wait_until_sent)
    for reader in readers:
        reader.disconnect(http_client.rng)


async def main(port: int, nats_url: str, seed: int) -> None:
    connection = await connect(nats_url, "visitors")
    rng = random.Random(seed)
    world = SoakEventProducer(connection, rng)
    street = SoakHttpClient(port, world, rng)
    await world.append_initial_state()
    await fill_and_read_history(street)
    visitors = LoadGenerator(street, world)
    _print_report(await visitors.run_connects(0))
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _print_report(
            await visitors.run_connects(msgspec.json.decode(line, type=RunConnects).connect_count)
        )
    await connection.close()


def _print_report(report: LoadReport) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
