"""Publishing stores an event once, or raises an error that says whether it may be stored."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

import tapewire
from tapewire import Client, Conflict, PublishTimeout, RecordedEvent
from tapewire.log import failed_event_store, failed_events
from tapewire.log.memory import Faults
from tapewire.log.memory.connection import MemoryConnection
from tapewire.log.memory.failed_events import MemoryFailedEventStore
from tests.harness.client_harness import ClientHarness
from tests.harness.loans import LoanMade, LoanRate

pytestmark = pytest.mark.virtual_time

STRATEGY: dict[str, Any] = {"user": "alice", "strategy_id": "s-1"}
DAY = datetime(2026, 3, 2, tzinfo=UTC)


def loan(number: int = 1) -> LoanMade:
    return LoanMade(loan_id=f"l-{number}", amount=Decimal(number))


@pytest.fixture
async def harness() -> ClientHarness:
    """A harness that uses the clock of the event loop."""
    clock = asyncio.get_running_loop().time
    return ClientHarness(now=lambda: DAY + timedelta(seconds=clock()))


async def calm_after(faults: Faults, seconds: float) -> None:
    await asyncio.sleep(seconds)
    faults.disable()


async def test_a_lost_acknowledgement_is_retried(harness: ClientHarness) -> None:
    faults = Faults(seed=1, lost_ack_rate=1.0)
    calming = asyncio.create_task(calm_after(faults, 1.0))
    receipt = await harness.client(faults=faults).strategy_started(**STRATEGY)
    assert (receipt.is_duplicate, receipt.sequence) == (True, 1)
    assert [recorded.metadata.id for recorded in harness.recorded_events()] == [receipt.id]
    await calming


async def test_a_short_outage_is_waited_out(harness: ClientHarness) -> None:
    harness.server.begin_outage(15)
    receipt = await harness.client().strategy_started(**STRATEGY)
    assert (receipt.is_duplicate, receipt.sequence) == (False, 1)


async def test_a_long_outage_raises_publish_timeout_with_the_event_id(
    harness: ClientHarness,
) -> None:
    harness.server.begin_outage(60)
    client = harness.client(retry_seconds=5)
    with pytest.raises(PublishTimeout, match="was not stored") as caught:
        await client.strategy_started(**STRATEGY)
    assert not caught.value.may_be_stored
    await asyncio.sleep(60)
    receipt = await client.strategy_started(**STRATEGY, event_id=caught.value.event_id)
    assert (receipt.id, receipt.is_duplicate) == (caught.value.event_id, False)
    assert len(harness.recorded_events()) == 1


async def test_a_long_outage_raises_publish_timeout_for_prices(harness: ClientHarness) -> None:
    harness.server.begin_outage(60)
    with pytest.raises(PublishTimeout, match=r"px\.IBM was not stored: ") as caught:
        await harness.client(retry_seconds=5).price("IBM", 182)
    assert caught.value.event_id is None


async def test_a_timeout_reports_a_possibly_stored_event_which_can_be_repeated(
    harness: ClientHarness,
) -> None:
    faults = Faults(seed=1, lost_ack_rate=1.0)
    client = harness.client(faults=faults, retry_seconds=5)
    asyncio.get_running_loop().call_later(0.01, setattr, faults, "unavailable_rate", 1.0)
    with pytest.raises(PublishTimeout, match="may have been stored") as caught:
        await client.strategy_started(**STRATEGY)
    assert caught.value.may_be_stored
    faults.disable()
    receipt = await client.strategy_started(**STRATEGY, event_id=caught.value.event_id)
    assert (receipt.is_duplicate, receipt.sequence) == (True, 1)
    assert len(harness.recorded_events()) == 1


async def test_a_wrong_expected_sequence_raises_conflict() -> None:
    harness = ClientHarness()
    client = harness.client()
    first = await client.publish(loan(), owner="alice", entity="l", expected_sequence=0)
    await client.publish(loan(2), owner="alice", entity="l", expected_sequence=first.sequence)
    with pytest.raises(Conflict):
        await client.publish(loan(3), owner="alice", entity="l", expected_sequence=first.sequence)
    assert len(harness.recorded_events()) == 2


async def test_a_retried_event_does_not_conflict_with_itself(harness: ClientHarness) -> None:
    """The acknowledgement is lost; at the next try the entity has the event itself as its last."""
    faults = Faults(seed=1, lost_ack_rate=1.0)
    calming = asyncio.create_task(calm_after(faults, 1.0))
    client = harness.client(faults=faults)
    receipt = await client.publish(loan(), owner="alice", entity="l", expected_sequence=0)
    assert (receipt.is_duplicate, receipt.sequence) == (True, 1)
    await calming


async def test_a_temporary_conflict_is_retried(
    harness: ClientHarness,
) -> None:
    faults = Faults(seed=1, conflict_rate=1.0)
    calming = asyncio.create_task(calm_after(faults, 1.0))
    client = harness.client(faults=faults)
    receipt = await client.publish(loan(), owner="alice", entity="l", expected_sequence=0)
    assert (receipt.is_duplicate, receipt.sequence) == (False, 1)
    await calming


async def test_once_prevents_duplicates_without_a_time_limit(harness: ClientHarness) -> None:
    client = harness.client()
    await client.publish(loan(), owner="alice", entity="l", event_id="e", once=True)
    await asyncio.sleep(1800)
    again = await client.publish(loan(), owner="alice", entity="l", event_id="e", once=True)
    assert again.is_duplicate
    with pytest.raises(Conflict):
        await client.publish(loan(2), owner="alice", entity="l", event_id="f", once=True)
    assert len(harness.recorded_events()) == 1


async def test_put_replaces_the_value_of_an_entity() -> None:
    harness = ClientHarness()
    client = harness.client()
    await client.put(LoanRate(percent=Decimal("4.1")), owner="alice", entity="EUR/USD")
    await client.put(LoanRate(percent=Decimal("4.25")), owner="alice", entity="EUR/USD")
    key = "alice.unitloan%2Erate%2Ev1.EUR%2FUSD"
    assert harness.stored_value(key) == {"percent": Decimal("4.25")}


@pytest.mark.parametrize("seed", range(12))
async def test_through_random_faults_acknowledged_events_are_stored_once(
    seed: int, harness: ClientHarness
) -> None:
    clients = [harness.client(f"p{n}", faults=Faults.rough(seed * 7 + n)) for n in range(3)]
    acknowledged: list[tuple[str, int | None]] = []
    refused: list[str] = []

    async def publish(client: Client, number: int) -> None:
        try:
            receipt = await client.publish(loan(number), owner="alice", entity=f"{number % 4}")
        except PublishTimeout as error:
            if not error.may_be_stored:
                refused.append(error.event_id or "")
        else:
            acknowledged.append((receipt.id, receipt.sequence))

    await asyncio.gather(*[publish(clients[n % 3], n) for n in range(60)])
    stored = {recorded.metadata.id: recorded.sequence for recorded in harness.recorded_events()}
    assert len(stored) == len(harness.recorded_events())
    assert len(acknowledged) > 50
    for id_, sequence in acknowledged:
        assert stored[id_] == sequence
    assert not stored.keys() & set(refused)


class LoanHandler:
    """A handler that publishes two events for each loan, and fails a given number of times."""

    def __init__(self, client: Client, failures_left: int = 0) -> None:
        self.client = client
        self.failures_left = failures_left
        self.handled_counts: Counter[int] = Counter()

    async def handle(self, recorded: RecordedEvent) -> None:
        event = recorded.event
        assert isinstance(event, LoanMade)
        await self.client.strategy_started(user="bob", strategy_id=event.loan_id)
        if self.failures_left > 0:
            self.failures_left -= 1
            raise RuntimeError("not now")
        await self.client.alert(user="bob", message=f"{event.amount}")
        self.handled_counts[recorded.sequence] += 1


async def wait_until_handled(loan_handler: LoanHandler, number: int) -> None:
    while len(loan_handler.handled_counts) < number:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.1)


def count_reports(harness: ClientHarness) -> Counter[str]:
    return Counter(
        f"{recorded.tag} of {recorded.metadata.causation}"
        for recorded in harness.recorded_events()
        if recorded.tag != "unitloan.made.v1"
    )


async def test_a_handler_that_fails_for_minutes_publishes_each_event_once(
    harness: ClientHarness,
) -> None:
    """The log detects duplicate ids within two minutes only. A handler that publishes, fails until
    the event is parked, and succeeds half an hour later still publishes each event once."""
    client = harness.client()
    await client.publish(loan(), owner="bob", entity="l-1", event_id="cause")
    loan_handler = LoanHandler(client, failures_left=failed_events.MAX_ATTEMPTS)
    subscription = await client.subscribe_durable(
        "desk", tapewire.pattern(domain="unitloans"), loan_handler.handle
    )
    await asyncio.sleep(1800)
    [parked] = harness.server.failed_events.rows(None)
    assert parked.event.is_parked
    await failed_event_store.retry_parked(
        MemoryFailedEventStore(
            MemoryConnection(harness.server, None), harness.server.failed_events
        ),
        parked,
        datetime(1970, 1, 1, tzinfo=UTC),
    )
    await wait_until_handled(loan_handler, 1)
    assert count_reports(harness) == {
        "report.strategy_started.v1 of cause": 1,
        "alert.raised.v1 of cause": 1,
    }
    await subscription.close()


@pytest.mark.parametrize("seed", range(6))
async def test_through_random_faults_a_handler_publishes_each_event_once(
    seed: int, harness: ClientHarness
) -> None:
    for number in range(20):
        await harness.client().publish(
            loan(number), owner="bob", entity=f"{number}", event_id=f"c-{number}"
        )
    faults = Faults.rough(seed)
    client = harness.client(faults=faults, retry_seconds=5)
    loan_handler = LoanHandler(client, failures_left=5)
    subscription = await client.subscribe_durable(
        "desk", tapewire.pattern(domain="unitloans"), loan_handler.handle
    )
    await wait_until_handled(loan_handler, 20)
    faults.disable()
    await asyncio.sleep(60)
    assert count_reports(harness) == {
        f"{tag} of c-{number}": 1
        for tag in ("report.strategy_started.v1", "alert.raised.v1")
        for number in range(20)
    }
    await subscription.close()


async def test_events_of_a_handler_have_the_correlation_and_causation_of_their_cause() -> None:
    harness = ClientHarness()
    client = harness.client()
    with tapewire.correlated("morning-batch"):
        cause = await client.publish(loan(), owner="bob", entity="l-1")
    loan_handler = LoanHandler(client)
    subscription = await client.subscribe_durable(
        "desk", tapewire.pattern(domain="unitloans"), loan_handler.handle
    )
    while not loan_handler.handled_counts:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await subscription.close()
    _, *published = harness.recorded_events()
    assert {one.metadata.correlation for one in harness.recorded_events()} == {"morning-batch"}
    assert [one.metadata.causation for one in published] == [cause.id, cause.id]


async def test_calls_outside_of_handlers_have_no_causation_and_separate_correlations() -> None:
    harness = ClientHarness()
    for _ in range(2):
        await harness.client().strategy_started(**STRATEGY)
    one, two = harness.recorded_events()
    assert one.metadata.causation is None
    assert one.metadata.correlation != two.metadata.correlation


async def test_published_events_continue_the_trace_of_the_program() -> None:
    from opentelemetry.sdk.trace import TracerProvider

    harness = ClientHarness()
    with TracerProvider().get_tracer("theirs").start_as_current_span("their work") as span:
        await harness.client().strategy_started(**STRATEGY)
    [recorded] = harness.recorded_events()
    assert recorded.metadata.traceparent is not None
    assert f"{span.get_span_context().trace_id:032x}" in recorded.metadata.traceparent


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a\nb"])
def test_an_invalid_correlation_is_rejected(name: str) -> None:
    with pytest.raises(tapewire.InvalidArgument, match="correlation="), tapewire.correlated(name):
        pass
