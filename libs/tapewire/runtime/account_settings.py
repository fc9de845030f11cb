"""The settings of accounts, a part of `Settings`."""

from typing import Annotated

import msgspec

from tapewire.runtime.setting_fields import setting


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of accounts, the same for the edge and for the positions and orders services."""

    starting_balance: Annotated[
        float, setting("dollars that every account begins with", ge=0, le=1e12)
    ] = 1_000_000.0
    max_leverage: Annotated[
        float,
        setting(
            "exposure that an account may have, as a multiple of its equity; an order that could "
            "exceed it is rejected; 0: no limit",
            ge=0,
            le=1000,
        ),
    ] = 0.0
    equity_interval: Annotated[
        float, setting("seconds between samples of equity curves; 0: none", ge=0, le=86_400)
    ] = 60.0
