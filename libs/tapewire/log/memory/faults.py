"""What goes wrong between a process and the server, how often, and from which seed.

Rates are chances from 0 to 1; each is one thing that was seen of the real server or its client.
"""

import random

import msgspec

MAX_ROUGH_DELAY_SECONDS = 0.05
"""The longest way of a message in `Faults.rough`."""


class Faults(msgspec.Struct, kw_only=True):
    """The misfortunes of one connection.

    Seconds are at most: each time is drawn evenly from 0 to the given number.
    """

    seed: int
    max_delay_seconds: float = 0.0
    """Seconds that a request, its answer or a live message is on its way."""
    max_timeout_seconds: float = 0.0
    """Seconds until a lost answer is given up."""
    max_outage_seconds: float = 1.0
    """Seconds that a broken connection stays broken, and a server away."""
    max_late_seconds: float = 0.5
    """Seconds that a late append or live message is late."""

    conflict_rate: float = 0.0
    """An append that expects something is told Conflict for nothing (a batch still in flight)."""
    lost_append_rate: float = 0.0
    """An append gets lost on its way: OutcomeUnknown, and not stored."""
    lost_ack_rate: float = 0.0
    """The answer to an append gets lost: OutcomeUnknown, and stored."""
    late_append_rate: float = 0.0
    """An append arrives after its time-out: OutcomeUnknown, and stored later if it still can be."""
    unavailable_rate: float = 0.0
    """A request fails at once, as between two connections."""
    disconnect_rate: float = 0.0
    """A request finds the connection breaking: live messages are lost, and a gap is told."""
    outage_rate: float = 0.0
    """An append finds the whole server going away, for everybody."""
    stale_read_rate: float = 0.0
    """A read is answered by a replica that has not everything yet."""

    lost_message_rate: float = 0.0
    """A live message is lost and nothing notices."""
    gap_rate: float = 0.0
    """A live message is lost as by a slow consumer: a gap is told before any later message."""
    late_message_rate: float = 0.0
    """A live message arrives after its successors, as around an election."""
    duplicate_message_rate: float = 0.0
    """A live message arrives, and later once more, as around an election."""
    redelivery_rate: float = 0.0
    """The acknowledgement of a reaction gets lost: it is handed out again."""

    _random: random.Random | None = None

    @classmethod
    def rough(cls, seed: int) -> "Faults":
        """A bad day: everything goes wrong now and then."""
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
        """The one source of chance of this connection."""
        if self._random is None:
            self._random = random.Random(self.seed)  # noqa: S311 - replayable on purpose
        return self._random

    def occurs(self, rate: float) -> bool:
        """Whether a misfortune of this rate happens now."""
        return rate > 0 and self.rng.random() < rate

    def random_seconds(self, max_seconds: float) -> float:
        """A time from 0 to `most` seconds."""
        return self.rng.uniform(0, max_seconds) if max_seconds > 0 else 0.0

    def disable(self) -> None:
        """From now on nothing goes wrong, and nothing takes time."""
        for field in self.__struct_fields__:
            if field not in ("seed", "_random"):
                setattr(self, field, 0.0)


NO_FAULTS = Faults(seed=0)
"""Nothing goes wrong."""
