"""The price service: market data in, newest-wins quotes out.

Start at `domain` (ticks and quotes), then `feed` (where ticks come from) and `service` (how quotes
are published); `__main__` wires them.
"""
