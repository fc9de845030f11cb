"""`tapewire items`: put analysed items on the tape, one or a file of them.

Start at `command`. `csvfile` and `feedfile` read files into `rows`, `loading` sends them.
"""

from tapewire.cli.items.command import items

__all__ = ["items"]
