"""Builds the bars of all symbols, keeps them, and answers requests for them.

One process builds, under a lease. It reads every quote from the stream QUOTES by its sequence, so
it neither misses nor repeats one, whoever published it. What it has folded is stored every few
seconds together with the sequence up to which it is true; the next owner continues from there.

`book` has the bars in memory, `builder` reads and stores, and `requests` answers. The fold itself
is pure: `tapewire_services.prices.domain.bars`. Start at `builder`.
"""

from tapewire_services.prices.bars.book import BarBook
from tapewire_services.prices.bars.builder import BarBuilder
from tapewire_services.prices.bars.requests import BarsService

__all__ = ["BarBook", "BarBuilder", "BarsService"]
