"""The settings of brokers, a part of `Settings`."""

from typing import Annotated

from tapewire.runtime.account_settings import AccountSettings
from tapewire.runtime.setting_fields import setting


class BrokerSettings(AccountSettings, frozen=True, kw_only=True):
    """The settings of brokers, which the orders service reads, and of accounts. A broker of another
    package reads its own from the environment."""

    broker: Annotated[
        str,
        setting(
            "the broker that executes orders: paper, or the name of an installed one "
            "(docs/brokers.md)",
            min_length=1,
        ),
    ] = "paper"

    paper_fee_per_share: Annotated[
        float, setting("dollars that the paper broker charges for a share", ge=0, le=1000)
    ] = 0.0
    paper_day_end: Annotated[
        str,
        setting(
            "when day orders of the paper broker expire, UTC",
            pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        ),
    ] = "00:00"
