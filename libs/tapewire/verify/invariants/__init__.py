"""The invariants of each domain, checked from the events alone.

They share no code with the services: a rule must be misunderstood twice before an error passes.
Each class receives its domain's events in the order of the log and reports differences to
`Findings`. It continues with the state that the event states, so one error is reported once and not
at every later event. It retains open entities only.
"""
