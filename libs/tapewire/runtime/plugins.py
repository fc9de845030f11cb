"""Finds the plug-in that a setting names: the adapter of a feed or of a broker.

A plug-in is a callable that an installed distribution registers as an entry point, by a name in a
group. It takes the context that its service gives to it and returns the adapter. Whatever is wrong
with it ends the start of the service with `BadSetting`, which names the setting, the distribution
and the fault. Start at `create_plugin`.
"""

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tapewire.runtime.settings import BadSetting


def create_plugin(
    group: str,
    name: str,
    context: object,
    *,
    port: type,
    setting: str,
    built_in: Iterable[str] = (),
) -> Any:
    """Return what the plug-in `name` of `group` makes of `context`.

    Args:
        port: The protocol class that the adapter must fit: it has every public method of it.
        setting: The environment variable that names the plug-in.
        built_in: Names that need no plug-in, for the message about an unknown one.

    Raises:
        BadSetting: No distribution has such a plug-in, or several have; it cannot be imported; it
            is not callable; it raises an exception; or what it returns lacks a method of `port`. A
            `BadSetting` of the plug-in is passed on.
    """
    found = _find(group, name, setting, built_in)
    factory = _load(found, setting)
    try:
        adapter = factory(context)
    except BadSetting:
        raise
    except Exception as error:
        raise _unusable(found, setting, f"cannot start: {_describe(error)}") from error
    missing = [
        method
        for method, value in vars(port).items()
        if callable(value)
        and not method.startswith("_")
        and not callable(getattr(adapter, method, None))
    ]
    if missing:
        what = f"returned a {type(adapter).__name__}, which has no {' and no '.join(missing)}"
        raise _unusable(found, setting, f"is no {port.__name__}: it {what}")
    return adapter


def name_distribution(found: EntryPoint) -> str:
    """The distribution that registers `found`, for messages."""
    return f"the distribution {found.dist.name}" if found.dist else "an installed distribution"


def _find(group: str, name: str, setting: str, built_in: Iterable[str]) -> EntryPoint:
    installed = entry_points(group=group)
    matches = sorted({each.value: each for each in installed if each.name == name}.items())
    if len(matches) == 1:
        return matches[0][1]
    if matches:
        owners = " and ".join(name_distribution(each) for _, each in matches)
        raise BadSetting(f"{setting}={name!r}: {owners} register it: uninstall one of them")
    names = ", ".join(sorted({*built_in, *(each.name for each in installed)})) or "none"
    raise BadSetting(
        f"{setting}={name!r}: no installed distribution registers an entry point of this name in "
        f"the group {group!r}; the names are: {names}"
    )


def _load(found: EntryPoint, setting: str) -> Callable[[object], Any]:
    try:
        factory = found.load()
    except Exception as error:
        raise _unusable(found, setting, f"cannot be imported: {_describe(error)}") from error
    if not callable(factory):
        raise _unusable(
            found, setting, f"is of type {type(factory).__name__}, which is not callable"
        )
    return factory  # type: ignore[no-any-return]


def _unusable(found: EntryPoint, setting: str, fault: str) -> BadSetting:
    return BadSetting(
        f"{setting}={found.name!r}: {found.value} of {name_distribution(found)} {fault}"
    )


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
