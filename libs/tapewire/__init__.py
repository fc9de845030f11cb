"""Tapewire: an event log of trading, and the wire that brings it to every screen."""
