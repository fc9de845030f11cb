"""From events to bytes: routes, connections, the hub, outboxes, conflation, compression."""
