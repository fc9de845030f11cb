"""Backups of the journal in a folder of files.

A backup holds EVENTS as a snapshot of the server, with its durable subscriptions, and beside it the
values that belong to it: the checkpoints of VIEWS, from which a trimmed journal is folded, and the
failed events of PARKED, which the durable subscriptions have put aside. Sessions, tickets, leases,
quotes and the records of the guards are no part of it. Start at `back_up` and `restore`.
"""

from tapewire.log.jetstream.backup.folder import (
    BackupFolder,
    BackupManifest,
    BadBackup,
    create_folder,
    open_backup,
)
from tapewire.log.jetstream.backup.restore import (
    JournalInUse,
    RestoreOptions,
    RestoreReport,
    restore,
)
from tapewire.log.jetstream.backup.write import EventsRemoved, back_up

__all__ = [
    "BackupFolder",
    "BackupManifest",
    "BadBackup",
    "EventsRemoved",
    "JournalInUse",
    "RestoreOptions",
    "RestoreReport",
    "back_up",
    "create_folder",
    "open_backup",
    "restore",
]
