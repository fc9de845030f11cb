"""The orders service: places and cancels orders, executes them on paper, and lists them.

Start at `domain.order` (what an order is) and `__main__` (how the parts are wired).
"""
