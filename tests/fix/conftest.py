"""The foreign venue, for all tests of the suite."""

from tests.fix.foreign_venue import acceptor, venue

__all__ = ["acceptor", "venue"]
