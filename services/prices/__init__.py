"""The price service: plays a market data feed and publishes quotes.

A feed yields ticks; the service folds them into one top of book per symbol and publishes a
newest-wins quote of every symbol that changed. One process at a time plays, under a lease.

`domain` has ticks, books and the random walk. `feed` has the port for market data and a feed that
replays recordings. `runner` plays a feed, `publisher` keeps the quotes stored, and
`playback_checkpoint` stores the position in a recording. Start at `runner`.
"""
