"""Reports of all edge processes, for operators: what each has open, and where it stands.

The process that an operator asks sends a `ReportRequest`; the others answer with a `ProcessReport`
of their own. A process that is busy or gone is named instead. Start at `ReportExchange.collect`.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime

import msgspec

from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.cluster.channel import Channel

TOPIC = "edge.reports"
TIMEOUT_SECONDS = 1.5
"""How long the other processes may take."""


class ReportedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event, which a process is asked about. `data` is its JSON."""

    sequence: int
    subject: str
    tag: str
    data: bytes
    event_id: str
    correlation: str
    time: datetime


class ConnectionReport(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """A connection, with the first 50 of its topics. `position` is the event id up to which
    everything was put into its outbox or is not shown, `last_sent_id` the last one that the client
    was sent, and `starts_after` the one that the connection started or last changed at.

    `behind` counts events of the journal, of all users, between the position and what its process
    has received. `outbox_bytes` wait to be written, the write that is under way lasts for
    `write_seconds`. `shows_event` says whether the connection shows the event that was asked about.
    """

    client_id: str
    instance: str
    user_id: str | None
    owner: str | None
    stream: str
    topics: list[str]
    is_live: bool
    position: str
    last_sent_id: str | None
    starts_after: str | None
    behind: int
    outbox_bytes: int
    write_seconds: float
    shows_event: bool | None = None


class ProcessReport(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
    """One process. `log_position` is the last event that it has received. `closed` counts
    connections that ended and `resets` streams that could not resume, both by reason, since the
    process started. `connections` are those that were asked for."""

    request_id: str
    instance: str
    follows_log: bool
    is_draining: bool
    log_position: str
    connections_by_stream: dict[str, int]
    closed: dict[str, int]
    resets: dict[str, int]
    connections: list[ConnectionReport]


class ReportRequest(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Asks for the reports of all processes, with the connections of `user`, or else with those
    that are slowest, and whether they show `event`."""

    request_id: str
    user: str | None = None
    event: ReportedEvent | None = None


MakeReport = Callable[[ReportRequest], ProcessReport]


class ReportExchange:
    """The requests of process `instance` to the others, and theirs to this one."""

    def __init__(self, broadcast: Broadcast, instance: str, make_report: MakeReport) -> None:
        self._channel: Channel[ReportRequest | ProcessReport] = Channel(
            broadcast, TOPIC, ReportRequest | ProcessReport
        )
        self._instance = instance
        self._make_report = make_report
        self._waiting: dict[str, asyncio.Queue[ProcessReport]] = {}
        self._answers: set[asyncio.Task[bool]] = set()

    async def collect(
        self, request: ReportRequest, others: Collection[str]
    ) -> tuple[list[ProcessReport], list[str]]:
        """The reports of this process and of `others`, and which of them have not answered."""
        reports = {self._instance: self._make_report(request)}
        missing = set(others) - reports.keys()
        arrived = self._waiting[request.request_id] = asyncio.Queue()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                if missing:
                    await self._channel.publish(request)
                while missing:
                    report = await arrived.get()
                    reports[report.instance] = report
                    missing.discard(report.instance)
        except TimeoutError:
            pass
        finally:
            del self._waiting[request.request_id]
        return [reports[name] for name in sorted(reports)], sorted(missing)

    async def run(self) -> None:
        """Answer the other processes until cancelled."""
        async with self._channel.subscribe(self._receive):
            await asyncio.Event().wait()

    def _receive(self, message: ReportRequest | ProcessReport) -> None:
        if isinstance(message, ProcessReport):
            if message.request_id in self._waiting:
                self._waiting[message.request_id].put_nowait(message)
        elif message.request_id not in self._waiting:
            task = asyncio.create_task(self._channel.publish(self._make_report(message)))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)
