"""A recorded day through all services: undisturbed, with processes killed, and with two of each.

The market moves in steps, so the final state is deterministic: a run advances the recording, waits
until all consequences are handled, performs the users' actions, and repeats. A day in which every
service was killed (`kill -9`) must therefore end in the same state as an undisturbed one.

Start at `day_run.run_day`. `stepped_prices` is the market, `plan` has the users' actions,
`canonical_state` makes the states that are compared, and `reference_model` and `stop_losses`
compute the expected results independently of the services.
"""
