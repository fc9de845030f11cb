"""Contract suites for pytest, with which the author of a plug-in tests it.

`feeds` has the suites of market data feeds. Install ``tapewire[testing]``, subclass a suite in a
test module, and run pytest. Start at `feeds.FeedContract`.
"""
