"""`tapewire up`: everything on this machine, each service as its own process, from one terminal.

`command` checks what was asked for and lives from the first start to the last stop. `plan` says
what to start, with which environment and in which order; `nats` is the embedded message server.
`supervisor` starts the parts in that order, and stops them in reverse; each part has a `keeper`
that starts it again when it dies, at the `pace` it should; a `child` is one process of a part.
`place` is the data directory: its lock and its `run.json`. Start at `supervisor`.
"""

from tapewire.cli.up.command import up

__all__ = ["up"]
