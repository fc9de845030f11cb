"""The laws of each domain, reckoned anew from the events alone.

Nothing of a service is used: what a service and its law do wrong alike, both must have thought
wrong. A law takes its domain's events in the order of the log and tells `Findings` of what differs;
it takes over what an event says, so that one mistake is told once and not at every later event. It
remembers what lives (an open order, a holding), never what is over.
"""
