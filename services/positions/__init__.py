"""The positions service: folds trades into positions, values them, and proves them right.

Start at `__main__` for how it is wired, at `domain` for what a trade makes of a position.
"""
