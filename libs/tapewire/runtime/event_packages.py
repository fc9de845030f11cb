"""Imports the packages that declare additional event types.

A package is found through an entry point of the group ``tapewire.events``, whose value is the
module that declares the types, or is named in ``TAPEWIRE_EVENT_PACKAGES``. A package that cannot be
imported, or that clashes with known types, stops the process: with a part of the catalogue it would
skip stored events.
"""

import importlib
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points

import structlog

from tapewire.runtime.plugins import name_distribution
from tapewire.runtime.settings import BadSetting

ENTRY_POINT_GROUP = "tapewire.events"

logger = structlog.get_logger("tapewire.extensions")


class BadEventPackage(BadSetting):
    """A package of event types cannot be loaded. The message says which, who names it, and why."""


def load(packages: Iterable[str] = ()) -> list[str]:
    """Import every package of event types, those in `packages` last. Returns the modules, each
    once.

    Raises:
        BadEventPackage: a package cannot be imported, or declares types that clash.
    """
    loaded: dict[str, None] = {}
    for module, named_by in _event_modules(packages):
        if module not in loaded:
            _import(module, named_by)
            loaded[module] = None
    return list(loaded)


def _event_modules(packages: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The modules, and who names each."""
    for found in sorted(
        entry_points(group=ENTRY_POINT_GROUP), key=lambda found: (found.module, found.name)
    ):
        by = name_distribution(found)
        yield found.module, f"{by} (entry point {found.name!r} of {ENTRY_POINT_GROUP})"
    for package in packages:
        yield package, "TAPEWIRE_EVENT_PACKAGES"


def _import(module: str, named_by: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:
        why = " ".join(str(error).split())
        raise BadEventPackage(
            f"the event types of {module!r}, named by {named_by}, cannot be loaded: "
            f"{type(error).__name__}: {why}"
        ) from error
