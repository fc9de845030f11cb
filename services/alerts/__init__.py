"""The alerts service: rules and the alerts they raise, notifications, their views, the answers.

Start at `domain` (what a rule is, when it is triggered, what is said of it) and `__main__` (how the
parts are wired). `prices` and `happenings` trigger rules, `notifying` writes notifications.
"""
