"""The strategies service: rules that trade on real prices, and their stop-losses.

Start at `domain` (what a strategy is), then `runner` (how the started ones follow prices).
"""
