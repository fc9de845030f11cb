"""Hundreds of thousands of connects and disconnects, and what stays of them: nothing.

One real edge over a real message server. A process of its own (`visitors`) comes and goes in every
way that a client can, while events flow (`world`); after each round all of them have left, and the
edge is measured at rest (`gauges`). What must not grow is given as a slope (`slopes`).
Start reading at `test_soak`.
"""
