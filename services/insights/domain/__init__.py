"""The pure part of the insights service: no clock, no I/O, no logging.

`items` validates and classifies items, `configurations` is the decider of a user's configuration,
and `text_validation` has the bounds of both.
"""
