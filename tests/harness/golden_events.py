"""An event of every type, built from the golden files."""

import json
from pathlib import Path
from typing import Any

from tapewire.events import CATALOGUE, Event

GOLDEN_FOLDER = Path(__file__).parents[1] / "unit" / "events" / "golden"


def golden_event(name: str, **changes: Any) -> Event:
    """The event ``{name}.v1``, with fields of its JSON changed: ``strategy__status="stopped"``."""
    fields = json.loads((GOLDEN_FOLDER / f"{name}.v1.json").read_text())
    for path, value in changes.items():
        *outer, last = path.split("__")
        target = fields
        for step in outer:
            target = target[step]
        target[last] = value
    return CATALOGUE.decode(f"{name}.v1", json.dumps(fields).encode())
