"""What edge processes tell each other, at most once and without storage.

`channel` carries the messages of a topic. On it stand `presence_sync` (who is connected where, for
limits and totals), `distributed_rate_limiter` (connection attempts of an address) and
`admin_test_event`. `presence` and `limits` are the pure state behind them.
"""
