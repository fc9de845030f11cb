"""Benchmarks: `make bench` starts the system, loads it from another process, and prints a table."""
