"""What may happen in strategies: pure deciders and folds."""
