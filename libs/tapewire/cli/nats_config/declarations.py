"""Finds what the services and other teams' packages declare (`NatsAccess`)."""

import importlib
import re
import sys
from collections.abc import Iterable

import msgspec

from tapewire.cli.errors import CliError
from tapewire.cli.nats_config.accounts import overlap
from tapewire.cli.run import installed_services
from tapewire.client.client import WRITABLE_DOMAINS
from tapewire.events import CATALOGUE
from tapewire.log import encode_token
from tapewire.runtime import Settings, event_packages
from tapewire.runtime.contracts import CALLS
from tapewire.runtime.nats_access import LOCAL, OPERATOR, NatsAccess

ATTRIBUTE = "NATS_ACCESS"
"""What a package of event types names its access."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_DURABLE = re.compile(r"[A-Za-z0-9_-]+@[A-Za-z0-9_-]+")

LOCAL_PROGRAM = msgspec.structs.replace(
    OPERATOR,
    name=LOCAL,
    requests=tuple(dict.fromkeys((*OPERATOR.requests, *(call.subject for call in CALLS)))),
    appends=tuple(sorted(WRITABLE_DOMAINS)),
    stores=(*OPERATOR.stores, "px.*"),
)
"""A program that names no user, at the message server of `tapewire up`: an operator's rights, and
those of a producer of quotes, reports, decisions and alerts that sends every request."""


def service_accesses() -> list[NatsAccess]:
    """The access of every installed service, and that of an operator."""
    modules = [
        importlib.import_module(f"tapewire_services.{name}.access") for name in installed_services()
    ]
    return [*(module.ACCESS for module in modules), OPERATOR]


def team_accesses(packages: Iterable[str], services: Iterable[NatsAccess]) -> list[NatsAccess]:
    """The access that each of `packages`, modules of event types, declares; most declare none.

    A declaration is a mapping with the fields of `NatsAccess`.

    Raises:
        CliError: a declaration is malformed, or asks for what only a service of Tapewire writes.
    """
    found = []
    for package in packages:
        declared = getattr(sys.modules[package], ATTRIBUTE, None)
        if declared is None:
            continue
        try:
            found.append(msgspec.convert(declared, NatsAccess))
        except msgspec.ValidationError as error:
            raise CliError(f"{package}.{ATTRIBUTE}: {error}") from error
    for access in found:
        if not _NAME.fullmatch(access.name):
            raise CliError(f"{ATTRIBUTE}: the name {access.name!r} must match {_NAME.pattern}")
        if access.answers:
            raise CliError(f"{ATTRIBUTE} of {access.name!r}: only services of Tapewire answer")
        for durable in access.durables:
            if not _DURABLE.fullmatch(durable):
                raise CliError(
                    f"{ATTRIBUTE} of {access.name!r}: the durable subscription {durable!r} must be "
                    "NAME@CLIENT, as programs subscribe"
                )
        unknown = set(access.values) - {kind.tag for kind in CATALOGUE.event_types()}
        if unknown:
            raise CliError(
                f"{ATTRIBUTE} of {access.name!r}: no type has the tag {min(unknown)!r}; "
                "a tag ends with the version, as loan.rate.v1"
            )
        _check_stored(access, services)
    return found


def _check_stored(access: NatsAccess, services: Iterable[NatsAccess]) -> None:
    """Raises CliError if `access` may store what only a service of Tapewire writes."""
    writable = {f"ev.*.{domain}.*" for domain in WRITABLE_DOMAINS}
    writable |= {f"parked.{encode_token(name)}.>" for name in access.durables}
    for subject in access.stored_subjects():
        for service in services:
            for owned in service.stored_subjects():
                if subject not in writable and overlap(subject, owned):
                    raise CliError(
                        f"{ATTRIBUTE} of {access.name!r}: only {service.name} stores {owned}, "
                        f"which {subject} overlaps"
                    )


def load_accesses(settings: Settings) -> list[NatsAccess]:
    """The access of every user except the administrator. Raises CliError."""
    services = service_accesses()
    return [*services, *team_accesses(event_packages.load(settings.event_packages), services)]


def all_durables(accesses: Iterable[NatsAccess]) -> dict[str, str]:
    """The durable subscriptions that `accesses` declare: the filter by name."""
    return {name: filter_ for access in accesses for name, filter_ in access.durables.items()}
