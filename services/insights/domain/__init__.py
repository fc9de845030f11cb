"""What the insights service decides. Pure: no clock, no I/O, no logging.

`items` checks and judges items, `configurations` is the aggregate of a user's configuration,
`texts` are the bounds that both keep.
"""
