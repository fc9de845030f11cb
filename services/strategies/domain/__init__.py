"""The domain of strategies: pure deciders, folds and builders. Start at `strategy`."""
