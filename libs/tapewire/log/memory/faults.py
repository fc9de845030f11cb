"""The faults between a process and the server: what fails, how often, and from which seed.

A rate is a probability from 0 to 1. Each fault was observed with the real server or its client.
"""

import random

import msgspec

MAX_ROUGH_DELAY_SECONDS = 0.05
"""The longest delay of a message in `Faults.rough`."""


class Faults(msgspec.Struct, kw_only=True):
    """The faults of one connection.

    Durations are upper limits: each is drawn evenly from 0 to the given number of seconds.
    """

    seed: int
    max_delay_seconds: float = 0.0
    """The delay of a request, its answer or a live message."""
    max_timeout_seconds: float = 0.0
    """The time after which a lost answer times out."""
    max_outage_seconds: float = 1.0
    """How long a broken connection stays broken, and a server unavailable."""
    max_late_seconds: float = 0.5
    """How late a late append or live message is."""

    conflict_rate: float = 0.0
    """An append with an expectation raises Conflict without one, as while a batch is in flight."""
    lost_append_rate: float = 0.0
    """An append is lost on its way: OutcomeUnknown, not stored."""
    lost_ack_rate: float = 0.0
    """The answer to an append is lost: OutcomeUnknown, stored."""
    late_append_rate: float = 0.0
    """An append arrives after its time-out: OutcomeUnknown, and stored later if it still can be."""
    unavailable_rate: float = 0.0
    """A request fails at once, as between two connections."""
    disconnect_rate: float = 0.0
    """A request breaks the connection: live messages are lost, and a gap is reported."""
    outage_rate: float = 0.0
    """An append stops the whole server, for all processes."""
    stale_read_rate: float = 0.0
    """A lagging replica answers a read."""

    lost_message_rate: float = 0.0
    """A live message is lost unnoticed."""
    gap_rate: float = 0.0
    """A live message is lost as by a slow consumer: a gap is reported before any later message."""
    late_message_rate: float = 0.0
    """A live message arrives after its successors, as around an election."""
    duplicate_message_rate: float = 0.0
    """A live message arrives a second time later, as around an election."""
    redelivery_rate: float = 0.0
    """The acknowledgement of a durable subscription is lost: the event is delivered again."""

    _random: random.Random | None = None

    @classmethod
    def rough(cls, seed: int) -> "Faults":
        """Every fault, now and then."""
        return cls(
            seed=seed,
            max_delay_seconds=MAX_ROUGH_DELAY_SECONDS,
            max_timeout_seconds=1.0,
            conflict_rate=0.02,
            lost_append_rate=0.02,
            lost_ack_rate=0.02,
            late_append_rate=0.01,
            unavailable_rate=0.01,
            disconnect_rate=0.01,
            outage_rate=0.002,
            stale_read_rate=0.1,
            lost_message_rate=0.02,
            gap_rate=0.02,
            late_message_rate=0.02,
            duplicate_message_rate=0.02,
            redelivery_rate=0.05,
        )

    @property
    def rng(self) -> random.Random:
        """The only source of randomness of this connection."""
        if self._random is None:
            self._random = random.Random(self.seed)  # noqa: S311 - replayable on purpose
        return self._random

    def occurs(self, rate: float) -> bool:
        """Whether a fault of this rate occurs now."""
        return rate > 0 and self.rng.random() < rate

    def random_seconds(self, max_seconds: float) -> float:
        """A duration from 0 to `max_seconds`."""
        return self.rng.uniform(0, max_seconds) if max_seconds > 0 else 0.0

    def disable(self) -> None:
        """Stop all faults and delays from now on."""
        for field in self.__struct_fields__:
            if field not in ("seed", "_random"):
                setattr(self, field, 0.0)


NO_FAULTS = Faults(seed=0)
"""No faults."""
