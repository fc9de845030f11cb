"""The strategies service whose quotes count at the time of the recording that is played.

A day is played in minutes, and every run of it must have the same outcome.
"""

from functools import partial

from tapewire.runtime import run
from tapewire.runtime.contracts import strategies
from tapewire_services.strategies.__main__ import wiring

if __name__ == "__main__":
    run(strategies.SERVICE, partial(wiring, arrival_time=lambda quote: quote.timestamp))
