"""Servers killed and stopped under a whole system while orders flow and clients watch.

Real processes under `tapewire up`; the verdict on what every client saw is that of the history
checker in `tests.harness.history`.
"""
