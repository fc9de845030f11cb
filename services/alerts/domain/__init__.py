"""The decisions of the alerts service. Pure: no clock, no I/O, no logging.

`rules` is the aggregate, and `armed_rules` folds which rules are armed. `price_rule_evaluator`
evaluates quotes against rules, with past prices from `rolling_extremes`. `event_messages` and
`report_messages` turn events into triggers and notifications; `notifications` creates the latter.
"""
