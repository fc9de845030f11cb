"""Watches streams of a whole system, where the order of events is not known."""

import asyncio
from typing import Any

import pytest

from tests.harness.sse import Frame, SseStream

WAIT_SECONDS = 60.0


class StreamWatcher:
    """A stream, and the frames received from it."""

    def __init__(self, stream: SseStream) -> None:
        self.stream = stream
        self.received_frames: list[Frame] = []
        self._read_task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            self.received_frames.append(await self.stream.read(seconds=WAIT_SECONDS))

    async def wait_for_frame(self, description: str, condition: Any) -> Frame:
        """Return the first frame that satisfies `condition`, received before or after the call."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    for frame in self.received_frames:
                        if frame.data and condition(frame):
                            return frame
                    if self._read_task.done():
                        self._read_task.result()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            seen = [(one.event, one.data) for one in self.received_frames[-15:]]
            pytest.fail(f"not within {WAIT_SECONDS:g} s: {description}; last seen: {seen}")

    async def wait_for_event(self, name: str, **fields: Any) -> Frame:
        """Return the first frame with that event name and those fields."""
        return await self.wait_for_frame(
            f"{name} {fields}",
            lambda f: f.event == name and fields.items() <= f.data.items(),
        )

    async def close(self) -> None:
        self._read_task.cancel()
        await self.stream.close()
