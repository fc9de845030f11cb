"""The positions service: folds trades into positions, values them, and lists them.

Start at `domain.position` (what a trade makes of a position) and `__main__` (how the parts are
wired).
"""
