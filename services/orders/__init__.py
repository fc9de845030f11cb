"""The orders service: the aggregate, the paper broker, the view and its checkpoints, the answers.

Start at `domain` (what an order is) and `__main__` (how the parts are wired).
"""
