"""Archives: folders of files with the old events of a journal.

`tapewire journal archive` writes them, `tapewire verify --archive` checks them together with the
journal, and a program reads them::

    from tapewire import archive

    for recorded in archive.read("/backups/journal"):
        print(recorded.sequence, recorded.time, recorded.subject, recorded.event)

`files` has the format, `retention` the rule which old events the journal keeps, `archiver` the
steps of archiving, and `archived_log` the log that consists of an archive and its journal. Decision
record 0020 has the reasons.
"""

from tapewire.archive.files import Archive, ArchiveError, open_archive, read

__all__ = ["Archive", "ArchiveError", "open_archive", "read"]
