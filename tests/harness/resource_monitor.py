"""Measures the resources of an edge, from the kernel, from NATS and from the edge itself."""

import asyncio
import json
from collections.abc import Sequence

import httpx
import msgspec
import psutil

from tapewire.log.jetstream import NatsConnection
from tests.harness.edge import EdgeProcess
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.waiting import POLL_INTERVAL_SECONDS

IDLE_TIMEOUT_SECONDS = 60.0
BASELINE_SAMPLE_COUNT = 10
KIB = 1024


class ResourceSample(msgspec.Struct, frozen=True):
    """A measurement of the edge. Memory is in KiB."""

    rss: float
    pss: float
    descriptors: int
    threads: int
    tasks: int
    subscriptions: int
    connections: int
    connections_everywhere: int
    outboxes: int

    @property
    def baseline_counts(self) -> tuple[int, ...]:
        """The values that are the same whenever no client is connected."""
        return (
            self.descriptors,
            self.tasks,
            self.subscriptions,
            self.connections,
            self.connections_everywhere,
            self.outboxes,
        )


MEMORY_FIELDS = ("rss", "pss")


class ResourceMonitor:
    """Measures an edge and its NATS connection."""

    def __init__(self, edge: EdgeProcess, broker: LocalNatsServer) -> None:
        self._edge = edge
        self._broker = broker
        self._process = psutil.Process(edge.pid)

    async def sample(self) -> ResourceSample:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            subscriptions = await self._count_subscriptions(http)
        # Use a second client, because an open connection counts as a descriptor.
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            own = _parse_prometheus((await http.get(f"{self._edge.url}/metrics")).text)
        memory = self._process.memory_full_info()
        return ResourceSample(
            rss=memory.rss / KIB,
            pss=memory.pss / KIB,
            descriptors=self._process.num_fds(),
            threads=self._process.num_threads(),
            tasks=own["tapewire_tasks"],
            subscriptions=subscriptions,
            connections=own["tapewire_connections"],
            connections_everywhere=own["tapewire_connections_everywhere"],
            outboxes=own["tapewire_outbox_bytes"],
        )

    async def count_live_streams(self) -> int:
        """The number of streams that have caught up and wait for new events."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            own = _parse_prometheus((await http.get(f"{self._edge.url}/metrics")).text)
        return own["tapewire_connections_live"]

    async def sample_baseline(self) -> ResourceSample:
        """The smallest of a few samples, because connections of the sampling itself may still be
        closing."""
        samples = [await self.sample() for _ in range(BASELINE_SAMPLE_COUNT)]
        return min(samples, key=lambda one: one.baseline_counts)

    async def wait_until_idle(self, baseline: ResourceSample) -> ResourceSample:
        """Return a sample once all clients have left. Raise AssertionError if the resources do not
        return to `baseline`."""
        deadline = asyncio.get_running_loop().time() + IDLE_TIMEOUT_SECONDS
        while True:
            sample = await self.sample()
            if all(
                now <= was
                for now, was in zip(sample.baseline_counts, baseline.baseline_counts, strict=True)
            ):
                return sample
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"the edge holds {sample}, it was {baseline}")
            await asyncio.sleep(POLL_INTERVAL_SECONDS)

    async def _count_subscriptions(self, http: httpx.AsyncClient) -> int:
        """The number of subscriptions of the edge's connection."""
        status = (await http.get(f"{self._broker.monitor_url}/connz")).json()
        [found] = [one for one in status["connections"] if one.get("name") == "tapewire edge"]
        return int(found["subscriptions"])


def _parse_prometheus(text: str) -> dict[str, int]:
    """Parse those Prometheus metrics without labels that are counts."""
    pairs = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


async def jetstream_counts(connection: NatsConnection, streams: Sequence[str]) -> dict[str, int]:
    """The numbers of messages and consumers of each of `streams`, from JetStream."""
    found: dict[str, int] = {}
    for stream in streams:
        answer = await connection.request(f"$JS.API.STREAM.INFO.{stream}", b"{}")
        state = json.loads(answer.data)["state"]
        found[f"messages in {stream}"] = int(state["messages"])
        found[f"consumers of {stream}"] = int(state["consumer_count"])
    return found
