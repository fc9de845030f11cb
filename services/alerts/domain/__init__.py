"""What the alerts service decides. Pure: no clock, no I/O, no logging.

`rules` is the aggregate; `armed` which rules wait for something; `prices` judges quotes, by
`extremes` of the past; `occasions` judges orders' and strategies' events; `notices` makes
notifications, `wording` of events.
"""
