"""The contract suite of brokers finds the faults that it is there for.

Each fault is written into the broker of docs/brokers.md, and one test of the suite must fail.
"""

import asyncio
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tapewire.brokers import Broker, BrokerContext
from tapewire.testing.brokers import BrokerContract, BrokerTrial, VenueDriver
from tests.harness.page_files import write_page_files

TIMEOUT_SECONDS = 1.5
FAULTS = [
    (
        "it makes ids of executions itself",
        'execution_id=message["execution"]',
        "execution_id=str(id(message))",
        "test_an_execution_that_is_reported_twice_is_booked_once",
    ),
    (
        "it takes two executions for one",
        'execution_id=message["execution"]',
        'execution_id=message["id"]',
        "test_two_executions_that_are_alike_are_two",
    ),
    (
        "it drops executions of closed orders",
        'if message["type"] == "executed":',
        'if message["type"] == "executed" and message["id"] in self._orders:',
        "test_what_is_executed_after_the_cancel_counts_and_is_an_alert",
    ),
    (
        "it acknowledges before the report",
        "                await reports.executed(execution)\n",
        "                asyncio.get_running_loop().call_later(9, execution)\n",
        "test_what_is_executed_while_no_broker_runs_is_booked_by_the_next_one",
    ),
    (
        "it names the correction instead of the execution",
        'execution_id=message["execution"],\n                    order_id',
        'execution_id=message["correction"],\n                    order_id',
        "test_a_corrected_execution_counts_as_corrected_once",
    ),
    (
        "it takes a bust for a correction",
        'is_busted=message["qty"] == "0"',
        "is_busted=False",
        "test_a_busted_execution_is_undone_once",
    ),
    (
        "it busts what is corrected",
        'is_busted=message["qty"] == "0"',
        "is_busted=True",
        "test_an_execution_that_is_corrected_and_then_busted_is_undone",
    ),
    (
        "it drops corrections of closed orders",
        'elif message["type"] == "corrected":',
        'elif message["type"] == "corrected" and message["id"] in self._orders:',
        "test_an_execution_of_a_canceled_order_is_busted",
    ),
    (
        "it acknowledges a correction before the report",
        "                await reports.execution_corrected(correction)\n",
        "                asyncio.get_running_loop().call_later(9, correction)\n",
        "test_what_is_corrected_while_no_broker_runs_is_booked_by_the_next_one",
    ),
    (
        "it sends a reduce-only order as any other",
        " and not order.reduce_only",
        "",
        "test_a_reduce_only_order_is_one_at_the_venue_or_is_rejected",
    ),
    (
        "it does not pass on a cancel",
        "order.status is OrderStatus.PENDING_CANCEL",
        "False",
        "test_a_cancel_takes_effect",
    ),
    (
        "it keeps an order open whose cancel was rejected",
        '"canceled", "cancel_rejected"',
        '"canceled"',
        "test_a_rejected_cancel_leaves_the_order_working",
    ),
    (
        "it does not pass on a replacement",
        "found.order.replacement or found.order",
        "found.order",
        "test_a_replacement_takes_effect",
    ),
    ("it only buys", "order.side.value", '"buy"', "test_a_sell_is_a_sell"),
    (
        "it asks for nothing after a lost connection",
        "for order_id in self._orders:",
        "for order_id in ():",
        "test_what_the_venue_decides_while_disconnected_is_known_afterwards",
    ),
    (
        "it fails when the venue is away",
        "except OSError",
        "except KeyError",
        "test_an_order_that_is_placed_while_disconnected_is_sent_afterwards",
    ),
    (
        "a task group swallows its cancellation",
        """                    await _run_until_first_ends(
                        self._send(writer, reports), self._receive(reader, writer, reports)
                    )
            except OSError as error:""",
        """                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._send(writer, reports))
                        tasks.create_task(self._receive(reader, writer, reports))
            except* OSError as error:""",
        "test_a_broker_ends_when_it_is_cancelled_while_its_connection_breaks",
    ),
]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Path]:
    """The folder with the files of the page, which can be imported."""
    write_page_files("brokers.md", tmp_path)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in ("acme_broker", "acme_venue"):
        sys.modules.pop(name, None)


def contract_of(make_venue: Callable[[], VenueDriver]) -> BrokerContract:
    """The suite for brokers of `make_venue`, with short timeouts."""

    class ImpatientContract(BrokerContract):
        def make_trial(self) -> BrokerTrial:
            return BrokerTrial(make_venue(), timeout_seconds=TIMEOUT_SECONDS)

    return ImpatientContract()


async def test_every_fault_fails_the_test_that_is_named_for_it(example: Path) -> None:
    from acme_venue import AcmeVenue  # type: ignore[import-not-found]

    source = (example / "acme_broker.py").read_text()

    async def is_found(right: str, wrong: str, name: str) -> bool:
        assert right in source
        module = types.ModuleType("faulty_broker")
        exec(source.replace(right, wrong), vars(module))  # noqa: S102 - it is our own page

        class FaultyVenue(AcmeVenue):  # type: ignore[misc]
            def make_broker(self, context: BrokerContext) -> Broker:
                broker: Broker = module.AcmeBroker(context)
                return broker

            async def _until(self, condition: Callable[[], bool]) -> None:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await super()._until(condition)

        test: Any = getattr(contract_of(FaultyVenue), name)
        try:
            await test()
        except (AssertionError, TimeoutError, asyncio.CancelledError):
            return True
        return False

    found = await asyncio.gather(*(is_found(*fault[1:]) for fault in FAULTS))

    missed = [fault[0] for fault, is_failure in zip(FAULTS, found, strict=True) if not is_failure]
    assert not missed
