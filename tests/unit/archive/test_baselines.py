"""Baselines are what the log folds to at the horizon, whatever services store at the same time."""

import contextlib
import json
from typing import Any

import pytest

from tapewire.archive import baselines as baselines_module
from tapewire.archive.baselines import BaselineWriter
from tapewire.log import Bounds, Conflict, Page, RecordedEvent, pattern
from tapewire.log import view_checkpoints as checkpoints
from tapewire.log.checkpoint import checkpoint_key, read_checkpoint
from tapewire.log.history import HistoryReader
from tapewire.log.history_store import store_history
from tapewire.log.memory import MemoryEventLog, MemoryServer
from tapewire.log.page_reader import read_pages
from tapewire.log.work_progress import WorkProgress
from tapewire.verify.checkpoints import VIEW_TYPES
from tapewire.views import HistoryView, OrderHistory, OrdersView
from tests.harness.interrupted_store import InterruptedStore
from tests.harness.synthetic_log import SyntheticLog, append_synthetic_log

pytestmark = pytest.mark.virtual_time

EVENTS, USERS = 1500, 5
SMALL_BLOCK_ROWS = 4


class CountingLog(MemoryEventLog):
    """Counts the pages of all users' events that are read, and has no events of erased users."""

    pages = 0
    erased_users: frozenset[str] = frozenset()

    async def last_sequence(self, filter: str) -> int:  # noqa: A002
        if filter.split(".")[1] in self.erased_users:
            return 0
        return await super().last_sequence(filter)

    async def page(self, filter: str, **named: Any) -> Page:  # noqa: A002
        self.pages += filter == pattern()
        return await super().page(filter, **named)


class Journal:
    """A log of several users, and the baselines at its horizon."""

    def __init__(self) -> None:
        server = MemoryServer()
        self.log = CountingLog(server)
        self.store = InterruptedStore(server, stream="VIEWS", prefix="view")
        self.progress: list[WorkProgress] = []

    async def open(self) -> None:
        generated = SyntheticLog(users=USERS, seed=3)
        count = await append_synthetic_log(self.log, generated, EVENTS)
        self.users = [*generated.users, "_all"]
        self.last = count * 9 // 10
        self.bounds = await self.log.bounds()

    async def write(self) -> int:
        """Write the baselines as the archiver does."""
        writer = BaselineWriter(self.log, self.store)
        async for events in read_pages(self.log, pattern(), after=0, up_to=self.last):
            for recorded in events:
                writer.apply(recorded)
        self.log.pages = 0
        return await writer.write(self.last, self.progress.append)

    async def as_of(self, owner: str, view_type: Any) -> int:
        """The sequence that a stored checkpoint covers; 0 without one."""
        key = checkpoint_key(owner, checkpoints.checkpoint_name(view_type))
        found = await read_checkpoint(self.store, key)
        return 0 if found is None else found.as_of

    async def find_differences(self) -> list[tuple[str, str]]:
        """The owners and names of views that are not what all events before the horizon fold to."""
        wrong = []
        events = [
            one
            async for page in read_pages(self.log, pattern(), after=0, up_to=self.bounds.last)
            for one in page
        ]
        for name, view_type in VIEW_TYPES.items():
            for owner in self.users:
                found = await read_checkpoint(self.store, checkpoint_key(owner, name))
                own = [one for one in events if _concerns(one, owner, view_type.domain)]
                if found is None:
                    if any(one.sequence <= self.last for one in own):
                        wrong.append((owner, name))
                    continue
                folded = view_type()
                for one in own:
                    if one.sequence <= found.as_of:
                        folded.apply(one.event)
                if _state(bytes(found.state)) != _state(folded.encode()):
                    wrong.append((owner, name))
        return wrong

    async def rows(self, owner: str) -> list[str]:
        """The orders that `owner` can list, newest first, from the stored blocks."""
        reader, found, cursor = HistoryReader(self.log, self.store, OrderHistory), [], None
        while True:
            page = await reader.read_page(owner, 100, cursor)
            found += [row.order_id for row in page.rows]
            cursor = page.next
            if cursor is None:
                return found


def _concerns(recorded: RecordedEvent, owner: str, domain: str) -> bool:
    return (recorded.event_subject.owner, recorded.event_subject.domain) == (owner, domain)


def _state(data: bytes) -> Any:
    state = json.loads(data)
    if isinstance(state, dict):
        state.pop("stored", None)
    return state


@pytest.fixture
async def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setattr(HistoryView, "block_rows", SMALL_BLOCK_ROWS)
    made = Journal()
    await made.open()
    return made


@pytest.mark.parametrize("max_views", [5_000, 7])
@pytest.mark.parametrize("max_changed_blocks", [256, 3])
async def test_all_views_are_what_the_events_before_the_horizon_fold_to(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, max_views: int, max_changed_blocks: int
) -> None:
    monkeypatch.setattr(baselines_module, "MAX_VIEWS", max_views)
    monkeypatch.setattr(baselines_module, "MAX_CHANGED_BLOCKS", max_changed_blocks)
    monkeypatch.setattr(baselines_module, "EVENTS_PER_STEP", 50)
    before = [await journal.rows(user) for user in journal.users[:USERS]]
    assert await journal.write() > 5 * USERS
    assert await journal.find_differences() == []
    assert [await journal.rows(user) for user in journal.users[:USERS]] == before
    assert await journal.as_of(journal.users[0], OrdersView) == journal.last


async def test_the_log_is_read_once_for_all_views(journal: Journal) -> None:
    written = await journal.write()
    pages = journal.log.pages
    assert pages <= journal.last // 1000 + 1
    assert (await journal.write(), journal.log.pages) == (0, 0)
    assert written > 10 * pages


async def test_a_fold_goes_on_from_the_stored_checkpoint(journal: Journal) -> None:
    """The rest of the events alone would fold to something else."""
    [first, second, *_] = journal.users
    middle = Bounds(journal.bounds.epoch, 1, journal.last // 2)
    await store_history(journal.log, journal.store, OrderHistory, first, middle)
    view, _ = await checkpoints.load(journal.log, journal.store, OrdersView, second, bounds=middle)
    await checkpoints.save(journal.store, second, "orders", view, middle)
    await journal.write()
    assert await journal.find_differences() == []


class TestStoredMeanwhile:
    """By a service, after the writer has read the checkpoint and before it stores its own."""

    async def test_a_later_view_stays(self, journal: Journal) -> None:
        user = journal.users[0]

        async def save() -> None:
            view, bounds = await checkpoints.load(journal.log, journal.store, OrdersView, user)
            await checkpoints.save(journal.store, user, "orders", view, bounds)
            await store_history(journal.log, journal.store, OrderHistory, user)

        journal.store.before_write = (save,)
        await journal.write()
        assert await journal.as_of(user, OrdersView) == journal.bounds.last
        assert await journal.as_of(user, OrderHistory) == journal.bounds.last
        assert await journal.find_differences() == []

    async def test_an_earlier_step_of_a_history_is_continued(self, journal: Journal) -> None:
        user, middle = journal.users[0], Bounds(journal.bounds.epoch, 1, journal.last // 3)

        async def save() -> None:
            await store_history(journal.log, journal.store, OrderHistory, user, middle)

        journal.store.before_write = (save,)
        await journal.write()
        assert await journal.as_of(user, OrderHistory) == journal.last
        assert await journal.find_differences() == []

    async def test_again_and_again_is_given_up(self, journal: Journal) -> None:
        [*users, _] = journal.users

        async def save_all() -> None:
            for user in users:
                await checkpoints.save(journal.store, user, "orders", OrdersView(), zero)

        zero = Bounds(journal.bounds.epoch, 1, 1)
        journal.store.before_write = (save_all,) * 1000
        with pytest.raises(Conflict, match="stored views again"):
            await journal.write()

    async def test_an_erased_user_has_no_baseline(self, journal: Journal) -> None:
        user = journal.users[0]

        async def erase() -> None:
            journal.log.erased_users = frozenset({user})

        journal.store.before_write = (erase,)
        await journal.write()
        stored = await journal.store.get_all()
        owners = {key.partition(".")[0] for key in stored}
        assert owners >= {*journal.users[1:]}
        assert sum(key.startswith(f"{user}.") for key in stored) <= 1  # that of the first write


async def test_a_killed_run_is_continued_where_it_was(journal: Journal) -> None:
    class ProcessKilledError(Exception):
        pass

    async def kill() -> None:
        raise ProcessKilledError

    async def go_on() -> None: ...

    runs, written = 0, False
    while not written and runs < 20:
        runs += 1
        journal.store.before_write = (*(go_on,) * 20, kill)
        with contextlib.suppress(ProcessKilledError):
            await journal.write()
            written = True
    assert written, "each run begins with the first view"
    assert runs > 2
    assert await journal.find_differences() == []
