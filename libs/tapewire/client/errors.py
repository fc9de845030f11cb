"""What can be wrong with a call, or with what became of it.

Beside these there are the log's own: `Conflict` (the entity moved on), `Refused` (never to be
taken), `Unavailable` (no server), and of questions `Refusal` (no) and `Unanswered` (nobody there).
"""

from typing import Any

from tapewire.log import LogError

MAX_SHOWN_CHARACTERS = 60
"""Of a bad value that an error repeats."""


class InvalidArgument(ValueError):
    """An argument that cannot be meant; `field` and `value` say which."""

    def __init__(self, field: str, value: Any, requirement: str) -> None:
        text = repr(value)
        shown = text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
        super().__init__(f"{field}={shown}: {requirement}")
        self.field = field
        self.value = value


class ReservedEventType(InvalidArgument):
    """Events of this type are written by one of Tapewire's services alone: ask it instead."""


class PublishTimeout(LogError):
    """No answer came for as long as was to be waited. When `maybe`, the event may have been stored
    all the same: publish it again with ``event_id=error.event_id``, and it is there once (the log
    knows ids for two minutes). A value has no id: put it again."""

    def __init__(
        self, target: str, event_id: str | None, reason: str, *, may_be_stored: bool
    ) -> None:
        state = "may have been stored" if may_be_stored else "was not stored"
        known = "" if event_id is None else f" (event_id={event_id!r})"
        super().__init__(f"{target} {state}{known}: {reason}")
        self.event_id = event_id
        self.may_be_stored = may_be_stored
