"""The edge: streams and requests for browsers, over the log. `feeds` is the table of streams."""
