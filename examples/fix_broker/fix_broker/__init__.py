"""A broker for Tapewire that executes orders at a venue of FIX 4.4.

`TAPEWIRE_BROKER=fix` chooses it once the package is installed; see its README.md. The layers, from
the wire up: `framing` and `messages`; `session`, which is pure, with `outbox`; `connection`, which
does the I/O; `venue_order`, which is pure, and `order_reporter`. Start at `broker.FixBroker`.
"""

from fix_broker.broker import FixBroker

__all__ = ["FixBroker"]
