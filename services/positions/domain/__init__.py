"""What may happen in positions: pure deciders and folds."""
