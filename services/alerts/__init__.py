"""The alerts service: rules and the alerts they raise, and notifications.

Start at `domain` (what a rule is, and when it is triggered) and `__main__` (the wiring).
`price_monitor` and `event_consumers` trigger rules; `notification_writer` writes notifications.
"""
