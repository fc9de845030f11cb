"""A recorded day through all services: undisturbed, with processes killed, with two of each.

A stepped market makes it a matter of fact, not of luck, what a day ends with: the conductor moves
the recording, waits until everything that follows is done, then does what users do, and again. So a
day in which every service was killed (`kill -9`) must end in the very state of one that nothing
disturbed. Start at `conductor.conduct`; `plan` is what users do, `state` what is compared,
`reference` and `stops` what is worked out independently of the services.
"""
