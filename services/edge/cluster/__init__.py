"""Messages between edge processes, delivered at most once and not stored.

`channel` carries the messages of a topic. It is used by `presence_sync` (the connections of all
processes, for limits and totals), `distributed_rate_limiter` (connection attempts of an address)
and `admin_test_event`. `presence` and `limits` are the pure state behind them.
"""
