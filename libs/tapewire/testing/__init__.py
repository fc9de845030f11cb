"""Contract suites for pytest, with which the author of a plug-in tests it.

`feeds` has the suites of market data feeds, `brokers` that of brokers. Install
``tapewire[testing]``, subclass a suite in a test module, and run pytest. Start at
`feeds.FeedContract` or `brokers.BrokerContract`.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "feeds",
            "brokers",
            "broker_corrections",
            "broker_recovery",
            "broker_reduce_only",
            "broker_requests",
        )
    )
)
