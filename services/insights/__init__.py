"""The insights service: analysed items, the counts of them all, and users' configurations.

Start at `domain` (what makes an item well-formed and good or bad, what a configuration is) and
`__main__` (how the parts are wired). `scoring` is the port to whatever scores texts, `intake` puts
items on the tape, each once.
"""
