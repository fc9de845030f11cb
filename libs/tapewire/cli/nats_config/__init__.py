"""The command `tapewire nats-config`, and the configuration that `tapewire up` gives its server.

Start at `accounts`, which is pure.
"""
