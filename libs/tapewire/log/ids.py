"""Ids of commands, events and correlations."""

import hashlib
import uuid

from tapewire.log.subjects import EventSubject


def new_id() -> str:
    """A new id for a command, an event or a correlation: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def derive_id(*parts: str) -> str:
    """Return an id derived from `parts`: 32 hexadecimal digits, equal for equal parts."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def event_id(command_id: str, subject: EventSubject, sequence: int, number: int) -> str:
    """The id of an event that a command decides.

    It consists of the command's id, the entity, the entity's sequence that the command was decided
    on, and the event's number in the decision. A retry of the same decision has the same ids. A new
    decision after a conflict has others, and so has a command with the same id on another entity.
    """
    return f"{command_id}.{derive_id(str(subject))[:12]}.{sequence}.{number}"


def following_event_id(id_: str) -> str:
    """The id of the next event of the decision whose event has the id `id_`.

    Raises:
        ValueError: `id_` is not the id of an event that a command decided.
    """
    decision, dot, number = id_.rpartition(".")
    if not (dot and number.isdigit()):
        raise ValueError(f"{id_!r} does not end with the number of an event")
    return f"{decision}.{int(number) + 1}"
