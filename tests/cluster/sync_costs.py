"""What each choice of `sync_interval` costs three message servers on the disk of this machine.

    python -m tests.cluster.sync_costs [FOLDER]

Prints one row a choice: events appended and orders placed, each awaited and 64 at once. The stores
lie in FOLDER, by default in the folder for temporary files; a file system in memory shows nothing.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from tapewire.events import OrderType, Side
from tapewire.log import new_id
from tapewire.log.jetstream import JetStreamEventLog, connect
from tapewire.log.jetstream.provisioning import provision_when_available
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts import orders
from tests.harness.edge import ManagedService
from tests.harness.event_factories import make_draft
from tests.harness.nats_cluster import SERVERS, local_hosts, run_nats_cluster
from tests.harness.publishers import QuoteDriver

CHOICES = ("2m", "10s", "1s", "always")
"""Values of `sync_interval`; the first is the default of NATS."""
CONCURRENCY = 64
AWAITED_COUNT, CONCURRENT_COUNT = 300, 3000
USER_COUNT = 50
SYMBOL = "SYM"


class Figures(msgspec.Struct, frozen=True):
    """The rate of actions a second, and their times in milliseconds."""

    rate: float
    median_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return f"{self.rate:,.0f}/s, {self.median_ms:.1f} ms, p99 {self.p99_ms:.1f} ms"


async def measure(action: Callable[[int], Awaitable[object]], count: int, at_once: int) -> Figures:
    """Do `count` actions, `at_once` at the same time."""
    numbers, times = iter(range(count)), list[float]()

    async def work() -> None:
        for number in numbers:
            began = time.perf_counter()
            await action(number)
            times.append(1000 * (time.perf_counter() - began))

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    seconds = time.perf_counter() - began
    return Figures(
        count / seconds, statistics.median(times), statistics.quantiles(times, n=100)[98]
    )


async def measure_choice(folder: Path, sync: str) -> list[tuple[str, Figures]]:
    """The figures of a cluster with that `sync_interval`."""
    settings = f"max_file_store: 8GB, sync_interval: {sync}"
    with run_nats_cluster(folder, local_hosts(folder), settings) as cluster:
        connection = await connect(cluster.url, "operator")
        await provision_when_available(
            connection, wait_seconds=60, replicas=SERVERS, journal_bytes=1 << 30
        )
        env = {"TAPEWIRE_NATS_URL": cluster.url, "TAPEWIRE_REPLICAS": str(SERVERS)}
        service = ManagedService("orders", env, folder)
        await asyncio.to_thread(service.wait_ready)
        log, requests = JetStreamEventLog(connection), RequestClient(connection)
        try:
            await QuoteDriver(connection).publish(SYMBOL)

            async def append(_: int) -> None:
                await log.append([make_draft(f"bench/agents/{new_id()}")])

            async def place(number: int) -> None:
                request = orders.PlaceOrder(
                    user_id=f"user-{number % USER_COUNT}",
                    symbol=SYMBOL,
                    side=Side.BUY,
                    type=OrderType.LIMIT,
                    qty=Decimal(1),
                    limit_price=Decimal(1),
                )
                await requests.request(
                    orders.SERVICE, orders.PLACE, request, orders.OrderReply, correlation=new_id()
                )

            await place(0)
            return [
                ("events, each awaited", await measure(append, AWAITED_COUNT, 1)),
                (f"events, {CONCURRENCY} at once", await measure(append, CONCURRENT_COUNT, 64)),
                ("orders, each awaited", await measure(place, AWAITED_COUNT, 1)),
                (f"orders, {CONCURRENCY} at once", await measure(place, CONCURRENT_COUNT, 64)),
            ]
        finally:
            service.kill()
            await connection.close()


def main(parent: str | None) -> None:
    for sync in CHOICES:
        with tempfile.TemporaryDirectory(prefix="tapewire-sync-", dir=parent) as folder:
            for name, figures in asyncio.run(measure_choice(Path(folder), sync)):
                sys.stdout.write(f"sync_interval {sync:<7} {name:<22} {figures}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
