"""The group of connections that show an account."""

from collections.abc import Callable, Iterable
from datetime import datetime

from tapewire_services.edge.delivery.conflation_registry import SINGLE_KEY, GroupSpec
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.serializers.trading_views import account_message, account_view
from tapewire_services.edge.delivery.stream_routes import LiveValue
from tapewire_services.edge.ingest.account_feed import AccountFeed

UPDATES_PER_SECOND = 1.0
"""What prices change of an account is shown at this rate; trades are shown at once."""


def account_group(
    accounts: AccountFeed,
    owner: str,
    *,
    get_as_of: Callable[[], str],
    now: Callable[[], datetime],
    render: Callable[[SseMessage], bytes],
) -> GroupSpec:
    """The group that shows the account of `owner`. `get_as_of` returns the event id of the end of
    the log tail, and `render` makes a frame."""

    def render_account(_keys: Iterable[str]) -> bytes:
        figures = accounts.figures(owner)
        if figures is None:
            return b""
        return render(account_message(account_view(figures, get_as_of(), now())))

    return GroupSpec(
        value=LiveValue.ACCOUNT,
        owner=owner,
        variant=None,
        max_rate=UPDATES_PER_SECOND,
        initial_keys=frozenset((SINGLE_KEY,)),
        render=render_account,
    )
