"""Streams of a whole system, where nobody knows in which order things will be told."""

import asyncio

import pytest

SECONDS = 60.0


class Watch:
    """A stream, and what it told."""

    def __init__(self, stream) -> None:
        self.stream = stream
        self.told = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            self.told.append(await self.stream.read(seconds=SECONDS))

    async def sees(self, what, condition):
        """The first frame that `condition` takes, told by now or later."""
        try:
            async with asyncio.timeout(SECONDS):
                while True:
                    for frame in self.told:
                        if frame.data and condition(frame):
                            return frame
                    if self._reading.done():
                        self._reading.result()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            seen = [(one.event, one.data) for one in self.told[-15:]]
            pytest.fail(f"not within {SECONDS:g} s: {what}; last told: {seen}")

    async def names(self, name: str, **fields):
        """A frame of that name and those fields."""
        return await self.sees(
            f"{name} {fields}",
            lambda f: f.event == name and fields.items() <= f.data.items(),
        )

    async def close(self) -> None:
        self._reading.cancel()
        await self.stream.close()
