"""Delivery: stream routes, connections, the hub, outboxes, conflation and compression."""
