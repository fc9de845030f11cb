"""Injects the faults of a plan into a cluster, each after it is whole again, and times them."""

import asyncio
import contextlib
import itertools
import json
import shutil
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from tapewire.log.jetstream import NatsConnection, connect
from tapewire.log.ports import OutcomeUnknown, Unavailable
from tests.cluster.plan import ClusterFault, ClusterTrialPlan, FaultStep
from tests.harness.nats_cluster import SERVERS, NatsCluster
from tests.harness.private_network import PrivateNetwork
from tests.harness.trader import RequestAttempt, TraderAnswers
from tests.harness.waiting import wait_until, wait_until_async

QUORUM_LOST_SECONDS = 3.0
RECOVERY_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.1
BALLAST = "ballast"
"""The file that fills a server's disk."""
ADDED_SERVER = SERVERS


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault did to orders, from its injection until the cluster was whole again.

    `outage_seconds` and `later_outage_seconds` are the longest times in which no order was
    accepted, until the end of the fault and from then on, `longest_wait_seconds` how long an order
    waited for any answer, and `healing_seconds` the time from the end of the fault until every
    stream had three current copies.
    """

    step: FaultStep
    accepted_count: int
    refused_count: int
    outage_seconds: float
    later_outage_seconds: float
    longest_wait_seconds: float
    healing_seconds: float

    def __str__(self) -> str:
        return (
            f"{self.step}: no order accepted for {self.outage_seconds:.1f} s, and for "
            f"{self.later_outage_seconds:.1f} s after its end, "
            f"longest wait for an answer {self.longest_wait_seconds:.2f} s, "
            f"{self.accepted_count} accepted, {self.refused_count} answered otherwise, "
            f"all copies current {self.healing_seconds:.1f} s after its end"
        )


class ClusterFaultInjector:
    """Injects faults into `cluster`, which has a `network` of its own unless that is None."""

    def __init__(
        self, cluster: NatsCluster, network: PrivateNetwork | None, answers: TraderAnswers
    ) -> None:
        self.results: list[StepResult] = []
        self._cluster = cluster
        self._network = network
        self._answers = answers

    async def run(self, plan: ClusterTrialPlan) -> None:
        """Inject all faults, each after everything has recovered from the one before."""
        await self._wait_accepted(time.monotonic())
        for step in plan.steps:
            await self._inject(step, plan.hold_seconds)

    async def _inject(self, step: FaultStep, hold_seconds: float) -> None:
        target = await self._target(step)
        began, attempt_count = time.monotonic(), len(self._answers.attempts)
        async with self._fault(step.fault, target):
            if step.fault in (ClusterFault.LOSE_QUORUM, ClusterFault.SEPARATE):
                await asyncio.sleep(QUORUM_LOST_SECONDS)
            else:
                await asyncio.sleep(hold_seconds)
                await self._wait_accepted(began)
        healed = time.monotonic()
        await self._wait_whole()
        whole = time.monotonic()
        await self._wait_accepted(healed)
        attempts = self._answers.attempts[attempt_count:]
        self.results.append(_measure(step, attempts, began, healed, whole))

    @contextlib.asynccontextmanager
    async def _fault(self, fault: ClusterFault, target: int) -> AsyncIterator[None]:
        """The fault, which ends with the block."""
        cluster = self._cluster
        match fault:
            case ClusterFault.STOP:
                await asyncio.to_thread(cluster.stop, target)
                yield
                cluster.start(target)
            case ClusterFault.KILL:
                cluster.kill(target)
                yield
                cluster.start(target)
            case ClusterFault.FREEZE:
                cluster.freeze(target)
                try:
                    yield
                finally:
                    cluster.thaw(target)
            case ClusterFault.LOSE_DISK:
                cluster.kill(target)
                yield
                for entry in cluster.hosts[target].store.iterdir():
                    shutil.rmtree(entry)
                cluster.start(target)
            case ClusterFault.LOSE_QUORUM:
                killed = [target, next(one for one in sorted(cluster.running) if one != target)]
                for number in killed:
                    cluster.kill(number)
                yield
                for number in killed:
                    cluster.start(number)
            case ClusterFault.REPLACE:
                cluster.start(ADDED_SERVER)
                await asyncio.to_thread(cluster.stop, target)
                await self._remove_server(target)
                yield
            case _:
                async with self._network_fault(fault, target):
                    yield

    @contextlib.asynccontextmanager
    async def _network_fault(self, fault: ClusterFault, target: int) -> AsyncIterator[None]:
        """A fault of a link or a disk."""
        network = self._network
        assert network is not None, f"{fault} needs network namespaces"
        match fault:
            case ClusterFault.CUT_OFF:
                network.cut_off(target)
                yield
                network.reconnect(target)
            case ClusterFault.MUTE:
                network.mute(target)
                yield
                network.unmute(target)
            case ClusterFault.SEPARATE:
                network.separate_hosts()
                yield
                network.join_hosts()
            case ClusterFault.FILL_DISK:
                ballast = self._cluster.hosts[target].store / BALLAST
                await asyncio.to_thread(_fill_disk, ballast)
                yield
                ballast.unlink()
                # A server that could not write has ended JetStream until it is started again.
                await asyncio.to_thread(self._cluster.stop, target)
                self._cluster.start(target)
            case _:
                raise AssertionError(f"{fault} is no fault of a network")

    async def _target(self, step: FaultStep) -> int:
        leader = await self._leader()
        if step.of_leader:
            return leader
        return min(self._cluster.running - {leader})

    async def _leader(self) -> int:
        """The number of the server that leads EVENTS."""
        leader = ""

        async def is_known() -> bool:
            nonlocal leader
            infos = await self._stream_infos()
            leader = infos["EVENTS"]["cluster"].get("leader") or "" if "EVENTS" in infos else ""
            return bool(leader)

        await wait_until_async("EVENTS has a leader", is_known)
        return int(leader.removeprefix("n"))

    async def _remove_server(self, number: int) -> None:
        """Take a stopped server out of the cluster, which gives its copies to another one."""
        body = json.dumps({"peer": f"n{number}"}).encode()

        async def is_removed() -> bool:
            return await self._request("$JS.API.SERVER.REMOVE", body, as_system=True) is not None

        await wait_until_async(f"server {number} is removed", is_removed)

    async def _wait_accepted(self, since: float) -> None:
        """Wait until an order is accepted that was sent after `since`."""
        attempts, checked = self._answers.attempts, len(self._answers.attempts)

        def is_accepted() -> bool:
            return any(one.is_accepted and one.sent_at > since for one in attempts[checked:])

        await wait_until(
            "orders are accepted",
            is_accepted,
            describe_last=lambda: attempts[-10:],
            timeout_seconds=RECOVERY_TIMEOUT_SECONDS,
        )

    async def _wait_whole(self) -> None:
        """Wait until every stream has a leader and three current copies on running servers."""
        problems = ["nothing is known"]
        names = {f"n{number}" for number in self._cluster.running}

        async def is_whole() -> bool:
            problems[:] = _find_missing_copies(await self._stream_infos(), names)
            await asyncio.sleep(POLL_SECONDS if problems else 0)
            return not problems

        await wait_until_async(
            "every stream has three current copies",
            is_whole,
            describe_last=lambda: problems,
            timeout_seconds=RECOVERY_TIMEOUT_SECONDS,
        )

    async def _stream_infos(self) -> dict[str, Any]:
        """What the leaders of all streams answer about them, by name; empty without an answer."""
        answer = await self._request("$JS.API.STREAM.LIST", b"")
        return {one["config"]["name"]: one for one in (answer or {}).get("streams") or ()}

    async def _request(
        self, subject: str, body: bytes, *, as_system: bool = False
    ) -> dict[str, Any] | None:
        """The answer of JetStream; None if there is none, or an error."""
        url = self._cluster.system_url if as_system else self._cluster.url
        connection: NatsConnection | None = None
        try:
            connection = await connect(url, "operator", wait_seconds=5)
            answer = json.loads((await connection.request(subject, body, timeout_seconds=2)).data)
        except (Unavailable, OutcomeUnknown):
            return None
        finally:
            if connection is not None:
                await connection.close()
        return None if "error" in answer else dict(answer)


def _find_missing_copies(infos: dict[str, Any], names: set[str]) -> list[str]:
    problems = [] if "EVENTS" in infos else ["EVENTS is not listed"]
    for name, info in infos.items():
        cluster = info.get("cluster") or {}
        copies = {
            one["name"]
            for one in cluster.get("replicas") or ()
            if one.get("current") and not one.get("offline")
        }
        copies |= {cluster["leader"]} if cluster.get("leader") else set()
        if copies != names:
            problems.append(f"{name} has current copies at {sorted(copies)}, not {sorted(names)}")
    return problems


def _fill_disk(ballast: Any) -> None:
    """Write until nothing more fits."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


def _measure(
    step: FaultStep, attempts: list[RequestAttempt], began: float, healed: float, whole: float
) -> StepResult:
    accepted = sorted(one.ended_at for one in attempts if one.is_accepted)
    during = [began, *(at for at in accepted if at < healed), healed]
    later = [healed, *(at for at in accepted if at >= healed)]
    return StepResult(
        step=step,
        accepted_count=len(accepted),
        refused_count=len(attempts) - len(accepted),
        outage_seconds=_longest_gap(during),
        later_outage_seconds=_longest_gap(later),
        longest_wait_seconds=max(one.ended_at - one.sent_at for one in attempts),
        healing_seconds=whole - healed,
    )


def _longest_gap(moments: list[float]) -> float:
    return max(later - earlier for earlier, later in itertools.pairwise(moments))
