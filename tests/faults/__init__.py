"""Kills and stops servers of a whole system while orders flow and clients watch.

The processes are real and run under `tapewire up`. The history checker in `tests.harness.history`
judges what every client received.
"""
