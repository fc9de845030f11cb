"""Cuts a stream of bytes into messages.

A message whose checksum or body length is wrong is dropped, as FIX demands: its sequence number is
then missing, and the session asks for it again.
"""

import re
from collections.abc import Iterator

from structlog.typing import FilteringBoundLogger

from fix_broker.messages import Message, decode

MAX_BODY_BYTES = 65_536
"""The longest body that is read. A longer one is taken for garbled."""
START = b"8=FIX"
HEAD = re.compile(rb"8=FIX[.T0-9]{1,8}\x019=([0-9]{1,6})\x01")
TRAILER = re.compile(rb"10=([0-9]{3})\x01")
MAX_HEAD_BYTES = 24
TRAILER_BYTES = 7


class FrameReader:
    """Takes what the connection received, and returns the messages that are complete."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        self._logger = logger
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that `data` completes, in their order. Exhaust it before the next call."""
        self._buffer += data
        while (frame := self._next_frame()) is not None:
            try:
                yield decode(frame)
            except ValueError as error:
                self._logger.warning("fix.garbled", reason=str(error))

    def _next_frame(self) -> bytes | None:
        """The next intact message; None if more bytes are needed."""
        while True:
            self._skip_to_start()
            head = HEAD.match(self._buffer)
            if head is None:
                if len(self._buffer) < MAX_HEAD_BYTES:
                    return None
                self._skip_garbled("no body length")
                continue
            body_end = head.end() + int(head[1])
            if int(head[1]) > MAX_BODY_BYTES:
                self._skip_garbled("the body is too long")
                continue
            if len(self._buffer) < body_end + TRAILER_BYTES:
                return None
            trailer = TRAILER.match(self._buffer, body_end)
            if trailer is None:
                self._skip_garbled("wrong body length")
            elif sum(self._buffer[:body_end]) % 256 != int(trailer[1]):
                self._skip_garbled("wrong checksum")
            else:
                frame = bytes(self._buffer[: trailer.end()])
                del self._buffer[: trailer.end()]
                return frame

    def _skip_to_start(self) -> None:
        start = self._buffer.find(START)
        if start < 0:
            start = max(len(self._buffer) - len(START) + 1, 0)
        del self._buffer[:start]

    def _skip_garbled(self, reason: str) -> None:
        self._logger.warning("fix.garbled", reason=reason)
        del self._buffer[0]
