"""From the log to the edge: the tail of the log, quotes, and the values that streams show."""
