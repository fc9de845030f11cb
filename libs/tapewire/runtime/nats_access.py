"""What one user of NATS may do: the declaration that a service has beside its wiring.

`tapewire nats-config` turns all declarations into the accounts, users and permissions of the
message server (docs/security.md). Whatever is not declared is refused. Start at `NatsAccess`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tapewire.events.splits import SPLITS_DOMAIN
from tapewire.log import EVERYBODY, encode_token
from tapewire.log.jetstream.journal_record import LOSS_KEY, MARK_KEY
from tapewire.log.jetstream.streams import (
    EVENTS,
    JOURNAL,
    LEASES,
    MARKET,
    PARKED,
    VIEWS,
    stream_specs,
)
from tapewire.log.view_checkpointer import durable_name
from tapewire.log.view_checkpoints import ViewType, checkpoint_name
from tapewire.runtime.agents import LEASE as AGENTS_LEASE
from tapewire.runtime.agents.monitor import CHECKPOINT_NAME as AGENTS_CHECKPOINT
from tapewire.runtime.agents.state import DOMAIN as AGENTS_DOMAIN

JETSTREAM_ACCOUNT = "JETSTREAM"
"""The account that has the streams, and the administrator as its only user."""
LOCAL = "local"
"""The user of programs that name none, at the message server of `tapewire up`."""
USER_INFO_SUBJECT = "$SYS.REQ.USER.INFO"
"""A request that the server answers with what it knows about the user who sends it."""


class NatsAccess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the user `name` may do.

    Args:
        name: the user, which has an account of the same name.
        answers: it answers the requests ``svc.{name}.>``.
        requests: subjects of the requests that it sends, such as ``svc.orders.place``.
        appends: domains of the journal that it appends to, for any owner; see `appends_shared`.
        appends_shared: domains of which it appends only events that belong to everybody.
        values: tags (``loan.rate.v1``) of the newest-wins types whose values it stores, for any
            owner.
        stores: other subjects that it stores messages under.
        reads: streams that it reads.
        inspects: streams whose configuration and extent it may ask for, by default those of
            `reads`.
        receives: subjects of stored messages that it subscribes to, without the prefix ``live.``.
        shares: subjects that its own processes publish and subscribe to among themselves.
        durables: its durable subscriptions to the journal: the filter by name.
    """

    name: str
    answers: bool = False
    requests: tuple[str, ...] = ()
    appends: tuple[str, ...] = ()
    appends_shared: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    inspects: tuple[str, ...] = ()
    receives: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    durables: dict[str, str] = {}

    def stored_subjects(self) -> list[str]:
        """The subjects that it stores messages under."""
        return [
            *(f"ev.*.{encode_token(domain)}.*" for domain in self.appends),
            *(f"ev.{EVERYBODY}.{encode_token(domain)}.*" for domain in self.appends_shared),
            *(f"val.*.{encode_token(tag)}.*" for tag in self.values),
            *self.stores,
            *(f"parked.{encode_token(name)}.>" for name in self.durables),
        ]

    def request_subjects(self) -> list[str]:
        """The subjects of its requests: of the queue groups, and of single instances."""
        return [each for subject in self.requests for each in (subject, f"{subject}.*")]

    def api_subjects(self) -> list[str]:
        """The subjects of JetStream's API that it uses. None of them changes a stream or a
        consumer."""
        found: list[str] = []
        reads = (*self.reads, *((PARKED,) if self.durables else ()))
        found += [f"$JS.API.STREAM.INFO.{stream}" for stream in self.inspects or reads]
        for stream in reads:
            found += [
                f"$JS.API.STREAM.MSG.GET.{stream}",
                f"$JS.API.DIRECT.GET.{stream}",
                f"$JS.API.DIRECT.GET.{stream}.>",
            ]
        for name in self.durables:
            found += [
                f"$JS.API.CONSUMER.INFO.{EVENTS}.{name}",
                f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.{name}",
                f"$JS.ACK.{EVENTS}.{name}.>",
            ]
        return found

    def received_subjects(self) -> list[str]:
        """The subjects of stored messages that it subscribes to."""
        return [f"live.{subject}" for subject in self.receives]


OPERATOR = NatsAccess(
    name="operator",
    requests=(
        "svc.alerts.send",
        "svc.insights.add",
        "svc.insights.load",
        "svc.*.progress",
        "svc.alerts.notifying",
        "svc.prices.status",
    ),
    reads=(EVENTS, JOURNAL, MARKET, VIEWS, PARKED),
    inspects=tuple(spec.name for spec in stream_specs()),
    stores=("parked.>",),
    receives=("ev.>", "px.>", "mk.>", "val.>", "hb.>"),
)
"""A person with the command line: `status`, `verify`, `parked`, `notify` and `items`. Reads
everything that is traded, and writes only what it decides about failed events."""


def service_access(
    name: str,
    *,
    appends: Iterable[str] = (),
    appends_shared: Iterable[str] = (),
    stores: Iterable[str] = (),
    views: Iterable[ViewType[Any]] = (),
    histories: Iterable[ViewType[Any]] = (),
    checkpoints: Iterable[str] = (),
    leases: Iterable[str] = (),
    requests: Iterable[str] = (),
    reads: Iterable[str] = (),
    receives: Iterable[str] = (),
    shares: Iterable[str] = (),
    answers: bool = True,
    durables: Mapping[str, str] | None = None,
) -> NatsAccess:
    """The access of a service: what every service does (`tapewire.runtime.main`), and what this one
    does beside that.

    Args:
        views: the views whose checkpoints it writes (`App.checkpoint_views`).
        histories: the histories that it writes with a view of the same domain.
        checkpoints: names of the other checkpoints that it writes; one that ends with ``.*`` stands
            for a checkpoint for each symbol.
        leases: the leases that it stands by for (`App.run_leased`).
        durables: its durable subscriptions beside those for views (`App.subscribe_durable`).
    """
    own_views = tuple(views)
    return NatsAccess(
        name=name,
        answers=answers,
        requests=tuple(requests),
        appends=tuple(appends),
        appends_shared=(AGENTS_DOMAIN, *appends_shared),
        stores=(
            "hb.*",
            *(
                subject
                for each in (AGENTS_CHECKPOINT, *checkpoints)
                for subject in _checkpoint_subjects(f"view.{EVERYBODY}.{each}")
            ),
            *(
                subject
                for each in (*own_views, *histories)
                for subject in user_checkpoint_subjects(checkpoint_name(each))
            ),
            *(f"$KV.journal.{key}" for key in (MARK_KEY, LOSS_KEY)),
            *(f"$KV.leases.{encode_token(each)}" for each in (AGENTS_LEASE, *leases)),
            *stores,
        ),
        reads=(EVENTS, JOURNAL, MARKET, VIEWS, LEASES, *reads),
        # A service checks at its start that all streams are as they must be.
        inspects=tuple(spec.name for spec in stream_specs()),
        receives=(
            f"ev.{EVERYBODY}.{AGENTS_DOMAIN}.>",
            f"ev.{EVERYBODY}.{SPLITS_DOMAIN}.>",
            *receives,
        ),
        shares=tuple(shares),
        durables={
            **{durable_name(each): f"ev.*.{each.domain}.>" for each in own_views},
            **(durables or {}),
        },
    )


def user_checkpoint_subjects(name: str) -> tuple[str, str]:
    """The subjects of the checkpoints `name` of all users."""
    return _checkpoint_subjects(f"view.*.{name}")


def _checkpoint_subjects(subject: str) -> tuple[str, str]:
    """The subjects of a checkpoint: its own, and those of its parts and blocks."""
    return subject, f"{subject}.>"
