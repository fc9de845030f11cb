"""The pure part of the positions service: a decider and its fold."""
