"""The groups of connections that show an account."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial

from tapewire_services.edge.delivery.conflation_registry import SINGLE_KEY, GroupSpec
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.serializers.trading_views import account_message, account_view
from tapewire_services.edge.delivery.topics import LiveValue
from tapewire_services.edge.ingest.account_feed import AccountFeed

UPDATES_PER_SECOND = 1.0
"""What prices change of an account is shown at this rate; trades are shown at once."""
_KEYS = frozenset((SINGLE_KEY,))


class AccountGroups:
    """A group for each account. `get_as_of` returns the event id of the end of the log tail, and
    `render` makes a frame."""

    def __init__(
        self,
        accounts: AccountFeed,
        get_as_of: Callable[[], str],
        now: Callable[[], datetime],
        render: Callable[[SseMessage], bytes],
    ) -> None:
        self._accounts = accounts
        self._get_as_of = get_as_of
        self._now = now
        self._render = render

    def group(self, owner: str) -> GroupSpec:
        """The group that shows the account of `owner`."""
        return GroupSpec(
            value=LiveValue.ACCOUNT,
            owner=owner,
            variant=None,
            max_rate=UPDATES_PER_SECOND,
            initial_keys=_KEYS,
            render=partial(self._render_account, owner),
        )

    def _render_account(self, owner: str, _keys: Iterable[str]) -> bytes:
        figures = self._accounts.figures(owner)
        if figures is None:
            return b""
        return self._render(account_message(account_view(figures, self._get_as_of(), self._now())))
