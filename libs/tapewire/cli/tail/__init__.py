"""`tapewire tail STREAM`: a live stream in the terminal, resuming by itself.

`command` is the command; `follow` connects, reads and connects again from the last id, as long as
that makes sense; `delay` says after how long; `session` signs in; `lines` turns an event into
lines. `delay` and `lines` are pure. Start at `follow`.
"""

from tapewire.cli.tail.command import tail

__all__ = ["tail"]
