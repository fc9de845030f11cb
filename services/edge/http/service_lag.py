"""How far the services have followed the journal, asked of those that hold the leases."""

import asyncio
from collections.abc import Sequence

import msgspec

from tapewire.log import CommandRejected, EventLog, LogError
from tapewire.runtime import RequestClient, RequestTimeout
from tapewire.runtime.contracts.progress import (
    NOTIFICATION_PROGRESS,
    PROGRESS,
    GetProgress,
    Progress,
)
from tapewire_services.edge.delivery.cursor import Cursor

PROGRESS_CALLS = (
    ("orders", PROGRESS),
    ("positions", PROGRESS),
    ("strategies", PROGRESS),
    ("alerts", PROGRESS),
    ("alerts", NOTIFICATION_PROGRESS),
)
"""Who says how far its work has come. `alerts` has two kinds: rules, and notifications."""
TIMEOUT_SECONDS = 1.5


class ServiceLag(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A subscription of a service to the journal: `filter` selects its events. `position` is the id
    up to which they were handled, `behind` counts those that are left."""

    service: str
    filter: str
    position: str
    behind: int

    @property
    def sequence(self) -> int:
        """The sequence of `position`."""
        return int(self.position.rpartition("-")[2])


async def read_lags(
    requests: RequestClient, log: EventLog, correlation: str
) -> tuple[list[ServiceLag], list[str]]:
    """The lags of all services, and the names of those that did not answer.

    Raises:
        LogError: the journal cannot be read.
    """
    answers = await asyncio.gather(
        *(_ask(requests, service, verb, correlation) for service, verb in PROGRESS_CALLS)
    )
    epoch, lags = (await log.bounds()).epoch, list[ServiceLag]()
    for (service, _), progress in zip(PROGRESS_CALLS, answers, strict=True):
        for filter_, sequence in {} if progress is None else progress.taken.items():
            position = str(Cursor(epoch, sequence))
            behind = await _count_after(log, filter_, sequence)
            lags.append(
                ServiceLag(service=service, filter=filter_, position=position, behind=behind)
            )
    return lags, _unanswered(answers)


async def _ask(
    requests: RequestClient, service: str, verb: str, correlation: str
) -> Progress | None:
    try:
        return await requests.request(
            service,
            verb,
            GetProgress(),
            Progress,
            correlation=correlation,
            timeout_seconds=TIMEOUT_SECONDS,
        )
    except (CommandRejected, LogError, RequestTimeout):
        return None


async def _count_after(log: EventLog, filter_: str, sequence: int) -> int:
    page = await log.page(filter_, after=sequence, limit=1)
    return len(page.events) + page.remaining


def _unanswered(answers: Sequence[Progress | None]) -> list[str]:
    silent = (
        service
        for (service, _), progress in zip(PROGRESS_CALLS, answers, strict=True)
        if progress is None
    )
    return list(dict.fromkeys(silent))
