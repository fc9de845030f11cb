"""Runs a trial: a cluster, a whole system on it, and the faults of the plan."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.cluster.fault_injector import ClusterFaultInjector, StepResult
from tests.cluster.plan import ClusterTrialPlan
from tests.harness.nats_cluster import SERVERS, NatsCluster, local_hosts, run_nats_cluster
from tests.harness.order_trial.trial import OrderTrialResult, run_trial
from tests.harness.private_network import IS_AVAILABLE, PrivateNetwork
from tests.harness.stack import stacks
from tests.harness.trader import TraderAnswers

DISK_BYTES = 256 << 20
STORE_SETTINGS = "max_file_store: 8GB"
"""Of a small disk a server would reserve too little for the streams."""
JOURNAL_BYTES = 1 << 30
HOSTS = SERVERS + 1
SPEED = 5.0
"""A multiple of real time: about 20 quotes a second per symbol."""


class ClusterTrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """A completed trial, and what each fault did."""

    plan: ClusterTrialPlan
    trial: OrderTrialResult
    steps: list[StepResult]

    def __str__(self) -> str:
        return "\n  ".join([f"seed {self.plan.seed}: {self.trial}", *map(str, self.steps)])


@contextlib.contextmanager
def run_cluster(folder: Path) -> Iterator[tuple[NatsCluster, PrivateNetwork | None]]:
    """A cluster that runs during the block, on hosts of its own if this test run may have them."""
    network = PrivateNetwork(folder, HOSTS, DISK_BYTES) if IS_AVAILABLE else None
    hosts = network.hosts if network is not None else local_hosts(folder, HOSTS)
    try:
        with run_nats_cluster(folder, hosts, STORE_SETTINGS) as cluster:
            yield cluster, network
    finally:
        if network is not None:
            network.close()


def run_cluster_trial(plan: ClusterTrialPlan, folders: Callable[[], Path]) -> ClusterTrialResult:
    """Run `plan`. Raises AssertionError if it cannot be completed."""
    with run_cluster(folders()) as (cluster, network), stacks(folders) as start:
        env = {
            "TAPEWIRE_REPLICAS": str(SERVERS),
            "TAPEWIRE_JOURNAL_BYTES": str(JOURNAL_BYTES),
            "TAPEWIRE_NATS_WAIT": "60",
        }
        stack = start(speed=SPEED, nats=cluster.url, env=env)
        steps: list[StepResult] = []

        async def inject(answers: TraderAnswers) -> None:
            injector = ClusterFaultInjector(cluster, network, answers)
            try:
                await injector.run(plan)
            finally:
                steps.extend(injector.results)

        try:
            trial = asyncio.run(run_trial(plan.trial, stack, inject))
        except BaseException:
            for number in range(HOSTS):
                if number in cluster.running:
                    sys.stdout.write(
                        f"the log of server {number} ends:\n{cluster.log_tail(number)}\n"
                    )
            sys.stdout.write(f"the log of tapewire up ends:\n{stack.log_tail(100)}\n")
            sys.stdout.write("\n".join(map(str, steps)) + "\n")
            raise
        assert stack.stop() == 0, f"no clean stop; the log ends:\n{stack.log_tail()}"
    return ClusterTrialResult(plan=plan, trial=trial, steps=steps)
