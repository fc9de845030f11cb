"""Streams behind proxies that treat them badly: live within 5 s behind each, and nothing is lost.

`proxies` has the proxies, `readers` the clients, and `trial` runs every client behind every proxy
at the same time while events are appended.
"""
