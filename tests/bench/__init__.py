"""Benchmarks: `make bench` starts the system, loads it from another process, prints a table."""
