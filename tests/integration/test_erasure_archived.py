"""A user is erased from a journal that was archived, and from its archive: everybody else's state
stays the same, and the journal and the archive fit together.
"""

import asyncio
from pathlib import Path

import pytest

from tapewire import archive
from tapewire.log import EVERYBODY, pattern
from tapewire.log.jetstream import user_erasure
from tapewire.log.jetstream.journal_admin import find_recorded_losses
from tests.harness.consumer_checkpoints import write_consumer_checkpoints
from tests.harness.waiting import wait_until_async
from tests.integration.test_journal_archive import ArchivedJournal


@pytest.mark.parametrize("number", [0, pytest.param(1, marks=pytest.mark.slow)])
async def test_a_user_is_erased_from_an_archived_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(user_erasure, "QUIET_SECONDS", 0.3)
    monkeypatch.setattr(user_erasure, "SETTLE_SECONDS", 0.05)
    journal = ArchivedJournal(tmp_path)
    try:
        await journal.open()
        await journal.archive()
        user = journal.users[number]
        before = {key: data for key, data in (await journal.views()).items() if key[0] != user}

        async def follow_as_services_do() -> None:
            erasures = pattern(owner=EVERYBODY, domain="reports")
            await wait_until_async(
                "the erasure is appended", lambda: journal.log.last_sequence(erasures)
            )
            await write_consumer_checkpoints(journal.log, journal.store)

        following = asyncio.create_task(follow_as_services_do())
        code, output = await journal.run(
            "journal", "erase", "--user", user, f"--archive={journal.folder}"
        )
        await following
        assert code == 0, output
        # The positions were written before the events were removed; a service leaves them out.
        await write_consumer_checkpoints(journal.log, journal.store)
        assert (await find_recorded_losses(journal.connection))[1] == []
        assert await journal.log.last_sequence(pattern(owner=user)) == 0
        owners = {one.event_subject.owner for one in archive.read(journal.folder)}
        assert user not in owners
        assert owners >= {*journal.users} - {user}
        after = await journal.views()
        assert {key: data for key, data in after.items() if key[0] != user} == before
        for options in ((), (f"--archive={journal.folder}",)):
            code, output = await journal.run("verify", *options)
            assert (code, "nothing differs" in output) == (0, True), output
    finally:
        await journal.close()
