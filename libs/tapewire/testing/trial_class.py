"""What all tests of brokers have in common: a venue and a trial for each. Start at `TrialClass`."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from tapewire.testing.broker_trial import BrokerTrial
from tapewire.testing.venue_driver import NotDriven, VenueDriver


@pytest.mark.asyncio
class TrialClass:
    """Derive test classes from it."""

    def make_venue(self) -> VenueDriver:
        """A new venue for each test."""
        raise NotImplementedError

    def make_trial(self) -> BrokerTrial:
        """The service and the venue of one test."""
        return BrokerTrial(self.make_venue())

    @contextlib.asynccontextmanager
    async def start_trial(self, *, answers: bool = False) -> AsyncIterator[BrokerTrial]:
        """The trial of one test. With `answers` the test is about a broker that has to be asked."""
        trial = self.make_trial()
        try:
            await trial.start()
            if answers and trial.confirms_at_once:
                pytest.skip("the broker confirms at once")
            yield trial
        except NotDriven as missing:
            pytest.skip(f"the driver of the venue has no {missing}")
        finally:
            await trial.stop()
