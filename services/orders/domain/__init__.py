"""What may happen in orders: pure deciders and folds."""
