"""How events are told: a dialect for each kind of front end. Pure.

A dialect gives an event of `owner` the name and the payload that its front ends know, or None when
it does not speak of it. `trading` is in `services.edge.frames`.
"""
