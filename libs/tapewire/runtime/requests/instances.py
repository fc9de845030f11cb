"""Which instances of a service respond, while some of them do not.

Normally the queue group of a subject chooses who receives a request. It also goes on choosing a
process that is suspended. For some seconds after a request went unanswered, requests are therefore
sent to the instances that were heard since. Pure, except for the times that it is given.
"""

from collections import OrderedDict

DETOUR_SECONDS = 10.0
"""How long requests avoid the queue group after it was silent."""


class _Detour:
    """The instances that respond, and when the detour ends."""

    def __init__(self) -> None:
        self.ends_at = 0.0
        self.instances: OrderedDict[str, None] = OrderedDict()


class RespondingInstances:
    """By subject: the instances to send requests to instead of the queue group."""

    def __init__(self) -> None:
        self._detours: dict[str, _Detour] = {}
        self._clock_offsets: dict[str, float] = {}

    def begin_detour(self, subject: str, now: float) -> None:
        """Avoid the queue group of `subject`, which was silent."""
        detour = self._detours.setdefault(subject, _Detour())
        if detour.ends_at <= now:
            detour.instances.clear()
        detour.ends_at = now + DETOUR_SECONDS

    def add(self, subject: str, instance: str) -> None:
        """Note that `instance` responds."""
        if subject in self._detours:
            self._detours[subject].instances[instance] = None

    def remove(self, subject: str, instance: str) -> None:
        """Note that `instance` does not respond."""
        if subject in self._detours:
            self._detours[subject].instances.pop(instance, None)

    def next(self, subject: str, now: float) -> str | None:
        """The instance to send the next request to, each in turn; None for the queue group."""
        detour = self._detours.get(subject)
        if detour is None:
            return None
        if detour.ends_at <= now:
            del self._detours[subject]
            return None
        if not detour.instances:
            return None
        instance = next(iter(detour.instances))
        detour.instances.move_to_end(instance)
        return instance

    def clock_offset(self, instance: str) -> float:
        """The seconds by which the clock of `instance` is ahead, as far as that is known."""
        return self._clock_offsets.get(instance, 0.0)

    def set_clock_offset(self, instance: str, seconds: float) -> None:
        """Note a clock that differs too much for deadlines to be kept without a correction."""
        self._clock_offsets[instance] = seconds
