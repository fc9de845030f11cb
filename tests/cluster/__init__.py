"""Three message servers as one cluster under a whole system, with one fault after another.

Each server has a network namespace and a disk of its own where the kernel lets the user have them
(`isolated.sh`); elsewhere the servers share 127.0.0.1, and the faults that need a network or a disk
are left out. The checks of `tests.harness.order_trial` judge what clients received. Start reading
at `plan.ClusterFault`.
"""
