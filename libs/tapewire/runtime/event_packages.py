"""Event types of other packages: the packages that declare them, imported before anything is read.

A package is found by an entry point of the group ``tapewire.events``, whose value is the module
that declares its types, or is named in ``TAPEWIRE_EVENT_PACKAGES``. What cannot be imported, or
clashes with what is there, stops the process: half a catalogue would show half a story.
"""

import importlib
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points

import structlog

from tapewire.runtime.settings import BadSetting

ENTRY_POINT_GROUP = "tapewire.events"

logger = structlog.get_logger("tapewire.extensions")


class BadEventPackage(BadSetting):
    """A package of event types that cannot be had; says which, who names it, and why."""


def load(packages: Iterable[str] = ()) -> list[str]:
    """Import every package of event types, those of `packages` last; the modules, each once.

    Raises:
        BadPackage: one cannot be imported, or declares what clashes.
    """
    loaded: dict[str, None] = {}
    for module, named_by in _event_modules(packages):
        if module not in loaded:
            _import(module, named_by)
            loaded[module] = None
    return list(loaded)


def _event_modules(packages: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Modules, and who names them."""
    for found in sorted(
        entry_points(group=ENTRY_POINT_GROUP), key=lambda found: (found.module, found.name)
    ):
        by = f"the distribution {found.dist.name}" if found.dist else "an installed distribution"
        yield found.module, f"{by} (entry point {found.name!r} of {ENTRY_POINT_GROUP})"
    for package in packages:
        yield package, "TAPEWIRE_EVENT_PACKAGES"


def _import(module: str, named_by: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:
        why = " ".join(str(error).split())
        raise BadEventPackage(
            f"the event types of {module!r}, named by {named_by}, cannot be had: "
            f"{type(error).__name__}: {why}"
        ) from error
