"""A command that can do only a part of its work does it, names the rest, and exits with 1."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tapewire.cli import main, parked
from tapewire.cli.journal import rebuild
from tapewire.log import Conflict, Unavailable
from tapewire.log.failed_event_store import FailedEvent
from tapewire.log.memory import MemoryServer
from tapewire.log.memory.connection import MemoryConnection
from tapewire.log.memory.failed_events import MemoryFailedEventStore
from tapewire.verify.checkpoints import VIEW_TYPES

NAME = "audits@desk"


def parked_event(sequence: int) -> FailedEvent:
    return FailedEvent(
        subscription=NAME,
        sequence=sequence,
        subject=f"ev.ann.orders.{sequence}",
        event_id=f"e{sequence}",
        tag="order.placed.v1",
        error="KeyError",
        attempts=10,
        failed_at=datetime.now(UTC),
        next_attempt_at=None,
    )


def run_in_memory(
    _command: str, _nats: str | None, work: Callable[[Any, Any], Coroutine[Any, Any, Any]]
) -> Any:
    """In place of `run_connected`: the work of a command, without a message server."""
    return asyncio.run(work(None, None))


class ContestedStore(MemoryFailedEventStore):
    """Another process changes the events of `contested` first."""

    contested: tuple[int, ...] = ()
    error: Exception = Conflict("changed meanwhile: list it again")

    async def put(self, event: FailedEvent, expected_revision: int) -> int:
        if event.sequence in self.contested and event.next_attempt_at is not None:
            raise self.error
        return await super().put(event, expected_revision)

    async def remove(self, event: FailedEvent, revision: int) -> bool:
        if event.sequence in self.contested:
            if isinstance(self.error, Unavailable):
                raise self.error
            return False
        return await super().remove(event, revision)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> ContestedStore:
    server = MemoryServer()
    made = ContestedStore(MemoryConnection(server, None), server.failed_events)

    monkeypatch.setattr(parked, "run_connected", run_in_memory)
    monkeypatch.setattr(parked, "JetStreamFailedEventStore", lambda _connection: made)
    return made


async def _fill(store: ContestedStore) -> None:
    for sequence in (1, 2, 3):
        await store.put(parked_event(sequence), 0)


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


@pytest.mark.parametrize(("verb", "outcome"), [("retry", "to be tried again"), ("drop", "dropped")])
class TestParked:
    def test_all_other_events_are_acted_on(
        self, verb: str, outcome: str, store: ContestedStore
    ) -> None:
        asyncio.run(_fill(store))
        store.contested = (2,)
        result = run("parked", verb, NAME, "--all")
        assert result.exit_code == 1, result.output
        assert result.stdout == (f"1 ev.ann.orders.1: {outcome}\n3 ev.ann.orders.3: {outcome}\n")
        assert f"1 of 3 events are not {outcome}: " in result.stderr
        assert "list it again" in result.stderr

    def test_what_was_done_before_the_store_went_away_is_printed(
        self, verb: str, outcome: str, store: ContestedStore
    ) -> None:
        asyncio.run(_fill(store))
        store.contested, store.error = (3,), Unavailable("no connection to NATS")
        result = run("parked", verb, NAME, "--all")
        assert result.exit_code == 3, result.output
        assert result.stdout.count(outcome) == 2
        assert "no connection to NATS" in result.stderr

    def test_all_of_them_exit_with_0(self, verb: str, outcome: str, store: ContestedStore) -> None:
        asyncio.run(_fill(store))
        result = run("parked", verb, NAME, "--all")
        assert (result.exit_code, result.stdout.count(outcome)) == (0, 3)


def test_views_that_keep_changing_do_not_keep_others_from_being_rebuilt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rebuilt: list[str] = []

    async def rebuild_view(_log: Any, _store: Any, _type: Any, owner: str) -> None:
        if owner == "bob":
            raise Conflict("orders of 'bob' was stored again each time")
        rebuilt.append(owner)

    async def list_views(*_: Any) -> list[tuple[Any, str]]:
        return [(VIEW_TYPES["orders"], owner) for owner in ("ann", "bob", "carl")]

    async def complete_log(*_: Any) -> None:
        return None

    monkeypatch.setattr(rebuild, "rebuild_view", rebuild_view)
    monkeypatch.setattr(rebuild, "_list_views", list_views)
    monkeypatch.setattr(rebuild, "_complete_log", complete_log)
    monkeypatch.setattr(rebuild, "run_on_journal", run_in_memory)
    monkeypatch.setattr(rebuild, "JetStreamLatestValueStore", lambda *_, **__: None)
    result = run("journal", "rebuild")
    assert result.exit_code == 1, result.output
    assert rebuilt == ["ann", "carl"]
    assert "rebuilt 2 views" in result.stdout
    assert "1 of 3 views were not replaced, run the command again: orders of 'bob'" in result.stderr
