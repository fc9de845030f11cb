"""Trials of a whole system: users place orders and clients watch while faults are injected.

`plan` draws orders and clients from a seed, `trial` runs them against a running system, and
`checks` judges what every client received and was answered against the log. The suites add the
faults.
"""
