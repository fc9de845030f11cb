"""The equity curve of a user: samples in two resolutions, of which a bounded number is kept. Pure.

Samples are collected in blocks. The newest full blocks are kept, and of each full block the last
sample goes on into a coarser series, which is kept in blocks too. With a sample a minute, the
curve has a sample for every minute of a day, and one for every hour of the 90 days before. Start at
`add_sample`.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import msgspec

BLOCK_SAMPLES = 60
Series = Literal["recent", "coarse"]
KEPT_BLOCKS: dict[Series, int] = {"recent": 24, "coarse": 36}
"""Full blocks of each series."""


class EquitySample(msgspec.Struct, frozen=True, array_like=True):
    """An account at `time`, in seconds since 1970. `equity` and `cash` are in dollars."""

    time: int
    equity: Decimal
    cash: Decimal
    is_stale: bool = False

    def is_same(self, other: "EquitySample") -> bool:
        """Whether nothing has changed but the time."""
        return self == msgspec.structs.replace(other, time=self.time)


class CurveBlock(msgspec.Struct, frozen=True, array_like=True):
    """Samples in order. Blocks of a series are numbered from 0."""

    number: int = 0
    samples: tuple[EquitySample, ...] = ()


class CurveHead(msgspec.Struct, frozen=True, array_like=True):
    """The blocks of both series that are not full, and the last sample of all."""

    recent: CurveBlock = CurveBlock()
    coarse: CurveBlock = CurveBlock()
    last_sample: EquitySample | None = None

    def full_blocks(self, series: Series) -> Iterator[int]:
        """The numbers of the full blocks that are kept, the newest first."""
        number = self.recent.number if series == "recent" else self.coarse.number
        yield from range(number - 1, max(-1, number - 1 - KEPT_BLOCKS[series]), -1)


def block_name(series: Series, number: int) -> str:
    """The name that a full block is stored under: that of the one that it replaces."""
    return f"{series}-{number % KEPT_BLOCKS[series]}"


def add_sample(head: CurveHead, sample: EquitySample) -> tuple[CurveHead, dict[str, CurveBlock]]:
    """The curve with `sample`, and the full blocks to be stored with it, by name."""
    full: dict[str, CurveBlock] = {}
    recent, coarse = _add(head.recent, sample), head.coarse
    if len(recent.samples) >= BLOCK_SAMPLES:
        full[block_name("recent", recent.number)] = recent
        recent, coarse = CurveBlock(recent.number + 1), _add(coarse, sample)
    if len(coarse.samples) >= BLOCK_SAMPLES:
        full[block_name("coarse", coarse.number)] = coarse
        coarse = CurveBlock(coarse.number + 1)
    return CurveHead(recent, coarse, sample), full


def _add(block: CurveBlock, sample: EquitySample) -> CurveBlock:
    return CurveBlock(block.number, (*block.samples, sample))
