"""`tapewire up`: runs everything on this machine, each service as a process of its own.

`command` checks the options and settings before anything is started. `plan` lists what to start, in
which order and with which environment; `embedded_nats` is the NATS server. `lifecycle` runs from
the first start to the last stop and handles signals. `supervisor` starts, restarts and stops the
processes; `child_process` is one of them. `data_dir` owns the data directory, its lock and its
`run.json`. Start at `lifecycle`, then read `supervisor`.
"""
