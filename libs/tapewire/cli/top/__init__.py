"""`tapewire top`: a live view of a running system in the terminal.

`sampler` asks NATS for figures, `edge_figures` asks the edge; both keep the last values while
nothing answers. `frame` draws a sample, as a pure function of it and of the size of the terminal.
`command` connects, reads keys and connects again after a restart. Start at `command`.
"""
