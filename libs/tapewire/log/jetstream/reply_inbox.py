"""`ReplyInbox`: hands the replies of a connection to the requests that wait for them."""

import asyncio
import contextlib
import secrets
from collections.abc import Iterator

from nats.aio.msg import Msg

from tapewire.log.jetstream.pending_replies import ReplySink
from tapewire.log.ports import LogError, OutcomeUnknown


class ReplyInbox:
    """The sinks of one connection, by the last token of their reply subjects. `subject` is what
    these begin with."""

    def __init__(self) -> None:
        self.subject = ""
        self._sinks: dict[str, ReplySink] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.contextmanager
    def receiving(self, sink: ReplySink) -> Iterator[str]:
        """Hand replies to `sink` during the block, which is given their reply subject."""
        name = secrets.token_hex(8)
        self._sinks[name] = sink
        self._idle.clear()
        try:
            yield f"{self.subject}.{name}"
        finally:
            del self._sinks[name]
            if not self._sinks:
                self._idle.set()

    async def receive(self, message: Msg) -> None:
        """Handle a message to the inbox; a reply that nothing waits for is dropped."""
        sink = self._sinks.get(message.subject.rpartition(".")[2])
        if sink is not None:
            sink.receive(message)

    async def wait_until_idle(self) -> None:
        """Wait until no request is under way."""
        await self._idle.wait()

    def fail(self, subject: str, error: LogError) -> None:
        """Fail the requests on `subject`, in lower case."""
        for sink in tuple(self._sinks.values()):
            if sink.subject.lower() == subject:
                sink.fail(error)

    def fail_all(self) -> None:
        """Fail all requests, because the connection is lost."""
        for sink in tuple(self._sinks.values()):
            sink.fail(OutcomeUnknown("the connection to NATS was lost"))
