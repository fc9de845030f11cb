"""Connects a session to its venue: reads, writes, stores the numbers, and connects again.

The numbers are stored before anything is written under them. What was received is stored as
received only after the application has processed it, and is sent again after a crash. Start at
`FixConnection.run`.
"""

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable

import msgspec

from fix_broker.framing import FrameReader
from fix_broker.messages import BadField, Message
from fix_broker.sequence_numbers import NumberLedger, SequenceNumbers
from fix_broker.session import FixSession
from fix_broker.session_events import LogonAnswer, SessionEnd, SessionEvent
from fix_broker.settings import FixSettings
from tapewire.brokers import BrokerContext

NUMBERS_NAME = "sequence-numbers"
CONNECT_SECONDS = 10.0
TICK_SECONDS = 0.25
FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.2, 15.0
"""The bounds of the wait before the next connection. It doubles with each failure."""
LOGOUT_SECONDS = 1.0
"""How long the venue has to answer the logout when the broker stops."""
READ_BYTES = 65_536
MESSAGES_PER_STEP = 16
"""Messages that are read before other tasks get their turn: the lease is renewed by one of them."""


Listener = Callable[[SessionEvent], None]
"""What the events of the session go to, in the order of the venue's messages. It must not block."""


class FixConnection:
    """One session with a venue, over as many connections as it takes."""

    def __init__(self, settings: FixSettings, context: BrokerContext) -> None:
        self._settings = settings
        self._context = context
        self._logger = context.logger
        self._stored = SequenceNumbers()
        self._session: FixSession | None = None
        self._has_news = asyncio.Event()
        self._delay_seconds = FIRST_DELAY_SECONDS

    @property
    def is_logged_on(self) -> bool:
        return self._session is not None and self._session.is_logged_on

    def send(self, message: Message) -> None:
        """Send an application message soon. Only while `is_logged_on`."""
        if self._session is None:
            raise RuntimeError("the session has not begun")
        self._session.send(message)
        self._has_news.set()

    def end_processing(self, receipt: int) -> None:
        """Note that a received message was processed."""
        if self._session is not None:
            self._session.numbers.end_processing(receipt)

    def reject(self, message: Message, error: BadField) -> None:
        """Tell the venue that a message cannot be read."""
        if self._session is not None and self._session.is_logged_on:
            self._session.reject(message, error)
            self._has_news.set()

    async def run(self, listener: Listener) -> None:
        """Keep the session up until cancelled."""
        self._session = session = await self._make_session()
        while True:
            end = await self._connect(session, listener)
            self._context.set_problem(f"no session with the FIX venue: {end.reason}")
            if end.is_fault:
                self._delay_seconds = MAX_DELAY_SECONDS
            log = self._logger.error if end.is_fault else self._logger.warning
            log("fix.session_ended", reason=end.reason, retry_seconds=self._delay_seconds)
            await asyncio.sleep(self._delay_seconds * random.uniform(0.5, 1.5))  # noqa: S311
            self._delay_seconds = min(2 * self._delay_seconds, MAX_DELAY_SECONDS)

    async def _make_session(self) -> FixSession:
        stored = await self._context.store.load(NUMBERS_NAME)
        if stored is not None:
            self._stored = msgspec.json.decode(stored, type=SequenceNumbers)
        return FixSession(
            self._settings,
            NumberLedger(self._stored),
            self._logger,
            clock=self._context.clock,
            timer=asyncio.get_running_loop().time,
        )

    async def _connect(self, session: FixSession, listener: Listener) -> SessionEnd:
        """One connection, from its logon to its end."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    self._settings.host,
                    self._settings.port,
                    ssl=ssl.create_default_context() if self._settings.is_tls else None,
                )
        except (OSError, TimeoutError) as error:
            return SessionEnd(f"cannot connect: {error or 'no answer'}", is_fault=False)
        session.open()
        reading = asyncio.create_task(self._read(session, reader, listener))
        try:
            return await self._write_until_end(session, writer, reading)
        except asyncio.CancelledError:
            session.log_out("the broker stops")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOGOUT_SECONDS):
                    await self._write_until_end(session, writer, reading)
            raise
        finally:
            reading.cancel()
            writer.close()

    async def _read(
        self, session: FixSession, reader: asyncio.StreamReader, listener: Listener
    ) -> None:
        frames = FrameReader(self._logger)
        while session.end is None:
            try:
                data = await reader.read(READ_BYTES)
            except OSError as error:
                session.disconnect(f"the connection failed: {error}")
                break
            if not data:
                session.disconnect("the venue closed the connection")
            for number, message in enumerate(frames.feed(data), 1):
                for event in session.receive(message):
                    if isinstance(event, LogonAnswer):
                        self._note_logon()
                    listener(event)
                self._has_news.set()
                if not number % MESSAGES_PER_STEP:
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
        self._has_news.set()

    async def _write_until_end(
        self, session: FixSession, writer: asyncio.StreamWriter, reading: asyncio.Task[None]
    ) -> SessionEnd:
        while True:
            session.tick()
            await self._flush(session, writer)
            if reading.done():
                reading.result()  # raises what went wrong here, not at the venue
            if session.end is not None:
                return session.end
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._has_news.wait()
            except TimeoutError:
                continue
            self._has_news.clear()

    async def _flush(self, session: FixSession, writer: asyncio.StreamWriter) -> None:
        data, numbers = session.take_outgoing(), session.numbers.storable()
        if numbers != self._stored:
            await self._context.store.save(NUMBERS_NAME, msgspec.json.encode(numbers))
            self._stored = numbers
        try:
            if not writer.is_closing():
                writer.write(data)
                await writer.drain()
        except (OSError, RuntimeError) as error:  # uvloop: RuntimeError on a closed transport
            session.disconnect(f"the connection failed: {error}")

    def _note_logon(self) -> None:
        self._logger.info("fix.logged_on", venue=self._settings.target_comp_id)
        self._delay_seconds = FIRST_DELAY_SECONDS
        self._context.set_problem(None)
